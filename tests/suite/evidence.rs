//! Files that are not what they were: moved, touched, edited, and written to while they are sent.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use test_support::Process;

use crate::world::{MIB, PATIENCE, RESEND_BOUND, Site, World, emulator, end, event, run};

const SIZE: u64 = 24 * MIB;
/// Where an edit is made: behind the samples at the beginning, long sent when the first run is killed.
const EDITED_AT: u64 = MIB;

/// A file of which an earlier run has sent about half, before it was killed.
struct Half {
    world: World,
    site: Site,
    source: PathBuf,
}

impl Half {
    async fn sent() -> Self {
        let world = World::new();
        let site = Site::start(emulator(), 30 * MIB).await;
        let source = world.random_file("shoot/a.mov", SIZE);
        site.put_and_kill(&world, &source, 12 * MIB).await;
        Self {
            world,
            site,
            source,
        }
    }

    /// The next run goes on with what the first one sent.
    async fn goes_on(self) {
        let ended = run(self.site.put(&self.world, &self.source))
            .await
            .expect(0);
        assert!(ended.events("restarted").is_empty(), "{}", ended.stdout);
        assert!(ended.events("resumed")[0]["offset"].as_u64().unwrap() > 0);
        self.site.assert_videos(&[self.source]).await;
        let sent = self.site.proxy.counters().bytes_up;
        assert!(sent <= SIZE + RESEND_BOUND, "{sent} bytes");
    }

    /// The next run gives up what the first one sent.
    async fn begins_anew(self) {
        let ended = run(self.site.put(&self.world, &self.source))
            .await
            .expect(0);
        assert_eq!(ended.events("restarted").len(), 1, "{}", ended.stdout);
        self.site.assert_videos(&[self.source]).await;
    }
}

/// Changes one byte, and sets the time back to what it was.
fn edit_unseen(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    file.set_times(FileTimes::new().set_modified(modified))
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_mode_changed_goes_on_where_it_stood() {
    let half = Half::sent().await;
    fs::set_permissions(&half.source, Permissions::from_mode(0o600)).unwrap();
    half.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_restored_from_a_copy_goes_on_where_it_stood() {
    let half = Half::sent().await;
    let copy = half.world.path("copy");
    fs::copy(&half.source, &copy).unwrap();
    fs::rename(&copy, &half.source).unwrap();
    half.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_moved_to_another_folder_goes_on_where_it_stood() {
    let mut half = Half::sent().await;
    let there = half.world.path("archive/a.mov");
    fs::create_dir_all(there.parent().unwrap()).unwrap();
    fs::rename(&half.source, &there).unwrap();
    half.source = there;
    half.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_beside_the_file_is_an_upload_of_its_own() {
    let half = Half::sent().await;
    let copy = half.world.path("shoot/b.mov");
    fs::copy(&half.source, &copy).unwrap();
    run(half.site.put(&half.world, &copy)).await.expect(0);
    let ended = run(half.site.put(&half.world, &half.source))
        .await
        .expect(0);
    assert!(ended.events("resumed")[0]["offset"].as_u64().unwrap() > 0);
    half.site.assert_videos(&[half.source, copy]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_edited_begins_anew_though_its_time_was_set_back() {
    let half = Half::sent().await;
    edit_unseen(&half.source, EDITED_AT);
    half.begins_anew().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_grew_begins_anew() {
    let half = Half::sent().await;
    let file = File::options().append(true).open(&half.source).unwrap();
    file.write_all_at(b"more", SIZE).unwrap();
    half.begins_anew().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_file_of_the_same_size_and_time_in_its_place_begins_anew() {
    let half = Half::sent().await;
    let modified = fs::metadata(&half.source).unwrap().modified().unwrap();
    let other = half.world.path("other");
    fs::copy(&half.source, &other).unwrap();
    edit_unseen(&other, EDITED_AT);
    let file = File::options().write(true).open(&other).unwrap();
    file.set_times(FileTimes::new().set_modified(modified))
        .unwrap();
    fs::rename(&other, &half.source).unwrap();
    half.begins_anew().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_edited_while_it_is_sent_ends_with_code_7_and_nothing_finished() {
    for at in [EDITED_AT, SIZE - 1] {
        let world = World::new();
        let site = Site::start(emulator(), 20 * MIB).await;
        let source = world.random_file("a.mov", SIZE);
        let process = Process::spawn(site.put(&world, &source)).unwrap();
        event(&process, "created", PATIENCE).await;
        site.proxy
            .wait_until(|counters| counters.bytes_up >= 8 * MIB)
            .await;
        edit_unseen(&source, at);
        let ended = end(&process).await.expect(7);
        assert!(ended.events("finished").is_empty());
        assert!(
            site.emulator
                .uploads()
                .iter()
                .all(|upload| !upload.complete)
        );

        run(site.put(&world, &source)).await.expect(0);
        site.assert_videos(&[source]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_renamed_while_it_is_sent_arrives_whole() {
    let world = World::new();
    let site = Site::start(emulator(), 30 * MIB).await;
    let source = world.random_file("a.mov", SIZE);
    let process = Process::spawn(site.put(&world, &source)).unwrap();
    site.proxy
        .wait_until(|counters| counters.bytes_up >= 8 * MIB)
        .await;
    let renamed = world.path("b.mov");
    fs::rename(&source, &renamed).unwrap();
    end(&process).await.expect(0);
    site.assert_videos(&[renamed]).await;
}

#[tokio::test]
async fn a_finished_file_that_was_touched_is_not_sent_again_and_an_edited_one_is() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", SIZE);
    let put = || {
        let mut command = world.put_to_emulator(&emulator);
        command.arg(&source);
        command
    };
    run(put()).await.expect(0);
    fs::set_permissions(&source, Permissions::from_mode(0o600)).unwrap();
    let touched = run(put()).await.expect(0);
    assert_eq!(touched.events("skipped")[0]["reason"], "already-uploaded");
    assert_eq!(emulator.videos().len(), 1);

    edit_unseen(&source, EDITED_AT);
    let edited = run(put()).await.expect(0);
    assert_eq!(edited.events("finished")[0]["bytes_sent"], SIZE);
    assert_eq!(emulator.videos().len(), 2);
}
