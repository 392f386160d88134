//! B7: what the silence between two chunks costs: a round trip and the server's commit.

use std::time::Duration;

use test_support::NullSink;

use crate::b01_single::arrived;
use crate::support::{
    Contest, Failure, Figure, Machine, Options, Report, Road, RoadPlan, Target, by, sparse_files,
};

const MBIT: u64 = 400;

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let length = (options.times(256, 512) as u64) << 20;
    let file = &sparse_files(1, length)?[0];
    let commits = NullSink::builder().commit(Duration::from_millis(20));
    let road = Road::new(machine, RoadPlan::new(50).mbit(MBIT), commits).await?;
    let url = road.url();
    let put = |chunk: &'static str| {
        let (road, url) = (&road, &url);
        move || {
            let mut ours = by::ours(url, &["--chunk-size", chunk, "--parts", "1"], &[file])?;
            ours.command = road.near(ours.command);
            Ok(ours)
        }
    };
    let results = Contest::new(arrived(road.sink(), length))
        .entry("5MiB", put("5MiB"))
        .entry("50MiB", put("50MiB"))
        .entry("200MiB", put("200MiB"))
        .entry("auto", put("auto"))
        .run_warm(options.times(1, 3), 1)
        .await?;
    // What is not payload: 40 of 1500 bytes of each packet, and a little TLS has no part in.
    let seconds = length as f64 / (MBIT as f64 * 1e6 / 8.0 * 1448.0 / 1500.0);
    let of_link = |name: &str| -> Vec<f64> {
        let walls = results.walls(name).into_iter();
        walls.map(|wall| seconds / wall).collect()
    };
    let what = format!(
        "of 400 Mbit/s over 50 ms and a commit of 20 ms ({})",
        road.name()
    );
    for name in ["5MiB", "50MiB", "200MiB"] {
        let told = Figure::told(format!("of_link_{name}"), of_link(name));
        report.add(told.note(what.clone()))?;
    }
    let gated = Figure::gated("of_link_auto", of_link("auto"), Target::AtLeast(0.95));
    report.add(gated.note(what))?;
    Ok(())
}
