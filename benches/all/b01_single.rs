//! B1: one large file over plain HTTP.

use crate::support::{
    Contest, Failure, Figure, Machine, Options, Report, Target, by, create, random_gib, raw_write,
    sendfile, warm,
};
use test_support::NullSink;

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let (file, length) = random_gib()?;
    warm(&file)?;
    let sink = machine.apart(NullSink::start)??;
    let address = sink.addr();
    let url = sink.creation_url();
    let upload = || create(address, None, length);
    let check = arrived(&sink, length);
    let results = Contest::new(check)
        .entry("sendfile", || {
            Ok(sendfile(&file, address, &upload()?)?.into())
        })
        .entry("tuspy", || {
            Ok(by::tuspy(&url, &["--chunk-size", "52428800"], &[&file])?.into())
        })
        .entry("raw", || Ok(raw_write(&file, address, &upload()?)?.into()))
        .entry("ours", || {
            by::ours(&url, &["--chunk-size", "50MiB"], &[&file])
        })
        .entry("curl", || {
            let target = format!("http://{address}{}", upload()?);
            Ok(by::curl(&target, None, &file).into())
        })
        .entry("tus-js", || {
            Ok(by::tus_js(&url, &["--chunk-size", "52428800"], &file)?.into())
        })
        // Seven even in the short set: of fewer, the interval reaches to the worst round, and one
        // hiccup of the machine decides.
        .run(options.times(7, 11), options.times(1, 3))
        .await?;
    results.tell(length);

    // Speeds are compared as "how many times as fast as", costs as "how many times the cost of".
    let figure = |peer: &str, least: f64| {
        let name = format!("speed_vs_{}", peer.replace('-', "_"));
        let note = format!("1 GiB from start to exit, {peer} / ours");
        Figure::gated(name, results.speed("ours", peer), Target::AtLeast(least)).note(note)
    };
    report.add(figure("curl", 1.10))?;
    report.add(figure("raw", 0.88))?;
    report.add(figure("tus-js", 2.4))?;
    report.add(figure("tuspy", 2.4))?;
    report.add(
        Figure::gated(
            "cpu_vs_raw",
            results.cpu("ours", "raw"),
            Target::AtMost(1.25),
        )
        .note("user + system seconds, ours / pread + write"),
    )?;
    report.add(
        Figure::gated(
            "cpu_vs_curl",
            results.cpu("ours", "curl"),
            Target::AtMost(1.25),
        )
        .note("user + system seconds, ours / curl"),
    )?;
    report.add(
        Figure::told("sendfile_vs_raw", results.speed("sendfile", "raw"))
            .note("what a client could save that never sees the bytes"),
    )?;
    Ok(())
}

/// Fails unless `length` more bytes have come than at the last call, and the newest upload is whole.
pub(crate) fn arrived(sink: &NullSink, length: u64) -> impl Fn() -> Result<(), Failure> + '_ {
    let before = std::cell::Cell::new(0);
    move || {
        let now = sink.counters().body_bytes;
        let sent = now - before.replace(now);
        if sent != length {
            return Err(format!("{sent} of {length} bytes were sent").into());
        }
        let uploads = sink.uploads();
        let last = uploads.last().ok_or("the sink knows of no upload")?;
        match last.offset {
            offset if offset == length => Ok(()),
            offset => Err(format!("its upload was left at {offset}").into()),
        }
    }
}
