//! B8: ten gibibytes, killed at nine, run again: how long until the first byte of a body, and how much twice.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use test_support::{ChaosProxy, Direction, NullSink, Process, fixtures};

use crate::support::{
    Failure, Figure, Machine, Options, PATIENCE, Report, Target, by, median, sparse_files,
};

const GIB: u64 = 1 << 30;
const LENGTH: u64 = 10 * GIB;

/// Through the proxy, which carries less per second: what a start takes does not depend on it.
const FAR_LENGTH: u64 = GIB;

/// What a start may take beside what the way takes, and what may be sent twice.
const START: f64 = 0.040;
const TWICE: f64 = (8 << 20) as f64;

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let near_file = &sparse_files(1, LENGTH)?[0];
    let far_file = &sparse_files(1, FAR_LENGTH)?[0];
    let mut near = Vec::new();
    let mut far = Vec::new();
    let mut theirs = Vec::new();
    for round in 0..options.times(1, 7) {
        near.push(ours(machine, near_file, Duration::ZERO).await?);
        far.push(ours(machine, far_file, Duration::from_millis(50)).await?);
        if round < 3 {
            theirs.push(tus_js(machine, near_file).await?);
        }
    }
    let of = |resumed: &[Resumed], part: fn(&Resumed) -> f64| -> Vec<f64> {
        resumed.iter().map(part).collect()
    };
    let started = of(&near, |it| it.first_byte / START);
    let note = format!("{:.0} ms / 40 ms, on loopback", median(&started) * 40.0);
    report.add(Figure::gated("first_byte_near", started, Target::AtMost(1.0)).note(note))?;

    // A handshake and HEAD are a round trip each, and the byte's own way is half of one.
    let started: Vec<f64> = of(&far, |it| (it.first_byte - 0.250) / START);
    let note = format!(
        "{:.0} ms / 40 ms, beyond handshake, HEAD and the way of the byte over 100 ms",
        median(&started) * 40.0
    );
    report.add(Figure::gated("first_byte_far", started, Target::AtMost(1.0)).note(note))?;

    let all: Vec<Resumed> = near.iter().chain(&far).copied().collect();
    let twice = of(&all, |it| it.twice / TWICE);
    let note = format!("{:.2} MiB / 8 MiB", median(&twice) * 8.0);
    report.add(Figure::gated("sent_twice", twice, Target::AtMost(1.0)).note(note))?;
    // Over a long way much more has left before the first byte is there.
    let read = of(&near, |it| it.read / TWICE);
    let note = format!(
        "{:.2} MiB / 8 MiB read by the process before its first byte left, on loopback",
        median(&read) * 8.0
    );
    report.add(Figure::gated("read_before", read, Target::AtMost(1.0)).note(note))?;
    let heads = of(&all, |it| it.heads);
    report.add(Figure::gated("heads", heads, Target::AtMost(1.0)).note("HEAD requests"))?;

    let (ours, theirs) = (
        of(&near, |it| it.first_byte),
        of(&theirs, |it| it.first_byte),
    );
    let times = theirs.iter().map(|it| it / median(&ours)).collect();
    let note = format!("{:.0} ms to its first byte", median(&theirs) * 1e3);
    report.add(Figure::told("first_byte_vs_tus_js", times).note(note))?;
    Ok(())
}

/// How one upload went on.
#[derive(Clone, Copy, Debug)]
struct Resumed {
    /// Seconds from the start of the second run until the server had a byte of a body.
    first_byte: f64,
    /// Bytes of bodies that arrived beyond the file's length.
    twice: f64,
    /// Bytes that the second run had read until then, from wherever.
    read: f64,
    heads: f64,
}

async fn ours(machine: &Machine, file: &Path, one_way: Duration) -> Result<Resumed, Failure> {
    let state = fixtures::temp_dir()?;
    let command = |url: &str| {
        let mut command = by::ours_remembering(url, state.path(), &["--parts", "1"]);
        command.arg(file);
        Ok(command)
    };
    let length = std::fs::metadata(file)?.len();
    killed(machine, length, one_way, command).await
}

async fn tus_js(machine: &Machine, file: &Path) -> Result<Resumed, Failure> {
    let state = fixtures::temp_dir()?;
    let remembered = state.path().join("urls.json");
    let remembered = remembered
        .to_str()
        .ok_or("a temporary folder is not UTF-8")?;
    let options = ["--remember", remembered, "--chunk-size", "52428800"];
    killed(machine, LENGTH, Duration::ZERO, |url| {
        by::tus_js(url, &options, file)
    })
    .await
}

/// Runs `command` until the sink has nine tenths of `length`, kills it, and runs it again over `one_way`.
async fn killed(
    machine: &Machine,
    length: u64,
    one_way: Duration,
    command: impl Fn(&str) -> Result<Command, Failure>,
) -> Result<Resumed, Failure> {
    let sink = machine.apart(NullSink::start)??;
    let proxy = ChaosProxy::builder(sink.addr()).start().await?;
    // Nothing stands between on loopback; a distance needs the proxy, from the first run on: the
    // address must not change.
    let url = if one_way.is_zero() {
        sink.creation_url()
    } else {
        proxy.url("/files/")
    };
    let process = Process::spawn(command(&url)?)?;
    let deadline = Instant::now() + PATIENCE;
    while sink.counters().body_bytes < length / 10 * 9 {
        if !process.is_running() || Instant::now() > deadline {
            let said = process.lines(test_support::Stream::Stderr).join("\n");
            return Err(format!("the first run did not come to nine tenths: {said}").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    process.kill_9();
    process.wait(PATIENCE).await?;
    // What was on its way arrives, or is lost with its connection.
    let mut came = 0;
    while came != sink.counters().body_bytes {
        came = sink.counters().body_bytes;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    proxy.set_delay(Direction::Up, one_way);
    proxy.set_delay(Direction::Down, one_way);
    let heads = sink.counters().heads;
    sink.await_body();
    let command = command(&url)?;
    let started = Instant::now();
    let process = Process::spawn(command)?;
    let io = format!("/proc/{}/io", process.id());
    let mut read = None;
    while process.is_running() && read.is_none() {
        if sink.body_came().is_some() {
            read = Some(read_bytes(&std::fs::read_to_string(&io)?)?);
        } else {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    let status = process.wait(PATIENCE).await?;
    if !status.success() {
        let said = process.lines(test_support::Stream::Stderr).join("\n");
        return Err(format!("the second run ended with {status}: {said}").into());
    }
    let came = sink.body_came().ok_or("the second run sent nothing")?;
    let last = sink.uploads().pop().ok_or("the sink knows of no upload")?;
    if last.offset != length || sink.uploads().len() != 1 {
        return Err(format!(
            "{} uploads, the last at {}",
            sink.uploads().len(),
            last.offset
        )
        .into());
    }
    Ok(Resumed {
        first_byte: (came - started).as_secs_f64(),
        twice: (sink.counters().body_bytes - length) as f64,
        read: read.unwrap_or(0.0),
        heads: (sink.counters().heads - heads) as f64,
    })
}

/// What a process has read, of `/proc/PID/io`.
fn read_bytes(io: &str) -> Result<f64, Failure> {
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    Ok(line.ok_or("no rchar in /proc")?.trim().parse()?)
}
