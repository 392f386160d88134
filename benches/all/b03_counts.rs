//! B3: what an upload costs in numbers that no neighbour on the machine can change: system calls, context switches,
//! instructions and allocations per MiB.
//!
//! Each is counted over a short and a long upload; their difference is the steady state, and what is left is the start.

use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::{NullSink, readings};

use crate::support::{
    Failure, Figure, Machine, Options, Report, Target, by, folder, median, random_file, run, say,
    warm,
};

const MIB: u64 = 1 << 20;

/// The two uploads, in MiB.
const SHORT: u64 = 64;
const LONG: u64 = 320;

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let short = sized(SHORT)?;
    let long = sized(LONG)?;
    let sink = machine.apart(NullSink::start)??;
    let url = sink.creation_url();
    let between = |short: u64, long: u64| (long as f64 - short as f64) / (LONG - SHORT) as f64;

    let (mut per_mib, mut most) = (Vec::new(), Vec::new());
    for _ in 0..options.times(3, 7) {
        let few = calls(&url, &short)?;
        let many = calls(&url, &long)?;
        let total = |table: &str| readings::strace_total(table).ok_or("strace wrote no total");
        per_mib.push(between(total(&few)?, total(&many)?));
        most = readings::strace_calls(&many);
    }
    let whole: u64 = most.iter().map(|(_, calls)| calls).sum();
    let named: Vec<String> = most
        .iter()
        .take(4)
        .map(|(name, calls)| format!("{name} {calls}"))
        .collect();
    let note = format!(
        "steady state; {whole} for {LONG} MiB with the start: {}",
        named.join(", ")
    );
    report.add(Figure::gated("syscalls_per_mib", per_mib, Target::AtMost(8.0)).note(note))?;

    let mut switches = Vec::new();
    for _ in 0..options.times(5, 9) {
        let few = run(put(&url, &short)?, false).await?.cost.switches;
        let many = run(put(&url, &long)?, false).await?.cost.switches;
        switches.push((many - few) as f64 / (LONG - SHORT) as f64);
    }
    report.add(Figure::told("context_switches_per_mib", switches).note("steady state"))?;

    if let Err(why) = Command::new("valgrind").arg("--version").output() {
        let why = format!("valgrind (Debian package valgrind): {why}");
        report.skip("instructions_per_mib", &why)?;
        report.skip("allocations_per_mib", &why)?;
        return Ok(());
    }
    let said = |tool: &[&str], file: &Path| valgrind(tool, put(&url, file)?);
    let callgrind = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let instructions = |file: &Path| {
        let said = said(&callgrind, file)?;
        readings::callgrind_instructions(&said).ok_or_else(|| Failure::from(said))
    };
    let (few, many) = (instructions(&short)?, instructions(&long)?);
    let now = between(few, many);
    let before = remember(now)?;
    let note = format!(
        "now / the last time here; {now:.0} per MiB, {:.1} million for the start",
        (few as f64 - now * SHORT as f64) / 1e6
    );
    let grown = Figure::gated(
        "instructions_vs_last",
        vec![now / before],
        Target::AtMost(1.02),
    );
    report.add(grown.note(note))?;

    let memcheck = [
        "--tool=memcheck",
        "--leak-check=no",
        "--undef-value-errors=no",
    ];
    let allocations = |file: &Path| {
        let said = said(&memcheck, file)?;
        readings::valgrind_allocations(&said).ok_or_else(|| Failure::from(said))
    };
    let (few, many) = (allocations(&short)?, allocations(&long)?);
    let note = format!("steady state; {many} for {LONG} MiB with the start");
    let counted = vec![between(few, many)];
    report.add(Figure::gated("allocations_per_mib", counted, Target::AtMost(2.0)).note(note))?;
    Ok(())
}

fn sized(mib: u64) -> Result<PathBuf, Failure> {
    let file = random_file(&format!("random-{mib}MiB.mp4"), mib * MIB)?;
    warm(&file)?;
    Ok(file)
}

/// One upload with chunks of a fixed size, without resume state to keep it short; nothing of the
/// state is per MiB.
fn put(url: &str, file: &Path) -> Result<Command, Failure> {
    // The folder is empty and small: it may stay until the next run of the bench.
    let state = folder()?.join("state-of-counts");
    let _ = std::fs::remove_dir_all(&state);
    let mut command = by::ours_remembering(url, &state, &["--chunk-size", "16MiB"]);
    command.arg(file);
    Ok(command)
}

/// The table that `strace -c` makes of one upload.
fn calls(url: &str, file: &Path) -> Result<String, Failure> {
    let table = folder()?.join("strace-of-counts");
    let put = put(url, file)?;
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(&table);
    command.arg(put.get_program()).args(put.get_args());
    let output = command
        .output()
        .map_err(|why| format!("strace (Debian package strace): {why}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(std::fs::read_to_string(table)?)
}

/// What valgrind says of one upload.
fn valgrind(tool: &[&str], put: Command) -> Result<String, Failure> {
    let mut command = Command::new("valgrind");
    command
        .args(tool)
        .arg(put.get_program())
        .args(put.get_args());
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(said.into())
    }
}

/// Keeps a count for the next run on this machine, and returns that of the last; of the first run, its own.
fn remember(now: f64) -> Result<f64, Failure> {
    let path = folder()?.join("instructions-per-mib");
    let last = std::fs::read_to_string(&path).ok();
    let last: Vec<f64> = last
        .iter()
        .flat_map(|text| text.split_whitespace())
        .filter_map(|number| number.parse().ok())
        .collect();
    if last.is_empty() {
        say(format_args!("instructions: nothing to compare with yet"));
        std::fs::write(path, format!("{now}\n"))?;
        return Ok(now);
    }
    // A run that missed must not become the measure of the next.
    let before = median(&last);
    if now <= before * 1.02 {
        std::fs::write(path, format!("{now}\n"))?;
    }
    Ok(before)
}
