//! F67: the power fails.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use resume_store::{Filter, Record, ResumeStore, SledStore, State};
use test_support::{Random, Strace};

use super::log::CALLS;
use super::memory;
use super::replay::{Trace, Unsynced};
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{World, emulator, run};

const FILES: u64 = 8;
/// How often the power fails.
const CRASHES: u64 = 1_000;

pub(super) async fn lost() -> Ended {
    Strace::available()?;
    let world = World::new();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let sources: Vec<_> = (0..FILES)
        .map(|index| world.random_file(&format!("shoot/{index}.mp4"), 100_000 + index))
        .collect();
    let put = || {
        let mut command = world.put_to_emulator(&emulator);
        command.args(["--parallel", "2"]).arg(world.path("shoot"));
        command
    };
    let log = world.path("strace.log");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-q", "-y", "-xx", "-s", "1048576", "-e"]);
    traced
        .arg(format!("trace={CALLS}"))
        .arg("-o")
        .arg(&log)
        .arg("--");
    let command = put();
    traced
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            traced.env(name, value);
        }
    }
    traced.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let ended = run(traced).await.expect(0);
    let log = fs::read_to_string(log).unwrap();
    let trace = Trace::read(&log, world.state_dir().parent().unwrap());
    let crashing = tokio::task::spawn_blocking(move || crash_all(&trace));
    let crashes = crashing.await.unwrap();

    Proof {
        world: &world,
        emulator: &emulator,
        sources: &sources,
        said: &[&ended],
    }
    .hold(put())
    .await;
    let expected: u64 = crashes.iter().map(|crash| crash.acknowledged).sum();
    let missing: u64 = crashes.iter().map(|crash| crash.missing).sum();
    let told = crashes.iter().filter(|crash| crash.told).count();
    Ok(Seen::times(CRASHES).remark(format!(
        "{expected} acknowledged records looked for, {missing} missing, all of those told; {told} disks were said to be damaged"
    )))
}

/// One failure of the power.
struct Crash {
    /// Uploads that were said to be created.
    acknowledged: u64,
    /// Those of which the record is gone.
    missing: u64,
    /// The store said that something is amiss.
    told: bool,
}

fn crash_all(trace: &Trace) -> Vec<Crash> {
    let root = memory();
    let next = AtomicU64::new(0);
    let crash_some = || {
        let mut crashes = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= CRASHES {
                return crashes;
            }
            let folder = root.path().join(number.to_string());
            crashes.push(crash(trace, number, &folder));
            fs::remove_dir_all(&folder).unwrap();
        }
    };
    thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(crash_some));
        let done = workers.map(|worker| worker.join().unwrap());
        done.into_iter().flatten().collect()
    })
}

fn crash(trace: &Trace, number: u64, folder: &Path) -> Crash {
    let moments = trace.moments();
    let moment = moments[(number * moments.len() as u64 / CRASHES) as usize];
    let mut unsynced = match number % 4 {
        0 => Unsynced::Nothing,
        _ => Unsynced::Some(Random::new(number)),
    };
    trace.survive(moment, &mut unsynced, folder);
    let created: Vec<_> = trace.said(moment).filter_map(created).collect();
    let (present, told) = match SledStore::open(folder.join("state")) {
        Ok(store) => match store.list(Filter::all()) {
            Ok(records) => (records, !store.take_notices().is_empty()),
            Err(_) => (Vec::new(), true),
        },
        Err(_) => (Vec::new(), true),
    };
    let is_there = |source: &&String| {
        let is_it = |record: &Record| {
            let is_known = matches!(record.state, State::Active | State::Finished);
            is_known && record.source_key.ends_with(source.as_str())
        };
        present.iter().any(|(_, record)| is_it(record))
    };
    let missing = created.iter().filter(|source| !is_there(source)).count() as u64;
    assert!(
        missing == 0 || told,
        "power lost at line {moment} (crash {number}): {missing} of {} records are gone in silence",
        created.len()
    );
    Crash {
        acknowledged: created.len() as u64,
        missing,
        told,
    }
}

/// The source in a line that says that its upload was created.
fn created(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_created = line["event"] == "created";
    is_created.then(|| line["source"].as_str().map(str::to_owned))?
}
