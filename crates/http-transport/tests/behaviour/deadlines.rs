//! Silence is noticed, slowness is not taken for it.

use std::time::{Duration, Instant};

use http::Method;
use http_transport::{Body, Certainty, Deadlines, FaultKind, Phase, TUS_BODY_LIMIT, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::server::{Server, read_head, read_request};
use crate::{Zeros, request, short, transport, transport_with};

const LARGE: u64 = 64 * 1024 * 1024;

#[tokio::test]
async fn a_server_that_stops_reading_is_a_stall() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let begun = Instant::now();
    let error = transport_with(short())
        .send(request(Method::PATCH, &server.url("/"), Zeros::body(LARGE)))
        .await
        .expect_err("no answer");
    assert_eq!(error.kind(), FaultKind::Timeout(Phase::Stall));
    assert_eq!(error.certainty(), Certainty::MaybeSent);
    assert!((1..LARGE).contains(&error.bytes_sent()));
    assert!(error.to_string().contains("stalled"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_that_reads_slowly_is_not_a_stall() {
    let length = 12 * 1024 * 1024;
    let server = Server::start_narrow(move |mut stream| async move {
        let (_, rest) = read_head(&mut stream).await;
        let mut left = length - rest.len() as u64;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            // The slowness is the subject: about 4 MB/s, three times the stall in all.
            tokio::time::sleep(Duration::from_millis(5)).await;
            left -= stream.read(&mut buffer).await.expect("a body") as u64;
        }
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .expect("a client");
    })
    .await;
    let begun = Instant::now();
    let stall = Duration::from_millis(1000);
    let response = transport_with(Deadlines::default().with_stall(stall))
        .send(request(
            Method::PATCH,
            &server.url("/"),
            Zeros::body(length),
        ))
        .await
        .expect("an answer");
    assert_eq!(response.status(), 204);
    assert!(begun.elapsed() > stall, "too fast to prove anything");
}

#[tokio::test]
async fn no_answer_to_a_request_without_body_is_a_response_timeout() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let begun = Instant::now();
    let error = transport_with(short())
        .send(request(Method::HEAD, &server.url("/"), Body::Empty))
        .await
        .expect_err("no answer");
    assert_eq!(error.kind(), FaultKind::Timeout(Phase::Response));
    assert_eq!(error.certainty(), Certainty::MaybeSent);
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn no_answer_to_a_whole_body_is_a_response_timeout_and_not_a_stall() {
    let server = Server::start(async |mut stream| {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let deadlines = short().with_stall(Duration::from_secs(30));
    let begun = Instant::now();
    let error = transport_with(deadlines)
        .send(request(
            Method::PATCH,
            &server.url("/"),
            Zeros::body(1_000_000),
        ))
        .await
        .expect_err("no answer");
    assert_eq!(error.kind(), FaultKind::Timeout(Phase::Response));
    assert_eq!(error.bytes_sent(), 1_000_000);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_request_brings_its_own_deadlines() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut request = request(Method::HEAD, &server.url("/"), Body::Empty);
    request.extensions_mut().insert(short());
    let error = transport().send(request).await.expect_err("no answer");
    assert_eq!(error.kind(), FaultKind::Timeout(Phase::Response));
}

#[tokio::test]
async fn an_answer_whose_body_stops_arriving_is_a_stall() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            .await
            .expect("a client");
        std::future::pending::<()>().await;
    })
    .await;
    let response = transport_with(short())
        .send(request(Method::GET, &server.url("/"), Body::Empty))
        .await
        .expect("a head");
    let error = response
        .into_body()
        .collect(TUS_BODY_LIMIT)
        .await
        .expect_err("half a body");
    assert_eq!(error.kind(), FaultKind::Timeout(Phase::Stall));
}

#[tokio::test]
async fn dropping_the_future_closes_the_connection() {
    let (sender, mut events) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let sender = sender.clone();
        async move {
            let (_, rest) = read_head(&mut stream).await;
            sender.send(rest.len() as u64).expect("a test");
            let mut all = rest.len() as u64;
            let mut buffer = vec![0; 64 * 1024];
            // Ends when the client closes, cleanly or with a reset.
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                all += read as u64;
            }
            sender.send(all).expect("a test");
        }
    })
    .await;
    let transport = transport();
    // More than a test could ever send.
    let endless = Zeros::body(1 << 50);
    let sending = transport.send(request(Method::PATCH, &server.url("/"), endless));
    tokio::select! {
        _ = sending => panic!("the body has no end"),
        begun = events.recv() => assert!(begun.is_some()),
    }
    let received = events.recv().await.expect("the server sees the end");
    assert!(received < 1 << 50);
}
