//! Watermarks are painted on what `ffmpeg` makes of a video, and DASH is made of the same pictures.

use std::process::Output;

use serde_json::{Value, json};
use stream_emulator::{Blobs, EmulatorHandle};
use tokio::process::Command;

use crate::api::VIDEOS;
use crate::media::{ask, media, strict, upload};
use crate::wire::send;
use crate::world::{call, call_with_form, result};

const WIDTH: usize = 320;
const HEIGHT: usize = 240;
const GRAY: [u8; 3] = [128; 3];
const RED: [u8; 3] = [255, 0, 0];

async fn ffmpeg(arguments: &[&str]) -> Vec<u8> {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(arguments)
        .output()
        .await
        .expect("ffmpeg is missing: apt-get install ffmpeg");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    stdout
}

/// A second of gray.
async fn gray() -> Vec<u8> {
    let source = "color=0x808080:s=320x240:d=1";
    let mut words = vec!["-f", "lavfi", "-i", source, "-c:v", "libx264"];
    words.extend(["-pix_fmt", "yuv420p", "-f", "matroska", "-"]);
    ffmpeg(&words).await
}

/// A red picture of 100 by 50.
async fn red() -> Vec<u8> {
    let source = "color=red:s=100x50";
    let mut words = vec!["-f", "lavfi", "-i", source, "-frames:v", "1"];
    words.extend(["-c:v", "png", "-f", "image2pipe", "-"]);
    ffmpeg(&words).await
}

/// The first picture behind a URL, as 320 by 240 pixels.
async fn seen(url: &str) -> Vec<[u8; 3]> {
    let mut words = vec!["-i", url, "-frames:v", "1", "-s", "320x240"];
    words.extend(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]);
    let bytes = ffmpeg(&words).await;
    assert_eq!(bytes.len(), WIDTH * HEIGHT * 3);
    bytes.chunks(3).map(|it| [it[0], it[1], it[2]]).collect()
}

fn is_like(one: [u8; 3], other: [u8; 3]) -> bool {
    one.iter()
        .zip(other)
        .all(|(one, other)| one.abs_diff(other) < 24)
}

/// Inside of the box there is `inner` and outside gray; the edge, where colours run into each other, counts for neither.
fn assert_painted(pixels: &[[u8; 3]], [x, y, w, h]: [usize; 4], inner: [u8; 3], what: &str) {
    const EDGE: usize = 6;
    for (at, pixel) in pixels.iter().enumerate() {
        let (column, row) = (at % WIDTH, at / WIDTH);
        let is_within = |by: usize| {
            (x + by..x + w - by).contains(&column) && (y + by..y + h - by).contains(&row)
        };
        let is_near =
            column + EDGE >= x && column < x + w + EDGE && row + EDGE >= y && row < y + h + EDGE;
        if is_within(EDGE) {
            assert!(
                is_like(*pixel, inner),
                "{what}: {pixel:?} at {column}, {row}"
            );
        } else if !is_near {
            assert!(
                is_like(*pixel, GRAY),
                "{what}: {pixel:?} at {column}, {row}"
            );
        }
    }
}

async fn profile(server: &EmulatorHandle, fields: &[(&str, &str)]) -> String {
    let picture = red().await;
    let mut form = vec![("file", picture.as_slice())];
    form.extend(fields.iter().map(|(name, value)| (*name, value.as_bytes())));
    let mark = result(&call_with_form(server, "POST", "/watermarks", &form).await);
    mark["uid"].as_str().unwrap().to_owned()
}

async fn marked(server: &EmulatorHandle, bytes: &[u8], profile: &str) -> String {
    use base64::Engine;
    let chosen = base64::prelude::BASE64_STANDARD.encode(profile);
    upload(server, bytes, &format!("watermark {chosen}")).await
}

