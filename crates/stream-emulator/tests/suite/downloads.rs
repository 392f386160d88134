//! Downloads: made over time, fetched once they are ready.

use std::time::Duration;

use serde_json::{Value, json};
use stream_emulator::{EmulatorHandle, Encoding};

use crate::api::{VIDEOS, get};
use crate::media::{ask, media, refusal, strict, upload};
use crate::wire::send;

async fn downloads(server: &EmulatorHandle, uid: &str) -> Value {
    let path = format!("{VIDEOS}/{uid}/downloads");
    get(server, &path).await.json()["result"].clone()
}

#[tokio::test]
async fn a_download_is_made_over_time_and_then_fetched() {
    let time = Encoding::After(Duration::from_secs(100));
    let server = strict().encoding(time).start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "").await;
    let path = format!("{VIDEOS}/{uid}/downloads");
    let answer = ask(&server, "POST", &path, &json!({})).await;
    assert!(refusal(&answer).2.contains("not ready"));
    server.advance(Duration::from_secs(100)).await;
    assert_eq!(downloads(&server, &uid).await, json!({}));
    let answer = ask(&server, "POST", &path, &json!({})).await;
    assert_eq!(answer.json()["result"]["default"]["status"], "inprogress");
    server.advance(Duration::from_secs(50)).await;
    let half = downloads(&server, &uid).await["default"].clone();
    let done = half["percentComplete"].as_f64().unwrap();
    assert!((50.0..60.0).contains(&done), "{half}");
    let url = half["url"].as_str().unwrap().to_owned();
    let file = url.strip_prefix(&server.url()).unwrap();
    let early = send(&server, "GET", file, &[], b"").await.unwrap();
    assert_eq!(early.status, 404);
    server.advance(Duration::from_secs(50)).await;
    let whole = downloads(&server, &uid).await["default"].clone();
    assert_eq!(whole["status"], "ready");
    assert_eq!(whole["percentComplete"], 100.0);
    let named = format!("{file}?filename=my-video");
    let fetched = send(&server, "GET", &named, &[], b"").await.unwrap();
    assert_eq!((fetched.status, fetched.body), (200, media("clip.mp4")));
    let named = send(&server, "HEAD", &named, &[], b"").await.unwrap();
    let disposition = named.header("content-disposition").unwrap();
    assert_eq!(disposition, "attachment; filename=\"my-video.mp4\"");
    let bad = format!("{file}?filename=../etc");
    assert_eq!(
        send(&server, "GET", &bad, &[], b"").await.unwrap().status,
        400
    );
}

#[tokio::test]
async fn each_type_is_made_and_deleted_by_itself() {
    let server = strict().start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "").await;
    let of = |kind: &str| format!("{VIDEOS}/{uid}/downloads/{kind}");
    assert_eq!(
        ask(&server, "POST", &of("audio"), &json!({})).await.status,
        200
    );
    assert_eq!(
        ask(&server, "POST", &of("default"), &json!({}))
            .await
            .status,
        200
    );
    let both = downloads(&server, &uid).await;
    assert!(
        both["audio"]["url"]
            .as_str()
            .unwrap()
            .ends_with("/downloads/audio.m4a")
    );
    assert_eq!(both["default"]["status"], "ready");
    let answer = ask(&server, "DELETE", &of("audio"), &json!({})).await;
    assert_eq!(answer.json()["success"], true);
    let left = downloads(&server, &uid).await;
    assert!(left.get("audio").is_none() && left.get("default").is_some());
    let answer = ask(&server, "POST", &of("subtitles"), &json!({})).await;
    assert!(refusal(&answer).2.contains("default or audio"));
    let nobody = format!("{VIDEOS}/nobody/downloads");
    assert_eq!(refusal(&get(&server, &nobody).await).1, 10003);
}
