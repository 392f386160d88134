//! B10: what keeping resume state costs: durable commits per second of the store, beside other ways to make a record durable,
//! the memory it takes, and its share of whole uploads.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use http_transport::{Protocol, ReqwestTransport};
use nix::sys::resource::{UsageWho, getrusage};
use resume_store::{Change, Fingerprint, Record, ResumeStore, SledStore, State};
use test_support::{ChaosProxy, NullSink};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tus_core::UploadUrl;
use tus_engine::{Creation, FileSource, NewUpload, Uploader, UploaderOptions};

use crate::b04_memory::resident;
use crate::support::{
    Failure, Figure, Machine, Options, Report, Target, cpu_seconds, median, names_of_one,
    random_gib, warm,
};

/// Threads that commit at the same time, and uploads at the same time.
const WRITERS: u64 = 16;

/// Leases taken, and how many are held at the same time.
const LEASES: usize = 10_000 + HELD;
const HELD: usize = 32;

/// What the process may hold, in bytes, and how much of it may come after the first commits.
const MOST: f64 = 16_000_000.0;
const GROWTH: f64 = 1_000_000.0;

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    // First, while this process is small.
    memory(options.times(1, 3), report)?;
    commits(options.times(7, 15), report)?;
    shares(options, machine, report).await
}

fn memory(rounds: usize, report: &mut Report) -> Result<(), Failure> {
    let status = || resident(&std::fs::read_to_string("/proc/self/status")?);
    let (mut peaks, mut growths) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folder = folder()?;
        let store = SledStore::open(folder.path().join("state"))?;
        commit_together(&store, 1_000)?;
        let before = status()?;
        commit_together(&store, 9_000)?;
        let after = status()?;
        peaks.push(after / MOST);
        growths.push((after - before).max(0.0) / GROWTH);
    }
    let note = format!("{:.1} MB resident / 16 MB", median(&peaks) * 16.0);
    report.add(Figure::gated("resident_10000_commits", peaks, Target::AtMost(1.0)).note(note))?;
    let note = "growth from commit 1,000 to 10,000 / 1 MB";
    report.add(Figure::gated("resident_growth", growths, Target::AtMost(1.0)).note(note))?;
    Ok(())
}

fn commits(rounds: usize, report: &mut Report) -> Result<(), Failure> {
    let (mut together, mut alone, mut files) = (Vec::new(), Vec::new(), Vec::new());
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
        files.push(renamed(folder.path(), 500)?.as_secs_f64() * 1e6 / 500.0);
    }
    let note = "durable commits per second of 16 threads";
    report
        .add(Figure::gated("commits_16_threads", together, Target::AtLeast(5_000.0)).note(note))?;
    let peer = format!(
        "microseconds for one durable commit of one thread; a file written, synced and renamed: {:.0}",
        median(&files)
    );
    report.add(Figure::aimed("commit_alone", alone, Target::AtMost(1_000.0)).note(peer))?;

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

/// The simplest durable record there is: a file per upload, written aside, synced, and renamed.
fn renamed(folder: &Path, count: u64) -> Result<Duration, Failure> {
    let record = [7; 500];
    let (aside, name) = (folder.join("aside"), folder.join("record"));
    let started = Instant::now();
    for _ in 0..count {
        let mut file = File::create(&aside)?;
        file.write_all(&record)?;
        file.sync_data()?;
        std::fs::rename(&aside, &name)?;
        File::open(folder)?.sync_data()?;
    }
    Ok(started.elapsed())
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

/// How much longer uploads take because their state is kept: of small files near and far, and of
/// a large one.
async fn shares(options: Options, machine: &Machine, report: &mut Report) -> Result<(), Failure> {
    let sink = || NullSink::builder().extensions(["creation", "creation-with-upload"]);
    let rounds = options.times(9, 15);

    // Uploads and sink share all cores here: the store has threads of its own.
    let together = sink().start()?;
    let count = options.times(3_000, 10_000);
    let small = listed(&names_of_one(count, 64 * 1024)?)?;
    let (parts, rate) = share(&small, &together.creation_url(), rounds)?;
    let note =
        |rate| format!("of {count} files of 64 KiB, 16 at once: {rate:.0} files/s with state");
    report.add(Figure::gated("share_small", parts, Target::AtMost(0.15)).note(note(rate)))?;
    drop(together);
    let sink = machine.apart(|| sink().start())??;
    let (parts, rate) = share(&small, &sink.creation_url(), rounds)?;
    let note = format!("{}; all on one core", note(rate));
    report.add(Figure::told("share_small_one_core", parts).note(note))?;
    if options.short {
        return Ok(());
    }

    // A runtime of its own: this one is asleep while the uploads run.
    let build = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build()
    };
    let runtime = machine.apart(build)??;
    let proxy = ChaosProxy::builder(sink.addr()).delay(Duration::from_millis(50));
    let proxy = machine.apart(|| {
        thread::scope(|scope| {
            let started = scope.spawn(|| runtime.block_on(proxy.start()));
            started.join().map_err(|_| "the proxy panicked")
        })
    })???;
    let few = &small[..small.len().min(1_000)];
    let (parts, rate) = share(few, &proxy.url("/files/"), 3)?;
    let note = format!(
        "of {} of them over 100 ms: {rate:.0} files/s with state",
        few.len()
    );
    report.add(Figure::gated("share_small_far", parts, Target::AtMost(0.03)).note(note))?;
    drop(proxy);
    runtime.shutdown_background();

    let (file, _) = random_gib()?;
    warm(&file)?;
    let (parts, _) = share(&[file], &sink.creation_url(), rounds)?;
    report.add(Figure::gated("share_one", parts, Target::AtMost(0.01)).note("of 1 GiB"))?;
    Ok(())
}

