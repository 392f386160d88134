//! Faults are told apart, and none of them gives a secret away.

use std::error::Error;

use http::Method;
use http_transport::{
    Body, Certainty, FaultKind, Loss, LossPlan, LossyTransport, TUS_BODY_LIMIT, Transport,
    TransportError,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::server::{Server, read_head};
use crate::{CANARY, Zeros, request, secret_path, short, transport, transport_with};

#[tokio::test]
async fn a_refused_connection_is_not_sent_and_names_the_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let url = format!("http://{address}{}", secret_path());
    let error = transport()
        .send(request(Method::POST, &url, "body"))
        .await
        .expect_err("nobody listens");
    assert_eq!(error.kind(), FaultKind::Connect);
    assert_eq!(error.certainty(), Certainty::NotSent);
    assert_eq!(error.bytes_sent(), 0);
    let expected = format!("connection refused by {address}");
    assert!(error.to_string().contains(&expected), "{error}");
}

#[tokio::test]
async fn a_name_without_address_is_not_sent_and_names_the_host() {
    let error = transport()
        .send(request(
            Method::POST,
            "http://no-such-host.invalid/files",
            "body",
        ))
        .await
        .expect_err("no such host");
    assert_eq!(error.kind(), FaultKind::Connect);
    assert_eq!(error.certainty(), Certainty::NotSent);
    assert!(
        error
            .to_string()
            .contains("no address found for no-such-host.invalid"),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_an_interruption() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
    })
    .await;
    let error = transport()
        .send(request(
            Method::PATCH,
            &server.url(&secret_path()),
            Zeros::body(8 << 20),
        ))
        .await
        .expect_err("no answer");
    assert_eq!(error.kind(), FaultKind::Interrupted);
    assert_eq!(error.certainty(), Certainty::MaybeSent);
}

#[tokio::test]
async fn a_source_that_cannot_be_read_is_told_from_a_broken_network() {
    for body in [
        Zeros::broken(8 << 20, 1 << 20, Some("input/output error")),
        Zeros::broken(8 << 20, 1 << 20, None),
    ] {
        let server = Server::start(async |mut stream| {
            let mut sink = tokio::io::sink();
            tokio::io::copy(&mut stream, &mut sink).await.ok();
        })
        .await;
        let error = transport()
            .send(request(Method::PATCH, &server.url("/"), body))
            .await
            .expect_err("half a source");
        assert_eq!(error.kind(), FaultKind::Source);
        assert_eq!(error.certainty(), Certainty::Permanent);
        assert_eq!(error.bytes_sent(), 1 << 20);
        assert!(error.source().is_some(), "the cause is kept");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_permanent() {
    for url in ["/relative", "ftp://127.0.0.1/file"] {
        let error = transport()
            .send(request(Method::GET, url, Body::Empty))
            .await
            .expect_err("no such scheme");
        assert_eq!(error.kind(), FaultKind::Invalid, "{url}");
        assert_eq!(error.certainty(), Certainty::Permanent);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_an_interruption() {
    let server = Server::start(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(b"220 mail ready\r\n").await.ok();
    })
    .await;
    let error = transport()
        .send(request(Method::GET, &server.url("/"), Body::Empty))
        .await
        .expect_err("not HTTP");
    assert_eq!(error.kind(), FaultKind::Interrupted);
    assert!(error.to_string().contains("HTTP"), "{error}");
}

#[tokio::test]
async fn no_error_repeats_the_path_or_the_query_of_an_url() {
    let server = Server::start(async |mut stream| {
        let (head, _) = read_head(&mut stream).await;
        let kind = head.split(' ').next().unwrap_or("").to_owned();
        let answer: &[u8] = match kind.as_str() {
            "get" => b"nonsense\r\n\r\n",
            "put" => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
            "delete" => b"",
            // Silence.
            _ => return std::future::pending().await,
        };
        stream.write_all(answer).await.ok();
    })
    .await;
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let nobody = format!(
        "http://{}{}",
        closed.local_addr().expect("address"),
        secret_path()
    );
    drop(closed);

    let transport = transport_with(short());
    let url = server.url(&secret_path());
    let mut errors: Vec<TransportError> = Vec::new();
    for method in [Method::GET, Method::DELETE, Method::HEAD] {
        let request = request(method, &url, Body::Empty);
        errors.push(transport.send(request).await.expect_err("no answer"));
    }
    for body in [
        Zeros::body(1 << 40),
        Zeros::broken(10, 5, Some("unreadable")),
    ] {
        let request = request(Method::PATCH, &url, body);
        errors.push(transport.send(request).await.expect_err("no answer"));
    }
    let request_to_nobody = request(Method::HEAD, &nobody, Body::Empty);
    errors.push(
        transport
            .send(request_to_nobody)
            .await
            .expect_err("refused"),
    );
    let not_http = url.replace("http://", "ftp://");
    let request_unsendable = request(Method::HEAD, &not_http, Body::Empty);
    errors.push(transport.send(request_unsendable).await.expect_err("ftp"));
    let response = transport
        .send(request(Method::PUT, &url, Body::Empty))
        .await
        .expect("a head");
    errors.push(
        response
            .into_body()
            .collect(TUS_BODY_LIMIT)
            .await
            .expect_err("no body"),
    );
    let lossy = LossyTransport::new(transport, LossPlan::default().with(1, Loss::BeforeSending));
    let lost = lossy.send(request(Method::HEAD, &url, Body::Empty)).await;
    errors.push(lost.expect_err("lost"));

    assert_eq!(errors.len(), 9);
    for error in errors {
        let mut shown = format!("{error} {error:?} {error:#?}");
        let mut cause = error.source();
        while let Some(error) = cause {
            shown.push_str(&format!(" {error} {error:?}"));
            cause = error.source();
        }
        assert!(!shown.contains(CANARY), "{shown}");
    }
}
