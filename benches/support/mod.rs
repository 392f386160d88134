//! What all benches share: how they are started, how children are measured, how figures are told.
//!
//! Standard output carries one JSON line per figure and nothing else, so that it can be kept and
//! compared; what people read goes to standard error. `benches/README.md` explains the method.

mod child;
mod contest;
pub(crate) mod contestants;
mod fixture;
mod machine;
mod raw;
mod report;
mod road;

use std::process::ExitCode;

pub(crate) use child::{Cost, PATIENCE, Run, command, cpu_seconds, run, run_within};
pub(crate) use contest::{Contest, Prepared, Results};
pub(crate) use contestants as by;
pub(crate) use fixture::{folder, names_of_one, random_file, random_gib, sparse_files, warm};
pub(crate) use machine::{Machine, Watch};
pub(crate) use raw::{Ciphers, create, played_role, raw_posts, raw_tls, raw_write, sendfile};
pub(crate) use report::{Figure, Report, Target, missed, say, table};
pub(crate) use road::{Road, RoadPlan};
pub(crate) use test_support::stats::median;

/// Any failure of a bench: it is printed and ends the process, it is never a figure.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// How the bench was asked to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The short set: fewer rounds, for every change.
    pub(crate) short: bool,
    /// Whether a missed target is an exit status.
    pub(crate) gate: bool,
    /// Whether cargo started this as a bench. `cargo test --all-targets` starts it, too, in a
    /// build without optimization: its figures would mean nothing.
    pub(crate) bench: bool,
}

impl Options {
    /// Reads `--short`, `--gate` and cargo's own `--bench`. Other flags are left alone: they are
    /// meant for the harnesses of other targets of the same `cargo bench`.
    pub(crate) fn from_args() -> Self {
        let has = |flag: &str| std::env::args().skip(1).any(|argument| argument == flag);
        Self {
            short: has("--short"),
            gate: has("--gate"),
            bench: has("--bench"),
        }
    }

    /// How often something is done: the first number in the short set, the second in the full one.
    pub(crate) fn times(self, short: usize, full: usize) -> usize {
        if self.short { short } else { full }
    }
}

/// Runs a bench to its end and turns what it found into the exit status of the process.
pub(crate) fn main(
    name: &'static str,
    bench: impl AsyncFnOnce(Options, &Machine, &mut Report) -> Result<(), Failure>,
) -> ExitCode {
    let options = Options::from_args();
    if !options.bench {
        say(format_args!("{name}: nothing measured without --bench"));
        return ExitCode::SUCCESS;
    }
    match measure(name, options, bench) {
        Ok(report) if options.gate && report.missed() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            say(format_args!("{name} FAILED, no verdict: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Measures one bench in this process.
pub(crate) fn measure(
    name: &'static str,
    options: Options,
    bench: impl AsyncFnOnce(Options, &Machine, &mut Report) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let machine = Machine::new()?;
    say(format_args!("{name}: {}", machine.describe()));
    let mut report = Report::new(name);
    // One thread: a bench sleeps while its child works, and must not warm up a pool beside it.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(bench(options, &machine, &mut report))?;
    report.table();
    Ok(report)
}
