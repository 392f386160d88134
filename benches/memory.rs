//! The most memory the real binary ever holds: it must depend neither on the size of a chunk nor
//! on that of a file, and on the number of uploads only by their buffers. The method and its
//! limits: `benches/README.md`.

#[allow(
    dead_code,
    unused_imports,
    reason = "every bench compiles the whole of it and uses its own part"
)]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use support::{Failure, Figure, Machine, Options, Report, Target};
use test_support::{NullSink, fixtures};

/// What one upload may take, in bytes.
const ONE: u64 = 16_000_000;

/// What 64 uploads at once may take.
const MANY: u64 = 80_000_000;

fn main() -> ExitCode {
    support::main("memory", bench)
}

async fn bench(options: Options, _machine: &Machine, report: &mut Report) -> Result<(), Failure> {
    let rounds = options.times(1, 5);
    let (file, length) = support::random_gib()?;
    support::warm(&file)?;
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

    let each = 64 << 20;
    let files = support::sparse_files(64, each)?;
    let load = Load {
        bytes: each * files.len() as u64,
        files: &files,
        chunk: "50MiB",
        parallel: files.len(),
    };
    let name = "64_at_once_64MiB".to_owned();
    report.add(load.peaks(rounds).await?.figure(name, MANY))?;
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
        let state = fixtures::temp_dir()?;
        let mut command = support::command(env!("CARGO_BIN_EXE_stream-upload"));
        command.args(["put", "--chunk-size", self.chunk]);
        command.args(["--parallel", &self.parallel.to_string()]);
        command.args(["--endpoint", &sink.creation_url()]);
        command.arg("--state-dir").arg(state.path());
        command.args(self.files);
        let run = support::run(command, true).await?;

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
        let megabytes = support::median(&parts) * limit as f64 / 1e6;
        let note = format!("{megabytes:.1} MB of {} MB", limit / 1_000_000);
        Figure::gated(name, parts, Target::AtMost(1.0)).note(note)
    }
}
