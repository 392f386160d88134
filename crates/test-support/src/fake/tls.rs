//! Certificates for tests, good and bad, and a handshake from another age.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority of the test's own, new with every value: two of them do not know each other.
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl fmt::Debug for TestCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCa").finish_non_exhaustive()
    }
}

impl TestCa {
    /// Makes an authority with a key of its own.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let mut params = CertificateParams::default();
        // Of two authorities with one name, the wrong one's signature would be looked at.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {number} of a test"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        Ok(Self { issuer })
    }

    /// Its certificate as PEM: what a client is told to trust.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `localhost` and 127.0.0.1 that is valid now.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn localhost(&self) -> io::Result<Identity> {
        self.issue(&["localhost", "127.0.0.1"], false)
    }

    /// A certificate for `localhost` and 127.0.0.1 that expired in 2001.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn expired(&self) -> io::Result<Identity> {
        self.issue(&["localhost", "127.0.0.1"], true)
    }

    /// A valid certificate for `elsewhere.example` alone.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn wrong_host(&self) -> io::Result<Identity> {
        self.issue(&["elsewhere.example"], false)
    }

    fn issue(&self, names: &[&str], expired: bool) -> io::Result<Identity> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        if expired {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(io::Error::other)?;
        Ok(Identity { certificate, key })
    }
}

/// A certificate and its key: what a server shows.
pub struct Identity {
    certificate: Certificate,
    key: KeyPair,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// Shows this certificate, and agrees on one of `protocols`.
    pub(super) fn acceptor(&self, protocols: &[&[u8]]) -> io::Result<TlsAcceptor> {
        Ok(TlsAcceptor::from(self.config(protocols)?))
    }

    /// As [`acceptor`](Self::acceptor), for who does without tokio.
    pub(crate) fn config(&self, protocols: &[&[u8]]) -> io::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// Answers a ClientHello with a ServerHello of TLS 1.1 (RFC 4346, 7.4.1.3), and waits for the
/// client to leave.
pub(super) async fn offer_1_1(mut stream: TcpStream) {
    let mut hello = [0; 16 * 1024];
    if !matches!(stream.read(&mut hello).await, Ok(1..)) {
        return;
    }
    let version = [3, 2];
    let mut body = version.to_vec();
    body.extend([7; 32]); // random
    body.push(0); // no session
    body.extend([0x00, 0x2f]); // TLS_RSA_WITH_AES_128_CBC_SHA
    body.push(0); // no compression
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut record = vec![22, version[0], version[1], 0, length + 4];
    record.extend([2, 0, 0, length]);
    record.extend(body);
    // A client that is gone has refused even earlier.
    if stream.write_all(&record).await.is_ok() {
        while let Ok(1..) = stream.read(&mut hello).await {}
    }
}
