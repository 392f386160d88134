//! F60, F62: something else where a file was.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use stream_emulator::{EmulatorHandle, Fault, FaultRule};
use test_support::{Process, Random, Stream};

use super::changed::{Half, edit_unseen};
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, Site, World, emulator, end, run};

const FILES: u64 = 50;
/// What the server has of each when it is replaced.
const STOPPED_AT: u64 = 600_000;

pub(super) async fn by_rename() -> Ended {
    let mut random = Random::new(60);
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 200 * MIB).await;
    // Beyond 8 MiB what was sent is remembered from run to run, so that more can go wrong.
    let sizes: Vec<_> = (0..FILES)
        .map(|index| if index < 4 { 9 * MIB } else { MIB } + random.below(MIB))
        .collect();
    let sources: Vec<_> = (0..FILES)
        .zip(&sizes)
        .map(|(index, size)| world.random_file(&format!("shoot/{index:02}.mov"), *size))
        .collect();
    let put = || {
        let mut command = site.put(&world, &world.path("shoot"));
        command.args(["--parallel", "50"]);
        command
    };
    stop_each_upload_early(&site.emulator);
    let first = Process::spawn(put()).unwrap();
    let all_wait = |emulator: &EmulatorHandle| {
        let requests = emulator.requests();
        let heads = requests.into_iter().filter(|it| it.method == "HEAD");
        heads.map(|it| it.upload).collect::<BTreeSet<_>>().len() as u64 == FILES
    };
    tokio::select! {
        () = site.emulator.wait_until(all_wait) => {}
        ended = end(&first) => panic!("{ended:?}"),
    }
    first.kill_9();
    first.wait(PATIENCE).await.unwrap();
    site.emulator.faults().clear();
    for upload in site.emulator.uploads() {
        assert_eq!((upload.offset, upload.complete), (STOPPED_AT, false));
    }
    for (source, size) in sources.iter().zip(&sizes) {
        replace(source, random.below(*size));
    }
    let last = run(put()).await.expect(0);
    let restarted = last.events("restarted").len();
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: &sources,
        said: &[&last],
    }
    .hold(put())
    .await;

    let (half, source) = Half::sent().await;
    let copy = half.path("copy");
    fs::copy(&source, &copy).unwrap();
    fs::rename(&copy, &source).unwrap();
    let resent = half.goes_on_with(&source, true).await;
    assert_eq!(resent, 0, "an identical copy");
    Ok(Seen::times(FILES + 1).resent(resent).remark(format!(
        "0 of {FILES} mixed, {restarted} begun anew; the identical copy was gone on with"
    )))
}

/// Breaks every first chunk off, and keeps every upload from going on.
fn stop_each_upload_early(emulator: &EmulatorHandle) {
    let cut = Fault::CutBody {
        after_bytes: STOPPED_AT,
    };
    let refuse = Fault::Status {
        status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: None,
    };
    let rule = |fault, method| FaultRule::new(fault).method(method).times(u64::MAX);
    emulator.faults().add(rule(cut, Method::PATCH));
    emulator.faults().add(rule(refuse, Method::HEAD));
}

/// Puts another file in its place: of the same size and time, with one other byte.
fn replace(source: &Path, at: u64) {
    let other = source.with_extension("new");
    fs::copy(source, &other).unwrap();
    edit_unseen(&other, at);
    let modified = fs::metadata(source).unwrap().modified().unwrap();
    let file = File::options().write(true).open(&other).unwrap();
    file.set_times(FileTimes::new().set_modified(modified))
        .unwrap();
    fs::rename(&other, source).unwrap();
}

pub(super) async fn by_something_else() -> Ended {
    let swapped = swapped_after_the_search().await;
    let named = named_by_hand().await;
    Ok(Seen::times(swapped + named).remark(
        "none was opened as what it was not; a FIFO and a device in a folder are left out and counted",
    ))
}

/// While the first file of a folder is sent, those behind it become something else.
async fn swapped_after_the_search() -> u64 {
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 10 * MIB).await;
    let file = |index: u64| world.random_file(&format!("shoot/{index}.mp4"), 3 * MIB + index);
    // The next ones may be open already when the first one is sent.
    let (sent, swapped): (Vec<_>, Vec<_>) =
        ((0..4).map(file).collect(), (4..7).map(file).collect());
    let secret = world.random_file("secret.key", 3 * MIB);
    let put = || {
        let mut command = site.put(&world, &world.path("shoot"));
        command.args(["--parallel", "1"]);
        command
    };
    let process = Process::spawn(put()).unwrap();
    let started = |line: &str| line.contains(r#""created""#);
    process
        .wait_for_line(Stream::Stdout, started, PATIENCE)
        .await
        .unwrap();
    for path in &swapped {
        fs::remove_file(path).unwrap();
    }
    symlink(&secret, &swapped[0]).unwrap();
    make_fifo(&swapped[1]);
    fs::create_dir(&swapped[2]).unwrap();
    let ended = end(&process).await.expect(1);
    assert_eq!(ended.events("finished").len(), 4, "{}", ended.stdout);
    let failed = ended.events("failed");
    assert_eq!(failed.len(), 3, "{}", ended.stdout);
    for (path, why) in swapped
        .iter()
        .zip(["symbolic link", "regular file", "regular file"])
    {
        let of_it = failed
            .iter()
            .find(|it| it["source"] == path.to_str().unwrap());
        let of_it = of_it.unwrap();
        assert_eq!(of_it["exit_code"], 3);
        let error = of_it["error"].as_str().unwrap();
        assert!(error.contains(why), "{error}");
    }
    // Now the search itself meets them, and leaves them out.
    let again = run(put()).await.expect(0);
    assert!(
        again.stderr.contains("links or special files"),
        "{}",
        again.stderr
    );
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: &sent,
        said: &[&ended, &again],
    }
    .hold(put())
    .await;
    3
}

/// A FIFO, a device and a folder without videos, named on the command line.
async fn named_by_hand() -> u64 {
    let world = World::new();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let fifo = world.path("fifo.mp4");
    make_fifo(&fifo);
    let link = world.path("link.mp4");
    symlink("/dev/zero", &link).unwrap();
    let folder = world.path("empty");
    fs::create_dir(&folder).unwrap();
    let named = [fifo, link, PathBuf::from("/dev/zero"), folder];
    for path in &named {
        let mut put = world.put_to_emulator(&emulator);
        put.arg(path);
        let begun = Instant::now();
        let ended = run(put).await.expect(3);
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{}",
            path.display()
        );
        assert!(ended.events("finished").is_empty());
    }
    assert_eq!(emulator.requests().len(), 0, "nothing was asked for");
    4
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}
