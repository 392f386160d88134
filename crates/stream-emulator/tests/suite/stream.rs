//! Stream's path: creation by tus, chunk rules, limits of a video's settings.

use stream_api::VideoState;
use stream_emulator::{Blobs, Emulator, EmulatorHandle};
use tus_core::ChunkRule;

use crate::wire::{Answer, TOKEN, footage, offset, patch, tus};

const MIB: usize = 1024 * 1024;
const CREATION: &str = "/client/v4/accounts/acc/stream";

async fn create(server: &EmulatorHandle, length: usize, extra: &[&str]) -> Answer {
    let length = format!("Upload-Length: {length}");
    let mut lines = vec![TOKEN, length.as_str()];
    lines.extend(extra);
    tus(server, "POST", CREATION, &lines, b"").await
}

#[tokio::test]
async fn a_video_is_created_uploaded_and_named_by_its_media_id() {
    let server = Emulator::builder().start().await.unwrap();
    let bytes = footage(5 * MIB + 123);
    let answer = create(&server, bytes.len(), &["Upload-Metadata: name YS5tcDQ="]).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let media = answer.header("stream-media-id").unwrap().to_owned();
    assert!(media.len() == 32 && media.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let path = answer.location();
    assert_eq!(
        path,
        format!("/client/v4/accounts/acc/media/{media}?tusv2=true")
    );
    assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));

    let (first, last) = bytes.split_at(5 * MIB);
    let answer = patch(&server, &path, 0, &[TOKEN], first).await;
    assert_eq!(
        (answer.status, answer.header("stream-media-id")),
        (204, None)
    );
    assert_eq!(server.videos()[0].video.state(), VideoState::PendingUpload);
    let answer = patch(&server, &path, 5 * MIB as u64, &[TOKEN], last).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("stream-media-id"), Some(media.as_str()));
    assert_eq!(server.content(&media).await.unwrap().unwrap(), bytes);
    assert_eq!(
        server.uploads()[0].media_id.as_deref(),
        Some(media.as_str())
    );
    assert_eq!(server.videos()[0].video.state(), VideoState::Ready);
    assert_eq!(server.videos()[0].video.name(), Some("a.mp4"));
}

#[tokio::test]
async fn the_upload_url_needs_the_token_as_at_the_real_edge() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 10, &[]).await.location();
    let wrong = "Authorization: Bearer other";
    for (line, status) in [(None, 401), (Some(wrong), 403)] {
        let lines: Vec<_> = line.into_iter().collect();
        let answer = tus(&server, "GET", CREATION, &lines, b"").await;
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["code"]),
            (status, &10000.into())
        );
        assert_eq!(
            tus(&server, "HEAD", &path, &lines, b"").await.status,
            status
        );
        assert_eq!(
            patch(&server, &path, 0, &lines, b"0123456789").await.status,
            status
        );
        let length = "Upload-Length: 1";
        let lines = [&lines[..], &[length]].concat();
        assert_eq!(
            tus(&server, "POST", CREATION, &lines, b"").await.status,
            status
        );
    }
    assert_eq!(offset(&server, &path).await, Some(0));
}

