//! F49, F50: killed at any moment, and at the worst one.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use stream_emulator::{EmulatorHandle, RequestRecord};
use test_support::{ChaosProxy, Direction, Injection, Process, Random, Strace, Stream};

use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, RESEND_BOUND, Site, World, emulator, run};

const FILES: u64 = 64;
/// Uploads at once, unless told otherwise.
const WORKERS: u64 = 4;
/// What a run can send before it is killed: so slow that none is done too early.
const BYTES_PER_SECOND: u64 = MIB;

/// How often F49 kills: about 20 s, or more by command.
fn kills() -> u64 {
    let asked = std::env::var("STREAM_UPLOAD_KILLS").ok();
    asked.and_then(|kills| kills.parse().ok()).unwrap_or(25)
}

/// Longer than F49 takes.
pub(super) fn bound() -> Duration {
    Duration::from_secs(120 + 4 * kills())
}

pub(super) async fn at_random_times() -> Ended {
    let mut random = Random::new(49);
    let lives: Vec<_> = (0..kills())
        .map(|_| Duration::from_millis(5 + random.below(796)))
        .collect();
    // Twice what can be sent in these lives and in the second that each may take to begin.
    let seconds: Duration = lives
        .iter()
        .map(|life| *life + Duration::from_secs(1))
        .sum();
    let bytes = 2 * BYTES_PER_SECOND * seconds.as_secs() / FILES;

    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), BYTES_PER_SECOND).await;
    let sources: Vec<_> = (0..FILES)
        .map(|index| world.random_file(&format!("shoot/{index:02}.mp4"), bytes + index))
        .collect();
    let put = || site.put(&world, &world.path("shoot"));
    for life in &lives {
        let process = Process::spawn(put()).unwrap();
        let alive = |line: &str| line.contains(r#""created""#) || line.contains(r#""resumed""#);
        process
            .wait_for_line(Stream::Stdout, alive, PATIENCE)
            .await
            .unwrap();
        tokio::time::sleep(*life).await;
        process.kill_9();
        let status = process.wait(PATIENCE).await.unwrap();
        assert_eq!(status.code(), None, "it was still running");
    }
    site.proxy.set_rate(Direction::Up, None);
    let last = run(put()).await.expect(0);

    let sent = site.proxy.counters().body_up;
    let needed: u64 = (0..FILES).map(|index| bytes + index).sum();
    let bound = needed + kills() * WORKERS * RESEND_BOUND;
    assert!(sent <= bound, "{sent} bytes sent for {needed}");
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: &sources,
        said: &[&last],
    }
    .hold(put())
    .await;
    let mut seen = Seen::times(kills());
    seen.resent = resent(&site.emulator.requests());
    Ok(seen.remark(format!(
        "{FILES} files of {} KiB: {} bytes of {needed} were sent twice",
        bytes / 1024,
        sent - needed
    )))
}

/// Bytes that the server read a second time, one entry for each PATCH that went on after a break.
fn resent(requests: &[RequestRecord]) -> Vec<u64> {
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    let mut patches: Vec<_> = requests.iter().filter(|it| it.method == "PATCH").collect();
    patches.sort_by_key(|request| request.began);
    let mut resent = Vec::new();
    for patch in patches {
        let (Some(upload), Some(offset)) = (&patch.upload, patch.upload_offset) else {
            continue;
        };
        let end = offset + patch.body_bytes;
        match reached.get_mut(upload.as_str()) {
            None => {
                reached.insert(upload, end);
            }
            Some(reached) => {
                resent.push(reached.saturating_sub(offset).min(patch.body_bytes));
                *reached = end.max(*reached);
            }
        }
    }
    resent
}

/// The store's gate, shut until this is dropped.
pub(super) struct Gate {
    _gate: File,
    queue: File,
}

impl Gate {
    /// Shuts it, as another process would that has the store open and hangs.
    pub(super) fn shut(state: &Path) -> Self {
        let open = |name| {
            File::options()
                .read(true)
                .write(true)
                .open(state.join(name))
        };
        let queue = open("queue.lock").unwrap();
        // Whoever is inside comes out for somebody who waits.
        queue.lock_shared().unwrap();
        let gate = open("gate.lock").unwrap();
        gate.lock().unwrap();
        queue.unlock().unwrap();
        Self { _gate: gate, queue }
    }

