//! The API's operations on videos.

use std::sync::Arc;

use http_transport::{Credentials, Origin};
use stream_api::{StreamClient, VideoFilter, VideoState, code};
use stream_emulator::{Emulator, EmulatorHandle, Encoding};

use crate::wire::{Answer, TOKEN, patch, send, tus};

const VIDEOS: &str = "/client/v4/accounts/acc/stream";

async fn create(server: &EmulatorHandle, name: &str) -> (String, String) {
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

async fn get(server: &EmulatorHandle, path: &str) -> Answer {
    send(server, "GET", path, &[TOKEN], b"")
        .await
        .expect("an answer")
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
async fn videos_are_listed_newest_first_and_narrowed() {
    let server = Emulator::builder().start().await.unwrap();
    let (first, path) = create(&server, "Rmlyc3QgY3V0").await;
    let (second, _) = create(&server, "U2Vjb25k").await;
    patch(&server, &path, 0, &[TOKEN], b"abcd").await;
    let uids = |answer: Answer| -> Vec<String> {
        let videos = answer.json()["result"].as_array().unwrap().clone();
        videos
            .iter()
            .map(|video| video["uid"].as_str().unwrap().to_owned())
            .collect()
    };
    for (query, wanted) in [
        ("", vec![&second, &first]),
        ("?asc=true", vec![&first, &second]),
        ("?limit=1", vec![&second]),
        ("?status=pendingupload", vec![&second]),
        ("?status=ready", vec![&first]),
        ("?search=CUT", vec![&first]),
        ("?video_name=Second", vec![&second]),
        ("?after=2999-01-01T00:00:00Z", vec![]),
        ("?before=2999-01-01T00:00:00Z", vec![&second, &first]),
    ] {
        let answer = get(&server, &format!("{VIDEOS}{query}")).await;
        assert_eq!(uids(answer).iter().collect::<Vec<_>>(), wanted, "{query}");
    }
    let counted = get(&server, &format!("{VIDEOS}?include_counts=true&limit=1"))
        .await
        .json();
    assert_eq!(
        (&counted["total"], &counted["range"]),
        (&"2".into(), &"1".into())
    );
    for bad in ["?limit=1001", "?limit=abc", "?after=yesterday"] {
        let answer = get(&server, &format!("{VIDEOS}{bad}")).await;
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["code"]),
            (400, &10005.into())
        );
    }
}

#[tokio::test]
async fn a_video_is_edited_and_the_rest_of_it_stays() {
    let server = Emulator::builder().start().await.unwrap();
    let (uid, _) = create(&server, "YQ==").await;
    let path = format!("{VIDEOS}/{uid}");
    let changes = br#"{"meta":{"name":"b"},"requireSignedURLs":true,"uid":"stolen","nonsense":1}"#;
    let body = send(&server, "POST", &path, &[TOKEN], changes)
        .await
        .unwrap()
        .json();
    assert_eq!(body["result"]["meta"]["name"], "b");
    assert_eq!(body["result"]["requireSignedURLs"], true);
    assert_eq!(body["result"]["uid"], uid.as_str());
    let answer = send(&server, "POST", &path, &[TOKEN], b"{").await.unwrap();
    assert_eq!(
        (answer.status, &answer.json()["errors"][0]["code"]),
        (400, &10004.into())
    );
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
    let origin = Origin::parse(&server.api_url()).unwrap();
    let client = |token: &str| {
        let credentials = Credentials::bearer(&token.into(), origin.clone()).unwrap();
        let transport = Arc::new(server.transport());
        StreamClient::new(transport, &server.api_url(), "acc", credentials).unwrap()
    };
    let (uid, path) = create(&server, "w7wmYj0g").await;
    patch(&server, &path, 0, &[TOKEN], b"abcd").await;
    let ours = client("local");
    let video = ours.video(&uid).await.unwrap();
    assert_eq!(
        (video.state(), video.name()),
        (VideoState::Ready, Some("ü&b= "))
    );
    assert_eq!((video.size, video.duration()), (Some(4.0), None));
    let mut filter = VideoFilter::default();
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
    let error = client("other").video(&uid).await.unwrap_err();
    assert!(error.has_code(code::AUTHENTICATION), "{error}");
}
