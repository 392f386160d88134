//! Certificates that a client must not believe, and endings that it must not take for ends.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use test_support::{FakeServer, Reply, Script, TestCa};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Connects as a client that trusts `ca` alone.
pub(crate) async fn connect(
    address: std::net::SocketAddr,
    ca: &TestCa,
    protocol: &[u8],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(ca.pem().as_bytes()).expect("PEM");
    roots.add(root).expect("a certificate");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn ask(server: &FakeServer, ca: &TestCa) -> io::Result<String> {
    let mut stream = connect(server.addr(), ca, b"http/1.1").await?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

#[tokio::test]
async fn a_good_certificate_is_believed_and_the_end_is_announced() {
    let ca = TestCa::new().expect("an authority");
    let script = Script::new().always(Reply::html(200).then_close());
    let server = FakeServer::start_tls(script, &ca.localhost().expect("issued"))
        .await
        .expect("started");
    assert!(server.url("/").starts_with("https://"));
    let heard = ask(&server, &ca).await.expect("a clean end");
    assert!(heard.ends_with("</html>\n"), "{heard}");
}

#[tokio::test]
async fn bad_certificates_are_not_believed() {
    let ca = TestCa::new().expect("an authority");
    let unknown = TestCa::new().expect("another");
    for (identity, trouble) in [
        (ca.expired(), "xpired"),
        (ca.wrong_host(), "not valid for name"),
        (unknown.localhost(), "UnknownIssuer"),
    ] {
        let server = FakeServer::start_tls(Script::new(), &identity.expect("issued"))
            .await
            .expect("started");
        let error = ask(&server, &ca).await.expect_err("not believed");
        let said = error.to_string();
        assert!(said.contains(trouble), "{trouble}: {said}");
        assert_eq!((server.connections(), server.requests().len()), (1, 0));
    }
}

#[tokio::test]
async fn tls_1_1_is_offered_and_refused() {
    let ca = TestCa::new().expect("an authority");
    let server = FakeServer::start_tls_1_1().await.expect("started");
    let error = ask(&server, &ca).await.expect_err("too old").to_string();
    assert!(error.contains("peer is incompatible"), "{error}");
}

#[tokio::test]
async fn a_record_cut_in_half_is_no_clean_end() {
    let ca = TestCa::new().expect("an authority");
    let cut = Reply::raw("HTTP/1.1 200 OK\r\n\r\n").then_cut("half of this arrives");
    let server = FakeServer::start_tls(Script::new().always(cut), &ca.localhost().expect("issued"))
        .await
        .expect("started");
    let error = ask(&server, &ca).await.expect_err("truncated");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}
