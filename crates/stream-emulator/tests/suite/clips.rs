//! Clips: a part of a video as a video of its own.

use serde_json::{Value, json};
use stream_emulator::{Blobs, EmulatorHandle};

use crate::api::VIDEOS;
use crate::media::{ask, media, refusal, settled, strict, upload};

async fn clip(server: &EmulatorHandle, from: &str, start: u32, end: u32) -> Value {
    let body = json!({
        "clippedFromVideoUID": from, "startTimeSeconds": start, "endTimeSeconds": end,
        "meta": { "name": "part" },
    });
    let answer = ask(server, "POST", &format!("{VIDEOS}/clip"), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let uid = answer.json()["result"]["uid"].as_str().unwrap().to_owned();
    settled(server, &uid).await
}

#[tokio::test]
async fn without_ffmpeg_a_clip_has_its_own_duration_and_all_bytes_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    for blobs in [Blobs::Memory, Blobs::Dir(directory.path().to_owned())] {
        let server = strict().ffmpeg(false).blobs(blobs).start().await.unwrap();
        let original = upload(&server, &media("clip.webm"), "").await;
        let video = clip(&server, &original, 1, 4).await;
        assert_eq!(video["status"]["state"], "ready", "{video}");
        assert_eq!(video["clippedFrom"], original.as_str());
        let seconds = video["duration"].as_f64().unwrap();
        assert!((seconds - 2.008).abs() < 1e-6, "{seconds}");
        assert_eq!(video["meta"]["name"], "part");
        let said = video["meta"]["emulator-clip"].as_str().unwrap();
        assert!(said.contains("whole original"), "{said}");
        let uid = video["uid"].as_str().unwrap();
        let bytes = server.content(uid).await.unwrap().unwrap();
        assert_eq!(bytes, media("clip.webm"));
        server.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_clip_outlives_the_video_that_it_was_cut_from() {
    let server = strict().ffmpeg(false).start().await.unwrap();
    let original = upload(&server, &media("clip.mp4"), "").await;
    let video = clip(&server, &original, 0, 1).await;
    let path = format!("{VIDEOS}/{original}");
    assert_eq!(ask(&server, "DELETE", &path, &json!({})).await.status, 200);
    let uid = video["uid"].as_str().unwrap();
    assert!(server.content(uid).await.unwrap().is_some());
}

#[tokio::test]
async fn a_clip_lies_within_a_video_that_is_ready() {
    let server = strict().start().await.unwrap();
    let original = upload(&server, &media("clip.mp4"), "").await;
    let broken = upload(&server, b"no video", "").await;
    let path = format!("{VIDEOS}/clip");
    let body = |from: &str, start: u32, end: u32| json!({ "clippedFromVideoUID": from, "startTimeSeconds": start, "endTimeSeconds": end });
    for (body, status, part) in [
        (
            json!({ "startTimeSeconds": 0 }),
            400,
            "clippedFromVideoUID is missing",
        ),
        (body(&original, 1, 1), 400, "above startTimeSeconds"),
        (body(&original, 2, 3), 400, "before the end"),
        (body(&original, 1, 3), 400, "behind the end"),
        (body(&broken, 0, 1), 400, "not ready"),
        (body("nobody", 0, 1), 404, "Not Found"),
    ] {
        let answer = ask(&server, "POST", &path, &body).await;
        let (found, _, text) = refusal(&answer);
        assert!(
            found == status && text.contains(part),
            "{body}: {found} {text}"
        );
    }
}
