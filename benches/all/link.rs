//! One file over 100 ms at 400 Mbit/s, with loss and without: in parts where the server joins them, in one piece where it does not.

use std::process::{Command, Output};

use test_support::{NullSink, NullSinkBuilder, Process, Side, Stream, readings};

use crate::b01_single::arrived;
use crate::support::{
    Contest, Failure, Figure, Machine, Options, Prepared, Report, Road, RoadPlan, Target, by,
    create, say, sparse_files,
};

const MBIT: u64 = 400;

fn joining() -> NullSinkBuilder {
    NullSink::builder().extensions([
        "creation",
        "creation-with-upload",
        "concatenation",
        "termination",
    ])
}

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    if let Err(why) = test_support::Link::available() {
        return Ok(report.skip("parts_vs_iperf3", &format!("needs root: {why}"))?);
    }
    let rounds = options.times(1, 3);
    let length = (options.times(128, 512) as u64) << 20;
    let file = sparse_files(1, length)?.swap_remove(0);
    clean(machine, report, &file, length, rounds).await?;
    lossy(machine, report, rounds).await
}

async fn clean(
    machine: &Machine,
    report: &mut Report,
    file: &std::path::Path,
    length: u64,
    rounds: usize,
) -> Result<(), Failure> {
    let plan = RoadPlan::new(100).mbit(MBIT);
    let road = Road::new(machine, plan, joining()).await?;
    let url = road.url();
    let put = |parts: &'static str| {
        let (road, url) = (&road, &url);
        move || near(road, by::ours(url, &["--parts", parts], &[file])?)
    };
    let results = Contest::new(came(road.sink(), length))
        .entry("auto", put("auto"))
        .entry("8 parts", put("8"))
        .entry("tus-uploader", || {
            Ok(road.near(by::tus_uploader(&url, "parts:4", [file])?).into())
        })
        .entry("tus-js", || {
            let options = ["--parallel", "4", "--chunk-size", "52428800"];
            Ok(road.near(by::tus_js(&url, &options, file)?).into())
        })
        .run_warm(rounds, 1)
        .await?;
    results.tell(length);
    // As long as ours took: both begin slowly.
    let seconds = crate::support::median(&results.walls("auto")).ceil();
    let limit = iperf3(&road, seconds)?;
    match limit {
        Ok(limit) => {
            for name in ["auto", "8 parts"] {
                let rates = results.walls(name).into_iter();
                let parts = rates
                    .map(|wall| length as f64 * 8.0 / wall / limit)
                    .collect();
                let note = format!(
                    "goodput / that of 8 streams of iperf3, {:.0} Mbit/s",
                    limit / 1e6
                );
                let name = format!("{}_vs_iperf3", name.replace("8 parts", "parts_8"));
                report.add(Figure::gated(name, parts, Target::AtLeast(0.95)).note(note))?;
            }
        }
        Err(why) => report.skip("parts_vs_iperf3", &why)?,
    }
    for peer in ["tus-uploader", "tus-js"] {
        let name = format!("auto_vs_{}", peer.replace('-', "_"));
        let note = "4 parts of theirs / --parts auto";
        let times = results.speed("auto", peer);
        report.add(Figure::gated(name, times, Target::AtLeast(1.0)).note(note))?;
    }
    drop(results);
    drop(road);

    let road = Road::new(machine, plan, NullSink::builder()).await?;
    let url = road.url();
    let address = road.sink().addr();
    let link = road.link().ok_or("no link")?;
    let results = Contest::new(arrived(road.sink(), length))
        .entry("ours", || near(&road, by::ours(&url, &[], &[file])?))
        .entry("curl", || {
            let inside = link.namespace(Side::Left);
            let create = || {
                let upload = create(address, None, length);
                upload.map_err(|why| std::io::Error::other(why.to_string()))
            };
            let upload = inside.enter(create)?;
            let target = format!("http://{address}{upload}");
            Ok(road.near(by::curl(&target, None, file)).into())
        })
        .run_warm(rounds, 1)
        .await?;
    results.tell(length);
    let note = "one connection, ours in resumable chunks, curl in one PATCH";
    let times = results.speed("ours", "curl");
    report.add(Figure::gated("one_vs_curl", times, Target::AtLeast(1.0)).note(note))?;
    Ok(())
}

/// One packet of a thousand is lost, under cubic.
async fn lossy(machine: &Machine, report: &mut Report, rounds: usize) -> Result<(), Failure> {
    let length = 32 << 20;
    let file = sparse_files(1, length)?.swap_remove(0);
    let plan = RoadPlan::new(100).mbit(MBIT).loss(0.001);
    let road = Road::new(machine, plan, joining()).await?;
    let url = road.url();
    let results = Contest::new(came(road.sink(), length))
        .entry("auto", || {
            near(&road, by::ours(&url, &["--parts", "auto"], &[&file])?)
        })
        .entry("one", || {
            near(&road, by::ours(&url, &["--parts", "1"], &[&file])?)
        })
        .entry("8 parts", || {
            near(&road, by::ours(&url, &["--parts", "8"], &[&file])?)
        })
        .run_warm(rounds, 1)
        .await?;
    results.tell(length);
    for name in ["auto", "8 parts"] {
        let times = results.speed(name, "one");
        let figure = format!("lossy_{}_vs_one", name.replace("8 parts", "parts_8"));
        let note = "32 MiB, 0.1 % of the packets lost, cubic; one stream / parts";
        report.add(Figure::gated(figure, times, Target::AtLeast(4.0)).note(note))?;
    }
    Ok(())
}

fn near(road: &Road, mut ours: Prepared) -> Result<Prepared, Failure> {
    ours.command = road.near(ours.command);
    Ok(ours)
}

/// Fails unless exactly the bytes of one file more have come.
fn came(sink: &NullSink, length: u64) -> impl Fn() -> Result<(), Failure> + '_ {
    let before = std::cell::Cell::new(0);
    move || {
        let now = sink.counters().body_bytes;
        match now - before.replace(now) {
            sent if sent == length => Ok(()),
            sent => Err(format!("{sent} of {length} bytes were sent").into()),
        }
    }
}

/// Bits per second that eight streams of iperf3 reach in so many seconds, or why not.
fn iperf3(road: &Road, seconds: f64) -> Result<Result<f64, String>, Failure> {
    let link = road.link().ok_or("no link")?;
    let (left, right) = (link.namespace(Side::Left), link.namespace(Side::Right));
    let mut server = Command::new("iperf3");
    server.args(["--server", "--one-off", "--port", "5201", "--forceflush"]);
    let Ok(server) = Process::spawn(right.command(&server)) else {
        return Ok(Err("no `ip`".to_owned()));
    };
    let far = right.addr().to_string();
    let mut client = Command::new("iperf3");
    client.args(["--client", &far, "--port", "5201", "--json"]);
    client.args(["--parallel", "8", "--time", &seconds.to_string()]);
    // The server needs a moment to listen; until then connecting is refused at once.
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let Output { stdout, .. } = left.command(&client).output()?;
        if let Some(rate) = readings::iperf3_received(&String::from_utf8_lossy(&stdout)) {
            say(format_args!("iperf3: {:.0} Mbit/s", rate / 1e6));
            return Ok(Ok(rate));
        }
        if !server.is_running() {
            break;
        }
    }
    let said = server.lines(Stream::Stderr).join(" ");
    Ok(Err(format!("iperf3 (Debian package iperf3): {said}")))
}
