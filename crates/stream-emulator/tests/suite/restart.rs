//! What outlives a server, a connection, and a quarrel over an upload.

use stream_emulator::{Blobs, Emulator, EmulatorBuilder, EmulatorHandle};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::wire::{TOKEN, connect, create, footage, head, offset, patch, read_answer, tus};

fn on(directory: &tempfile::TempDir) -> EmulatorBuilder {
    Emulator::builder().blobs(Blobs::Dir(directory.path().to_owned()))
}

/// Sends the head of a PATCH for `length` bytes, and the first of them.
async fn begin_patch(
    server: &EmulatorHandle,
    path: &str,
    length: usize,
    first: &[u8],
) -> TcpStream {
    let length = format!("Content-Length: {length}");
    let lines = [
        "Tus-Resumable: 1.0.0",
        "Content-Type: application/offset+octet-stream",
        "Upload-Offset: 0",
        length.as_str(),
    ];
    let mut stream = connect(server).await;
    let head = head(server, "PATCH", path, &lines);
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(first).await.expect("sent");
    stream
}

/// Waits until so many requests have come to their end.
async fn settled(server: &EmulatorHandle, requests: usize) {
    let have = |server: &EmulatorHandle| server.requests().len() >= requests;
    server.wait_until(have).await;
}

#[tokio::test]
async fn a_server_on_the_same_directory_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = footage(700_000);
    let server = on(&directory).start().await.unwrap();
    let path = create(&server, 700_000).await;
    patch(&server, &path, 0, &[], &bytes[..300_000]).await;
    let lines = [TOKEN, "Upload-Length: 10", "Upload-Metadata: name YQ=="];
    let answer = tus(
        &server,
        "POST",
        "/client/v4/accounts/acc/stream",
        &lines,
        b"",
    )
    .await;
    let video = answer.location();
    server.shutdown().await.unwrap();

    let server = on(&directory).start().await.unwrap();
    assert_eq!(offset(&server, &path).await, Some(300_000));
    let answer = patch(&server, &path, 300_000, &[], &bytes[300_000..]).await;
    assert_eq!(answer.status, 204);
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(server.content(id).await.unwrap().unwrap(), bytes);
    assert_eq!(
        patch(&server, &video, 0, &[TOKEN], b"0123456789")
            .await
            .status,
        204
    );
    assert_eq!(server.videos()[0].video.name(), Some("a"));
    assert_eq!(server.videos()[0].account, "acc");
}

#[tokio::test]
async fn a_dropped_server_frees_its_directory_and_keeps_what_came() {
    let directory = tempfile::tempdir().unwrap();
    let server = on(&directory).start().await.unwrap();
    let path = create(&server, 1000).await;
    let _stream = begin_patch(&server, &path, 1000, &[7; 400]).await;
    let blob = directory
        .path()
        .join("blobs")
        .join(path.rsplit('/').next().unwrap());
    drop(server);
    let server = on(&directory).start().await.unwrap();
    let kept = offset(&server, &path).await.unwrap();
    assert!(kept <= std::fs::metadata(blob).unwrap().len() && kept <= 400);
}

#[tokio::test]
async fn two_servers_never_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _server = on(&directory).start().await.unwrap();
    let error = on(&directory).start().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
}

#[tokio::test]
async fn bytes_beyond_the_acknowledged_ones_are_not_trusted_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let server = on(&directory).start().await.unwrap();
    let path = create(&server, 10).await;
    patch(&server, &path, 0, &[], b"01234").await;
    server.shutdown().await.unwrap();
    let blob = directory
        .path()
        .join("blobs")
        .join(path.rsplit('/').next().unwrap());
    std::fs::write(&blob, b"01234??").unwrap();
    let server = on(&directory).start().await.unwrap();
    assert_eq!(offset(&server, &path).await, Some(5));
    patch(&server, &path, 5, &[], b"56789").await;
    assert_eq!(std::fs::read(&blob).unwrap(), b"0123456789");
    server.shutdown().await.unwrap();
    // And when bytes are missing, the offset is what is there.
    std::fs::write(&blob, b"012").unwrap();
    let server = on(&directory).start().await.unwrap();
    assert_eq!(offset(&server, &path).await, Some(3));
}

