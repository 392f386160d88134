//! Generic tus at `/files/`: every extension, over a socket.

use stream_emulator::{Blobs, Emulator};

use crate::wire::{create, footage, head, offset, patch, raw, tus};

#[tokio::test]
async fn a_file_arrives_in_chunks() {
    let server = Emulator::builder().start().await.unwrap();
    let bytes = footage(1_000_000);
    let path = create(&server, 1_000_000).await;
    for (index, chunk) in bytes.chunks(300_000).enumerate() {
        let at = index as u64 * 300_000;
        let answer = patch(&server, &path, at, &[], chunk).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        assert_eq!(answer.offset(), Some(at + chunk.len() as u64));
        assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));
    }
    let upload = server.uploads().remove(0);
    assert!(upload.complete && upload.media_id.is_none());
    assert_eq!(server.content(&upload.id).await.unwrap().unwrap(), bytes);
}

#[tokio::test]
async fn options_names_every_extension() {
    let server = Emulator::builder().start().await.unwrap();
    let answer = tus(&server, "OPTIONS", "/files/", &[], b"").await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("tus-extension"),
        Some(
            "creation,creation-with-upload,creation-defer-length,expiration,checksum,\
             checksum-trailer,termination,concatenation,concatenation-unfinished"
        )
    );
    assert_eq!(
        answer.header("tus-checksum-algorithm"),
        Some("sha256,sha1,md5,crc32")
    );
    let digest = Emulator::builder()
        .blobs(Blobs::Digest)
        .start()
        .await
        .unwrap();
    let answer = tus(&digest, "OPTIONS", "/files/", &[], b"").await;
    assert!(
        !answer
            .header("tus-extension")
            .unwrap()
            .contains("concatenation")
    );
}

#[tokio::test]
async fn an_upload_may_be_created_with_its_first_bytes() {
    let server = Emulator::builder().start().await.unwrap();
    let kind = "Content-Type: application/offset+octet-stream";
    let answer = tus(
        &server,
        "POST",
        "/files/",
        &["Upload-Length: 11", kind],
        b"hello ",
    )
    .await;
    assert_eq!((answer.status, answer.offset()), (201, Some(6)));
    let answer = patch(&server, &answer.location(), 6, &[], b"world").await;
    assert_eq!(answer.offset(), Some(11));
}

#[tokio::test]
async fn a_length_may_be_told_later() {
    let server = Emulator::builder().start().await.unwrap();
    let answer = tus(&server, "POST", "/files/", &["Upload-Defer-Length: 1"], b"").await;
    let path = answer.location();
    assert_eq!(
        patch(&server, &path, 0, &[], b"hello ").await.offset(),
        Some(6)
    );
    let state = tus(&server, "HEAD", &path, &[], b"").await;
    assert_eq!(state.header("upload-defer-length"), Some("1"));
    patch(&server, &path, 6, &["Upload-Length: 11"], b"world").await;
    let state = tus(&server, "HEAD", &path, &[], b"").await;
    assert_eq!(state.header("upload-length"), Some("11"));
    assert!(server.uploads()[0].complete);
}

#[tokio::test]
async fn answers_tell_when_an_upload_expires_and_head_returns_its_metadata() {
    let server = Emulator::builder().start().await.unwrap();
    let lines = ["Upload-Length: 3", "Upload-Metadata: name YQ, flag"];
    let answer = tus(&server, "POST", "/files/", &lines, b"").await;
    assert!(answer.header("upload-expires").unwrap().ends_with(" GMT"));
    let path = answer.location();
    let answer = patch(&server, &path, 0, &[], b"a").await;
    assert!(answer.header("upload-expires").is_some());
    let state = tus(&server, "HEAD", &path, &[], b"").await;
    assert_eq!(state.header("upload-metadata"), Some("name YQ, flag"));
    assert_eq!(state.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_wrong_checksum_leaves_the_upload_as_it_was() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 11).await;
    let digest = "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";
    let answer = patch(&server, &path, 0, &[digest], b"hello_world").await;
    assert_eq!(answer.status, 460);
    assert_eq!(offset(&server, &path).await, Some(0));
    let answer = patch(&server, &path, 0, &[digest], b"hello world").await;
    assert_eq!((answer.status, answer.offset()), (204, Some(11)));
}

