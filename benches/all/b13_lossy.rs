//! B13: a link that breaks every 64 MiB, before a server that sometimes is not there: how much is sent twice, and who arrives at all.

use std::process::Command;
use std::time::{Duration, Instant};

use test_support::{ChaosProxy, NullSink, Process, fixtures};

use crate::support::{
    Failure, Figure, Machine, Options, Report, Target, by, random_file, random_gib, say, warm,
};

const MIB: u64 = 1 << 20;

/// Longer than any client waits between its tries.
const PATIENCE: Duration = Duration::from_secs(180);

/// What becomes of the bytes of a broken PATCH, and who uploads how.
struct Case {
    name: &'static str,
    drops_broken: bool,
    chunk: &'static str,
    least: f64,
}

const CASES: [Case; 3] = [
    Case {
        name: "kept_50MiB",
        drops_broken: false,
        chunk: "50MiB",
        least: 0.90,
    },
    Case {
        name: "dropped_50MiB",
        drops_broken: true,
        chunk: "50MiB",
        least: 0.60,
    },
    Case {
        name: "dropped_auto",
        drops_broken: true,
        chunk: "auto",
        least: 0.85,
    },
];

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    // A quarter of everything in the short set.
    let (file, length) = if options.short {
        (random_file("random-320MiB.mp4", 320 * MIB)?, 320 * MIB)
    } else {
        random_gib()?
    };
    warm(&file)?;
    for case in &CASES {
        // Arriving always is promised of the first; how many bytes are useful shows earlier.
        let rounds = options.times(3, if case.drops_broken { 7 } else { 20 });
        let (mut useful, mut ends, mut slower) = (Vec::new(), 0, Vec::new());
        let clean = ours(machine, case, None, &file, length).await?.wall;
        for seed in 1..=rounds as u64 {
            let run = ours(machine, case, Some(seed), &file, length).await?;
            ends += usize::from(run.whole);
            useful.push(run.useful);
            slower.push(run.wall / clean);
        }
        let note =
            format!("useful of all bytes sent, 1 GiB cut every 64 MiB; {ends} of {rounds} arrived");
        let least = Target::AtLeast(case.least);
        report.add(Figure::gated(format!("useful_{}", case.name), useful, least).note(note))?;
        let arrived = vec![ends as f64 / rounds as f64];
        let name = format!("arrived_{}", case.name);
        report.add(Figure::gated(name, arrived, Target::AtLeast(1.0)).note("part of the runs"))?;
        let note = "time / time over a link that does not break";
        report.add(Figure::told(format!("slower_{}", case.name), slower).note(note))?;
    }
    peers(options, machine, report, &file, length).await
}

/// One upload over the breaking link.
struct Ran {
    whole: bool,
    useful: f64,
    wall: f64,
}

async fn ours(
    machine: &Machine,
    case: &Case,
    seed: Option<u64>,
    file: &std::path::Path,
    length: u64,
) -> Result<Ran, Failure> {
    let state = fixtures::temp_dir()?;
    let command = |url: &str| {
        let options = ["--chunk-size", case.chunk, "--parts", "1"];
        let mut command = by::ours_remembering(url, state.path(), &options);
        command.arg(file);
        Ok(command)
    };
    through(machine, case.drops_broken, seed, length, command).await
}

/// Runs one client over a link that breaks as `seed` decides, or that does not.
async fn through(
    machine: &Machine,
    drops_broken: bool,
    seed: Option<u64>,
    length: u64,
    command: impl Fn(&str) -> Result<Command, Failure>,
) -> Result<Ran, Failure> {
    let mut sink = NullSink::builder();
    if drops_broken {
        sink = sink.drops_broken();
    }
    if let Some(seed) = seed {
        // A burst in the middle: of ten requests, three find nobody.
        sink = sink.refuses(8..18, 0.3, seed);
    }
    let sink = machine.apart(|| sink.start())??;
    let proxy = ChaosProxy::builder(sink.addr()).seed(seed.unwrap_or(0));
    let proxy = proxy.start().await?;
    if seed.is_some() {
        proxy.reset_every(64 * MIB, 16 * MIB);
    }
    let started = Instant::now();
    let process = Process::spawn(command(&proxy.url("/files/"))?)?;
    let ended = process.wait(PATIENCE).await;
    let wall = started.elapsed().as_secs_f64();
    let well = ended.is_ok_and(|status| status.success());
    let whole = sink.uploads().iter().any(|upload| upload.offset == length);
    if !well {
        let said = process.lines(test_support::Stream::Stderr).join(" | ");
        let said: String = said.chars().take(300).collect();
        say(format_args!("  seed {seed:?}: did not arrive: {said}"));
    }
    let sent = proxy.counters().body_up.max(1);
    Ok(Ran {
        whole: well && whole,
        useful: if whole {
            length as f64 / sent as f64
        } else {
            0.0
        },
        wall,
    })
}

/// How many peers arrive, on a server that keeps what came.
async fn peers(
    options: Options,
    machine: &Machine,
    report: &mut Report,
    file: &std::path::Path,
    length: u64,
) -> Result<(), Failure> {
    let rounds = options.times(1, 3);
    type Start<'a> = Box<dyn Fn(&str) -> Result<Command, Failure> + 'a>;
    let chunk = ["--chunk-size", "52428800"];
    let patient = [&chunk[..], &["--retry-delays", "0,1000,3000,5000"]].concat();
    let starts: [(&str, Start<'_>); 2] = [
        (
            "tus_js",
            Box::new(move |url: &str| by::tus_js(url, &patient, file)),
        ),
        (
            "tuspy",
            Box::new(move |url: &str| by::tuspy(url, &chunk, &[file])),
        ),
    ];
    for (name, start) in starts {
        let (mut arrived, mut useful) = (0, Vec::new());
        for seed in 1..=rounds as u64 {
            let run = through(machine, false, Some(seed), length, &start).await?;
            arrived += usize::from(run.whole);
            useful.push(run.useful);
        }
        let note = format!("useful of all bytes sent; {arrived} of {rounds} arrived");
        report.add(Figure::told(format!("useful_kept_{name}"), useful).note(note))?;
    }
    Ok(())
}
