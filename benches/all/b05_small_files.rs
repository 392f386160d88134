//! B5: thousands of small files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use test_support::{NullSink, NullSinkBuilder};

use crate::support::{
    Contest, Failure, Figure, Machine, Options, Report, Results, Road, RoadPlan, Target, by,
    median, names_of_one, raw_posts, run_within,
};

const BYTES: u64 = 64 * 1024;
const AT_ONCE: &str = "16";
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that takes the bytes with the creation.
fn offering() -> NullSinkBuilder {
    NullSink::builder().extensions(["creation", "creation-with-upload"])
}

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    near(options, machine, report).await?;
    requests(options, machine, report).await?;
    far(options, machine, report).await
}

/// On loopback, beside peers and beside a loop of plain POSTs.
async fn near(options: Options, machine: &Machine, report: &mut Report) -> Result<(), Failure> {
    let count = options.times(1_000, 10_000);
    let folder = names_of_one(count, BYTES)?;
    let files = listed(&folder)?;
    let sink = machine.apart(|| offering().start())??;
    let (address, url) = (sink.addr(), sink.creation_url());
    let results = Contest::new(all_arrived(&sink, count))
        .patience(PATIENCE)
        .entry("raw", || Ok(raw_posts(&folder, address, 16)?.into()))
        .entry("ours", || {
            by::ours(&url, &["--parallel", AT_ONCE], &[&folder])
        })
        .entry("tus-uploader", || {
            Ok(by::tus_uploader(&url, AT_ONCE, &files)?.into())
        })
        .entry("tus-js", || {
            let options = ["--at-once", AT_ONCE, "--with-upload"];
            Ok(by::tus_js_many(&url, &options, &folder)?.into())
        })
        .run_warm(7, 1)
        .await?;
    results.tell(BYTES * count as u64);
    let note = |peer: &str| {
        format!(
            "{count} files of 64 KiB, 16 at once; {:.0} files/s, {peer} {:.0}",
            rate(&results, "ours", count),
            rate(&results, peer, count)
        )
    };
    for (peer, least) in [("tus-js", 4.0), ("tus-uploader", 1.0), ("raw", 0.6)] {
        let name = format!("near_speed_vs_{}", peer.replace('-', "_"));
        let figure = Figure::gated(name, results.speed("ours", peer), Target::AtLeast(least));
        report.add(figure.note(note(peer)))?;
    }
    Ok(())
}

fn rate(results: &Results, name: &str, count: usize) -> f64 {
    count as f64 / median(&results.walls(name))
}

/// What goes over the wire for a file, with the extension and without.
async fn requests(options: Options, machine: &Machine, report: &mut Report) -> Result<(), Failure> {
    let count = options.times(1_000, 10_000);
    let folder = names_of_one(count, BYTES)?;
    let plain = NullSink::builder().extensions(["creation"]);
    for (name, sink, most) in [
        ("requests_per_file", offering(), 1.0),
        ("requests_plain", plain, 2.0),
    ] {
        let sink = machine.apart(|| sink.start())??;
        let ours = by::ours(&sink.creation_url(), &["--parallel", AT_ONCE], &[&folder])?;
        run_within(ours.command, false, PATIENCE).await?;
        all_arrived(&sink, count)()?;
        let counted = sink.counters();
        // OPTIONS is asked once for all of them, and told apart.
        let each = (counted.requests() - counted.options) as f64 / count as f64;
        let note = format!("and {} OPTIONS for {count} files", counted.options);
        report.add(Figure::gated(name, vec![each], Target::AtMost(most)).note(note))?;
        let shaken = vec![counted.handshakes as f64];
        let name = name.replace("requests", "handshakes");
        report.add(Figure::gated(name, shaken, Target::AtMost(16.0)).note("TCP connections"))?;
    }
    Ok(())
}

/// Over 100 ms, where only requests at once and requests per file count.
async fn far(options: Options, machine: &Machine, report: &mut Report) -> Result<(), Failure> {
    let count = options.times(200, 1_000);
    let folder = names_of_one(count, BYTES)?;
    let files = listed(&folder)?;
    let road = Road::new(machine, RoadPlan::new(100), offering()).await?;
    let url = road.url();
    let results = Contest::new(all_arrived(road.sink(), count))
        .patience(PATIENCE)
        .entry("ours", || {
            let mut ours = by::ours(&url, &["--parallel", AT_ONCE], &[&folder])?;
            ours.command = road.near(ours.command);
            Ok(ours)
        })
        .entry("tus-uploader", || {
            Ok(road.near(by::tus_uploader(&url, AT_ONCE, &files)?).into())
        })
        .entry("tus-js", || {
            let options = ["--at-once", AT_ONCE, "--with-upload"];
            Ok(road.near(by::tus_js_many(&url, &options, &folder)?).into())
        })
        .run_warm(3, 1)
        .await?;
    let most = 16.0 / 0.1;
    let parts = results.walls("ours").into_iter();
    let parts = parts.map(|wall| count as f64 / wall / most).collect();
    let note = format!(
        "{:.0} files/s of the 160 that 16 connections can, over 100 ms ({}); tus-uploader {:.0}, tus-js {:.0}",
        rate(&results, "ours", count),
        road.name(),
        rate(&results, "tus-uploader", count),
        rate(&results, "tus-js", count)
    );
    report.add(Figure::gated("far_of_limit", parts, Target::AtLeast(0.9)).note(note))?;
    let theirs = results.speed("ours", "tus-uploader");
    report.add(Figure::gated(
        "far_speed_vs_tus_uploader",
        theirs,
        Target::AtLeast(1.0),
    ))?;
    Ok(())
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder)?;
    Ok(entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?)
}

/// Fails unless exactly `count` files more are whole than at the last call.
fn all_arrived(sink: &NullSink, count: usize) -> impl Fn() -> Result<(), Failure> + '_ {
    let before = std::cell::Cell::new((0, 0));
    move || {
        let uploads = sink.uploads();
        let whole = uploads.iter().filter(|it| it.length == Some(it.offset));
        let now = (whole.count(), sink.counters().body_bytes);
        let last = before.replace(now);
        let (files, bytes) = (now.0 - last.0, now.1 - last.1);
        if files != count || bytes != BYTES * count as u64 {
            return Err(format!("{files} of {count} files arrived whole, {bytes} bytes").into());
        }
        Ok(())
    }
}
