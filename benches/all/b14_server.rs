//! B14: our server receiving, beside `@tus/server` and beside the disk itself. Acknowledged bytes are durable with ours,
//! which the other does not promise.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use test_support::{HeldPort, Process, Stream, TusNodeServer};

use crate::support::{
    Contest, Failure, Figure, Machine, Options, Report, Target, by, command, create, median,
    random_file, raw_write, run, sparse_files, warm,
};

const LENGTH: u64 = 512 << 20;

/// What the server may hold for 16 clients, in bytes.
const MOST: f64 = 32_000_000.0;

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let file = random_file("random-512MiB.mp4", LENGTH)?;
    warm(&file)?;
    // On the disk that is built on: a temporary folder may be in memory.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let copy = disk.path().join("copy");
    let (ours, _port, address) = serve(machine, &["--data"], &disk.path().join("ours")).await?;
    let node = machine
        .apart_async(TusNodeServer::start(disk.path().join("node")))
        .await??;
    let node_address = node.addr();
    let results = Contest::new(|| Ok(()))
        .beside(ours.id())
        .beside(node.process().id())
        .entry("cp", || {
            let mut cp = command("cp");
            cp.arg(&file).arg(&copy);
            Ok(cp.into())
        })
        .entry("node", || {
            Ok(raw_write(&file, node_address, &create(node_address, None, LENGTH)?)?.into())
        })
        .entry("ours", || {
            Ok(raw_write(&file, address, &create(address, None, LENGTH)?)?.into())
        })
        .entry("dd", || {
            let mut dd = command("dd");
            dd.arg(format!("if={}", file.display()));
            dd.arg(format!("of={}", copy.display()));
            dd.args(["bs=1M", "conv=fdatasync", "status=none"]);
            Ok(dd.into())
        })
        .run(7, 1)
        .await?;
    results.tell(LENGTH);
    let figure = |peer: &str, least: f64, what: &str| {
        let note = format!("512 MiB in one PATCH, {what}");
        let sample = results.speed("ours", peer);
        Figure::gated(format!("speed_vs_{peer}"), sample, Target::AtLeast(least)).note(note)
    };
    report.add(figure("dd", 0.8, "dd conv=fdatasync / ours"))?;
    report.add(figure(
        "node",
        2.0,
        "@tus/server, which syncs nothing / ours, which does",
    ))?;
    let told = Figure::told("speed_vs_cp", results.speed("ours", "cp"));
    report.add(told.note("cp, which syncs nothing / ours, which does"))?;

    let (digesting, _other, address) = serve(machine, &["--digest-only"], Path::new("")).await?;
    let results = Contest::new(|| Ok(()))
        .beside(digesting.id())
        .entry("cp", || {
            let mut cp = command("cp");
            cp.arg(&file).arg(&copy);
            Ok(cp.into())
        })
        .entry("digest", || {
            Ok(raw_write(&file, address, &create(address, None, LENGTH)?)?.into())
        })
        .run(7, 1)
        .await?;
    let told = Figure::gated(
        "speed_digest_vs_cp",
        results.speed("digest", "cp"),
        Target::AtLeast(0.6),
    );
    report.add(told.note("cp / ours with --digest-only, which keeps nothing but SHA-256"))?;
    drop(digesting);

    // Sixteen at once: what the server holds.
    let before = ours.peak_rss_bytes().unwrap_or(0);
    let files = sparse_files(16, 128 << 20)?;
    let mut peaks = Vec::new();
    for _ in 0..options.times(1, 3) {
        let options = ["--parallel", "16", "--checksum", "none"];
        let put = by::ours(&format!("http://{}/files/", addr(&ours)?), &options, &[])?;
        let mut command = put.command;
        command.args(&files);
        run(command, false).await?;
        let peak = ours.peak_rss_bytes().ok_or("the server has ended")?;
        peaks.push(peak as f64 / MOST);
    }
    let note = format!(
        "{:.1} MB / 32 MB, 16 clients at once; {:.1} MB with one; node {:.1} MB with one",
        median(&peaks) * MOST / 1e6,
        before as f64 / 1e6,
        node.process().peak_rss_bytes().unwrap_or(0) as f64 / 1e6
    );
    report.add(Figure::gated("memory_16", peaks, Target::AtMost(1.0)).note(note))?;
    Ok(())
}

/// Starts our server on the core of the servers.
pub(crate) async fn serve(
    machine: &Machine,
    options: &[&str],
    folder: &Path,
) -> Result<(Process, HeldPort, SocketAddr), Failure> {
    let port = HeldPort::new()?;
    let mut serve = command(env!("CARGO_BIN_EXE_stream-upload"));
    serve.args(["serve", "--listen", &port.addr().to_string()]);
    serve.args(options);
    if !folder.as_os_str().is_empty() {
        serve.arg(folder);
    }
    let process = machine.apart(|| Process::spawn(serve))??;
    let ready = |line: &str| line.contains("/files/");
    process
        .wait_for_line(Stream::Stderr, ready, Duration::from_secs(10))
        .await?;
    let address = port.addr();
    Ok((process, port, address))
}

/// Where a server of ours said that it listens.
fn addr(server: &Process) -> Result<String, Failure> {
    let lines = server.lines(Stream::Stderr);
    let said = lines.iter().find_map(|line| line.split_once("http://"));
    let (_, rest) = said.ok_or("the server told no address")?;
    Ok(rest.split('/').next().unwrap_or_default().to_owned())
}
