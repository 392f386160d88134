//! Certificates that will never be accepted are permanent; a cut handshake is not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use http_transport::{
    AnsweredAfter, Body, Certainty, FaultKind, Protocol, ReqwestTransport, Transport,
    TransportError,
};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::request;
use crate::server::{Server, read_head};

// Made once for a hundred years; the key of the authority was thrown away.
const AUTHORITY: &str = include_str!("tls/ca.pem");
const LOCALHOST: (&str, &str) = (
    include_str!("tls/localhost.pem"),
    include_str!("tls/localhost.key"),
);
const EXPIRED: (&str, &str) = (
    include_str!("tls/expired.pem"),
    include_str!("tls/expired.key"),
);

async fn secure_server(certificate: (&str, &str)) -> Server {
    slow_server(certificate, Duration::ZERO).await
}

/// One that lets its clients wait so long before it shakes hands with them.
async fn slow_server((certificate, key): (&str, &str), pause: Duration) -> Server {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            tokio::time::sleep(pause).await; // how slow the server is, nothing is waited for
            if let Ok(mut stream) = acceptor.accept(stream).await {
                read_head(&mut stream).await;
                stream
                    .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                    .await
                    .ok();
                stream.shutdown().await.ok();
            }
        }
    })
    .await
}

async fn get(server: &Server, host: &str, trust: bool) -> Result<u16, TransportError> {
    let mut builder = ReqwestTransport::builder(Protocol::Any).system_proxy(false);
    if trust {
        builder = builder.add_root_pem(AUTHORITY);
    }
    let url = format!("https://{host}:{}/", server.address.port());
    let request = request(Method::GET, &url, Body::Empty);
    let response = builder.build().expect("a transport").send(request).await?;
    Ok(response.status().as_u16())
}

#[tokio::test]
async fn how_long_an_answer_took_is_told_without_the_connection_that_was_made_first() {
    let pause = Duration::from_millis(100);
    let server = slow_server(LOCALHOST, pause).await;
    let builder = ReqwestTransport::builder(Protocol::Http1).system_proxy(false);
    let transport = builder.add_root_pem(AUTHORITY).build().expect("trust");
    let url = format!("https://localhost:{}/", server.address.port());
    let asked = Instant::now();
    let answer = transport.send(request(Method::OPTIONS, &url, Body::Empty));
    let answer = answer.await.expect("an answer");
    let AnsweredAfter(after) = answer.extensions().get().copied().expect("it is known");
    assert!(after + pause <= asked.elapsed(), "{after:?}");
}

fn assert_permanent(error: &TransportError) {
    assert_eq!(error.kind(), FaultKind::Tls, "{error:?}");
    assert_eq!(error.certainty(), Certainty::Permanent);
}

#[tokio::test]
async fn an_extra_authority_is_trusted() {
    let server = secure_server(LOCALHOST).await;
    assert_eq!(get(&server, "localhost", true).await.expect("trust"), 204);
}

#[tokio::test]
async fn an_unknown_authority_is_permanent_and_the_message_says_what_to_do() {
    let server = secure_server(LOCALHOST).await;
    let error = get(&server, "localhost", false).await.expect_err("unknown");
    assert_permanent(&error);
    assert!(error.to_string().contains("extra root"), "{error}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_permanent() {
    let server = secure_server(LOCALHOST).await;
    let error = get(&server, "127.0.0.1", true).await.expect_err("host");
    assert_permanent(&error);
}

#[tokio::test]
async fn an_expired_certificate_is_permanent() {
    let server = secure_server(EXPIRED).await;
    let error = get(&server, "localhost", true).await.expect_err("expired");
    assert_permanent(&error);
}

#[tokio::test]
async fn a_server_without_tls_is_permanent() {
    let server = Server::start(async |mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n").await.ok();
        read_head(&mut stream).await;
    })
    .await;
    let error = get(&server, "localhost", true).await.expect_err("no TLS");
    assert_permanent(&error);
}

#[tokio::test]
async fn a_handshake_that_is_cut_is_not_sent() {
    let server = Server::start(async |stream| drop(stream)).await;
    let error = get(&server, "localhost", true).await.expect_err("cut");
    assert_eq!(error.kind(), FaultKind::Connect, "{error:?}");
    assert_eq!(error.certainty(), Certainty::NotSent);
}

#[test]
fn an_authority_that_is_not_pem_is_refused_at_once() {
    let error = ReqwestTransport::builder(Protocol::Any)
        .add_root_pem("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")
        .build()
        .expect_err("not PEM");
    assert_eq!(error.kind(), FaultKind::Invalid);
}