#[tokio::test]
async fn a_one_time_url_needs_no_token_but_a_duration() {
    let server = Emulator::builder().start().await.unwrap();
    let path = format!("{CREATION}?direct_user=true");
    let lines = [TOKEN, "Upload-Length: 10"];
    let answer = tus(&server, "POST", &path, &lines, b"").await;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .text()
            .contains("required field maxDurationSeconds is missing")
    );
    let lines = [
        TOKEN,
        "Upload-Length: 10",
        "Upload-Metadata: maxDurationSeconds NjAw",
    ];
    let answer = tus(&server, "POST", &path, &lines, b"").await;
    let media = answer.header("stream-media-id").unwrap().to_owned();
    let path = answer.location();
    assert!(path.starts_with("/tus/") && path.ends_with("?tusv2=true") && !path.contains(&media));
    let answer = patch(&server, &path, 0, &[], b"0123456789").await;
    assert_eq!(answer.header("stream-media-id"), Some(media.as_str()));
    // The media id is no way to the upload, and the secret no way around the token.
    let by_id = format!("/tus/{media}");
    assert_eq!(tus(&server, "HEAD", &by_id, &[], b"").await.status, 404);
    let secret = path.trim_start_matches("/tus/");
    let by_secret = format!("/client/v4/accounts/acc/media/{secret}");
    assert_eq!(
        tus(&server, "HEAD", &by_secret, &[TOKEN], b"").await.status,
        404
    );
    assert_eq!(
        tus(&server, "HEAD", &format!("/files/{secret}"), &[], b"")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn chunks_must_keep_to_streams_rule() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 300 * MIB, &[]).await.location();
    let bytes = footage(6 * MIB);
    for (len, why) in [
        (4 * MIB, "at least 5242880 bytes"),
        (5 * MIB + 1, "a multiple of 256KiB"),
    ] {
        let answer = patch(&server, &path, 0, &[TOKEN], &bytes[..len]).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(why), "{}", answer.text());
        assert_eq!(answer.json()["errors"][0]["code"], 10005);
    }
    // The maximum is judged by the announcement: not one byte of these 200 MiB and more is sent.
    let lines = [
        TOKEN,
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
        "Content-Length: 209977344",
    ];
    let request = crate::wire::head(&server, "PATCH", &path, &lines);
    let answer = crate::wire::raw(&server, request.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("at most 209715200 bytes"),
        "{}",
        answer.text()
    );
    assert_eq!(offset(&server, &path).await, Some(0));
    let answer = patch(&server, &path, 0, &[TOKEN], &bytes).await;
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn a_video_in_one_chunk_is_exempt_and_the_rule_can_be_switched_off() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 10, &[]).await.location();
    assert_eq!(
        patch(&server, &path, 0, &[TOKEN], b"0123456789")
            .await
            .status,
        204
    );
    let server = Emulator::builder()
        .chunk_rule(ChunkRule::FREE)
        .start()
        .await
        .unwrap();
    let path = create(&server, 10, &[]).await.location();
    assert_eq!(
        patch(&server, &path, 0, &[TOKEN], b"01234").await.offset(),
        Some(5)
    );
}

#[tokio::test]
async fn a_chunked_body_is_refused() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 10, &[]).await.location();
    let lines = [
        TOKEN,
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
        "Transfer-Encoding: chunked",
    ];
    let mut request = crate::wire::head(&server, "PATCH", &path, &lines);
    request.push_str("a\r\n0123456789\r\n0\r\n\r\n");
    let answer = crate::wire::raw(&server, request.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn what_stream_does_not_take_is_refused_at_creation() {
    let server = Emulator::builder().start().await.unwrap();
    assert_eq!(create(&server, 30_000_000_001, &[]).await.status, 413);
    let long = format!("Upload-Creator: {}", "x".repeat(65));
    assert_eq!(create(&server, 1, &[&long]).await.status, 400);
    let answer = create(&server, 1, &["Upload-Metadata: thumbnailtimestamppct Mg=="]).await;
    assert_eq!(answer.status, 400);
    let lines = [TOKEN, "Upload-Defer-Length: 1"];
    assert_eq!(
        tus(&server, "POST", CREATION, &lines, b"").await.status,
        400
    );
    let answer = create(&server, 1, &["Upload-Concat: partial"]).await;
    assert_eq!(answer.status, 400);
    assert!(server.videos().is_empty() && server.uploads().is_empty());
}

#[tokio::test]
async fn a_generated_clients_empty_json_body_does_no_harm() {
    let server = Emulator::builder().start().await.unwrap();
    let lines = [TOKEN, "Upload-Length: 1", "Content-Type: application/json"];
    assert_eq!(
        tus(&server, "POST", CREATION, &lines, b"{}").await.status,
        201
    );
}

#[tokio::test]
async fn the_original_of_a_video_lies_where_the_documentation_says() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::Dir(directory.path().to_owned());
    let server = Emulator::builder().blobs(blobs).start().await.unwrap();
    let answer = create(&server, 10, &[]).await;
    let media = answer.header("stream-media-id").unwrap().to_owned();
    patch(&server, &answer.location(), 0, &[TOKEN], b"0123456789").await;
    let file = directory.path().join("blobs").join(&media);
    assert_eq!(std::fs::read(&file).unwrap(), b"0123456789");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&file) & 0o777, 0o600);
        assert_eq!(mode(file.parent().unwrap()) & 0o777, 0o700);
    }
    let path = format!("/_emulator/originals/{media}");
    assert_eq!(
        tus(&server, "GET", &path, &[TOKEN], b"").await.body,
        b"0123456789"
    );
    assert_eq!(tus(&server, "GET", &path, &[], b"").await.status, 401);
}
