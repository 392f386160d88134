//! Cost grows with the work and no faster: one to ten thousand files, one to 64 GiB, to our server that keeps digests only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use test_support::fixtures;

use crate::b14_server::serve;
use crate::support::{
    Failure, Figure, Machine, Options, Report, Target, by, names_of_one, run_within, say,
    sparse_files,
};

const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let (server, _port, address) = serve(machine, &["--digest-only"], Path::new("")).await?;
    let url = format!("http://{address}/files/");
    let mut by_count = Vec::new();
    for count in [1, 10, 100, 1_000, 10_000] {
        if options.short && count > 1_000 {
            break;
        }
        let folder = names_of_one(count, 64 * 1024)?;
        let cost = cost(&url, &["--parallel", "16"], &[folder]).await?;
        tell(report, "files", count, &cost)?;
        by_count.push(cost);
    }
    let [.., hundred, thousand, most] = &by_count[..] else {
        return Err("too few sizes".into());
    };
    if !options.short {
        let grown = vec![most.seconds / thousand.seconds / 10.0];
        let note = "time per file, of 10,000 / of 1,000";
        report.add(Figure::gated("time_per_file", grown, Target::AtMost(1.2)).note(note))?;
        let grown = vec![most.peak / hundred.peak];
        let note = format!(
            "{:.1} MB for 10,000 files, {:.1} for 100",
            most.peak / 1e6,
            hundred.peak / 1e6
        );
        report.add(Figure::gated("memory_by_files", grown, Target::AtMost(1.5)).note(note))?;
        let each = vec![most.requests / 10_000.0];
        let note = "requests per file of 10,000";
        report.add(Figure::gated("requests_per_file", each, Target::AtMost(1.01)).note(note))?;
        let each = vec![most.stored / thousand.stored / 10.0];
        let note = format!(
            "size of the state per file, of 10,000 / of 1,000; {:.0} bytes",
            most.stored / 1e4
        );
        report.add(Figure::gated("state_per_file", each, Target::AtMost(1.2)).note(note))?;
    }

    let mut by_length = Vec::new();
    let lengths: &[u64] = if options.short { &[1, 2] } else { &[1, 8, 64] };
    for &gib in lengths {
        let cost = cost(&url, &[], &sparse_files(1, gib << 30)?).await?;
        tell(report, "GiB", usize::try_from(gib)?, &cost)?;
        by_length.push(cost);
    }
    if let ([one, .., most], [.., last]) = (&by_length[..], lengths) {
        let grown = vec![most.seconds / one.seconds / *last as f64];
        let note = format!("time per GiB, of {last} / of 1");
        report.add(Figure::gated("time_per_gib", grown, Target::AtMost(1.2)).note(note))?;
        let grown = vec![most.peak / one.peak];
        let note = format!(
            "{:.1} MB for {last} GiB, {:.1} for 1",
            most.peak / 1e6,
            one.peak / 1e6
        );
        report.add(Figure::gated("memory_by_length", grown, Target::AtMost(1.1)).note(note))?;
    }
    let peak = server.peak_rss_bytes().ok_or("the server has ended")? as f64;
    say(format_args!("the server held {:.1} MB at most", peak / 1e6));
    Ok(())
}

/// What one command cost.
struct Cost {
    seconds: f64,
    /// Bytes of memory at most.
    peak: f64,
    requests: f64,
    /// Bytes of resume state that are left.
    stored: f64,
}

fn tell(report: &mut Report, unit: &str, amount: usize, cost: &Cost) -> Result<(), Failure> {
    let note = format!(
        "seconds for {amount} {unit}; {:.1} MB, {} requests, {:.0} KiB of state",
        cost.peak / 1e6,
        cost.requests,
        cost.stored / 1024.0
    );
    let name = format!("{unit}_{amount}");
    Ok(report.add(Figure::told(name, vec![cost.seconds]).note(note))?)
}

async fn cost(url: &str, options: &[&str], sources: &[PathBuf]) -> Result<Cost, Failure> {
    let state = fixtures::temp_dir()?;
    let mut command = by::ours_remembering(url, state.path(), options);
    command.arg("--json").args(sources);
    let told = state.path().with_extension("json");
    // The lines of ten thousand files are kept out of this process.
    let mut shell = crate::support::command("sh");
    shell.args(["-c", "out=\"$1\"; shift; exec \"$@\" >\"$out\"", "sh"]);
    shell
        .arg(&told)
        .arg(command.get_program())
        .args(command.get_args());
    let run = run_within(shell, true, PATIENCE).await;
    let lines = std::fs::read_to_string(&told)?;
    std::fs::remove_file(told)?;
    let run = run?;
    let last = lines.lines().last().ok_or("nothing was printed")?;
    let summary: serde_json::Value = serde_json::from_str(last)?;
    let requests = summary["requests"]
        .as_f64()
        .ok_or("no summary was printed")?;
    Ok(Cost {
        seconds: run.cost.wall,
        peak: run.peak_rss.ok_or("no peak was read")? as f64,
        requests,
        stored: size(state.path())?,
    })
}

/// What a folder takes on the disk.
fn size(folder: &Path) -> Result<f64, Failure> {
    use std::os::unix::fs::MetadataExt as _;

    let mut bytes = 0.0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += metadata.blocks() as f64 * 512.0;
        if metadata.is_dir() {
            bytes += size(&entry.path())?;
        }
    }
    Ok(bytes)
}
