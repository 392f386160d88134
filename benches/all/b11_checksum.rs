//! B11: what digests cost, as the time of an upload without one over that of an upload with one.

use test_support::{NullSink, TestCa, fixtures};

use crate::b01_single::arrived;
use crate::support::{
    Contest, Failure, Figure, Machine, Options, Report, Target, by, random_gib, warm,
};

pub(crate) async fn bench(
    options: Options,
    _machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let (file, length) = random_gib()?;
    warm(&file)?;
    let authority = TestCa::new()?;
    let folder = fixtures::temp_dir()?;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem())?;
    let trusted = ca.to_str().ok_or("a temporary folder is not UTF-8")?;
    for encrypted in [false, true] {
        let mut sink = NullSink::builder()
            .extensions(["creation", "checksum"])
            .checksums(["crc32", "sha1", "sha256"]);
        if encrypted {
            sink = sink.tls(&authority.localhost()?)?;
        }
        // Client and sink share both cores here: a digest on a thread of its own is the point.
        let sink = sink.start()?;
        let url = sink.creation_url();
        let put = |digest: &'static str| {
            let (url, file) = (&url, &file);
            let options = [
                "--checksum",
                digest,
                "--chunk-size",
                "50MiB",
                "--ca-cert",
                trusted,
            ];
            move || by::ours(url, &options, &[file])
        };
        let results = Contest::new(arrived(&sink, length))
            .entry("auto", put("auto"))
            .entry("none", put("none"))
            .entry("sha1", put("sha1"))
            .entry("sha256", put("sha256"))
            .run(options.times(7, 9), 1)
            .await?;
        results.tell(length);
        let (way, least) = if encrypted {
            ("tls", [0.95, 0.85, 0.85])
        } else {
            ("plain", [0.95, 0.35, 0.35])
        };
        for (digest, least) in ["auto", "sha1", "sha256"].into_iter().zip(least) {
            let note = "speed with the digest / without";
            let name = format!("{way}_{digest}");
            let kept = results.speed(digest, "none");
            report.add(Figure::gated(name, kept, Target::AtLeast(least)).note(note))?;
        }
    }
    Ok(())
}
