//! Who is turned away, and what never happens.

use std::time::Duration;

use stream_emulator::{Blobs, Emulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::{TOKEN, connect, create, head, offset, patch, raw, read_answer, send, tus};

#[tokio::test]
async fn ids_that_point_elsewhere_lead_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::write(directory.path().join("secretsecretsecret"), b"x").unwrap();
    let server = Emulator::builder()
        .blobs(Blobs::Dir(data))
        .start()
        .await
        .unwrap();
    for id in [
        "..%2f..%2fsecretsecretsecret",
        "../../secretsecretsecret",
        "..%5c..%5csecretsecretsecret",
        "%00secretsecretsecret",
        "/etc/passwd",
        "....//....//secretsecretsecret",
    ] {
        for prefix in [
            "/files/",
            "/tus/",
            "/_emulator/originals/",
            "/client/v4/accounts/a/media/",
        ] {
            let path = format!("{prefix}{id}");
            for method in ["HEAD", "GET", "PATCH", "DELETE"] {
                let answer = tus(&server, method, &path, &[TOKEN], b"").await;
                assert!(
                    (400..500).contains(&answer.status),
                    "{method} {path}: {}",
                    answer.status
                );
                assert_ne!(answer.body, b"x");
            }
        }
    }
    assert!(directory.path().join("secretsecretsecret").exists());
}

#[tokio::test]
async fn a_foreign_host_is_not_served_on_loopback() {
    let server = Emulator::builder()
        .host("emulator.test")
        .start()
        .await
        .unwrap();
    for (host, status) in [
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("user@127.0.0.1", 400),
        ("localhost:1", 200),
        ("[::1]:80", 200),
        ("Emulator.test", 200),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            raw(&server, request.as_bytes()).await.unwrap().status,
            status,
            "{host}"
        );
    }
    let request = b"GET / HTTP/1.1\r\n\r\n";
    assert_eq!(raw(&server, request).await.unwrap().status, 400);
}

#[tokio::test]
async fn after_a_body_with_two_ends_no_second_request_is_served() {
    let server = Emulator::builder().start().await.unwrap();
    let lines = ["Content-Length: 5", "Content-Length: 6"];
    let request = head(&server, "POST", "/files/", &lines) + "hello!";
    assert_eq!(raw(&server, request.as_bytes()).await.unwrap().status, 400);

    let lines = [
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Upload-Length: 5",
    ];
    let smuggled = head(&server, "GET", "/", &[]);
    let request = head(&server, "POST", "/files/", &lines) + "0\r\n\r\n" + &smuggled;
    let mut stream = connect(&server).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream, false).await.unwrap();
    assert_eq!(answer.header("connection"), Some("close"));
    let mut rest = Vec::new();
    // A reset is as good as an end.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Emulator::builder().start().await.unwrap();
    let large = format!("X-Large: {}", "x".repeat(70_000));
    let answer = send(&server, "GET", "/", &[&large], b"").await.unwrap();
    assert_eq!(answer.status, 431);
    let many: Vec<_> = (0..101).map(|index| format!("X-{index}: 1")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(
        send(&server, "GET", "/", &many, b"").await.unwrap().status,
        431
    );
}

#[tokio::test]
async fn a_head_that_never_ends_closes_the_connection_and_an_idle_one_stays() {
    let short = Duration::from_millis(50);
    let server = Emulator::builder()
        .head_timeout(short)
        .start()
        .await
        .unwrap();
    let mut slow = connect(&server).await;
    slow.write_all(b"GET / HT").await.unwrap();
    assert_eq!(slow.read(&mut [0; 64]).await.unwrap_or(0), 0);

    let mut idle = connect(&server).await;
    let request = head(&server, "GET", "/", &[]);
    idle.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut idle, false).await.unwrap().status, 200);
    // Longer than a head may take.
    let silence = tokio::time::timeout(short * 4, idle.read(&mut [0; 1])).await;
    assert!(silence.is_err(), "the connection is still open");
    idle.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut idle, false).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_with_408_and_kept() {
    let idle = Duration::from_millis(50);
    let server = Emulator::builder()
        .body_idle_timeout(idle)
        .start()
        .await
        .unwrap();
    let path = create(&server, 10).await;
    let lines = [
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
        "Content-Length: 10",
    ];
    let request = head(&server, "PATCH", &path, &lines) + "hello";
    assert_eq!(raw(&server, request.as_bytes()).await.unwrap().status, 408);
    assert_eq!(offset(&server, &path).await, Some(5));
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 100_000_000).await;
    let bytes = vec![7; 50_000_000];
    for _ in 0..3 {
        let answer = patch(&server, &path, 17, &[], &bytes).await;
        assert_eq!(answer.status, 409);
    }
}

