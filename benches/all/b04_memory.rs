//! B4: the most memory the real binary ever holds: it must depend neither on the size of a chunk nor on that of a file, on
//! the number of uploads only by their buffers, and on time not at all.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use test_support::stats::slope;
use test_support::{NullSink, Process, fixtures};

use crate::support::{
    Failure, Figure, Machine, Options, PATIENCE, Report, Target, by, median, random_gib,
    run_within, say, sparse_files, warm,
};

/// What one upload may take, in bytes.
const ONE: u64 = 12_000_000;

/// What 64 uploads at once may take.
const MANY: u64 = 64_000_000;

/// What may come on top in ten minutes.
const GROWTH: f64 = 1_000_000.0;

pub(crate) async fn bench(
    options: Options,
    _machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let rounds = options.times(1, 5);
    let (file, length) = random_gib()?;
    warm(&file)?;
    let one = [file];
    for chunk in ["5MiB", "50MiB", "200MiB"] {
        let load = Load {
            files: &one,
            bytes: length,
            chunk,
            parallel: 1,
        };
        let name = format!("one_1GiB_chunk_{chunk}");
        report.add(load.peaks(rounds).await?.figure(name, ONE))?;
    }

    let mib: u64 = if options.short { 64 } else { 1024 };
    let files = sparse_files(64, mib << 20)?;
    let load = Load {
        bytes: (mib << 20) * 64,
        files: &files,
        chunk: "50MiB",
        parallel: 64,
    };
    let name = format!("64_at_once_{mib}MiB");
    report.add(load.peaks(options.times(1, 2)).await?.figure(name, MANY))?;

    if !options.short {
        let grown = growth(Duration::from_secs(600)).await?;
        let note = format!("{:.2} MB / 1 MB, 16 files at once", grown / 1e6);
        let figure = Figure::gated(
            "growth_10_minutes",
            vec![grown / GROWTH],
            Target::AtMost(1.0),
        );
        report.add(figure.note(note))?;
        peer(&one[0], report).await?;
    }
    Ok(())
}

/// What one run uploads.
struct Load<'a> {
    files: &'a [PathBuf],
    /// The length of all files together.
    bytes: u64,
    chunk: &'a str,
    parallel: usize,
}

impl Load<'_> {
    async fn peaks(&self, rounds: usize) -> Result<Peaks, Failure> {
        let mut peaks = Vec::new();
        for _ in 0..rounds {
            peaks.push(self.peak().await?);
        }
        Ok(Peaks(peaks))
    }

    /// Uploads everything once, to a sink of its own, and returns the peak.
    async fn peak(&self) -> Result<u64, Failure> {
        let sink = NullSink::start()?;
        let sources: Vec<&Path> = self.files.iter().map(PathBuf::as_path).collect();
        let parallel = self.parallel.to_string();
        let options = ["--chunk-size", self.chunk, "--parallel", &parallel];
        let ours = by::ours(&sink.creation_url(), &options, &sources)?;
        let run = run_within(ours.command, true, PATIENCE * 3).await?;

        // A program that sends nothing needs no memory: the figure counts only with the bytes.
        let sent = sink.counters().body_bytes;
        if sent != self.bytes {
            return Err(format!("{sent} of {} bytes arrived", self.bytes).into());
        }
        let uploads = sink.uploads();
        let whole = |upload: &&test_support::SinkUpload| upload.length == Some(upload.offset);
        let finished = uploads.iter().filter(whole).count();
        if finished != self.files.len() {
            return Err(format!("{finished} of {} uploads ended", self.files.len()).into());
        }
        run.peak_rss.ok_or_else(|| "no peak was read".into())
    }
}

/// Peaks in bytes, one of each run.
struct Peaks(Vec<u64>);

impl Peaks {
    /// The peaks as parts of what is allowed.
    fn figure(self, name: String, limit: u64) -> Figure {
        let parts: Vec<f64> = self
            .0
            .iter()
            .map(|&peak| peak as f64 / limit as f64)
            .collect();
        let megabytes = median(&parts) * limit as f64 / 1e6;
        let note = format!("{megabytes:.1} MB of {} MB", limit / 1_000_000);
        Figure::gated(name, parts, Target::AtMost(1.0)).note(note)
    }
}

/// How many bytes of memory come on top in ten minutes of uploading, as the slope over `time`.
pub(crate) async fn growth(time: Duration) -> Result<f64, Failure> {
    // More than any machine uploads meanwhile.
    let files = sparse_files(16, 1 << 40)?;
    let sink = NullSink::start()?;
    let state = fixtures::temp_dir()?;
    let options = ["--chunk-size", "50MiB", "--parallel", "16"];
    let mut command = by::ours_remembering(&sink.creation_url(), state.path(), &options);
    command.args(&files);
    let process = Process::spawn(command)?;
    let started = Instant::now();
    // The first tenth fills buffers and caches.
    let settled = time / 10;
    let mut points = Vec::new();
    while started.elapsed() < time {
        tokio::time::sleep(time / 600).await;
        if !process.is_running() {
            return Err("the upload ended before its time".into());
        }
        if started.elapsed() > settled {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
            points.push((started.elapsed().as_secs_f64(), resident(&status)?));
        }
    }
    process.kill_9();
    process.wait(PATIENCE).await?;
    let sent = sink.counters().body_bytes >> 30;
    say(format_args!("growth: {sent} GiB were sent in {time:?}"));
    if sent == 0 {
        return Err("nothing was sent".into());
    }
    Ok(slope(&points) * 600.0)
}

/// `VmRSS` in bytes.
pub(crate) fn resident(status: &str) -> Result<f64, Failure> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: f64 = kilobytes.ok_or("no VmRSS in /proc")?.parse()?;
    Ok(kilobytes * 1024.0)
}

/// What a peer takes for one file.
async fn peer(file: &Path, report: &mut Report) -> Result<(), Failure> {
    let sink = NullSink::start()?;
    let command = by::tus_js(&sink.creation_url(), &["--chunk-size", "52428800"], file)?;
    let run = run_within(command, true, PATIENCE).await?;
    let peak = run.peak_rss.ok_or("no peak was read")? as f64;
    let note = format!("{:.1} MB, for comparison", peak / 1e6);
    report.add(Figure::told("tus_js_one_1GiB", vec![peak / ONE as f64]).note(note))?;
    Ok(())
}
