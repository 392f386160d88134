//! One large file over plain HTTP: the real binary, beside curl and beside the least a client can
//! do, on the same machine in the same minute. The method and its limits: `benches/README.md`.

#[allow(
    dead_code,
    unused_imports,
    reason = "every bench compiles the whole of it and uses its own part"
)]
mod support;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use support::{Cost, Failure, Figure, Machine, Options, Report, Target, Watch, say};
use test_support::{NullSink, fixtures};

fn main() -> ExitCode {
    match support::played_role() {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(failure)) => {
            say(format_args!("raw write: {failure}"));
            ExitCode::FAILURE
        }
        None => support::main("throughput", bench),
    }
}

/// What every contestant cost in one round.
#[derive(Clone, Copy, Debug)]
struct Round {
    raw: Cost,
    ours: Cost,
    curl: Cost,
}

async fn bench(options: Options, machine: &Machine, report: &mut Report) -> Result<(), Failure> {
    let (file, length) = support::random_gib()?;
    support::warm(&file)?;
    let race = machine
        .apart(NullSink::start)?
        .map(|sink| Race { sink, file, length })?;
    if !machine.can_pin() {
        say(format_args!("one core: client and sink share it"));
    }

    // The first run of each, which is not counted, pays for what is loaded once.
    race.round(false).await?;
    let mut rounds = Vec::new();
    let mut disturbed = 0;
    // Seven even in the short set: of fewer, the interval reaches to the worst round, and one
    // hiccup of the machine decides.
    let count = options.times(7, 15);
    // How often a disturbed round is measured again before it is taken as it is.
    let retries = options.times(1, 3);
    for number in 0..count {
        for attempt in 0..=retries {
            if attempt > 0 {
                // Whoever disturbed is given a moment to finish; a build is not waited for.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let watch = Watch::start()?;
            // ABBA: whatever changes steadily is to the good of each of a pair in turn. Ours is
            // between the others, so that it is next to both of its peers.
            let round = race.round(number % 2 == 1).await?;
            let disturbance = watch.disturbance()?;
            say(format_args!(
                "round {number}: raw {:.3} s, ours {:.3} s, curl {:.3} s{}",
                round.raw.wall,
                round.ours.wall,
                round.curl.wall,
                match &disturbance {
                    Some(what) if attempt < retries => format!("; {what}, again"),
                    Some(what) => format!("; {what}, taken as it is"),
                    None => String::new(),
                }
            ));
            if disturbance.is_none() || attempt == retries {
                disturbed += usize::from(disturbance.is_some());
                rounds.push(round);
                break;
            }
        }
    }
    if disturbed > 0 {
        say(format_args!(
            "{disturbed} of {} rounds were disturbed: trust the CPU figures more than the others",
            rounds.len()
        ));
    }
    judge(&rounds, length, report)
}

fn judge(rounds: &[Round], length: u64, report: &mut Report) -> Result<(), Failure> {
    let each = |ratio: fn(&Round) -> f64| rounds.iter().map(ratio).collect::<Vec<f64>>();
    let show = |name: &str, cost: fn(&Round) -> Cost| {
        let middle = |part: fn(Cost) -> f64| {
            let parts: Vec<f64> = rounds.iter().map(|round| part(cost(round))).collect();
            support::median(&parts)
        };
        let wall = middle(|cost| cost.wall);
        let cpu = middle(|cost| cost.cpu);
        let switches = middle(|cost| cost.switches as f64);
        let mib = length as f64 / f64::from(1 << 20);
        say(format_args!(
            "{name:>5}: {:6.0} MiB/s  {:.3} CPU s/GiB  {switches:.0} context switches",
            mib / wall,
            cpu * 1024.0 / mib,
        ));
    };
    show("raw", |round| round.raw);
    show("ours", |round| round.ours);
    show("curl", |round| round.curl);

    // Speeds are compared as "how many times as fast as", costs as "how many times the cost of".
    report.add(
        Figure::gated(
            "cpu_vs_curl",
            each(|round| round.ours.cpu / round.curl.cpu),
            Target::AtMost(1.25),
        )
        .note("user + system seconds, ours / curl"),
    )?;
    report.add(
        Figure::gated(
            "speed_vs_curl",
            each(|round| round.curl.wall / round.ours.wall),
            Target::AtLeast(1.0),
        )
        .note("1 GiB from start to exit, curl / ours"),
    )?;
    report.add(
        Figure::aimed(
            "cpu_vs_raw",
            each(|round| round.ours.cpu / round.raw.cpu),
            Target::AtMost(1.25),
        )
        .note("ours / pread + write"),
    )?;
    report.add(
        Figure::aimed(
            "speed_vs_raw",
            each(|round| round.raw.wall / round.ours.wall),
            Target::AtLeast(0.88),
        )
        .note("pread + write / ours"),
    )?;
    Ok(())
}

/// The contestants' common ground.
struct Race {
    sink: NullSink,
    file: PathBuf,
    length: u64,
}

impl Race {
    async fn round(&self, backwards: bool) -> Result<Round, Failure> {
        if backwards {
            let curl = self.curl().await?;
            let ours = self.ours().await?;
            let raw = self.raw().await?;
            Ok(Round { raw, ours, curl })
        } else {
            let raw = self.raw().await?;
            let ours = self.ours().await?;
            let curl = self.curl().await?;
            Ok(Round { raw, ours, curl })
        }
    }

    async fn raw(&self) -> Result<Cost, Failure> {
        let sink = self.sink.addr();
        let upload = support::create(sink, self.length)?;
        self.run(support::raw_write(&self.file, sink, &upload)?)
            .await
    }

    /// What a user would start, with a state folder that knows nothing yet.
    async fn ours(&self) -> Result<Cost, Failure> {
        let state = fixtures::temp_dir()?;
        let mut command = support::command(env!("CARGO_BIN_EXE_stream-upload"));
        command.args(["put", "--chunk-size", "50MiB", "--endpoint"]);
        command.arg(self.sink.creation_url());
        command.arg("--state-dir").arg(state.path());
        command.arg(&self.file);
        self.run(command).await
    }

    /// The fastest thing that a script would use instead. It has the advantages that its upload
    /// is created for it, that it sends one PATCH for all, and that it remembers nothing.
    async fn curl(&self) -> Result<Cost, Failure> {
        let sink = self.sink.addr();
        let upload = support::create(sink, self.length)?;
        let mut command = support::command("curl");
        // Its own configuration file may set anything: -q must come first.
        command.args(["-q", "--silent", "--show-error", "--fail"]);
        command.args(["--request", "PATCH", "--header", "Expect:"]);
        command.args(["--header", "Tus-Resumable: 1.0.0"]);
        command.args(["--header", "Upload-Offset: 0"]);
        command.args(["--header", "Content-Type: application/offset+octet-stream"]);
        command.arg("--upload-file").arg(&self.file);
        command.arg(format!("http://{sink}{upload}"));
        self.run(command).await
    }

    /// Runs a contestant and makes sure that it did what it was to do.
    async fn run(&self, command: Command) -> Result<Cost, Failure> {
        let before = self.sink.counters().body_bytes;
        let told = format!("{command:?}");
        let run = support::run(command, false).await?;
        let sent = self.sink.counters().body_bytes - before;
        if sent != self.length {
            return Err(format!("{told} sent {sent} of {} bytes", self.length).into());
        }
        let uploads = self.sink.uploads();
        let last = uploads.last().ok_or("the sink knows of no upload")?;
        if last.offset != self.length {
            return Err(format!("{told} left its upload at {}", last.offset).into());
        }
        Ok(run.cost)
    }
}
