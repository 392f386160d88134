//! Faults of answers: half of one, a late one, a wrong one, one from somebody else.

use std::time::{Duration, Instant};

use http::{HeaderName, Method, StatusCode};
use stream_emulator::{
    Emulator, EmulatorHandle, Fault, FaultPlan, FaultRule, FaultTarget, RetryAfter,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::api::{VIDEOS, client};
use crate::wire::{TOKEN, connect, create, head, offset, patch, send, tus};

async fn with(rule: FaultRule) -> EmulatorHandle {
    let plan = FaultPlan::new().with(rule);
    let builder = Emulator::builder().faults(plan);
    builder.start().await.expect("a server")
}

/// All that comes back before the connection ends.
async fn raw_answer(server: &EmulatorHandle, method: &str, path: &str) -> Vec<u8> {
    let mut stream = connect(server).await;
    let head = head(server, method, path, &["Tus-Resumable: 1.0.0", TOKEN]);
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    // A reset is as good as an end.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

#[tokio::test]
async fn half_an_answer_is_cut_within_its_head() {
    let rule = FaultRule::new(Fault::HalfAnswer { after_bytes: 20 });
    let server = with(rule.method(Method::HEAD)).await;
    let path = create(&server, 5).await;
    let bytes = raw_answer(&server, "HEAD", &path).await;
    assert!(bytes.starts_with(b"HTTP/1.1 200") && bytes.len() == 20);
    assert_eq!(offset(&server, &path).await, Some(0));
}

#[tokio::test]
async fn half_an_answer_is_cut_after_its_head_or_within_its_body() {
    for after_bytes in [0, 3] {
        let rule = FaultRule::new(Fault::HalfBody { after_bytes });
        let server = with(rule).await;
        let bytes = raw_answer(&server, "GET", VIDEOS).await;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: "), "{head}");
        assert_eq!(body.len() as u64, after_bytes);
    }
}

#[tokio::test]
async fn half_an_answer_reaches_nobody_in_process() {
    for fault in [
        Fault::HalfAnswer { after_bytes: 20 },
        Fault::HalfBody { after_bytes: 3 },
    ] {
        let server = with(FaultRule::new(fault)).await;
        let error = client(&server, "local").video("nope").await.unwrap_err();
        assert_eq!(error.status(), None, "{error}");
    }
}

#[tokio::test]
async fn a_late_answer_comes_after_the_work_was_done() {
    let time = Duration::from_millis(100);
    let server = with(FaultRule::new(Fault::Delay { time }).method(Method::PATCH)).await;
    let path = create(&server, 5).await;
    let began = Instant::now();
    assert_eq!(
        patch(&server, &path, 0, &[], b"hello").await.offset(),
        Some(5)
    );
    assert!(began.elapsed() >= time);
}

#[tokio::test]
async fn a_portal_answers_with_a_page_and_nothing_is_done() {
    let status = StatusCode::OK;
    let rule = FaultRule::new(Fault::Html { status }).method(Method::PATCH);
    let server = with(rule).await;
    let path = create(&server, 5).await;
    let answer = patch(&server, &path, 0, &[], b"hello").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert_eq!(answer.header("tus-resumable"), None);
    assert_eq!(offset(&server, &path).await, Some(0));
}

#[tokio::test]
async fn a_replaced_answer_hides_that_the_work_was_done() {
    let status = StatusCode::BAD_GATEWAY;
    let rule = FaultRule::new(Fault::ReplaceAnswer { status }).on(FaultTarget::Creation);
    let server = with(rule).await;
    let answer = tus(&server, "POST", "/files/", &["Upload-Length: 5"], b"").await;
    assert_eq!((answer.status, answer.header("location")), (502, None));
    assert_eq!(server.uploads().len(), 1);
    assert_eq!(
        server.requests()[0].upload.as_deref(),
        Some(server.uploads()[0].id.as_str())
    );
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back_in_every_way_there_is() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 5).await;
    for (retry_after, wanted) in [
        (None, None),
        (Some(RetryAfter::Seconds(99_999)), Some("99999")),
        (Some(RetryAfter::Text("-1".into())), Some("-1")),
    ] {
        let status = StatusCode::TOO_MANY_REQUESTS;
        server.faults().add(FaultRule::new(Fault::Status {
            status,
            retry_after,
        }));
        let answer = tus(&server, "HEAD", &path, &[], b"").await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, wanted));
    }
    let in_a_minute = RetryAfter::DateIn(Duration::from_secs(60));
    server.faults().add(FaultRule::new(Fault::Status {
        status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: Some(in_a_minute),
    }));
    let answer = tus(&server, "HEAD", &path, &[], b"").await;
    assert!(answer.header("retry-after").unwrap().ends_with(" GMT"));
}

