//! F59, F61: files that are written to.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use test_support::Process;

use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{MIB, Site, World, emulator, end, run};

const SIZE: u64 = 12 * MIB;

pub(super) async fn while_sent() -> Ended {
    type Change = fn(&File);
    let changes: [(&str, Change); 4] = [
        ("grows", |file| file.write_all_at(b"more", SIZE).unwrap()),
        ("loses its end", |file| file.set_len(SIZE - MIB).unwrap()),
        ("loses what was sent", |file| file.set_len(MIB).unwrap()),
        ("is overwritten", |file| {
            file.write_all_at(&[7; 4096], 2 * MIB).unwrap();
        }),
    ];
    let mut seen = Seen::times(4);
    for (what, change) in changes {
        seen = seen.noticed(changes_while_sent(what, change).await);
    }
    Ok(seen.remark("grown, cut off at two places, overwritten; begun anew by the next run"))
}

/// Returns how long it took until it was noticed.
async fn changes_while_sent(what: &str, change: fn(&File)) -> Duration {
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 10 * MIB).await;
    let source = world.random_file("a.mov", SIZE);
    let put = || site.put(&world, &source);
    let process = Process::spawn(put()).unwrap();
    site.proxy
        .wait_until(|counters| counters.body_up >= 4 * MIB)
        .await;
    change(&File::options().write(true).open(&source).unwrap());
    let changed = Instant::now();
    let ended = end(&process).await.expect(7);
    let noticed = changed.elapsed();
    assert_eq!(
        ended.events("failed")[0]["kind"],
        "source-changed",
        "{what}"
    );
    let complete = |upload: &stream_emulator::UploadSnapshot| upload.complete;
    assert!(!site.emulator.uploads().iter().any(complete), "{what}");

    let again = run(put()).await.expect(0);
    assert_eq!(
        again.events("restarted").len(),
        1,
        "{what}: {}",
        again.stdout
    );
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended, &again],
    }
    .hold(put())
    .await;
    noticed
}

pub(super) async fn between_runs() -> Ended {
    // Of an edit behind what was sent nothing is on the server yet, and only samples of the file show it.
    let behind = SIZE - 2 * MIB;
    for at in [0, MIB, SIZE / 2, SIZE - 1, behind] {
        let (half, source) = Half::sent().await;
        assert!(half.sent < behind, "{}", half.sent);
        edit_unseen(&source, at);
        half.goes_on_with(&source, at == behind).await;
    }
    let (half, source) = Half::sent().await;
    fs::set_permissions(&source, Permissions::from_mode(0o600)).unwrap();
    let chmod = half.goes_on_with(&source, true).await;

    let (half, source) = Half::sent().await;
    let there = half.world.path("archive/b.mov");
    fs::create_dir_all(there.parent().unwrap()).unwrap();
    fs::rename(&source, &there).unwrap();
    let mv = half.goes_on_with(&there, true).await;
    assert_eq!((chmod, mv), (0, 0), "bytes sent again after chmod and mv");
    Ok(Seen::times(7)
        .resent(chmod)
        .resent(mv)
        .remark("edited at 5 places; gone on with only where the edit lay behind what was sent"))
}

/// A file of which a first run has sent about half, before it was killed.
pub(super) struct Half {
    world: World,
    site: Site,
    /// Bytes that the server has.
    sent: u64,
}

impl Half {
    pub(super) async fn sent() -> (Self, PathBuf) {
        let world = World::new();
        let site = Site::start(emulator().token(TOKEN), 16 * MIB).await;
        let source = world.random_file("shoot/a.mov", SIZE);
        // What the kernel's buffers hold comes on top of it.
        site.put_and_kill(&world, &source, SIZE / 4).await;
        // What the kernel had of it arrives still.
        site.proxy
            .wait_until(|counters| counters.open_connections == 0)
            .await;
        let sent = site.emulator.uploads()[0].offset;
        let half = Self { world, site, sent };
        (half, source)
    }

    /// The next run, which goes on with what the first one sent or gives it up. Returns what it sent beyond what was needed.
    pub(super) async fn goes_on_with(&self, source: &Path, goes_on: bool) -> u64 {
        let put = || self.site.put(&self.world, source);
        let before = self.site.proxy.counters().body_up;
        let ended = run(put()).await.expect(0);
        let sent = self.site.proxy.counters().body_up - before;
        let needed = if goes_on {
            assert_eq!(ended.events("resumed")[0]["offset"], self.sent);
            SIZE - self.sent
        } else {
            assert_eq!(ended.events("restarted").len(), 1, "{}", ended.stdout);
            SIZE
        };
        Proof {
            world: &self.world,
            emulator: &self.site.emulator,
            sources: &[source.to_owned()],
            said: &[&ended],
        }
        .hold(put())
        .await;
        sent - needed
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.world.path(name)
    }
}

/// Changes one byte, and sets the time back to what it was.
pub(super) fn edit_unseen(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
    file.set_times(FileTimes::new().set_modified(modified))
        .unwrap();
}
