//! Many small files: what keeping their state costs. The method: `benches/README.md`.

#[allow(
    dead_code,
    unused_imports,
    reason = "every bench compiles the whole of it and uses its own part"
)]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_transport::{Protocol, ReqwestTransport};
use resume_store::SledStore;
use support::{Failure, Figure, Machine, Options, Report, Target};
use test_support::{NullSink, fixtures};
use tokio::task::JoinSet;
use tus_engine::{Creation, FileSource, NewUpload, UploadUrl, Uploader, UploaderOptions};

/// Files, their size, and how many are uploaded at once.
const FILES: usize = 10_000;
const BYTES: u64 = 64 * 1024;
const AT_ONCE: usize = 16;

fn main() -> ExitCode {
    support::main("small_files", bench)
}

async fn bench(options: Options, machine: &Machine, report: &mut Report) -> Result<(), Failure> {
    let disk = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let files = files(disk.path())?;
    let sink = machine.apart(NullSink::start)??;
    let url = sink.creation_url();
    let mut ratios = Vec::new();
    let mut rates = Vec::new();
    for round in 0..=options.times(5, 9) {
        let folder = disk.path().join(format!("state-{round}"));
        // The order turns round every time, so that a slow minute hits both sides.
        let (mut with, mut without) = (None, None);
        for keeps in [round % 2 == 0, round % 2 != 0] {
            let state = keeps.then_some(folder.as_path());
            let took = upload_all(&files, &url, state)?;
            *(if keeps { &mut with } else { &mut without }) = Some(took);
        }
        let (Some(with), Some(without)) = (with, without) else {
            continue;
        };
        // The first round pays for what is loaded once.
        if round > 0 {
            ratios.push(with.as_secs_f64() / without.as_secs_f64());
            rates.push(FILES as f64 / with.as_secs_f64());
        }
    }
    let note = format!(
        "with state / without; {:.0} files of 64 KiB per second with it",
        support::median(&rates)
    );
    report.add(Figure::gated("state_keeping", ratios, Target::AtMost(1.15)).note(note))?;
    Ok(())
}

/// Names of one file: its bytes are in the page cache, and each name is an upload of its own.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let first = folder.join("0.mov");
    fixtures::random_file(&first, BYTES, 1)?;
    let mut files = vec![first.clone()];
    for index in 1..FILES {
        let name = folder.join(format!("{index}.mov"));
        std::fs::hard_link(&first, &name)?;
        files.push(name);
    }
    Ok(files)
}

/// Uploads every file, and says how long that took, the last commit included.
fn upload_all(files: &[PathBuf], url: &str, state: Option<&Path>) -> Result<Duration, Failure> {
    // As many threads as the command line has.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (files, url) = (files.to_vec(), UploadUrl::parse(url)?);
    let state = state.map(SledStore::open).transpose()?;
    let run = runtime.spawn(async move {
        let transport = ReqwestTransport::new(Protocol::Http1).map_err(|it| it.to_string())?;
        let options = UploaderOptions::default().with_parallel(AT_ONCE);
        let mut builder = Uploader::builder(Arc::new(transport)).options(options);
        if let Some(state) = state {
            builder = builder.store(state);
        }
        let uploader = builder.build().map_err(|it| it.to_string())?;
        let started = Instant::now();
        let mut running = JoinSet::new();
        for file in files {
            // Twice as many tasks as turns, as the command line has them.
            while running.len() >= 2 * AT_ONCE {
                ended(running.join_next().await)?;
            }
            let (uploader, url) = (uploader.clone(), url.clone());
            running.spawn(async move {
                let source = FileSource::open(&file).map_err(|it| it.to_string())?;
                let new = NewUpload::new(Creation::new(url), file.to_string_lossy());
                let report = uploader.upload(Arc::new(source), new).join().await;
                match report.map_err(|it| it.to_string())? {
                    report if report.bytes_sent == BYTES => Ok(()),
                    report => Err(format!("{} bytes sent of {BYTES}", report.bytes_sent)),
                }
            });
        }
        while !running.is_empty() {
            ended(running.join_next().await)?;
        }
        uploader.flush().await?;
        Ok::<_, String>(started.elapsed())
    });
    // This thread drives a runtime of its own already.
    let waited = std::thread::spawn(move || runtime.block_on(run)).join();
    Ok(waited.map_err(|_| "the uploads panicked")???)
}

fn ended(one: Option<Result<Result<(), String>, tokio::task::JoinError>>) -> Result<(), String> {
    one.unwrap_or(Ok(Ok(())))
        .map_err(|error| error.to_string())?
}
