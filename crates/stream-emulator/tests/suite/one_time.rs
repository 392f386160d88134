//! One-time URLs, and uploads whose time is over.

use std::time::Duration;

use http::StatusCode;
use stream_emulator::{Blobs, Emulator, EmulatorBuilder, EmulatorHandle, ExpiredVideo};

use crate::api::VIDEOS;
use crate::wire::{Answer, TOKEN, patch, tus};

const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A one-time URL for 10 bytes of at most 600 seconds: its path, and the media id.
async fn one_time(server: &EmulatorHandle) -> (String, String) {
    let path = format!("{VIDEOS}?direct_user=true");
    let lines = [
        TOKEN,
        "Upload-Length: 10",
        "Upload-Metadata: maxDurationSeconds NjAw",
    ];
    let answer = tus(server, "POST", &path, &lines, b"").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let media = answer.header("stream-media-id").expect("a media id");
    (answer.location(), media.to_owned())
}

/// The path of an upload of 10 bytes that needs the token.
async fn with_token(server: &EmulatorHandle) -> String {
    let lines = [TOKEN, "Upload-Length: 10"];
    tus(server, "POST", VIDEOS, &lines, b"").await.location()
}

async fn head(server: &EmulatorHandle, path: &str) -> Answer {
    tus(server, "HEAD", path, &[TOKEN], b"").await
}

/// The message of a refusal in Stream's envelope.
fn why(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!(body["success"], false);
    let text = body["errors"][0]["message"].as_str();
    text.expect("a message").to_owned()
}

fn on(directory: &tempfile::TempDir) -> EmulatorBuilder {
    Emulator::builder().blobs(Blobs::Dir(directory.path().to_owned()))
}

#[tokio::test]
async fn a_one_time_url_is_a_secret_of_its_own_and_needs_no_token() {
    let server = Emulator::builder().start().await.unwrap();
    let (path, media) = one_time(&server).await;
    let secret = path.strip_prefix("/tus/").unwrap();
    let secret = secret.strip_suffix("?tusv2=true").unwrap();
    assert!(secret.len() == 32 && secret != media);
    let answer = tus(&server, "HEAD", &path, &[], b"").await;
    assert_eq!((answer.status, answer.offset()), (200, Some(0)));
    let video = server.videos()[0].video.clone();
    assert_eq!(video.max_duration_seconds, Some(600.0));
}

#[tokio::test]
async fn a_one_time_url_works_once() {
    let server = Emulator::builder().start().await.unwrap();
    let (path, media) = one_time(&server).await;
    let answer = patch(&server, &path, 0, &[], b"0123456789").await;
    assert_eq!(answer.header("stream-media-id"), Some(media.as_str()));
    assert_eq!(head(&server, &path).await.status, 403);
    let again = patch(&server, &path, 0, &[], b"0123456789").await;
    assert_eq!(again.status, 403);
    assert!(why(&again).contains("already used"));
    assert_eq!(
        server.content(&media).await.unwrap().unwrap(),
        b"0123456789"
    );
}

#[tokio::test]
async fn a_one_time_url_works_for_half_an_hour() {
    let server = Emulator::builder().start().await.unwrap();
    let (path, _) = one_time(&server).await;
    server.advance(HALF_AN_HOUR - Duration::from_secs(5)).await;
    assert_eq!(head(&server, &path).await.status, 200);
    server.advance(Duration::from_secs(5)).await;
    assert_eq!(head(&server, &path).await.status, 403);
    let late = patch(&server, &path, 0, &[], b"0123456789").await;
    assert_eq!(late.status, 403);
    assert!(why(&late).contains("expired"));
}

#[tokio::test]
async fn an_upload_with_a_token_works_for_a_day_and_is_gone_then() {
    let server = Emulator::builder().start().await.unwrap();
    let path = with_token(&server).await;
    server.advance(DAY - Duration::from_secs(5)).await;
    assert_eq!(head(&server, &path).await.status, 200);
    server.advance(Duration::from_secs(5)).await;
    assert_eq!(head(&server, &path).await.status, 410);
    let late = patch(&server, &path, 0, &[TOKEN], b"0123456789").await;
    assert_eq!(late.status, 410);
    assert!(why(&late).contains("expired"));
}

