//! Answers are reported as they are, early ones too, and never without a limit.

use http::Method;
use http_transport::{Body, ERROR_BODY_LIMIT, FaultKind, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Server, read_head, read_request};
use crate::{Zeros, request, transport};

#[tokio::test]
async fn statuses_are_answers_and_not_errors() {
    for status in [200, 204, 404, 409, 429, 500, 503] {
        let server = Server::start(move |mut stream| async move {
            read_request(&mut stream).await;
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("a client");
        })
        .await;
        let response = transport()
            .send(request(Method::PATCH, &server.url("/"), "body"))
            .await
            .expect("an answer");
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_not_followed() {
    for status in [301, 302, 307, 308] {
        let elsewhere = Server::start(async |_| {}).await;
        let target = elsewhere.url("/elsewhere");
        let server = Server::start(move |mut stream| {
            let target = target.clone();
            async move {
                read_request(&mut stream).await;
                let head = format!(
                    "HTTP/1.1 {status} X\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.expect("a client");
            }
        })
        .await;
        let response = transport()
            .send(request(Method::GET, &server.url("/"), Body::Empty))
            .await
            .expect("an answer");
        assert_eq!(response.status(), status);
        assert_eq!(elsewhere.connections(), 0);
    }
}

/// Refuses after 1 KiB of body; then reads on as long as `linger` says so.
async fn refusing_server(linger: bool) -> Server {
    Server::start(move |mut stream| async move {
        let (_, rest) = read_head(&mut stream).await;
        let mut body = vec![0; 1024 - rest.len().min(1024)];
        stream.read_exact(&mut body).await.expect("a body");
        let answer =
            b"HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntoo large";
        stream.write_all(answer).await.expect("a client");
        if linger {
            stream.shutdown().await.expect("a client");
            let mut sink = tokio::io::sink();
            tokio::io::copy(&mut stream, &mut sink).await.ok();
        }
        // Closing with unread bytes resets the connection.
    })
    .await
}

/// The status and body of the refusal, if they were seen.
async fn refused(server: &Server) -> Option<(u16, bytes::Bytes)> {
    let request = request(Method::PATCH, &server.url("/"), Zeros::body(64 << 20));
    let response = transport().send(request).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect(ERROR_BODY_LIMIT).await.ok()?;
    Some((status, body))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_early_refusal_is_always_read_from_a_server_that_closes_as_the_rfc_asks() {
    let server = refusing_server(true).await;
    for attempt in 0..20 {
        let expected = Some((413, "too large".into()));
        assert_eq!(refused(&server).await, expected, "attempt {attempt}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_early_refusal_is_mostly_read_from_a_server_that_resets() {
    // hyper gives up on a write error although the answer may lie in the socket already; see
    // `Outgoing` for what makes that rare. A caller that tries again soon reads it.
    let server = refusing_server(false).await;
    let mut read = 0;
    for _ in 0..20 {
        read += usize::from(
            refused(&server)
                .await
                .is_some_and(|(status, _)| status == 413),
        );
    }
    assert!(read >= 15, "{read} of 20");
}

#[tokio::test]
async fn an_early_refusal_ends_the_sending_of_the_rest() {
    let (sender, received) = tokio::sync::oneshot::channel();
    let sender = std::sync::Mutex::new(Some(sender));
    let server = Server::start(move |mut stream| {
        let sender = sender.lock().expect("unpoisoned").take();
        async move {
            read_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n")
                .await
                .expect("a client");
            let mut sink = tokio::io::sink();
            tokio::io::copy(&mut stream, &mut sink).await.ok();
            sender.expect("one connection").send(()).expect("a test");
        }
    })
    .await;
    let response = transport()
        .send(request(
            Method::PATCH,
            &server.url("/"),
            Zeros::body(1 << 50),
        ))
        .await
        .expect("an answer");
    assert_eq!(response.status(), 401);
    drop(response);
    received.await.expect("the connection is closed");
}

#[tokio::test]
async fn an_endless_head_is_too_large() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.ok();
        let page = [b'a'; 64 * 1024];
        while stream.write_all(&page).await.is_ok() {}
    })
    .await;
    let error = transport()
        .send(request(Method::GET, &server.url("/"), Body::Empty))
        .await
        .expect_err("no end");
    assert_eq!(error.kind(), FaultKind::TooLarge);
}

#[tokio::test]
async fn a_head_of_more_than_64_kib_is_too_large() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
        let value = "a".repeat(70_000);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {value}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok();
    })
    .await;
    let error = transport()
        .send(request(Method::GET, &server.url("/"), Body::Empty))
        .await
        .expect_err("too much");
    assert_eq!(error.kind(), FaultKind::TooLarge);
}

#[tokio::test]
async fn a_head_of_many_fields_is_not_accepted() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
        let fields = "x: y\r\n".repeat(100_000);
        let head = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok();
    })
    .await;
    let error = transport()
        .send(request(Method::GET, &server.url("/"), Body::Empty))
        .await
        .expect_err("too many");
    assert_eq!(error.kind(), FaultKind::TooLarge);
}

#[tokio::test]
async fn an_error_body_is_read_up_to_its_limit_whether_announced_or_not() {
    for head in [
        "HTTP/1.1 500 X\r\ncontent-length: 1073741824\r\n\r\n",
        "HTTP/1.1 500 X\r\nconnection: close\r\n\r\n",
    ] {
        let server = Server::start(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(head.as_bytes()).await.ok();
            let page = [b'a'; 16 * 1024];
            while stream.write_all(&page).await.is_ok() {}
        })
        .await;
        let response = transport()
            .send(request(Method::GET, &server.url("/"), Body::Empty))
            .await
            .expect("a head");
        assert_eq!(response.status(), 500);
        let error = response
            .into_body()
            .collect(ERROR_BODY_LIMIT)
            .await
            .expect_err("1 GiB");
        assert_eq!(error.kind(), FaultKind::TooLarge);
    }
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_an_interruption() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            .await
            .ok();
    })
    .await;
    let response = transport()
        .send(request(Method::GET, &server.url("/"), Body::Empty))
        .await
        .expect("a head");
    let error = response
        .into_body()
        .collect(ERROR_BODY_LIMIT)
        .await
        .expect_err("half");
    assert_eq!(error.kind(), FaultKind::Interrupted);
}
