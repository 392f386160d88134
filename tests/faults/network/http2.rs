//! HTTP/2 servers that go away and give no window. The command line speaks HTTP/1.1 to upload; who embeds the library may
//! speak HTTP/2, so it is the library that is looked at here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stream_upload::tus_core::RetryPolicy;
use stream_upload::tus_engine::{BytesSource, Creation};
use stream_upload::{
    Deadlines, NewUpload, Protocol, Report, ReqwestTransport, Target, UploadError, Uploader,
    UploaderOptions,
};
use test_support::{FakeH2Server, FakeRequest, H2Act, H2Reply, H2Settings, TestCa};

use crate::row::{Row, Seen, row};
use crate::world::{MIB, RESEND_BOUND};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F22",
            "an HTTP2 server that goes away or refuses a stream costs no patience",
            "GOAWAY with and without an end of the connection, and REFUSED_STREAM, each to one PATCH",
            goes_away
        ),
        row!(
            "F23",
            "an HTTP2 server that gives little window or none is no deadlock",
            "windows of 64 KiB that are given back, that are not, and of 0",
            no_window
        ),
    ]
}

async fn upload(
    ca: &TestCa,
    server: &FakeH2Server,
    size: u64,
    options: UploaderOptions,
) -> Result<Report, UploadError> {
    let transport = ReqwestTransport::builder(Protocol::Any)
        .deadlines(options.deadlines)
        .system_proxy(false)
        .add_root_pem(ca.pem())
        .build()
        .unwrap();
    let uploader = Uploader::builder(Arc::new(transport))
        .options(options)
        .build()
        .unwrap();
    let target = Target::tus(&server.url("/files/")).unwrap();
    let source = BytesSource::new(vec![7; usize::try_from(size).unwrap()]);
    let new = NewUpload::new(Creation::new(target.url().clone()), "bytes");
    uploader.upload(Arc::new(source), new).join().await
}

async fn goes_away() -> Result<Seen, String> {
    const SIZE: u64 = 16 * MIB;
    let patches = AtomicU64::new(0);
    let decide = move |request: &FakeRequest| {
        if request.method != "PATCH" {
            return H2Reply::new(H2Act::Honest);
        }
        match patches.fetch_add(1, Ordering::SeqCst) {
            0 => H2Reply::new(H2Act::GoAwayNow(0)).after(MIB),
            1 => H2Reply::refused(),
            2 => H2Reply::new(H2Act::GoAway).after(MIB),
            _ => H2Reply::new(H2Act::Honest),
        }
    };
    let ca = TestCa::new().unwrap();
    let server = FakeH2Server::start(
        Some(&ca.localhost().unwrap()),
        H2Settings::default(),
        decide,
    )
    .await
    .unwrap();
    // Not one refusal is allowed.
    let options = UploaderOptions::default()
        .with_chunk_bytes(Some(6 * MIB))
        .with_retry(RetryPolicy::DEFAULT.with_max_refusals(0));
    let report = upload(&ca, &server, SIZE, options).await.unwrap();
    assert_eq!(server.uploads(), [(Some(SIZE), SIZE)]);
    assert!(server.connections() >= 3, "new ones after each GOAWAY");
    let resent = report.bytes_sent - SIZE;
    assert!(resent <= 2 * RESEND_BOUND, "{resent} bytes again");
    Ok(Seen {
        times: 3,
        resent: vec![resent / 2; 2],
        noticed: Vec::new(),
        remark: Some("through the library; re-sent: the mean".into()),
    })
}

async fn no_window() -> Result<Seen, String> {
    const SIZE: u64 = 192 * 1024;
    let ca = TestCa::new().unwrap();
    let options = || {
        UploaderOptions::default()
            .with_one_request_bytes(0)
            .with_deadlines(
                Deadlines::default()
                    .with_connect(Duration::from_secs(2))
                    .with_response(Duration::from_secs(1))
                    .with_stall(Duration::from_millis(500)),
            )
            .with_retry(RetryPolicy::DEFAULT.with_patience(Duration::from_secs(3)))
    };
    let mut seen = Seen::times(3);
    for (window, gives_window, finishes) in [
        (65_536, true, true),
        (65_536, false, true),
        (0, true, false),
    ] {
        let settings = H2Settings {
            window,
            gives_window,
        };
        let server = FakeH2Server::start(Some(&ca.localhost().unwrap()), settings, |_| {
            H2Reply::new(H2Act::Honest)
        })
        .await
        .unwrap();
        let begun = Instant::now();
        let ended = upload(&ca, &server, SIZE, options()).await;
        let took = begun.elapsed();
        assert_eq!(ended.is_ok(), finishes, "window {window}: {ended:?}");
        assert!(took < Duration::from_secs(20), "{took:?}");
        match ended {
            Ok(_) => assert_eq!(server.uploads(), [(Some(SIZE), SIZE)]),
            Err(error) => {
                assert!(error.is_resumable());
                seen = seen.noticed(took);
            }
        }
    }
    Ok(seen.remark("through the library; a window of 0 is given up when patience ends, 3 s here"))
}