#[tokio::test]
async fn requests_are_logged_as_data() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 5).await;
    patch(&server, &path, 0, &[TOKEN], b"hello").await;
    let answer = send(&server, "GET", "/_emulator/requests", &[TOKEN], b"")
        .await
        .unwrap();
    let log = answer.json();
    assert_eq!(log[0]["method"], "POST");
    assert_eq!(log[1]["path"], path.as_str());
    assert_eq!(
        (&log[1]["status"], &log[1]["body_bytes"]),
        (&204.into(), &5.into())
    );
    assert_eq!(
        (&log[1]["upload_offset"], &log[1]["authorized"]),
        (&0.into(), &true.into())
    );
    assert_eq!(
        send(&server, "GET", "/_emulator/requests", &[], b"")
            .await
            .unwrap()
            .status,
        401
    );
}

#[tokio::test]
async fn a_method_in_disguise_does_not_pass_the_token_by() {
    let server = Emulator::builder().tus_token(true).start().await.unwrap();
    let lines = ["X-HTTP-Method-Override: POST", "Upload-Length: 1"];
    let answer = tus(&server, "OPTIONS", "/files/", &lines, b"").await;
    assert_eq!(answer.status, 401);
    let media = "/client/v4/accounts/a/media/aaaaaaaaaaaaaaaaaaaaaaaa";
    let lines = ["X-HTTP-Method-Override: DELETE"];
    assert_eq!(
        tus(&server, "OPTIONS", media, &lines, b"").await.status,
        401
    );
    assert!(server.uploads().is_empty());
    let lines = ["X-HTTP-Method-Override: OPTIONS"];
    for path in ["/files/", media] {
        assert_eq!(tus(&server, "POST", path, &lines, b"").await.status, 204);
    }
}

#[tokio::test]
async fn no_page_of_another_origin_may_read_an_answer() {
    let server = Emulator::builder().start().await.unwrap();
    let lines = [
        "Origin: https://evil.example",
        "Access-Control-Request-Method: PATCH",
        "Access-Control-Request-Headers: authorization, upload-offset",
    ];
    for (method, path) in [
        ("OPTIONS", "/files/"),
        ("POST", "/files/"),
        ("GET", "/"),
        ("GET", "/client/v4/accounts/a/stream"),
        ("OPTIONS", "/_emulator/requests"),
    ] {
        let answer = tus(&server, method, path, &lines, b"").await;
        for header in ["origin", "methods", "headers", "credentials"] {
            let header = format!("access-control-allow-{header}");
            assert_eq!(answer.header(&header), None, "{method} {path}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_kept_on_disk_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    fn modes(folder: &std::path::Path, found: &mut Vec<(std::path::PathBuf, u32)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            if path.is_dir() {
                modes(&path, found);
            }
            found.push((path, mode));
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Emulator::builder()
        .blobs(Blobs::Dir(directory.path().join("data")))
        .start()
        .await
        .unwrap();
    let path = create(&server, 5).await;
    patch(&server, &path, 0, &[], b"hello").await;
    server.shutdown().await.unwrap();
    let mut found = Vec::new();
    modes(directory.path(), &mut found);
    assert!(found.len() > 2, "{found:?}");
    for (path, mode) in found {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{}", path.display());
    }
}