#[tokio::test]
async fn any_request_can_be_refused_with_any_status() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 5).await;
    for status in [408, 409, 413, 423, 500, 503, 504, 520] {
        for method in ["HEAD", "PATCH", "DELETE", "OPTIONS"] {
            let status = StatusCode::from_u16(status).unwrap();
            server.faults().add(FaultRule::new(Fault::Status {
                status,
                retry_after: None,
            }));
            let answer = tus(&server, method, &path, &[], b"").await;
            assert_eq!(answer.status, status.as_u16(), "{method}");
        }
    }
    assert_eq!(offset(&server, &path).await, Some(0));
}

#[tokio::test]
async fn an_offset_can_be_told_wrong_while_the_right_one_is_kept() {
    for (by, told) in [(-2, 3), (-9, 0), (100, 105)] {
        let rule = FaultRule::new(Fault::WrongOffset { by }).method(Method::PATCH);
        let server = with(rule).await;
        let path = create(&server, 10).await;
        assert_eq!(
            patch(&server, &path, 0, &[], b"hello").await.offset(),
            Some(told)
        );
        assert_eq!(offset(&server, &path).await, Some(5));
    }
}

#[tokio::test]
async fn a_server_can_forget_the_last_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = stream_emulator::Blobs::Dir(directory.path().to_owned());
    for blobs in [stream_emulator::Blobs::Memory, on_disk] {
        let server = Emulator::builder().blobs(blobs).start().await.unwrap();
        let path = create(&server, 10).await;
        patch(&server, &path, 0, &[], b"hello").await;
        server
            .faults()
            .add(FaultRule::new(Fault::Recede { bytes: 2 }));
        assert_eq!(offset(&server, &path).await, Some(3));
        patch(&server, &path, 3, &[], b"p me!!!").await;
        let id = path.rsplit('/').next().unwrap();
        assert_eq!(server.content(id).await.unwrap().unwrap(), b"help me!!!");
        // What is complete is not forgotten.
        server
            .faults()
            .add(FaultRule::new(Fault::Recede { bytes: 2 }));
        assert_eq!(offset(&server, &path).await, Some(10));
    }
}

#[tokio::test]
async fn an_upload_can_expire_at_any_request() {
    let server = Emulator::builder().start().await.unwrap();
    let generic = create(&server, 10).await;
    let lines = [TOKEN, "Upload-Length: 10"];
    let video = tus(&server, "POST", VIDEOS, &lines, b"").await.location();
    for path in [generic, video] {
        assert_eq!(offset(&server, &path).await, Some(0));
        server.faults().add(FaultRule::new(Fault::Expire));
        let answer = patch(&server, &path, 0, &[TOKEN], b"0123456789").await;
        assert_eq!(answer.status, 410, "{path}");
        assert_eq!(tus(&server, "HEAD", &path, &[TOKEN], b"").await.status, 410);
    }
}

#[tokio::test]
async fn a_body_can_be_read_slowly_and_is_read_whole() {
    let rule = FaultRule::new(Fault::Drip {
        bytes_per_second: 10_000,
    });
    let server = with(rule.method(Method::PATCH)).await;
    let path = create(&server, 5_000).await;
    let began = Instant::now();
    let answer = patch(&server, &path, 0, &[], &[7; 5_000]).await;
    assert_eq!(answer.offset(), Some(5_000));
    // Half a second's worth; what comes last is not waited for.
    assert!(began.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn rows_choose_by_upload_header_and_turn() {
    let server = Emulator::builder().start().await.unwrap();
    let (one, other) = (create(&server, 9).await, create(&server, 9).await);
    let id = one.rsplit('/').next().unwrap();
    let checksum = HeaderName::from_static("upload-checksum");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let refuse = || {
        FaultRule::new(Fault::Status {
            status,
            retry_after: None,
        })
        .method(Method::PATCH)
        .times(u64::MAX)
    };
    server.faults().add(refuse().path(id).nth(2));
    server.faults().add(refuse().header(checksum));
    let mut statuses = Vec::new();
    for (path, at) in [(&one, 0), (&other, 0), (&other, 1), (&one, 1), (&one, 1)] {
        statuses.push(patch(&server, path, at, &[], b"a").await.status);
    }
    assert_eq!(statuses, [204, 204, 204, 503, 204]);
    let digest = "Upload-Checksum: sha1 hvfkN/qlp/zhXR3cuerq6jd2Z7g=";
    assert_eq!(patch(&server, &one, 2, &[digest], b"a").await.status, 503);
}

#[tokio::test]
async fn faults_never_touch_what_the_emulator_is_asked_about_itself() {
    let server = with(FaultRule::new(Fault::Reset).times(u64::MAX)).await;
    let path = "/_emulator/requests";
    let answer = send(&server, "GET", path, &[TOKEN], b"").await.unwrap();
    assert_eq!(answer.status, 200);
}
