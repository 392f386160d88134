//! Real files: what they say of themselves is told, and what is no video comes to nothing.

use std::path::Path;

use serde_json::Value;
use stream_emulator::{Emulator, EmulatorBuilder, EmulatorHandle, Encoding};

use crate::api::{VIDEOS, get};
use crate::wire::{Answer, TOKEN, patch, send, tus};

/// A file of `tests/media`.
pub(crate) fn media(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read(root.join("../../tests/media").join(name)).expect("a file of tests/media")
}

/// A server that turns away what is no video.
pub(crate) fn strict() -> EmulatorBuilder {
    Emulator::builder().judge_media(true)
}

/// Uploads by tus, with `Upload-Metadata` if any, and returns the media id.
pub(crate) async fn upload(server: &EmulatorHandle, bytes: &[u8], metadata: &str) -> String {
    let length = format!("Upload-Length: {}", bytes.len());
    let metadata = format!("Upload-Metadata: {metadata}");
    let mut lines = vec![TOKEN, &length];
    if metadata.len() > 17 {
        lines.push(&metadata);
    }
    let answer = tus(server, "POST", VIDEOS, &lines, b"").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let path = answer.location();
    let done = patch(server, &path, 0, &[TOKEN], bytes).await;
    assert_eq!(done.status, 204, "{}", done.text());
    answer
        .header("stream-media-id")
        .expect("a media id")
        .to_owned()
}

/// The video as the API shows it.
pub(crate) async fn video(server: &EmulatorHandle, uid: &str) -> Value {
    get(server, &format!("{VIDEOS}/{uid}")).await.json()["result"].clone()
}

/// The same, once the server has done what it does for it by itself.
pub(crate) async fn settled(server: &EmulatorHandle, uid: &str) -> Value {
    use stream_api::VideoState::{Downloading, Queued};
    let is_settled = |server: &EmulatorHandle| {
        let videos = server.videos();
        let found = videos.iter().find(|it| it.video.uid == uid);
        !found.is_some_and(|it| [Downloading, Queued].contains(&it.video.state()))
    };
    server.wait_until(is_settled).await;
    video(server, uid).await
}

/// A request to the API with a body of JSON.
pub(crate) async fn ask(server: &EmulatorHandle, method: &str, path: &str, body: &Value) -> Answer {
    let body = body.to_string();
    let lines = [TOKEN, "Content-Type: application/json"];
    let answer = send(server, method, path, &lines, body.as_bytes()).await;
    answer.expect("an answer")
}

/// What an answer's first error says, and its code.
pub(crate) fn refusal(answer: &Answer) -> (u16, u64, String) {
    let body = answer.json();
    assert_eq!(body["success"], false, "{body}");
    let code = body["errors"][0]["code"].as_u64().expect("a code");
    let said = ["errors", "messages"].map(|list| {
        let list = body[list].as_array().cloned().unwrap_or_default();
        let texts = list.iter().filter_map(|it| it["message"].as_str());
        texts.collect::<Vec<_>>().join("; ")
    });
    (answer.status, code, said.join("; "))
}

#[tokio::test]
async fn a_video_tells_its_duration_and_the_size_of_its_picture() {
    let server = strict().start().await.unwrap();
    for (name, duration, width, height) in [
        ("clip.mp4", 2.0, 320.0, 240.0),
        ("tail-moov.mov", 1.5, 480.0, 270.0),
        ("portrait.mkv", 2.508, 270.0, 480.0),
        ("clip.webm", 3.008, 426.0, 240.0),
    ] {
        let uid = upload(&server, &media(name), "").await;
        let video = video(&server, &uid).await;
        assert_eq!(video["status"]["state"], "ready", "{name}: {video}");
        assert_eq!(video["duration"], duration, "{name}");
        assert_eq!(video["input"]["width"], width, "{name}");
        assert_eq!(video["input"]["height"], height, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_video_ends_in_error_and_says_so() {
    let server = strict().start().await.unwrap();
    let damaged = &media("tail-moov.mov")[..40_000];
    for (bytes, code) in [
        (&b"hello, I am a text"[..], "ERR_NON_VIDEO"),
        (damaged, "ERR_MALFORMED_VIDEO"),
    ] {
        let uid = upload(&server, bytes, "").await;
        let video = video(&server, &uid).await;
        assert_eq!(video["status"]["state"], "error", "{video}");
        assert_eq!(video["status"]["errorReasonCode"], code);
        assert_eq!(video["readyToStream"], false);
    }
}

#[tokio::test]
async fn whatever_comes_is_taken_for_a_video_unless_it_is_to_be_judged() {
    let server = Emulator::builder().start().await.unwrap();
    let uid = upload(&server, b"hello, I am a text", "").await;
    let video = video(&server, &uid).await;
    assert_eq!(video["status"]["state"], "ready");
    assert_eq!(video["duration"], -1.0);
}

#[tokio::test]
async fn a_video_beyond_its_longest_duration_fails() {
    let server = strict().start().await.unwrap();
    // 1 second, and 2.
    for (most, state) in [("MQ==", "error"), ("Mg==", "ready")] {
        let metadata = format!("maxDurationSeconds {most}");
        let uid = upload(&server, &media("clip.mp4"), &metadata).await;
        let video = video(&server, &uid).await;
        assert_eq!(video["status"]["state"], state, "{video}");
        if state == "error" {
            let code = &video["status"]["errorReasonCode"];
            assert_eq!(code, "ERR_DURATION_EXCEED_CONSTRAINT");
        }
    }
}

#[tokio::test]
async fn what_failed_takes_no_minutes_and_no_place_in_the_queue() {
    let server = strict().encoding(Encoding::Steps).start().await.unwrap();
    upload(&server, b"no video", "maxDurationSeconds NjAw").await;
    upload(&server, &media("clip.mp4"), "").await;
    let usage = get(&server, &format!("{VIDEOS}/storage-usage"))
        .await
        .json();
    let minutes = usage["result"]["totalStorageMinutes"].as_f64().unwrap();
    assert!((minutes - 2.0 / 60.0).abs() < 1e-9, "{usage}");
    assert_eq!(usage["result"]["videoCount"], 2.0);
}

#[tokio::test]
async fn minutes_are_told_for_one_creator_and_with_their_limit() {
    let server = strict().start().await.unwrap();
    let mut limits = server.limits();
    limits.storage_minutes = Some(100);
    server.set_limits(limits);
    upload(&server, &media("clip.mp4"), "").await;
    let path = format!("{VIDEOS}/storage-usage?creator=somebody");
    let usage = get(&server, &path).await.json()["result"].clone();
    assert_eq!(usage["totalStorageMinutes"], 0.0);
    assert_eq!(usage["totalStorageMinutesLimit"], 100.0);
    assert_eq!(usage["creator"], "somebody");
}
