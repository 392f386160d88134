//! What is made of an original where `ffmpeg` is installed. What these lack they name, and fail.

use serde_json::json;
use stream_emulator::{Blobs, Emulator};

use crate::api::VIDEOS;
use crate::media::{ask, media, settled, strict, upload};
use crate::wire::send;

fn ffmpeg_is_there() {
    let version = std::process::Command::new("ffmpeg")
        .arg("-version")
        .output();
    assert!(version.is_ok(), "ffmpeg is missing: apt-get install ffmpeg");
}

#[tokio::test]
async fn thumbnails_and_manifests_are_made_of_the_original() {
    ffmpeg_is_there();
    let directory = tempfile::tempdir().unwrap();
    for (blobs, name) in [
        (Blobs::Memory, "clip.webm"),
        (Blobs::Dir(directory.path().to_owned()), "tail-moov.mov"),
    ] {
        let server = strict().blobs(blobs).start().await.unwrap();
        let uid = upload(&server, &media(name), "").await;
        let get = async |path: &str| {
            let path = format!("/{uid}/{path}");
            send(&server, "GET", &path, &[], b"").await.unwrap()
        };
        let picture = get("thumbnails/thumbnail.jpg?time=1s").await;
        assert_eq!(picture.status, 200, "{}", picture.text());
        assert!(picture.body.starts_with(&[0xFF, 0xD8, 0xFF]));
        let manifest = get("manifest/video.m3u8").await;
        assert!(
            manifest.text().starts_with("#EXTM3U"),
            "{}",
            manifest.text()
        );
        assert!(manifest.text().contains("#EXT-X-ENDLIST"));
        let lines = manifest.text();
        let segment = lines.lines().find(|line| line.ends_with(".ts")).unwrap();
        let segment = get(&format!("manifest/{segment}")).await;
        assert_eq!((segment.status, segment.body[0]), (200, 0x47));
        assert_eq!(get("manifest/segment99999.ts").await.status, 404);
        server.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_clip_is_a_file_of_its_own() {
    ffmpeg_is_there();
    let server = strict().start().await.unwrap();
    let original = upload(&server, &media("clip.webm"), "").await;
    let body = json!({
        "clippedFromVideoUID": original, "startTimeSeconds": 1, "endTimeSeconds": 2,
    });
    let answer = ask(&server, "POST", &format!("{VIDEOS}/clip"), &body).await;
    let uid = answer.json()["result"]["uid"].as_str().unwrap().to_owned();
    let clip = settled(&server, &uid).await;
    assert_eq!(clip["status"]["state"], "ready", "{clip}");
    let seconds = clip["duration"].as_f64().unwrap();
    assert!((0.9..1.2).contains(&seconds), "{seconds}");
    assert!(clip["meta"].get("emulator-clip").is_none());
    assert!(clip["size"].as_f64().unwrap() < 109_049.0);
}

#[tokio::test]
async fn the_sound_of_a_video_is_downloaded_alone() {
    ffmpeg_is_there();
    let server = strict().start().await.unwrap();
    let uid = upload(&server, &media("clip.avi"), "").await;
    for (kind, file) in [("audio", "audio.m4a"), ("default", "default.mp4")] {
        let path = format!("{VIDEOS}/{uid}/downloads/{kind}");
        assert_eq!(ask(&server, "POST", &path, &json!({})).await.status, 200);
        let path = format!("/{uid}/downloads/{file}");
        let made = send(&server, "GET", &path, &[], b"").await.unwrap();
        assert_eq!(
            (made.status, &made.body[4..8]),
            (200, &b"ftyp"[..]),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn a_file_that_would_name_others_is_never_handed_over() {
    ffmpeg_is_there();
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret.txt");
    std::fs::write(&secret, "secret").unwrap();
    // A playlist, which ffmpeg by itself would follow.
    let playlist = format!(
        "#EXTM3U\n#EXTINF:1,\nfile://{}\n#EXT-X-ENDLIST\n",
        secret.display()
    );
    let server = Emulator::builder().start().await.unwrap();
    let uid = upload(&server, playlist.as_bytes(), "").await;
    for path in ["thumbnails/thumbnail.jpg", "manifest/video.m3u8"] {
        let path = format!("/{uid}/{path}");
        let answer = send(&server, "GET", &path, &[], b"").await.unwrap();
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test]
async fn without_ffmpeg_what_cannot_be_made_is_not_found() {
    let server = strict().ffmpeg(false).start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "").await;
    for path in [
        "thumbnails/thumbnail.jpg",
        "manifest/video.m3u8",
        "manifest/video.mpd",
    ] {
        let path = format!("/{uid}/{path}");
        let answer = send(&server, "GET", &path, &[], b"").await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
}
