//! F51, F52: signals, and a reader of stdout that leaves.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use test_support::{Direction, Process, Stream};

use super::kill::Gate;
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{self, MIB, PATIENCE, Site, World, emulator, end, run};

/// The offset in a line of progress.
fn confirmed(line: &str) -> Option<u64> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_progress = line["event"] == "progress";
    is_progress.then(|| line["offset"].as_u64())?
}

pub(super) async fn once() -> Ended {
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 10 * MIB).await;
    let sources: Vec<_> = (0..3)
        .map(|index| world.random_file(&format!("shoot/{index}.mp4"), 12 * MIB))
        .collect();
    let put = || {
        let mut command = site.put(&world, &world.path("shoot"));
        command.args(["--parallel", "1", "--chunk-size", "5MiB"]);
        command
    };
    let process = Process::spawn(put()).unwrap();
    let first_chunk = |line: &str| confirmed(line) >= Some(5 * MIB);
    process
        .wait_for_line(Stream::Stdout, first_chunk, PATIENCE)
        .await
        .unwrap();
    let signalled = Instant::now();
    process.sigint();
    let stopped = end(&process).await.expect(130);
    let took = signalled.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(
        stopped.stderr.contains("run the same command again"),
        "{}",
        stopped.stderr
    );
    assert_eq!(site.emulator.videos().len(), 1, "no further work was taken");

    let told = stopped.stdout.lines().filter_map(confirmed).max().unwrap();
    let mut list = world.command();
    list.args(["state", "list", "--unfinished", "--json"]);
    let records = run(list).await.expect(0).events("record");
    let kept = records[0]["offset"].as_u64().unwrap();
    assert!(
        kept >= told,
        "{kept} of {told} confirmed bytes are remembered"
    );
    let ended = run(put()).await.expect(0);
    assert!(ended.events("resumed")[0]["offset"].as_u64() >= Some(told));
    let sent = site.proxy.counters().body_up;
    let resent = sent - 3 * 12 * MIB;
    assert!(resent <= world::RESEND_BOUND, "{resent} bytes");
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: &sources,
        said: &[&stopped, &ended],
    }
    .hold(put())
    .await;
    Ok(Seen::times(1).resent(resent).noticed(took))
}

pub(super) async fn others() -> Ended {
    const SIZE: u64 = 40 * MIB;
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 8 * MIB).await;
    let source = world.random_file("a.mov", SIZE);
    let put = || {
        let mut command = site.put(&world, &source);
        command.args(["--chunk-size", "5MiB"]);
        command
    };
    let mut seen = Seen::times(4);
    let mut said = Vec::new();

    type Send = fn(&Process);
    let signals: [(Send, i32); 2] = [(Process::sigterm, 143), (Process::sighup, 143)];
    for (signal, code) in signals {
        let process = under_way(&site, put()).await;
        let signalled = Instant::now();
        signal(&process);
        said.push(end(&process).await.expect(code));
        seen = seen.noticed(signalled.elapsed());
    }

    // Whoever else works on this machine may slow it down once, not three times.
    let mut took = Duration::MAX;
    for _ in 0..3 {
        if took > Duration::from_millis(200) {
            let ended;
            (ended, took) = interrupted_twice(&world, &site, put()).await;
            said.push(ended);
        }
    }
    assert!(took <= Duration::from_millis(200), "{took:?}");
    seen = seen.noticed(took);
    site.proxy.set_rate(Direction::Up, None);

    let (code, stderr) = read_by_head(put()).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let resent = site.proxy.counters().body_up - SIZE;
    assert!(resent <= 5 * world::RESEND_BOUND, "{resent} bytes");
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &said.iter().collect::<Vec<_>>(),
    }
    .hold(put())
    .await;
    Ok(seen)
}

/// Interrupts it while it cannot save its state, and once more. Returns how long it lived on after that.
async fn interrupted_twice(world: &World, site: &Site, put: Command) -> (world::Ended, Duration) {
    let process = under_way(site, put).await;
    let gate = Gate::shut(&world.state_dir());
    // It has something to save, which keeps it here.
    gate.is_waited_for().await;
    process.sigint();
    let stopping = |line: &str| line.contains("a second signal stops at once");
    process
        .wait_for_line(Stream::Stderr, stopping, PATIENCE)
        .await
        .unwrap();
    assert!(process.is_running());
    let signalled = Instant::now();
    process.sigint();
    let ended = end(&process).await.expect(130);
    (ended, signalled.elapsed())
}

/// Starts it, and comes back when bytes are on their way.
async fn under_way(site: &Site, command: Command) -> Process {
    let before = site.proxy.counters().body_up;
    let process = Process::spawn(command).unwrap();
    site.proxy
        .wait_until(|counters| counters.body_up >= before + 2 * MIB)
        .await;
    process
}

/// Runs it with a stdout of which one line is read, as `| head -1` does. Returns its exit code and what it said on stderr.
async fn read_by_head(mut command: Command) -> (Option<i32>, String) {
    let read = move || {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains("event"), "{line}");
        let mut stderr = String::new();
        let mut pipe = child.stderr.take().unwrap();
        pipe.read_to_string(&mut stderr).unwrap();
        (child.wait().unwrap().code(), stderr)
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}