#[tokio::test]
async fn a_complete_upload_never_expires() {
    let server = Emulator::builder().start().await.unwrap();
    let path = with_token(&server).await;
    patch(&server, &path, 0, &[TOKEN], b"0123456789").await;
    server.advance(DAY * 10).await;
    assert_eq!(head(&server, &path).await.offset(), Some(10));
    assert_eq!(server.videos().len(), 1);
}

#[tokio::test]
async fn an_expired_upload_takes_its_video_along_after_an_hour() {
    let directory = tempfile::tempdir().unwrap();
    let server = on(&directory).start().await.unwrap();
    let path = with_token(&server).await;
    server.advance(DAY).await;
    assert_eq!(server.videos().len(), 1);
    server.advance(HOUR).await;
    assert!(server.videos().is_empty() && server.uploads().is_empty());
    for kind in ["blobs", "uploads", "videos"] {
        let left = std::fs::read_dir(directory.path().join(kind)).unwrap();
        assert_eq!(left.count(), 0, "{kind}");
    }
    assert_eq!(head(&server, &path).await.status, 410);
}

#[tokio::test]
async fn an_expired_video_stays_if_that_was_asked_for() {
    let server = Emulator::builder().start().await.unwrap();
    with_token(&server).await;
    let mut hypotheses = server.hypotheses();
    hypotheses.expired_video = ExpiredVideo::Stays;
    server.set_hypotheses(hypotheses);
    server.advance(DAY * 10).await;
    let state = server.videos()[0].video.state();
    assert_eq!(state.as_str(), "pendingupload");
}

#[tokio::test]
async fn each_refusal_of_an_upload_url_can_be_another_one() {
    let server = Emulator::builder().start().await.unwrap();
    let mut hypotheses = server.hypotheses();
    hypotheses.completed_status = StatusCode::NOT_FOUND;
    hypotheses.used_one_time_status = StatusCode::OK;
    hypotheses.expired_status = StatusCode::NOT_FOUND;
    hypotheses.expired_one_time_status = StatusCode::GONE;
    server.set_hypotheses(hypotheses);
    let (complete, used) = (with_token(&server).await, one_time(&server).await.0);
    for path in [&complete, &used] {
        patch(&server, path, 0, &[TOKEN], b"0123456789").await;
    }
    assert_eq!(head(&server, &complete).await.status, 404);
    assert_eq!(head(&server, &used).await.offset(), Some(10));
    let (late, late_once) = (with_token(&server).await, one_time(&server).await.0);
    server.advance(DAY).await;
    assert_eq!(head(&server, &late).await.status, 404);
    assert_eq!(head(&server, &late_once).await.status, 410);
}

#[tokio::test]
async fn a_url_that_goes_on_working_ends_with_its_video() {
    let server = Emulator::builder().start().await.unwrap();
    let mut hypotheses = server.hypotheses();
    hypotheses.expired_status = StatusCode::OK;
    server.set_hypotheses(hypotheses);
    let path = with_token(&server).await;
    server.advance(DAY).await;
    assert_eq!(patch(&server, &path, 0, &[TOKEN], b"0").await.status, 400);
    assert_eq!(head(&server, &path).await.status, 200);
    server.advance(HOUR).await;
    assert_eq!(head(&server, &path).await.status, 404);
}

#[tokio::test]
async fn the_time_is_told_only_if_that_was_asked_for() {
    let server = Emulator::builder().start().await.unwrap();
    let path = with_token(&server).await;
    assert_eq!(head(&server, &path).await.header("upload-expires"), None);
    let mut hypotheses = server.hypotheses();
    hypotheses.tells_expiry = true;
    server.set_hypotheses(hypotheses);
    assert!(
        head(&server, &path)
            .await
            .header("upload-expires")
            .is_some()
    );
}

#[tokio::test]
async fn what_is_used_expired_and_deleted_stays_so_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = on(&directory).start().await.unwrap();
    let (deleted, _) = one_time(&server).await;
    server.advance(HALF_AN_HOUR + HOUR).await;
    let (used, _) = one_time(&server).await;
    patch(&server, &used, 0, &[], b"0123456789").await;
    let (expired, _) = one_time(&server).await;
    server.advance(HALF_AN_HOUR).await;
    let (open, _) = one_time(&server).await;
    server.shutdown().await.unwrap();

    let server = on(&directory).start().await.unwrap();
    for (path, status) in [(&deleted, 403), (&used, 403), (&expired, 403), (&open, 200)] {
        assert_eq!(head(&server, path).await.status, status, "{path}");
    }
    assert_eq!(server.videos().len(), 3);
}
