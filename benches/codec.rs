//! What the machines of `tus-core` cost per step, and that the client's allocates nothing per chunk once it runs. The method:
//! `benches/README.md`.

#[allow(
    dead_code,
    unused_imports,
    reason = "every bench compiles the whole of it and uses its own part"
)]
mod support;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use http::{HeaderValue, Request, Response};
use support::{Failure, Figure, Machine, Options, Report, Target};
use tus_core::client::{Creation, Now, Step, Upload, UploadPlan};
use tus_core::server::{Append, Decision, Server, UploadInfo};
use tus_core::{Extension, ServerCapabilities, UploadLength, UploadUrl};

/// Counts allocations while a profiler is running, and only then.
#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Chunks per measurement.
const CHUNKS: u64 = 100_000;
/// Bytes of one chunk; nothing is sent, so their number does not matter.
const CHUNK_BYTES: u64 = 1024;

fn main() -> ExitCode {
    support::main("codec", bench)
}

async fn bench(options: Options, _: &Machine, report: &mut Report) -> Result<(), Failure> {
    let rounds = options.times(7, 15);
    let answers = answers();
    let mut client = Vec::new();
    let (mut decisions, mut replies) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        client.push(microseconds(|| upload(&answers)));
        let mut appends = Vec::with_capacity(answers.len());
        decisions.push(microseconds(|| decide(&answers, &mut appends)));
        replies.push(microseconds(|| reply(&appends)));
    }
    let micros = "microseconds per chunk: step, answer, events";
    report.add(Figure::gated("client_step", client, Target::AtMost(1.0)).note(micros))?;
    let micros = "microseconds per chunk: from a head to what is to be done, and doing it";
    report.add(Figure::gated("server_decision", decisions, Target::AtMost(1.0)).note(micros))?;
    let micros = "microseconds per chunk: the head of the answer";
    report.add(Figure::gated("server_answer", replies, Target::AtMost(1.0)).note(micros))?;

    let profiler = dhat::Profiler::builder().testing().build();
    let begun = || dhat::HeapStats::get().total_blocks;
    let before = begun();
    upload(&answers[..10]);
    let short = begun() - before;
    let before = begun();
    upload(&answers);
    let long = begun() - before;
    drop(profiler);
    let per_chunk = (long - short) as f64 / (answers.len() - 10) as f64;
    let note = format!("allocations per chunk: {long} for all of {CHUNKS}");
    report.add(
        Figure::gated(
            "client_allocations",
            vec![per_chunk; 7],
            Target::AtMost(0.0),
        )
        .note(note),
    )?;
    Ok(())
}

/// Time per chunk of something that handles all of them.
fn microseconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e6 / CHUNKS as f64
}

/// The answers to all PATCHes: made before anything is measured, for they are the transport's cost.
fn answers() -> Vec<Response<()>> {
    let answer = |chunk: u64| {
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert("tus-resumable", HeaderValue::from_static("1.0.0"));
        headers.insert("upload-offset", HeaderValue::from(chunk * CHUNK_BYTES));
        response
    };
    (1..=CHUNKS).map(answer).collect()
}

/// One upload from its creation on, as far as there are answers.
fn upload(answers: &[Response<()>]) {
    let url = UploadUrl::parse("https://tus.example/files/").expect("a URL");
    let plan = UploadPlan::create(Creation::new(url), CHUNKS * CHUNK_BYTES)
        .with_chunk_bytes(Some(CHUNK_BYTES));
    let mut upload = Upload::new(plan);
    let now = Now {
        instant: Instant::now(),
        wall: SystemTime::now(),
    };
    let mut created = Response::new(());
    *created.status_mut() = http::StatusCode::CREATED;
    created
        .headers_mut()
        .insert("location", HeaderValue::from_static("1"));
    for answer in std::iter::once(&created).chain(answers) {
        let Step::Send(exchange) = upload.step(now) else {
            panic!("a request was expected")
        };
        black_box(&exchange);
        upload.on_response(answer, None, now);
        while let Some(event) = upload.poll_event() {
            black_box(event);
        }
    }
    assert_eq!(upload.offset(), answers.len() as u64 * CHUNK_BYTES);
}

/// The same upload, seen by the server: what each PATCH asks for. The offsets are taken from the answers to the chunks before.
fn decide(answers: &[Response<()>], appends: &mut Vec<Append>) {
    let extensions = [Extension::Creation].into_iter().collect();
    let server = Server::new(ServerCapabilities {
        extensions,
        ..ServerCapabilities::default()
    });
    let mut info = received();
    let mut request = Request::patch("/files/1")
        .header("tus-resumable", "1.0.0")
        .header("content-type", "application/offset+octet-stream")
        .header("content-length", CHUNK_BYTES)
        .header("upload-offset", "0")
        .body(())
        .expect("a request");
    let now = SystemTime::now();
    for answer in answers {
        let Ok(Decision::Append(append)) = server.decide(&request, Some(&info), now) else {
            panic!("a chunk was expected")
        };
        info.appended(&append, CHUNK_BYTES);
        appends.push(append);
        let offset = answer.headers()["upload-offset"].clone();
        request.headers_mut().insert("upload-offset", offset);
    }
    assert!(info.is_complete());
}

/// How each of them is answered.
fn reply(appends: &[Append]) {
    let mut info = received();
    for append in appends {
        info.appended(append, CHUNK_BYTES);
        black_box(append.done(&info));
    }
}

fn received() -> UploadInfo {
    UploadInfo::new(UploadLength::Known(CHUNKS * CHUNK_BYTES))
}
