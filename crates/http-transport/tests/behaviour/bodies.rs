//! What leaves.

use std::sync::Arc;

use http::Method;
use http_transport::{Body, Transport};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::server::{Server, read_request};
use crate::{Zeros, request, transport};

/// Answers 204 to everything and passes on what was asked.
async fn recorder() -> (Server, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let sender = Arc::new(sender);
    let server = Server::start(move |mut stream| {
        let sender = Arc::clone(&sender);
        async move {
            loop {
                let (head, body) = read_request(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                sender.send((head, body)).expect("a test that listens");
                stream
                    .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                    .await
                    .expect("a client");
            }
        }
    })
    .await;
    (server, receiver)
}

#[tokio::test]
async fn a_stream_of_known_length_is_sent_with_content_length_and_not_chunked() {
    let (server, mut requests) = recorder().await;
    let length = 1_000_003;
    let response = transport()
        .send(request(
            Method::PATCH,
            &server.url("/"),
            Zeros::body(length),
        ))
        .await
        .expect("an answer");
    assert_eq!(response.status(), 204);
    let (head, body) = requests.recv().await.expect("a request");
    assert!(head.contains("\r\ncontent-length: 1000003\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(body.len() as u64, length);
}

#[tokio::test]
async fn bytes_larger_than_a_frame_arrive_unchanged() {
    let (server, mut requests) = recorder().await;
    let content: Vec<u8> = (0..700_001_u32).map(|n| (n % 251) as u8).collect();
    transport()
        .send(request(Method::POST, &server.url("/"), content.clone()))
        .await
        .expect("an answer");
    let (head, body) = requests.recv().await.expect("a request");
    assert!(head.contains("\r\ncontent-length: 700001\r\n"), "{head}");
    assert!(body == content);
}

#[tokio::test]
async fn an_empty_post_says_so_and_a_head_says_nothing() {
    let (server, mut requests) = recorder().await;
    let transport = transport();
    for method in [Method::POST, Method::PATCH, Method::HEAD, Method::DELETE] {
        let expected = usize::from(method == Method::POST || method == Method::PATCH);
        transport
            .send(request(method.clone(), &server.url("/"), Body::Empty))
            .await
            .expect("an answer");
        let (head, _) = requests.recv().await.expect("a request");
        assert_eq!(
            head.matches("content-length: 0").count(),
            expected,
            "{method}: {head}"
        );
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
    assert_eq!(server.connections(), 1, "connections are kept");
}

#[tokio::test]
async fn nothing_is_offered_for_decompression() {
    let (server, mut requests) = recorder().await;
    transport()
        .send(request(Method::GET, &server.url("/"), Body::Empty))
        .await
        .expect("an answer");
    let (head, _) = requests.recv().await.expect("a request");
    assert!(!head.contains("accept-encoding"), "{head}");
}