#[tokio::test]
async fn the_bytes_of_a_patch_whose_client_died_are_kept_to_the_last_one() {
    let directory = tempfile::tempdir().unwrap();
    for builder in [Emulator::builder(), on(&directory)] {
        let server = builder.start().await.unwrap();
        let bytes = footage(600_000);
        let path = create(&server, 1_000_000).await;
        let stream = begin_patch(&server, &path, 1_000_000, &bytes).await;
        // FIN, in the middle of the body.
        drop(stream);
        settled(&server, 2).await;
        assert_eq!(offset(&server, &path).await, Some(600_000));
        let record = &server.requests()[1];
        assert_eq!((record.status, record.body_bytes), (None, 600_000));
        let id = path.rsplit('/').next().unwrap();
        assert_eq!(server.content(id).await.unwrap().unwrap(), bytes);
        server.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn the_bytes_of_a_broken_patch_are_dropped_if_that_was_asked_for() {
    let server = Emulator::builder()
        .drop_partial_chunks(true)
        .start()
        .await
        .unwrap();
    let path = create(&server, 1000).await;
    drop(begin_patch(&server, &path, 1000, &[7; 400]).await);
    settled(&server, 2).await;
    assert_eq!(offset(&server, &path).await, Some(0));
}

#[tokio::test]
async fn a_head_frees_an_upload_from_a_patch_that_hangs() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 1000).await;
    let mut stale = begin_patch(&server, &path, 1000, &[7; 400]).await;
    let began = std::time::Instant::now();
    let kept = offset(&server, &path).await.unwrap();
    assert!(kept <= 400 && began.elapsed() < std::time::Duration::from_secs(2));
    assert_eq!(read_answer(&mut stale, false).await.unwrap().status, 423);
    let rest = vec![7; 1000 - usize::try_from(kept).unwrap()];
    assert_eq!(
        patch(&server, &path, kept, &[], &rest).await.offset(),
        Some(1000)
    );
}

#[tokio::test]
async fn of_two_patches_at_once_one_writes_and_the_bytes_are_never_mixed() {
    let server = Emulator::builder().start().await.unwrap();
    let bytes = footage(2_000_000);
    let path = create(&server, 2_000_000).await;
    let (one, other) = tokio::join!(
        patch(&server, &path, 0, &[], &bytes),
        patch(&server, &path, 0, &[], &bytes)
    );
    let mut offset = 0;
    for answer in [&one, &other] {
        assert!(
            [204, 409, 423].contains(&answer.status),
            "{}",
            answer.status
        );
        offset = offset.max(answer.offset().unwrap_or(0));
    }
    if offset < 2_000_000 {
        offset = crate::wire::offset(&server, &path).await.unwrap();
        let rest = &bytes[usize::try_from(offset).unwrap()..];
        assert_eq!(patch(&server, &path, offset, &[], rest).await.status, 204);
    }
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(server.content(id).await.unwrap().unwrap(), bytes);
}

#[tokio::test]
async fn shutting_down_saves_what_running_uploads_have_brought() {
    let directory = tempfile::tempdir().unwrap();
    let server = on(&directory)
        .drain_time(std::time::Duration::ZERO)
        .start()
        .await
        .unwrap();
    let mut streams = Vec::new();
    let mut paths = Vec::new();
    for _ in 0..20 {
        let path = create(&server, 1_000_000).await;
        streams.push(begin_patch(&server, &path, 1_000_000, &[7; 300_000]).await);
        paths.push(path);
    }
    server.shutdown().await.unwrap();
    let server = on(&directory).start().await.unwrap();
    for path in &paths {
        let upload = path.rsplit('/').next().unwrap();
        let blob = directory.path().join("blobs").join(upload);
        let kept = offset(&server, path).await.unwrap();
        assert_eq!(std::fs::metadata(blob).unwrap().len(), kept);
    }
}

#[tokio::test]
async fn a_server_that_is_killed_in_a_long_patch_keeps_all_but_the_last_megabytes() {
    let directory = tempfile::tempdir().unwrap();
    let server = on(&directory).start().await.unwrap();
    let bytes = footage(33 << 20);
    let path = create(&server, 100 << 20).await;
    let _open = begin_patch(&server, &path, 100 << 20, &bytes).await;
    let id = path.rsplit('/').next().unwrap();
    let state = directory.path().join("uploads").join(format!("{id}.json"));
    // The state on disk is the only thing that a kill leaves, so wait for it to tell.
    let kept = || {
        let text = std::fs::read(&state).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&text).unwrap();
        state["offset"].as_u64().unwrap()
    };
    server.wait_until(|_| kept() > 0).await;
    let kept = kept();
    assert!(kept >= 32 << 20);
    let image = tempfile::tempdir().unwrap();
    for name in ["uploads", "blobs"] {
        std::fs::create_dir(image.path().join(name)).unwrap();
        for entry in std::fs::read_dir(directory.path().join(name)).unwrap() {
            let from = entry.unwrap().path();
            let to = image.path().join(name).join(from.file_name().unwrap());
            std::fs::copy(from, to).unwrap();
        }
    }
    let server = on(&image).start().await.unwrap();
    assert_eq!(offset(&server, &path).await, Some(kept));
    let content = server.content(id).await.unwrap().unwrap();
    assert!(content == bytes[..usize::try_from(kept).unwrap()]);
}