#[tokio::test]
async fn a_checksum_may_follow_the_body() {
    let server = Emulator::builder().start().await.unwrap();
    for (digest, status) in [("Kq5sNclPz7QV2+lfQIuc6R7oRu0=", 204), ("AAAA", 460)] {
        let path = create(&server, 11).await;
        let mut request = head(
            &server,
            "PATCH",
            &path,
            &[
                "Tus-Resumable: 1.0.0",
                "Content-Type: application/offset+octet-stream",
                "Upload-Offset: 0",
                "Transfer-Encoding: chunked",
                "Trailer: Upload-Checksum",
            ],
        );
        request.push_str("6\r\nhello \r\n5\r\nworld\r\n0\r\n");
        request.push_str(&format!("Upload-Checksum: sha1 {digest}\r\n\r\n"));
        let answer = raw(&server, request.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_chunked_body_beyond_the_end_is_refused_and_nothing_of_it_is_kept() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 5).await;
    let mut request = head(
        &server,
        "PATCH",
        &path,
        &[
            "Tus-Resumable: 1.0.0",
            "Content-Type: application/offset+octet-stream",
            "Upload-Offset: 0",
            "Transfer-Encoding: chunked",
        ],
    );
    request.push_str("6\r\nhello \r\n0\r\n\r\n");
    assert_eq!(raw(&server, request.as_bytes()).await.unwrap().status, 413);
    assert_eq!(offset(&server, &path).await, Some(0));
}

#[tokio::test]
async fn a_terminated_upload_is_gone() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 5).await;
    assert_eq!(tus(&server, "DELETE", &path, &[], b"").await.status, 204);
    assert_eq!(tus(&server, "HEAD", &path, &[], b"").await.status, 404);
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn partial_uploads_are_joined_in_order() {
    let directory = tempfile::tempdir().unwrap();
    for blobs in [Blobs::Memory, Blobs::Dir(directory.path().to_owned())] {
        let server = Emulator::builder().blobs(blobs).start().await.unwrap();
        let mut parts = Vec::new();
        for text in ["world", "hello "] {
            let length = format!("Upload-Length: {}", text.len());
            let lines = [length.as_str(), "Upload-Concat: partial"];
            let path = tus(&server, "POST", "/files/", &lines, b"")
                .await
                .location();
            assert_eq!(
                patch(&server, &path, 0, &[], text.as_bytes()).await.status,
                204
            );
            parts.push(path);
        }
        let concat = format!(
            "Upload-Concat: final;{}{} {}",
            server.url(),
            parts[1],
            parts[0]
        );
        let answer = tus(&server, "POST", "/files/", &[&concat], b"").await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let path = answer.location();
        let state = tus(&server, "HEAD", &path, &[], b"").await;
        assert_eq!(
            (state.offset(), state.header("upload-length")),
            (Some(11), Some("11"))
        );
        assert_eq!(
            state.header("upload-concat"),
            concat.strip_prefix("Upload-Concat: ")
        );
        assert_eq!(patch(&server, &path, 11, &[], b"").await.status, 403);
        let id = path.rsplit('/').next().unwrap();
        assert_eq!(server.content(id).await.unwrap().unwrap(), b"hello world");
        server.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_final_upload_may_wait_for_its_parts() {
    let server = Emulator::builder().start().await.unwrap();
    let lines = ["Upload-Length: 5", "Upload-Concat: partial"];
    let part = tus(&server, "POST", "/files/", &lines, b"")
        .await
        .location();
    let concat = format!("Upload-Concat: final;{part}");
    let path = tus(&server, "POST", "/files/", &[&concat], b"")
        .await
        .location();
    let state = tus(&server, "HEAD", &path, &[], b"").await;
    assert_eq!(
        (state.offset(), state.header("upload-length")),
        (None, Some("5"))
    );
    patch(&server, &part, 0, &[], b"hello").await;
    assert_eq!(offset(&server, &path).await, Some(5));
}

#[tokio::test]
async fn a_strange_part_is_refused() {
    let server = Emulator::builder().start().await.unwrap();
    let whole = create(&server, 5).await;
    for part in [
        whole.as_str(),
        "/files/aaaaaaaaaaaaaaaaaaaa",
        "/etc/passwd",
        "http://[/",
    ] {
        let concat = format!("Upload-Concat: final;{part}");
        let answer = tus(&server, "POST", "/files/", &[&concat], b"").await;
        assert_eq!(answer.status, 400, "{part}");
    }
}

#[tokio::test]
async fn the_method_may_be_overridden() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 5).await;
    let lines = [
        "X-HTTP-Method-Override: PATCH",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
    ];
    let answer = tus(&server, "POST", &path, &lines, b"hello").await;
    assert_eq!((answer.status, answer.offset()), (204, Some(5)));
}

#[tokio::test]
async fn an_empty_file_is_complete_at_once() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 0).await;
    assert_eq!(offset(&server, &path).await, Some(0));
    assert!(server.uploads()[0].complete);
}

#[tokio::test]
async fn only_the_digest_is_kept_when_nothing_else_is_wanted() {
    let server = Emulator::builder()
        .blobs(Blobs::Digest)
        .start()
        .await
        .unwrap();
    let bytes = footage(3 * 1024 * 1024 + 17);
    let path = create(&server, bytes.len() as u64).await;
    let (one, other) = bytes.split_at(1_234_567);
    patch(&server, &path, 0, &[], one).await;
    // Refused bytes must leave no trace in the digest.
    let wrong = "Upload-Checksum: sha1 AAAA";
    let answer = patch(&server, &path, one.len() as u64, &[wrong], &other[..1000]).await;
    assert_eq!(answer.status, 460);
    assert_eq!(
        patch(&server, &path, one.len() as u64, &[], other)
            .await
            .status,
        204
    );
    let id = &server.uploads()[0].id;
    let digest = tus_core::ChecksumAlgorithm::Sha256;
    let mut digester = digest.digester();
    digester.update(&bytes);
    let wanted: String = digester
        .finish()
        .digest()
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect();
    assert_eq!(server.sha256(id).await.unwrap(), Some(wanted));
    assert_eq!(server.content(id).await.unwrap(), None);
}

#[tokio::test]
async fn creation_needs_the_token_only_if_that_was_asked_for() {
    let server = Emulator::builder().tus_token(true).start().await.unwrap();
    let answer = tus(&server, "POST", "/files/", &["Upload-Length: 1"], b"").await;
    assert_eq!(answer.status, 401);
    let lines = ["Upload-Length: 1", "Authorization: Bearer local"];
    let answer = tus(&server, "POST", "/files/", &lines, b"").await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        patch(&server, &answer.location(), 0, &[], b"a")
            .await
            .status,
        204
    );
}