    /// Comes back once somebody waits for it.
    pub(super) async fn is_waited_for(&self) {
        while self.queue.try_lock().is_ok() {
            self.queue.unlock().unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

pub(super) async fn before_the_record_is_written() -> Ended {
    let on_stream = behind_a_shut_gate(true).await;
    let on_tus = behind_a_shut_gate(false).await;
    let syncs = match Strace::available() {
        Ok(()) => at_every_sync().await,
        Err(why) => return Err(why),
    };
    Ok(Seen::times(on_stream + on_tus + syncs).remark(format!(
        "1 on Stream, where the lost creation was removed; 1 on plain tus, reported as a possible orphan; {syncs} at syncs"
    )))
}

/// Killed with the answer to the creation in hand. Returns how often.
async fn behind_a_shut_gate(on_stream: bool) -> u64 {
    let world = World::new();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let proxy = ChaosProxy::builder(emulator.addr())
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let source = world.random_file("a.mov", 3 * MIB);
    let put = || {
        if on_stream {
            let mut command = world.put_to_emulator(&emulator);
            command
                .env("STREAM_API_URL", proxy.url("/client/v4"))
                .arg(&source);
            command
        } else {
            world.put_to(&proxy.url("/files/"), &source)
        }
    };
    proxy.hold_answers_to("POST");
    let process = Process::spawn(put()).unwrap();
    proxy
        .wait_until(|counters| counters.held_answers == 1)
        .await;
    let gate = Gate::shut(&world.state_dir());
    proxy.release_answers();
    gate.is_waited_for().await;
    process.kill_9();
    process.wait(PATIENCE).await.unwrap();
    assert!(
        process
            .lines(Stream::Stdout)
            .iter()
            .all(|line| !line.contains(r#""created""#)),
        "the record was written"
    );
    drop(gate);
    let lost = emulator.uploads();
    assert_eq!((lost.len(), lost[0].offset), (1, 0));

    let ended = run(put()).await.expect(0);
    let creations = count(&emulator, "POST");
    assert_eq!(creations, 2, "once before the kill, once after");
    let orphans = ended.events("possible-orphan").len();
    let proof = Proof {
        world: &world,
        emulator: &emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    };
    if on_stream {
        assert_eq!(orphans, 0, "{}", ended.stdout);
        let deleted = |request: &RequestRecord| {
            request.method == "DELETE" && request.path.ends_with(&lost[0].id)
        };
        assert!(emulator.requests().iter().any(deleted));
        proof.hold(put()).await;
    } else {
        assert_eq!(orphans, 1, "{}", ended.stdout);
        let again = run(put()).await.expect(0);
        assert_eq!(again.events("summary")[0]["bytes_sent"], 0);
        proof.hold_with(1, &again).await;
    }
    1
}

/// Killed as it enters each of the syncs that it makes. Returns how often.
async fn at_every_sync() -> u64 {
    const SYNC: &str = "fdatasync";
    let world = World::new();
    let server = emulator().token(TOKEN).start().await.unwrap();
    let mut whole = world.put_to_emulator(&server);
    whole.arg(world.random_file("a.mov", 3 * MIB));
    let calls = Strace::count(&whole, &[SYNC], PATIENCE).await.unwrap();
    let syncs = calls[SYNC].most_in_one_thread;
    assert!(syncs >= 3, "intent, creation and end at least: {syncs}");

    let mut killed = 0;
    for nth in 1..=syncs {
        let world = World::new();
        let emulator = emulator().token(TOKEN).start().await.unwrap();
        let source = world.random_file("a.mov", 3 * MIB);
        let put = || {
            let mut command = world.put_to_emulator(&emulator);
            command.arg(&source);
            command
        };
        let injection = Injection::kill(SYNC).nth(nth);
        let traced = Strace::spawn(&put(), &[injection]).unwrap();
        let status = traced.process().wait(PATIENCE).await.unwrap();
        killed += u64::from(status.code().is_none());
        let ended = run(put()).await.expect(0);
        Proof {
            world: &world,
            emulator: &emulator,
            sources: std::slice::from_ref(&source),
            said: &[&ended],
        }
        .hold(put())
        .await;
    }
    assert!(killed >= syncs - 1, "{killed} of {syncs}");
    killed
}

fn count(emulator: &EmulatorHandle, method: &str) -> usize {
    let requests = emulator.requests();
    requests.iter().filter(|it| it.method == method).count()
}
