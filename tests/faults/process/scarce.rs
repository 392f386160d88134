//! F55, F56, F58: little memory, few descriptors, no processor.

use std::fs;
use std::process::Command;
use std::time::Duration;

use test_support::{NullSink, Process, fixtures};

use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, Site, World, emulator, end, event};

/// The command as `tool` starts it.
fn under(tool: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(tool[0]);
    outer
        .args(&tool[1..])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    outer
}

/// Why the tools are not there, if they are not.
fn need(tools: &[&str]) -> Result<(), String> {
    for tool in tools {
        let found = Command::new(tool).arg("--version").output();
        found.map_err(|error| format!("cannot run {tool} (Debian package util-linux): {error}"))?;
    }
    Ok(())
}

pub(super) async fn memory() -> Ended {
    need(&["prlimit"])?;
    const FILES: usize = 64;
    const MOST: u64 = 64 * MIB;
    let world = World::new();
    let sink = NullSink::start().unwrap();
    let folder = world.path("shoot");
    fs::create_dir(&folder).unwrap();
    for index in 0..FILES {
        fixtures::sparse_file(folder.join(format!("{index:02}.mp4")), 4096 * MIB).unwrap();
    }
    let mut put = world.put_to(&sink.creation_url(), &folder);
    // glibc reserves 64 MiB of addresses for each of many threads, unless told not to.
    put.args(["--parallel", "16"]).env("MALLOC_ARENA_MAX", "2");
    let process = Process::spawn(under(&["prlimit", "--as=268435456"], &put)).unwrap();
    let enough = || {
        let uploads = sink.uploads();
        uploads.len() == 16 && uploads.iter().all(|upload| upload.offset > 32 * MIB)
    };
    while !enough() {
        assert!(process.is_running(), "{:?}", end(&process).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let peak = process.peak_rss_bytes().unwrap();
    process.sigint();
    let ended = end(&process).await.expect(130);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(ended.events("retry").is_empty(), "{}", ended.stdout);
    assert!(peak <= MOST, "{} KiB", peak / 1024);
    Ok(Seen::times(1).remark(format!(
        "peak {} MiB with 16 uploads on their way, stopped after {} MiB; MALLOC_ARENA_MAX=2",
        peak.div_ceil(MIB),
        sink.counters().body_bytes / MIB
    )))
}

pub(super) async fn descriptors() -> Ended {
    need(&["prlimit"])?;
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 40 * MIB).await;
    let sources: Vec<_> = (0..80)
        .map(|index| world.random_file(&format!("shoot/{index:02}.mp4"), 200_000 + index))
        .collect();
    let put = || {
        let mut command = site.put(&world, &world.path("shoot"));
        command.args(["--parallel", "64"]);
        under(&["prlimit", "--nofile=64:64"], &command)
    };
    let process = Process::spawn(put()).unwrap();
    let mut most = 0;
    while process.is_running() {
        let open = fs::read_dir(format!("/proc/{}/fd", process.id()));
        most = most.max(open.map_or(0, Iterator::count));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = end(&process).await.expect(0);
    assert!(ended.stderr.contains("open files"), "{}", ended.stderr);
    assert!(ended.events("retry").is_empty(), "{}", ended.stdout);
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: &sources,
        said: &[&ended],
    }
    .hold(put())
    .await;
    Ok(Seen::times(1).remark(format!("{most} of 64 descriptors at most")))
}

/// Keeps a processor busy until it is dropped.
struct Busy(#[expect(dead_code, reason = "ended when dropped")] Process);

impl Busy {
    fn on(processor: &str) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", processor, "sh", "-c", "while :; do :; done"]);
        Self(Process::spawn(command).unwrap())
    }
}

pub(super) async fn processor() -> Ended {
    need(&["taskset", "nice"])?;
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 40 * MIB).await;
    let source = world.random_file("a.mov", 12 * MIB);
    let put = || {
        let mut command = site.put(&world, &source);
        command.args(["--stall-timeout", "5s"]);
        command
    };
    let starved = under(&["taskset", "-c", "0", "nice", "-n", "19"], &put());
    let process = Process::spawn(starved).unwrap();
    event(&process, "created", PATIENCE).await;
    let busy = [Busy::on("0"), Busy::on("0")];
    let mut waited = Duration::ZERO;
    while process.is_running() {
        waited = waited.max(time_in_queue(process.id()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(busy);
    let ended = end(&process).await.expect(0);
    assert!(ended.events("retry").is_empty(), "{}", ended.stdout);
    assert!(
        waited > Duration::from_secs(1),
        "it was starved: {waited:?}"
    );
    let requests = site.emulator.requests();
    assert!(
        requests.iter().all(|request| request.method != "HEAD"),
        "no upload was interrupted"
    );
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    }
    .hold(put())
    .await;
    Ok(Seen::times(1).resent(0).remark(format!(
        "its threads waited {} ms for the processor",
        waited.as_millis()
    )))
}

/// How long the threads of a process were ready to run and did not.
fn time_in_queue(pid: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Duration::ZERO;
    };
    let waited = |thread: fs::DirEntry| -> Option<u64> {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse().ok()
    };
    Duration::from_nanos(threads.flatten().filter_map(waited).sum())
}
