//! Additional audio tracks of a video.

use std::time::Duration;

use serde_json::{Value, json};
use stream_emulator::{Emulator, EmulatorHandle, Encoding};

use crate::api::create;
use crate::world::{Outside, call, call_with, call_with_form, plain, refusal, result, started};

const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0";

async fn audio(server: &EmulatorHandle) -> String {
    let (uid, _) = create(server, "YQ==").await;
    format!("/{uid}/audio")
}

async fn upload(server: &EmulatorHandle, path: &str, label: &str) -> Value {
    let fields = [("label", label.as_bytes()), ("file", WAV)];
    result(&call_with_form(server, "POST", path, &fields).await)
}

async fn list(server: &EmulatorHandle, path: &str) -> Value {
    result(&call(server, "GET", path).await)["audio"].clone()
}

#[tokio::test]
async fn a_track_is_queued_and_then_ready() {
    let time = Encoding::After(Duration::from_secs(100));
    let server = started(Emulator::builder().encoding(time)).await;
    let path = audio(&server).await;
    let track = upload(&server, &path, "Commentary").await;
    assert_eq!(
        (&track["label"], &track["default"], &track["status"]),
        (&"Commentary".into(), &false.into(), &"queued".into())
    );
    assert_eq!(list(&server, &path).await, json!([track]));
    server.advance(Duration::from_secs(100)).await;
    assert_eq!(list(&server, &path).await[0]["status"], "ready");
}

#[tokio::test]
async fn one_track_is_the_default_and_cannot_be_deleted() {
    let server = plain().await;
    let path = audio(&server).await;
    let mut tracks = Vec::new();
    for label in ["one", "two"] {
        let uid = upload(&server, &path, label).await["uid"].clone();
        let track = format!("{path}/{}", uid.as_str().unwrap());
        let default = json!({ "default": true });
        let edited = result(&call_with(&server, "PATCH", &track, &default).await);
        assert_eq!(edited["default"], true);
        tracks.push(track);
    }
    let listed = list(&server, &path).await;
    assert_eq!(
        (&listed[0]["default"], &listed[1]["default"]),
        (&false.into(), &true.into())
    );
    assert_eq!(
        refusal(&call(&server, "DELETE", &tracks[1]).await),
        (400, 10005)
    );
    assert_eq!(result(&call(&server, "DELETE", &tracks[0]).await), "ok");
    assert_eq!(
        refusal(&call(&server, "DELETE", &tracks[0]).await),
        (404, 10003)
    );
}

#[tokio::test]
async fn labels_are_needed_and_unique() {
    let server = plain().await;
    let path = audio(&server).await;
    let track = upload(&server, &path, "one").await;
    upload(&server, &path, "two").await;
    for fields in [
        vec![("file", WAV)],
        vec![("label", b"three".as_slice())],
        vec![("label", b"one"), ("file", WAV)],
    ] {
        let refused = call_with_form(&server, "POST", &path, &fields).await;
        assert_eq!(refusal(&refused), (400, 10005));
    }
    let track = format!("{path}/{}", track["uid"].as_str().unwrap());
    let taken = json!({ "label": "two" });
    assert_eq!(
        refusal(&call_with(&server, "PATCH", &track, &taken).await),
        (400, 10005)
    );
    let same = json!({ "label": "one" });
    assert_eq!(call_with(&server, "PATCH", &track, &same).await.status, 200);
}

#[tokio::test]
async fn a_track_is_fetched_from_a_url_and_one_that_cannot_be_heard_fails() {
    let (outside, mut asked) = Outside::new();
    let server = started(Emulator::builder().outbound(outside.clone())).await;
    let path = audio(&server).await;
    let url = "https://files.test/a.wav";
    for (label, status, body, wanted) in [
        ("good", 200, WAV, "ready"),
        ("text", 200, b"hello".as_slice(), "error"),
        ("gone", 404, WAV, "error"),
    ] {
        outside.answers(status, body);
        let wishes = json!({ "label": label, "url": url });
        let track = call_with(&server, "POST", &format!("{path}/copy"), &wishes).await;
        assert_eq!(result(&track)["status"], "queued");
        assert_eq!(asked.recv().await.unwrap().url, url);
        // Told a moment after it was fetched.
        let mut changes = server.changes();
        loop {
            let listed = list(&server, &path).await;
            let newest = listed.as_array().unwrap().last().unwrap().clone();
            if newest["status"] != "queued" {
                assert_eq!(newest["status"], wanted, "{label}");
                break;
            }
            changes.next().await;
        }
    }
    for wishes in [json!({ "label": "x" }), json!({ "label": "x", "url": "x" })] {
        let refused = call_with(&server, "POST", &format!("{path}/copy"), &wishes).await;
        assert_eq!(refused.status, 400, "{wishes}");
    }
}