/// The part of an upload's time that its state takes, in each round, and files per second with it.
fn share(files: &[PathBuf], url: &str, rounds: usize) -> Result<(Vec<f64>, f64), Failure> {
    let disk = folder()?;
    let (mut shares, mut rates) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let state = disk.path().join(format!("state-{round}"));
        let sides = [Side::new(url, None)?, Side::new(url, Some(&state))?];
        let mut took = [Duration::ZERO; 2];
        // In short turns, whose order turns round every time: so a slow moment hits both sides.
        for (turn, files) in files.chunks(TURN).enumerate() {
            for side in [(turn + round) % 2, (turn + round + 1) % 2] {
                took[side] += sides[side].upload(files)?;
            }
        }
        for (took, side) in took.iter_mut().zip(sides) {
            *took += side.end()?;
        }
        let [without, with] = took.map(|took| took.as_secs_f64());
        // The first round pays for what is loaded once.
        if round > 0 {
            shares.push((with - without) / with);
            rates.push(files.len() as f64 / with);
        }
    }
    Ok((shares, median(&rates)))
}

/// Files that one side uploads before it is the other one's turn.
const TURN: usize = 1_000;

/// An uploader, with or without state.
struct Side {
    runtime: Background,
    uploader: Uploader,
    url: UploadUrl,
}

impl Side {
    fn new(url: &str, state: Option<&Path>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let runtime = Background(Some(runtime));
        let handle = runtime.handle()?.clone();
        let inside = handle.enter();
        let transport = ReqwestTransport::new(Protocol::Http1)?;
        let options = UploaderOptions::default().with_parallel(WRITERS as usize);
        let mut builder = Uploader::builder(Arc::new(transport)).options(options);
        if let Some(state) = state {
            builder = builder.store(SledStore::open(state)?);
        }
        let uploader = builder.build()?;
        drop(inside);
        Ok(Self {
            runtime,
            uploader,
            url: UploadUrl::parse(url)?,
        })
    }

    /// Uploads every file, and says how long that took.
    fn upload(&self, files: &[PathBuf]) -> Result<Duration, Failure> {
        let (files, url) = (files.to_vec(), self.url.clone());
        let uploader = self.uploader.clone();
        self.wait(async move {
            let started = Instant::now();
            let mut running = JoinSet::new();
            let places = Arc::new(Semaphore::new(WRITERS as usize));
            for file in files {
                // As many as upload at once, those not counted whose ends are being written down: so does the command line.
                let place = Arc::clone(&places).acquire_owned().await;
                let place = place.map_err(|it| it.to_string())?;
                while let Some(one) = running.try_join_next() {
                    ended(Some(one))?;
                }
                let (uploader, url) = (uploader.clone(), url.clone());
                running.spawn(async move {
                    let source = FileSource::open(&file).map_err(|it| it.to_string())?;
                    let new = NewUpload::new(Creation::new(url), file.to_string_lossy());
                    let handle = uploader.upload(Arc::new(source), new);
                    let landed = handle.landed();
                    let leave = async move {
                        landed.await;
                        drop(place);
                        std::future::pending().await
                    };
                    let report = tokio::select! {
                        biased;
                        report = handle.join() => report,
                        report = leave => report,
                    };
                    report.map(drop).map_err(|it| it.to_string())
                });
            }
            while !running.is_empty() {
                ended(running.join_next().await)?;
            }
            Ok(started.elapsed())
        })
    }

    /// Writes what is left, and says how long that took.
    fn end(self) -> Result<Duration, Failure> {
        let uploader = self.uploader.clone();
        self.wait(async move {
            let started = Instant::now();
            uploader.flush().await?;
            Ok(started.elapsed())
        })
    }

    /// This thread drives a runtime of its own already.
    fn wait(
        &self,
        work: impl Future<Output = Result<Duration, String>> + Send + 'static,
    ) -> Result<Duration, Failure> {
        let runtime = self.runtime.handle()?;
        let work = runtime.spawn(work);
        let waited = thread::scope(|scope| {
            let waiting = scope.spawn(|| runtime.block_on(work));
            waiting.join().map_err(|_| "the uploads panicked")
        })?;
        Ok(waited??)
    }
}

/// A runtime that may be dropped where another one is at work.
struct Background(Option<Runtime>);

impl Background {
    fn handle(&self) -> Result<&Handle, Failure> {
        let runtime = self.0.as_ref().ok_or("the runtime has ended")?;
        Ok(runtime.handle())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn ended(one: Option<Result<Result<(), String>, tokio::task::JoinError>>) -> Result<(), String> {
    one.unwrap_or(Ok(Ok(())))
        .map_err(|error| error.to_string())?
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder)?;
    Ok(entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?)
}
