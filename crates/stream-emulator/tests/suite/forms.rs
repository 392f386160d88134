//! Files in forms: with the token, and at one-time URLs.

use std::time::Duration;

use serde_json::json;
use stream_emulator::EmulatorHandle;
use tokio::io::AsyncWriteExt;

use crate::api::VIDEOS;
use crate::media::{ask, media, refusal, strict, video};
use crate::wire::{Answer, TOKEN, connect, head, send};

const BOUNDARY: &str = "----a-boundary";

/// A form with one field before the file, as browsers send it.
fn form(field: &str, bytes: &[u8]) -> Vec<u8> {
    let mut form = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"a.mp4\"\r\n\
         Content-Type: video/mp4\r\n\r\n"
    )
    .into_bytes();
    form.extend_from_slice(bytes);
    form.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    form
}

async fn post(server: &EmulatorHandle, path: &str, token: bool, body: &[u8]) -> Answer {
    let kind = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}");
    let mut lines = vec![kind.as_str()];
    if token {
        lines.push(TOKEN);
    }
    let answer = send(server, "POST", path, &lines, body).await;
    answer.expect("an answer")
}

/// Mints a one-time URL: the video's id, and the path of the URL.
async fn mint(server: &EmulatorHandle, seconds: u32) -> (String, String) {
    let path = format!("{VIDEOS}/direct_upload");
    let body = json!({ "maxDurationSeconds": seconds, "meta": { "name": "n" } });
    let answer = ask(server, "POST", &path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let result = answer.json()["result"].clone();
    let url = result["uploadURL"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&server.url()).unwrap().to_owned();
    (result["uid"].as_str().unwrap().to_owned(), path)
}

#[tokio::test]
async fn a_form_with_the_token_makes_a_video() {
    let server = strict().start().await.unwrap();
    let bytes = media("clip.mp4");
    let answer = post(&server, VIDEOS, true, &form("file", &bytes)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let video = answer.json()["result"].clone();
    assert_eq!(video["status"]["state"], "ready");
    assert_eq!(video["duration"], 2.0);
    assert_eq!(video["size"], 69_162.0);
    let uid = video["uid"].as_str().unwrap();
    assert_eq!(server.content(uid).await.unwrap().unwrap(), bytes);
    let without = post(&server, VIDEOS, false, &form("file", &bytes)).await;
    assert_eq!(without.status, 401);
}

#[tokio::test]
async fn a_form_without_a_video_in_it_leaves_nothing() {
    let server = strict().start().await.unwrap();
    let refused = post(&server, VIDEOS, true, &form("file", b"no video")).await;
    let (status, code, text) = refusal(&refused);
    assert_eq!((status, code), (400, 10059), "{text}");
    let refused = post(&server, VIDEOS, true, &form("picture", b"no file")).await;
    assert!(refusal(&refused).2.contains("field file"), "{refused:?}");
    let refused = post(&server, VIDEOS, true, b"no form").await;
    assert_eq!(refused.status, 400);
    assert!(server.videos().is_empty() && server.uploads().is_empty());
}

#[tokio::test]
async fn a_file_that_is_too_large_for_a_form_is_refused() {
    let server = strict().form_bytes(69_162).start().await.unwrap();
    let answer = post(&server, VIDEOS, true, &form("file", &media("clip.mp4"))).await;
    assert_eq!(refusal(&answer).0, 413);
    assert!(server.videos().is_empty());
    let (uid, url) = mint(&server, 600).await;
    let answer = post(&server, &url, false, &form("file", &media("clip.mp4"))).await;
    assert_eq!(refusal(&answer).0, 413);
    // Nothing has come, so the URL is as good as new.
    let answer = post(&server, &url, false, &form("file", &media("tail-moov.mov"))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(video(&server, &uid).await["duration"], 1.5);
}

#[tokio::test]
async fn a_one_time_url_takes_one_form_without_a_token() {
    let server = strict().start().await.unwrap();
    let (uid, url) = mint(&server, 600).await;
    let pending = video(&server, &uid).await;
    assert_eq!(pending["status"]["state"], "pendingupload");
    assert_eq!(pending["maxDurationSeconds"], 600.0);
    assert!(!url.contains(&uid), "the URL is a secret of its own");
    let body = form("file", &media("clip.mp4"));
    assert_eq!(post(&server, &url, false, &body).await.status, 200);
    let ready = video(&server, &uid).await;
    assert_eq!(ready["status"]["state"], "ready");
    assert_eq!(ready["meta"]["name"], "n");
    let again = post(&server, &url, false, &body).await;
    let (status, _, text) = refusal(&again);
    assert!(status == 403 && text.contains("already used"), "{text}");
}

#[tokio::test]
async fn a_one_time_url_expires() {
    let server = strict().start().await.unwrap();
    let (_, url) = mint(&server, 600).await;
    server.advance(Duration::from_secs(30 * 60)).await;
    let answer = post(&server, &url, false, &form("file", &media("clip.mp4"))).await;
    let (status, _, text) = refusal(&answer);
    assert!(status == 403 && text.contains("expired"), "{text}");
}

#[tokio::test]
async fn what_is_no_video_or_too_long_uses_the_url_up() {
    let server = strict().start().await.unwrap();
    let (uid, url) = mint(&server, 600).await;
    let answer = post(&server, &url, false, &form("file", b"no video")).await;
    assert_eq!(refusal(&answer).1, 10059);
    let reason = video(&server, &uid).await["status"]["errorReasonCode"].clone();
    assert_eq!(reason, "ERR_NON_VIDEO");
    let (uid, url) = mint(&server, 1).await;
    let answer = post(&server, &url, false, &form("file", &media("clip.mp4"))).await;
    assert_eq!(answer.status, 200, "that is only found out by decoding");
    let reason = video(&server, &uid).await["status"]["errorReasonCode"].clone();
    assert_eq!(reason, "ERR_DURATION_EXCEED_CONSTRAINT");
}

#[tokio::test]
async fn a_one_time_url_is_minted_within_streams_bounds_only() {
    let server = strict().start().await.unwrap();
    let path = format!("{VIDEOS}/direct_upload");
    for (body, part) in [
        (json!({}), "required field maxDurationSeconds is missing"),
        (json!({ "maxDurationSeconds": 0 }), "1 to 36000"),
        (json!({ "maxDurationSeconds": 36_001 }), "1 to 36000"),
        (
            json!({ "maxDurationSeconds": 1, "expiry": "2020-01-01T00:00:00Z" }),
            "expiry",
        ),
        (
            json!({ "maxDurationSeconds": 1, "thumbnailTimestampPct": 2 }),
            "thumbnail",
        ),
    ] {
        let answer = ask(&server, "POST", &path, &body).await;
        let (status, code, text) = refusal(&answer);
        assert_eq!((status, code), (400, 10005), "{body}");
        assert!(text.contains(part), "{body}: {text}");
    }
    let lines = [TOKEN, "Content-Type: application/json"];
    let answer = send(&server, "POST", &path, &lines, b"{").await.unwrap();
    assert_eq!(refusal(&answer).1, 10004);
    assert!(server.videos().is_empty());
}

#[tokio::test]
async fn a_form_that_breaks_off_leaves_nothing() {
    let server = strict().start().await.unwrap();
    let body = form("file", &media("clip.mp4"));
    let (length, kind) = (
        format!("Content-Length: {}", body.len()),
        format!("Content-Type: multipart/form-data; boundary={BOUNDARY}"),
    );
    let mut stream = connect(&server).await;
    let lines = [TOKEN, kind.as_str(), length.as_str()];
    let head = head(&server, "POST", VIDEOS, &lines);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..30_000]).await.unwrap();
    let is_there = |server: &EmulatorHandle| !server.videos().is_empty();
    server.wait_until(is_there).await;
    drop(stream);
    let is_gone =
        |server: &EmulatorHandle| server.videos().is_empty() && server.uploads().is_empty();
    server.wait_until(is_gone).await;
}
