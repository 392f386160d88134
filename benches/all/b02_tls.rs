//! B2: one large file over TLS 1.3.

use test_support::{NullSink, TestCa, fixtures};

use crate::b01_single::arrived;
use crate::support::{
    Ciphers, Contest, Failure, Figure, Machine, Options, Prepared, Report, Target, by, create,
    random_gib, raw_tls, warm,
};

pub(crate) async fn bench(
    options: Options,
    machine: &Machine,
    report: &mut Report,
) -> Result<(), Failure> {
    let (file, length) = random_gib()?;
    warm(&file)?;
    let authority = TestCa::new()?;
    let folder = fixtures::temp_dir()?;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem())?;
    let sink = NullSink::builder().tls(&authority.localhost()?)?;
    let sink = machine.apart(|| sink.start())??;
    let address = sink.addr();
    let url = sink.creation_url();
    let trusted = ca.to_str().ok_or("a temporary folder is not UTF-8")?;
    let upload = || create(address, Some(&ca), length);
    let results = Contest::new(arrived(&sink, length))
        .entry("raw", || {
            Ok(raw_tls(&file, address, &ca, &upload()?, Ciphers::Ours)?.into())
        })
        .entry("aws-lc", || {
            Ok(raw_tls(&file, address, &ca, &upload()?, Ciphers::AwsLc)?.into())
        })
        .entry("ring", || {
            Ok(raw_tls(&file, address, &ca, &upload()?, Ciphers::Ring)?.into())
        })
        .entry("ours", || {
            by::ours(
                &url,
                &["--chunk-size", "50MiB", "--ca-cert", trusted],
                &[&file],
            )
        })
        .entry("curl", || {
            let target = format!("https://{address}{}", upload()?);
            Ok(by::curl(&target, Some(&ca), &file).into())
        })
        .entry("tus-js", || {
            let mut command = by::tus_js(&url, &["--chunk-size", "52428800"], &file)?;
            command.env("NODE_EXTRA_CA_CERTS", &ca);
            Ok(Prepared::from(command))
        })
        .run(options.times(7, 11), options.times(1, 3))
        .await?;
    results.tell(length);
    report.add(
        Figure::gated(
            "cpu_vs_raw",
            results.cpu("ours", "raw"),
            Target::AtMost(1.15),
        )
        .note("user + system seconds, ours / a blocking loop of rustls"),
    )?;
    report.add(
        Figure::told("cpu_ring_vs_aws_lc", results.cpu("ring", "aws-lc"))
            .note("of the blocking loop: which ciphers this machine is faster with"),
    )?;
    let wall = |peer: &str| results.speed("ours", peer);
    let note = "1 GiB from start to exit, theirs / ours";
    report.add(Figure::gated("speed_vs_curl", wall("curl"), Target::AtLeast(1.0)).note(note))?;
    report.add(Figure::gated("speed_vs_raw", wall("raw"), Target::AtLeast(0.9)).note(note))?;
    report
        .add(Figure::gated("speed_vs_tus_js", wall("tus-js"), Target::AtLeast(2.0)).note(note))?;
    Ok(())
}
