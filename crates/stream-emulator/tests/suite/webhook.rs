//! The webhook: set, told, signed, told again.

use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use stream_emulator::{Blobs, Emulator, EmulatorBuilder, EmulatorHandle, Encoding};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::api::create;
use crate::wire::{TOKEN, patch};
use crate::world::{Asked, Outside, call, call_with, plain, refusal, result, started};

async fn upload(server: &EmulatorHandle) -> String {
    let (uid, path) = create(server, "YQ==").await;
    patch(server, &path, 0, &[TOKEN], b"abcd").await;
    uid
}

async fn set(server: &EmulatorHandle) -> Value {
    let wishes = json!({ "notificationUrl": "http://receiver.test/hook" });
    result(&call_with(server, "PUT", "/webhook", &wishes).await)
}

async fn next(asked: &mut UnboundedReceiver<Asked>) -> Asked {
    let next = tokio::time::timeout(Duration::from_secs(20), asked.recv());
    next.await.expect("news in time").expect("news")
}

/// Whether nothing more is under way: whatever was due left before what comes of this.
async fn is_quiet(server: &EmulatorHandle, asked: &mut UnboundedReceiver<Asked>) -> bool {
    let marker = upload(server).await;
    let asked = next(asked).await;
    serde_json::from_slice::<Value>(&asked.body).expect("JSON")["uid"] == marker.as_str()
}

#[tokio::test]
async fn a_webhook_is_set_read_changed_and_removed() {
    let server = plain().await;
    assert_eq!(
        refusal(&call(&server, "GET", "/webhook").await),
        (404, 10003)
    );
    let webhook = set(&server).await;
    assert_eq!(webhook["notificationUrl"], "http://receiver.test/hook");
    assert_eq!(webhook["notification_url"], webhook["notificationUrl"]);
    let secret = webhook["secret"].as_str().unwrap();
    assert!(secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let wishes = json!({ "notification_url": "https://other.test/" });
    let changed = result(&call_with(&server, "PUT", "/webhook", &wishes).await);
    assert_eq!(
        (&changed["notificationUrl"], &changed["secret"]),
        (&"https://other.test/".into(), &webhook["secret"])
    );
    assert_eq!(result(&call(&server, "GET", "/webhook").await), changed);
    assert_eq!(result(&call(&server, "DELETE", "/webhook").await), "");
    assert_eq!(
        refusal(&call(&server, "DELETE", "/webhook").await),
        (404, 10003)
    );
}

#[tokio::test]
async fn a_webhook_without_a_url_is_refused() {
    let server = plain().await;
    for (wishes, code) in [
        (json!({}), 10005),
        (json!({ "notificationUrl": "nonsense" }), 10010),
        (json!({ "notificationUrl": "ftp://a.test/" }), 10010),
    ] {
        let refused = call_with(&server, "PUT", "/webhook", &wishes).await;
        assert_eq!(refusal(&refused), (400, code), "{wishes}");
    }
}

#[tokio::test]
async fn a_video_that_is_ready_is_told_once_and_signed() {
    let (outside, mut asked) = Outside::new();
    let time = Encoding::After(Duration::from_secs(100));
    let server = started(Emulator::builder().outbound(outside).encoding(time)).await;
    upload(&server).await;
    server.advance(Duration::from_secs(200)).await;
    let webhook = set(&server).await;
    // What ended before is not told.
    let uid = upload(&server).await;
    server.advance(Duration::from_secs(100)).await;
    let told = next(&mut asked).await;
    assert_eq!(told.url, "http://receiver.test/hook");
    let video: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(
        (&video["uid"], &video["status"]["state"]),
        (&uid.into(), &"ready".into())
    );
    let signature = told.signature.unwrap();
    let (time, sig1) = signature.split_once(',').unwrap();
    let time = time.strip_prefix("time=").unwrap();
    let key = hmac::Key::new(
        hmac::HMAC_SHA256,
        webhook["secret"].as_str().unwrap().as_bytes(),
    );
    let source = [time.as_bytes(), b".", &told.body].concat();
    let wanted: String = hmac::sign(&key, &source)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(sig1, format!("sig1={wanted}"));
}

#[tokio::test]
async fn a_video_that_failed_is_told_too() {
    let (outside, mut asked) = Outside::new();
    let server = Emulator::builder().outbound(outside);
    let server = started(server.encoding(Encoding::NoVideo)).await;
    set(&server).await;
    upload(&server).await;
    let video: Value = serde_json::from_slice(&next(&mut asked).await.body).unwrap();
    assert_eq!(video["status"]["errorReasonCode"], "ERR_NON_VIDEO");
}

#[tokio::test]
async fn whoever_was_not_there_is_told_again_after_pauses_that_double() {
    let (outside, mut asked) = Outside::new();
    outside.is_gone();
    let server = started(Emulator::builder().outbound(outside.clone())).await;
    set(&server).await;
    upload(&server).await;
    let first = next(&mut asked).await;
    for pause in [60, 120, 240, 480, 960] {
        server.advance(Duration::from_secs(pause)).await;
        outside.answers(500, b"");
        assert_eq!(next(&mut asked).await.url, first.url);
    }
    // Five times again, and never more.
    server.advance(Duration::from_secs(100_000)).await;
    outside.answers(200, b"");
    assert!(is_quiet(&server, &mut asked).await);
}

#[tokio::test]
async fn a_server_that_goes_on_tells_what_is_due() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::Dir(directory.path().to_owned());
    let builder =
        |outside| -> EmulatorBuilder { Emulator::builder().blobs(blobs.clone()).outbound(outside) };
    let (outside, mut asked) = Outside::new();
    outside.is_gone();
    let server = started(builder(outside)).await;
    set(&server).await;
    let uid = upload(&server).await;
    next(&mut asked).await;
    server.shutdown().await.unwrap();
    let (outside, mut asked) = Outside::new();
    let server = started(builder(outside)).await;
    server.advance(Duration::from_secs(60)).await;
    let told: Value = serde_json::from_slice(&next(&mut asked).await.body).unwrap();
    assert_eq!(told["uid"], uid.as_str());
    assert!(is_quiet(&server, &mut asked).await);
}
