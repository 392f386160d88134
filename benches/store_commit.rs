//! How many durable commits the resume store makes for many threads, what one costs alone, that its
//! memory does not grow with their number, and what a lease costs. The method: `benches/README.md`.

#[allow(
    dead_code,
    unused_imports,
    reason = "every bench compiles the whole of it and uses its own part"
)]
mod support;

use std::collections::VecDeque;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use resume_store::{Change, Fingerprint, Record, ResumeStore, SledStore, State};
use support::{Failure, Figure, Machine, Options, Report, Target, cpu_seconds};
use tus_core::UploadUrl;

/// Threads that commit at the same time.
const WRITERS: u64 = 16;

/// Leases taken, and how many are held at the same time.
const LEASES: usize = 10_000 + HELD;
const HELD: usize = 32;

/// What the process may hold, in bytes, and how much of it may come after the first commits.
const MOST: f64 = 16_000_000.0;
const GROWTH: f64 = 1_000_000.0;

fn main() -> ExitCode {
    support::main("store_commit", bench)
}

async fn bench(options: Options, _: &Machine, report: &mut Report) -> Result<(), Failure> {
    // First, while this process is small.
    let rounds = options.times(1, 3);
    let (mut peaks, mut growths) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folder = folder()?;
        let store = SledStore::open(folder.path().join("state"))?;
        commit_together(&store, 1_000)?;
        let before = resident_bytes()?;
        commit_together(&store, 9_000)?;
        let after = resident_bytes()?;
        peaks.push(after / MOST);
        growths.push((after - before).max(0.0) / GROWTH);
    }
    let note = format!("{:.1} MB resident / 16 MB", support::median(&peaks) * 16.0);
    report.add(Figure::gated("resident_10000_commits", peaks, Target::AtMost(1.0)).note(note))?;
    let note = "growth from commit 1,000 to 10,000 / 1 MB";
    report.add(Figure::gated("resident_growth", growths, Target::AtMost(1.0)).note(note))?;

    let rounds = options.times(7, 15);
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folder = folder()?;
        let store = SledStore::open(folder.path().join("state"))?;
        commit_together(&store, 160)?;
        let took = commit_together(&store, 8_000)?;
        together.push(8_000.0 / took.as_secs_f64());
        let started = Instant::now();
        for offset in 0..500 {
            commit(&store, WRITERS, offset)?;
        }
        alone.push(started.elapsed().as_secs_f64() * 1e6 / 500.0);
    }
    let note = "durable commits per second of 16 threads";
    report
        .add(Figure::gated("commits_16_threads", together, Target::AtLeast(5_000.0)).note(note))?;
    let note = "microseconds for one durable commit of one thread";
    report.add(Figure::aimed("commit_alone", alone, Target::AtMost(1_000.0)).note(note))?;

    let mut leases = Vec::new();
    for _ in 0..rounds {
        leases.push(lease_microseconds()?);
    }
    let note = "CPU microseconds for a lease taken and given back, while 32 are held";
    report.add(Figure::gated("lease", leases, Target::AtMost(10.0)).note(note))?;
    Ok(())
}

/// CPU time of a lease taken and given back, each for another upload.
fn lease_microseconds() -> Result<f64, Failure> {
    let folder = folder()?;
    let store = SledStore::open(folder.path().join("state"))?;
    let uploads = (0..LEASES).map(|n| Fingerprint::new("https://tus.example/files", n.to_string()));
    let uploads: Vec<_> = uploads.collect();
    // As many as the command line drives at once, given back in their order.
    let mut held = VecDeque::new();
    for upload in &uploads[..HELD] {
        held.push_back(store.lease(upload)?);
    }
    let before = cpu_seconds(&getrusage(UsageWho::RUSAGE_THREAD)?);
    for upload in &uploads[HELD..] {
        held.push_back(store.lease(upload)?);
        held.pop_front();
    }
    let took = cpu_seconds(&getrusage(UsageWho::RUSAGE_THREAD)?) - before;
    drop(held);
    drop(store);
    let left = std::fs::read_dir(folder.path().join("state/leases"))?.count();
    if left > 1 {
        return Err(format!("{left} files are left of {LEASES} leases").into());
    }
    Ok(took * 1e6 / (LEASES - HELD) as f64)
}

/// Commits `count` times from all writers together, each with its own upload, and says how long the
/// slowest took.
fn commit_together(store: &SledStore, count: u64) -> Result<Duration, Failure> {
    let start = Barrier::new(WRITERS as usize);
    thread::scope(|scope| {
        let write = |writer| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                let started = Instant::now();
                for offset in 0..count / WRITERS {
                    commit(store, writer, offset)?;
                }
                Ok(started.elapsed())
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(write).collect();
        let mut slowest = Duration::ZERO;
        for writer in writers {
            let took: Result<Duration, String> = writer.join().map_err(|_| "a writer panicked")?;
            slowest = slowest.max(took?);
        }
        Ok(slowest)
    })
}

/// What the engine commits while an upload is under way.
fn commit(store: &SledStore, upload: u64, offset: u64) -> Result<(), String> {
    let url = format!("https://tus.example/files/{upload:032x}?token=0123456789abcdef");
    let mut record = Record::intended(format!("/media/{upload}.mp4"), "https://tus.example/files");
    record.state = State::Active;
    record.upload_url = Some(UploadUrl::parse(&url).map_err(|error| error.to_string())?);
    record.length = Some(1 << 40);
    record.offset = offset << 20;
    let fingerprint = Fingerprint::new(&record.destination, &record.source_key);
    store
        .commit(&[Change::Put(fingerprint, record)])
        .map_err(|error| error.to_string())
}

/// On the disk that is built on: a temporary folder may be in memory, where nothing is durable.
fn folder() -> Result<tempfile::TempDir, Failure> {
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Ok(tempfile::tempdir_in(disk)?)
}

/// Physical memory that this process holds.
fn resident_bytes() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: f64 = kilobytes.ok_or("no VmRSS in /proc/self/status")?.parse()?;
    Ok(kilobytes * 1024.0)
}