#[tokio::test]
async fn a_watermark_is_on_everything_that_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = gray().await;
    for blobs in [Blobs::Memory, Blobs::Dir(directory.path().to_owned())] {
        let server = strict().blobs(blobs).start().await.unwrap();
        let look = [
            ("opacity", "0.5"),
            ("scale", "0.25"),
            ("padding", "0.1"),
            ("position", "lowerRight"),
        ];
        let mark = profile(&server, &look).await;
        let uid = marked(&server, &bytes, &mark).await;
        let plain = upload(&server, &bytes, "").await;
        let shown = result(&call(&server, "GET", &format!("/{uid}")).await);
        assert_eq!(shown["watermark"]["opacity"], 0.5, "{shown}");
        // What was painted stays, whatever becomes of the profile.
        call(&server, "DELETE", &format!("/watermarks/{mark}")).await;
        for uid in [&uid, &plain] {
            let made = format!("{VIDEOS}/{uid}/downloads");
            assert_eq!(ask(&server, "POST", &made, &json!({})).await.status, 200);
        }
        for path in [
            "manifest/video.m3u8",
            "manifest/video.mpd",
            "thumbnails/thumbnail.jpg",
            "downloads/default.mp4",
        ] {
            let url = |uid: &str| format!("{}/{uid}/{path}", server.url());
            let (with, without) = (seen(&url(&uid)).await, seen(&url(&plain)).await);
            assert_painted(&with, [208, 176, 80, 40], [191, 64, 64], path);
            assert_painted(&without, [208, 176, 80, 40], GRAY, path);
        }
        server.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn each_part_of_a_look_is_honoured() {
    let server = strict().start().await.unwrap();
    let bytes = gray().await;
    for (look, place) in [
        // The defaults: upper right, 0.15 and 0.05.
        (&[][..], [256, 12, 48, 24]),
        (
            &[("position", "upperLeft"), ("padding", "0")],
            [0, 0, 48, 24],
        ),
        (
            &[("position", "lowerLeft"), ("scale", "0")],
            [16, 178, 100, 50],
        ),
        (&[("position", "center"), ("scale", "1")], [0, 40, 320, 160]),
    ] {
        let mark = profile(&server, look).await;
        let uid = marked(&server, &bytes, &mark).await;
        let url = format!("{}/{uid}/thumbnails/thumbnail.jpg", server.url());
        assert_painted(&seen(&url).await, place, RED, &format!("{look:?}"));
    }
}

#[tokio::test]
async fn an_mp4_is_downloaded_with_its_watermark_and_plays_as_it_was_uploaded() {
    let server = strict().start().await.unwrap();
    let mark = profile(&server, &[("position", "upperLeft"), ("padding", "0")]).await;
    let uid = marked(&server, &media("clip.mp4"), &mark).await;
    call(&server, "POST", &format!("/{uid}/downloads")).await;
    let painted = format!("{}/{uid}/downloads/default.mp4", server.url());
    assert!(is_like(seen(&painted).await[10 * WIDTH + 20], RED));
    let original = send(&server, "GET", &format!("/{uid}/original"), &[], b"").await;
    assert_eq!(original.unwrap().body, media("clip.mp4"));
}

#[tokio::test]
async fn a_picture_goes_with_the_last_that_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::Dir(directory.path().to_owned());
    let server = strict().blobs(blobs).start().await.unwrap();
    let pictures = || {
        let folder = directory.path().join("watermark-pictures");
        std::fs::read_dir(folder).unwrap().count()
    };
    let mark = profile(&server, &[]).await;
    let uid = marked(&server, &media("clip.mp4"), &mark).await;
    call(&server, "DELETE", &format!("/watermarks/{mark}")).await;
    assert_eq!(pictures(), 1);
    call(&server, "DELETE", &format!("/{uid}")).await;
    assert_eq!(pictures(), 0);
    let unused = profile(&server, &[]).await;
    call(&server, "DELETE", &format!("/watermarks/{unused}")).await;
    assert_eq!(pictures(), 0);
}

#[tokio::test]
async fn without_ffmpeg_nothing_is_painted() {
    let server = strict().ffmpeg(false).start().await.unwrap();
    let mark = profile(&server, &[]).await;
    let uid = marked(&server, &media("clip.mp4"), &mark).await;
    call(&server, "POST", &format!("/{uid}/downloads")).await;
    let path = format!("/{uid}/downloads/default.mp4");
    let download = send(&server, "GET", &path, &[], b"").await.unwrap();
    assert_eq!((download.status, download.body), (200, media("clip.mp4")));
}

/// What ffprobe reads of a manifest: codec, number of pictures or sounds.
async fn probed(url: &str) -> Vec<(String, u64)> {
    let shown = "stream=codec_name,nb_read_frames";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries", shown])
        .args(["-of", "json", url])
        .output()
        .await
        .expect("ffprobe is missing: apt-get install ffmpeg");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let streams = json["streams"].as_array().unwrap().iter();
    let read = streams.map(|it| {
        let frames = it["nb_read_frames"].as_str().unwrap().parse().unwrap();
        (it["codec_name"].as_str().unwrap().to_owned(), frames)
    });
    read.collect()
}

#[tokio::test]
async fn dash_is_read_to_its_end_by_id_and_by_token() {
    let server = strict().start().await.unwrap();
    for (name, metadata, frames) in [
        ("clip.mp4", "", 50),
        ("clip.webm", "requiresignedurls", 90),
        ("tail-moov.mov", "requiresignedurls", 45),
    ] {
        let uid = upload(&server, &media(name), metadata).await;
        let who = if metadata.is_empty() {
            uid
        } else {
            let bare = format!("/{uid}/manifest/video.mpd");
            let refused = send(&server, "GET", &bare, &[], b"").await.unwrap();
            assert_eq!(refused.status, 401);
            let token = call(&server, "POST", &format!("/{uid}/token")).await;
            result(&token)["token"].as_str().unwrap().to_owned()
        };
        let url = format!("{}/{who}/manifest/video.mpd", server.url());
        let read = probed(&url).await;
        assert_eq!(read[0], ("h264".to_owned(), frames), "{name}");
        assert_eq!(read[1].0, "aac", "{name}");
    }
}

#[tokio::test]
async fn a_video_without_sound_has_a_manifest_of_pictures_alone() {
    let server = strict().start().await.unwrap();
    let uid = upload(&server, &gray().await, "").await;
    let url = format!("{}/{uid}/manifest/video.mpd", server.url());
    assert_eq!(probed(&url).await, [("h264".to_owned(), 25)]);
    let path = format!("/{uid}/manifest/video.mpd");
    let manifest = send(&server, "GET", &path, &[], b"").await.unwrap();
    assert_eq!(
        manifest.header("content-type"),
        Some("application/dash+xml")
    );
    for file in ["init7.m4s", "chunk0-1.m4s", "chunk0-99999.m4s", "init1.m4s"] {
        let path = format!("/{uid}/manifest/{file}");
        let missing = send(&server, "GET", &path, &[], b"").await.unwrap();
        assert_eq!(missing.status, 404, "{file}");
    }
}
