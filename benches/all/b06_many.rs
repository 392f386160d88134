//! B6: many files over a long fat link whose connections are each much thinner than the whole: how many are opened, and how
//! soon that many.

use std::time::{Duration, Instant};

use test_support::{NullSink, Process};

use crate::support::{
    Failure, Figure, Machine, Options, PATIENCE, Report, Road, RoadPlan, Target, by, say,
    sparse_files,
};

/// Files and their length.
const FILES: usize = 32;
const MIB: u64 = 1 << 20;
const LENGTH: u64 = 16 * MIB;

/// Bits per second of the whole, and what one connection may have under way in the 100 ms of a round
/// trip: ten of them would fill the link. The kernel's `tcp_wmem` counts its own overhead, too, so
/// that a window of twice the bytes gives a tenth.
const MBIT: u64 = 400;
const WINDOW: u64 = 1 << 20;

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let files = sparse_files(FILES, LENGTH)?;
    let mut parts = Vec::new();
    let mut connections = Vec::new();
    for (parallel, rounds) in [("4", 1), ("16", 1), ("auto", options.times(2, 5))] {
        for _ in 0..rounds {
            let plan = RoadPlan::new(100).mbit(MBIT).window(WINDOW);
            let road = match Road::new(machine, plan, NullSink::builder()).await {
                Ok(road) => road,
                Err(why) => return Ok(report.skip("of_link_after_6_s", &why.to_string())?),
            };
            let ours = by::ours(&road.url(), &["--parallel", parallel], &[])?;
            let mut command = ours.command;
            command.args(&files);
            let process = Process::spawn(road.near(command))?;
            let course = course(&process, &road).await?;
            let counted = road.sink().counters();
            if counted.body_bytes < LENGTH * FILES as u64 {
                return Err(format!("only {} bytes came", counted.body_bytes).into());
            }
            let full = MBIT as f64 * 1e6 / 8.0;
            let whole = course.last().map_or(0.0, |(time, bytes)| bytes / time) / full;
            let late = after(&course, 6.0) / full;
            say(format_args!(
                "--parallel {parallel}: {:.0} % of the link over all, {:.0} % after 6 s, {} connections",
                whole * 100.0,
                late * 100.0,
                counted.connections
            ));
            if parallel == "auto" {
                parts.push(late);
                connections.push(counted.connections as f64);
            }
        }
    }
    let note = "goodput of --parallel auto from 6 s on, 400 Mbit/s, 100 ms, at most a tenth per connection";
    report.add(Figure::gated("of_link_after_6_s", parts, Target::AtLeast(0.92)).note(note))?;
    let note = "connections that --parallel auto opened; ten are ideal";
    report.add(Figure::gated("connections", connections, Target::AtMost(14.0)).note(note))?;
    Ok(())
}

/// How many bytes had come after how many seconds, until the end.
async fn course(process: &Process, road: &Road) -> Result<Vec<(f64, f64)>, Failure> {
    let started = Instant::now();
    let mut points = Vec::new();
    while process.is_running() && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let bytes = road.sink().counters().body_bytes as f64;
        points.push((started.elapsed().as_secs_f64(), bytes));
    }
    let status = process.wait(Duration::from_secs(1)).await?;
    if status.success() {
        Ok(points)
    } else {
        let said = process.lines(test_support::Stream::Stderr).join("\n");
        Err(format!("the upload ended with {status}: {said}").into())
    }
}

/// Bytes per second from a time on, until the last file ends its last tenth: a tail of files that
/// do not fill their connections any more says nothing of how many there are.
fn after(course: &[(f64, f64)], seconds: f64) -> f64 {
    let total = course.last().map_or(0.0, |(_, bytes)| *bytes);
    let counted: Vec<_> = course
        .iter()
        .filter(|(time, bytes)| *time >= seconds && *bytes <= total * 0.9)
        .collect();
    match (counted.first(), counted.last()) {
        (Some((began, first)), Some((ended, last))) if ended > began => {
            (last - first) / (ended - began)
        }
        _ => 0.0,
    }
}
