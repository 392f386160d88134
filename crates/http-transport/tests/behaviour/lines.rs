//! Requests of one number go over one connection, and those of another over another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::Method;
use http_transport::{AnsweredAfter, Body, ERROR_BODY_LIMIT, Line, ReqwestTransport, Transport};
use tokio::io::AsyncWriteExt;

use crate::server::{Server, read_request};
use crate::{request, transport};

/// Answers every request with the number of its connection.
async fn numbering_server() -> Server {
    let next = Arc::new(AtomicU8::new(0));
    Server::start(move |mut stream| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        async move {
            loop {
                let (head, _) = read_request(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// The number of the connection that a request goes over.
async fn connection(transport: &ReqwestTransport, server: &Server, line: Option<u32>) -> String {
    let mut asked = request(Method::GET, &server.url("/"), Body::Empty);
    if let Some(line) = line {
        asked.extensions_mut().insert(Line(line));
    }
    let answer = transport.send(asked).await.expect("an answer");
    let body = answer.into_body().collect(ERROR_BODY_LIMIT).await;
    String::from_utf8(body.expect("a body").to_vec()).expect("a number")
}

#[tokio::test]
async fn a_line_is_the_same_connection_again_and_again_and_nobody_elses() {
    let server = numbering_server().await;
    let transport = transport();
    let first = connection(&transport, &server, Some(1)).await;
    let second = connection(&transport, &server, Some(2)).await;
    let without = connection(&transport, &server, None).await;
    assert_eq!(server.connections(), 3);
    assert_eq!(connection(&transport, &server, Some(1)).await, first);
    assert_eq!(connection(&transport, &server, None).await, without);
    assert_eq!(connection(&transport, &server, Some(2)).await, second);
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn of_a_request_with_a_body_it_is_not_told() {
    let server = numbering_server().await;
    let patch = request(Method::PATCH, &server.url("/"), "body");
    let answer = transport().send(patch).await.expect("an answer");
    assert_eq!(answer.extensions().get::<AnsweredAfter>(), None);
}
