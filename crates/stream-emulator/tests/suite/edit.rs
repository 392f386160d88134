//! A video's settings are changed.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stream_api::{ScheduledDeletion, VideoEdit};
use stream_emulator::{Blobs, Emulator, EmulatorHandle};

use crate::api::{VIDEOS, client, create};
use crate::wire::{Answer, TOKEN, send};

async fn edit(server: &EmulatorHandle, uid: &str, changes: &Value) -> Answer {
    let path = format!("{VIDEOS}/{uid}");
    let body = changes.to_string();
    send(server, "POST", &path, &[TOKEN], body.as_bytes())
        .await
        .expect("an answer")
}

#[tokio::test]
async fn what_is_named_changes_and_the_rest_stays() {
    let server = Emulator::builder().start().await.unwrap();
    let (uid, _) = create(&server, "YQ==").await;
    let changes =
        json!({"requireSignedURLs": true, "uid": "stolen", "nonsense": 1, "creator": null});
    let video = edit(&server, &uid, &changes).await.json()["result"].clone();
    assert_eq!(video["requireSignedURLs"], true);
    assert_eq!(video["meta"]["name"], "a");
    assert_eq!(video["uid"], uid.as_str());
    assert_eq!(video.get("nonsense"), None);
}

#[tokio::test]
async fn meta_is_replaced_as_a_whole() {
    let server = Emulator::builder().start().await.unwrap();
    let (uid, _) = create(&server, "YQ==,season MQ==").await;
    let answer = edit(&server, &uid, &json!({"meta": {"name": "b"}})).await;
    assert_eq!(answer.json()["result"]["meta"], json!({"name": "b"}));
}

#[tokio::test]
async fn an_edit_moves_the_time_of_the_last_change() {
    let server = Emulator::builder().start().await.unwrap();
    let (uid, _) = create(&server, "YQ==").await;
    let before = server.videos()[0].video.modified;
    server.advance(Duration::from_secs(60)).await;
    edit(&server, &uid, &json!({"creator": "me"})).await;
    let after = server.videos()[0].video.clone();
    assert!(after.modified > before);
    assert_eq!(after.created, before);
}

#[tokio::test]
async fn an_edit_out_of_bounds_is_10005_and_changes_nothing() {
    let server = Emulator::builder().start().await.unwrap();
    let (uid, _) = create(&server, "YQ==").await;
    let before = server.videos()[0].video.clone();
    for bad in [
        json!({"creator": "x".repeat(65), "requireSignedURLs": true}),
        json!({"thumbnailTimestampPct": 1.5}),
        json!({"maxDurationSeconds": 36_001}),
        json!({"allowedOrigins": ["https://example.com/a"]}),
        json!({"scheduledDeletion": "2020-01-01T00:00:00Z", "creator": "me"}),
        json!({"uploadExpiry": "2020-01-01T00:00:00Z"}),
    ] {
        let answer = edit(&server, &uid, &bad).await;
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["errors"][0]["code"]),
            (400, &10005.into()),
            "{bad}"
        );
        let field = bad.as_object().unwrap().keys().next().unwrap();
        let why = body["messages"][0]["message"].as_str().unwrap();
        assert!(why.starts_with(field.as_str()), "{why}");
    }
    assert_eq!(server.videos()[0].video, before);
}

#[tokio::test]
async fn what_cannot_be_decoded_is_10004() {
    let server = Emulator::builder().start().await.unwrap();
    let (uid, _) = create(&server, "YQ==").await;
    let path = format!("{VIDEOS}/{uid}");
    for bad in [
        "{",
        r#"{"meta":"a"}"#,
        r#"{"requireSignedURLs":"true"}"#,
        "",
    ] {
        let answer = send(&server, "POST", &path, &[TOKEN], bad.as_bytes())
            .await
            .unwrap();
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["code"]),
            (400, &10004.into()),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_video_cannot_be_edited() {
    let server = Emulator::builder().start().await.unwrap();
    assert_eq!(edit(&server, "nope", &json!({})).await.status, 404);
}

#[tokio::test]
async fn the_client_edits_and_reads_back_what_a_restart_keeps() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = || Blobs::Dir(directory.path().to_owned());
    let server = Emulator::builder().blobs(blobs()).start().await.unwrap();
    let (uid, _) = create(&server, "YQ==").await;
    let deletion = SystemTime::now() + Duration::from_secs(40 * 86_400);
    let mut wish = VideoEdit::default();
    wish.allowed_origins = Some(vec!["example.com".into()]);
    wish.max_duration_seconds = Some(600);
    wish.scheduled_deletion = Some(ScheduledDeletion::At(deletion));
    wish.thumbnail_timestamp_pct = Some(0.5);
    let edited = client(&server, "local")
        .edit_video(&uid, &wish)
        .await
        .unwrap();
    assert_eq!(edited.allowed_origins, ["example.com"]);
    assert_eq!(edited.max_duration_seconds, Some(600.0));
    assert_eq!(edited.thumbnail_timestamp_pct, Some(0.5));
    assert!(edited.scheduled_deletion.is_some());
    server.shutdown().await.unwrap();

    let server = Emulator::builder().blobs(blobs()).start().await.unwrap();
    let ours = client(&server, "local");
    let read = ours.video(&uid).await.unwrap();
    assert_eq!(read.scheduled_deletion, edited.scheduled_deletion);
    assert_eq!(read.modified, edited.modified);
    let mut wish = VideoEdit::default();
    wish.scheduled_deletion = Some(ScheduledDeletion::Never);
    let edited = ours.edit_video(&uid, &wish).await.unwrap();
    assert_eq!(edited.scheduled_deletion, None);
}
