//! B9: how long a start takes, and one tiny file with its state.

use std::process::{Command, Stdio};
use std::time::Instant;

use test_support::{NullSink, fixtures};

use crate::support::{
    Failure, Figure, Machine, Options, Prepared, Report, Target, by, command, median,
};

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let sink = machine.apart(NullSink::start)??;
    let ours = env!("CARGO_BIN_EXE_stream-upload");
    let starts: [(&str, &[&str]); 4] = [
        (ours, &["--version"]),
        ("curl", &["--version"]),
        ("python3", &["-c", "pass"]),
        ("node", &["-e", "0"]),
    ];
    let mut times = [const { Vec::new() }; 4];
    for round in 0..=options.times(41, 101) {
        for place in 0..starts.len() {
            let place = if round % 2 == 1 {
                starts.len() - 1 - place
            } else {
                place
            };
            let (program, arguments) = starts[place];
            let mut command = command(program);
            command.args(arguments);
            let took = seconds(&mut command)?;
            // The first round pays for what is loaded once.
            if round > 0 {
                times[place].push(took * 1e3);
            }
        }
    }
    let [version, curl, python, node] = &times;
    let note = format!(
        "milliseconds of --version; curl {:.1}, python {:.1}, node {:.1}",
        median(curl),
        median(python),
        median(node)
    );
    report.add(Figure::gated("version_ms", version.clone(), Target::AtMost(3.0)).note(note))?;
    let of_curl = test_support::stats::paired(version, curl);
    let note = "ours / curl --version";
    report.add(Figure::gated("version_vs_curl", of_curl, Target::AtMost(1.0)).note(note))?;

    let folder = fixtures::temp_dir()?;
    let file = folder.path().join("one.mp4");
    fixtures::random_file(&file, 1024, 1)?;
    let url = sink.creation_url();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=options.times(15, 41) {
        let Prepared { mut command, state } = by::ours(&url, &[], &[&file])?;
        let took = seconds(&mut command)?;
        drop(state);
        let peer = seconds(&mut by::tus_js(&url, &[], &file)?)?;
        if round > 0 {
            ours.push(took * 1e3);
            theirs.push(peer * 1e3);
        }
    }
    let note = format!(
        "milliseconds of 1 KiB with its state; tus-js {:.0}",
        median(&theirs)
    );
    report.add(Figure::gated("one_file_ms", ours.clone(), Target::AtMost(20.0)).note(note))?;
    let times = test_support::stats::paired(&theirs, &ours);
    report.add(Figure::gated(
        "one_file_vs_tus_js",
        times,
        Target::AtLeast(4.0),
    ))?;
    Ok(())
}

/// Runs a command to its successful end. Nothing else is done meanwhile: a thread that reads its
/// output would take longer than it.
fn seconds(command: &mut Command) -> Result<f64, Failure> {
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status()?;
    let took = started.elapsed().as_secs_f64();
    if status.success() {
        Ok(took)
    } else {
        Err(format!("{command:?} ended with {status}").into())
    }
}
