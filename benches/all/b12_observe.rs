//! B12: what being observed costs: events as JSON lines, and a log of everything, both to where nobody reads them.

use std::process::Command;
use std::time::Instant;

use test_support::{ChaosProxy, NullSink, readings};

use crate::b01_single::arrived;
use crate::support::{
    Contest, Failure, Figure, Machine, Options, Prepared, Report, Target, by, command, random_file,
    random_gib, warm,
};

const MIB: u64 = 1 << 20;

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let (file, length) = random_gib()?;
    warm(&file)?;
    let sink = machine.apart(NullSink::start)??;
    let url = sink.creation_url();
    let put = |options: &'static [&'static str]| {
        let (url, file) = (&url, &file);
        move || {
            unread(by::ours(
                url,
                &[&["--chunk-size", "50MiB"][..], options].concat(),
                &[file],
            )?)
        }
    };
    let results = Contest::new(arrived(&sink, length))
        .entry("json", put(&["--json"]))
        .entry("silent", put(&[]))
        .entry("debug", put(&["--json", "-vv"]))
        .run(options.times(9, 15), options.times(1, 3))
        .await?;
    results.tell(length);
    let note = "time with JSON events / without";
    let json = results.speed("silent", "json");
    report.add(Figure::gated("json_wall", json, Target::AtMost(1.03)).note(note))?;
    let note = "time with JSON events and debug log / without";
    let debug = results.speed("silent", "debug");
    report.add(Figure::gated("debug_wall", debug, Target::AtMost(1.03)).note(note))?;

    let short = random_file("random-320MiB.mp4", 320 * MIB)?;
    if Command::new("valgrind").arg("--version").output().is_ok() {
        let silent = instructions(by::ours(&url, &[], &[&short])?)?;
        let json = instructions(by::ours(&url, &["--json"], &[&short])?)?;
        let note = format!("with JSON events / without, 320 MiB, {silent:.0} without");
        let times = vec![json / silent];
        report.add(Figure::gated("json_instructions", times, Target::AtMost(1.01)).note(note))?;
    } else {
        report.skip(
            "json_instructions",
            "valgrind (Debian package valgrind) is not there",
        )?;
    }

    // Slow enough to last: 64 MiB/s.
    let proxy = ChaosProxy::builder(sink.addr()).rate_up(64 * MIB);
    let proxy = proxy.start().await?;
    let ours = by::ours(&proxy.url("/files/"), &["--json"], &[&short])?;
    let started = Instant::now();
    let process = test_support::Process::spawn(ours.command)?;
    process.wait(crate::support::PATIENCE).await?;
    let lines = process.lines(test_support::Stream::Stdout);
    let per_second = lines.len() as f64 / started.elapsed().as_secs_f64();
    if !lines.iter().any(|line| line.contains("\"finished\"")) {
        return Err(format!("no upload finished: {lines:?}").into());
    }
    let note = "JSON lines per second of one file at 64 MiB/s";
    report.add(
        Figure::gated("lines_per_second", vec![per_second], Target::AtMost(10.0)).note(note),
    )?;
    Ok(())
}

/// The same with its output thrown away: nobody is to be measured who reads it.
fn unread(prepared: Prepared) -> Result<Prepared, Failure> {
    let mut shell = command("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" >/dev/null 2>/dev/null"]);
    shell.arg(prepared.command.get_program());
    shell.args(prepared.command.get_args());
    Ok(Prepared {
        command: shell,
        state: prepared.state,
    })
}

fn instructions(prepared: Prepared) -> Result<f64, Failure> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(prepared.command.get_program());
    let output = valgrind.args(prepared.command.get_args()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted = readings::callgrind_instructions(&said);
    counted
        .map(|count| count as f64)
        .ok_or_else(|| Failure::from(said.into_owned()))
}
