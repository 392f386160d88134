//! The API's operations on videos.

use std::sync::Arc;

use http_transport::{Credentials, Origin};
use stream_api::{ListVideos, StreamClient, VideoState, code};
use stream_emulator::{Emulator, EmulatorHandle, Encoding};

use crate::wire::{Answer, TOKEN, patch, send, tus};

pub(crate) const VIDEOS: &str = "/client/v4/accounts/acc/stream";

pub(crate) async fn create(server: &EmulatorHandle, name: &str) -> (String, String) {
    let metadata = format!("Upload-Metadata: name {name}");
    let lines = [TOKEN, "Upload-Length: 4", metadata.as_str()];
    let answer = tus(server, "POST", VIDEOS, &lines, b"").await;
    (
        answer
            .header("stream-media-id")
            .expect("a media id")
            .to_owned(),
        answer.location(),
    )
}

pub(crate) async fn get(server: &EmulatorHandle, path: &str) -> Answer {
    send(server, "GET", path, &[TOKEN], b"")
        .await
        .expect("an answer")
}

/// The typed client, without a socket.
pub(crate) fn client(server: &EmulatorHandle, token: &str) -> StreamClient {
    let origin = Origin::parse(&server.api_url()).expect("a URL");
    let credentials = Credentials::bearer(&token.into(), origin).expect("a token");
    let transport = Arc::new(server.transport());
    StreamClient::new(transport, &server.api_url(), "acc", credentials).expect("a client")
}

#[tokio::test]
async fn a_video_goes_through_its_life_in_envelopes() {
    let server = Emulator::builder()
        .encoding(Encoding::Steps)
        .start()
        .await
        .unwrap();
    let (uid, path) = create(&server, "YQ==").await;
    let video = format!("{VIDEOS}/{uid}");
    let body = get(&server, &video).await.json();
    assert_eq!(body["success"], true);
    assert_eq!(body["result"]["uid"], uid.as_str());
    assert_eq!(body["result"]["status"]["state"], "pendingupload");
    assert_eq!(body["result"]["duration"], -1.0);
    assert_eq!(body["result"]["input"]["width"], -1.0);
    assert_eq!(body["result"]["meta"]["name"], "a");
    patch(&server, &path, 0, &[TOKEN], b"abcd").await;
    let mut states = Vec::new();
    for _ in 0..3 {
        let status = get(&server, &video).await.json()["result"]["status"].clone();
        states.push((status["state"].clone(), status["pctComplete"].clone()));
    }
    assert_eq!(states[0].0, "queued");
    assert_eq!(states[1], ("inprogress".into(), "50.000000".into()));
    assert_eq!(states[2], ("ready".into(), "100.000000".into()));
    assert_eq!(
        get(&server, &video).await.json()["result"]["readyToStream"],
        true
    );
}

#[tokio::test]
async fn an_unknown_video_is_10003_and_an_unknown_path_too() {
    let server = Emulator::builder().start().await.unwrap();
    for path in [&format!("{VIDEOS}/nope"), "/client/v4/accounts/acc/nothing"] {
        let answer = get(&server, path).await;
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["code"]),
            (404, &10003.into())
        );
    }
    let (uid, _) = create(&server, "YQ==").await;
    let other = format!("/client/v4/accounts/other/stream/{uid}");
    assert_eq!(get(&server, &other).await.status, 404);
}

#[tokio::test]
async fn a_deleted_video_takes_its_upload_along() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = stream_emulator::Blobs::Dir(directory.path().to_owned());
    let server = Emulator::builder().blobs(blobs).start().await.unwrap();
    let (uid, path) = create(&server, "YQ==").await;
    patch(&server, &path, 0, &[TOKEN], b"abcd").await;
    let video = format!("{VIDEOS}/{uid}");
    let answer = send(&server, "DELETE", &video, &[TOKEN], b"")
        .await
        .unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(get(&server, &video).await.status, 404);
    assert_eq!(tus(&server, "HEAD", &path, &[TOKEN], b"").await.status, 404);
    for kind in ["blobs", "uploads", "videos"] {
        let left = std::fs::read_dir(directory.path().join(kind))
            .unwrap()
            .count();
        assert_eq!(left, 0, "{kind}");
    }
}

#[tokio::test]
async fn the_client_and_the_emulator_understand_each_other() {
    let server = Emulator::builder().start().await.unwrap();
    let (uid, path) = create(&server, "w7wmYj0g").await;
    patch(&server, &path, 0, &[TOKEN], b"abcd").await;
    let ours = client(&server, "local");
    let video = ours.video(&uid).await.unwrap();
    assert_eq!(
        (video.state(), video.name()),
        (VideoState::Ready, Some("ü&b= "))
    );
    assert_eq!((video.size, video.duration()), (Some(4.0), None));
    let mut filter = ListVideos::default();
    filter.include_counts = true;
    filter.search = Some("ü&b=".into());
    let page = ours.list_videos(&filter).await.unwrap();
    assert_eq!((page.videos.len(), page.total), (1, Some(1)));
    ours.delete_video(&uid).await.unwrap();
    let error = ours.video(&uid).await.unwrap_err();
    assert!(
        error.is_not_found() && error.has_code(code::NOT_FOUND),
        "{error}"
    );
    let error = client(&server, "other").video(&uid).await.unwrap_err();
    assert!(error.has_code(code::AUTHENTICATION), "{error}");
}
