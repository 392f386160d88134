//! How a sink is told to behave.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::ServerConfig;

use super::{NullSink, Shared, accept};
use crate::{Identity, Namespace};

/// How a [`NullSink`] starts; from [`NullSink::builder`].
#[derive(Clone, Debug)]
pub struct NullSinkBuilder {
    extensions: Vec<String>,
    checksums: Vec<String>,
    port: u16,
    conduct: Conduct,
}

/// What a sink does with every connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Conduct {
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Between the last byte of a body and the answer.
    pub(super) commit: Duration,
    pub(super) drops_broken: bool,
    /// Which PATCHes may be refused, counted from 0, how many of 2^32 of them, and what decides.
    pub(super) refused: Option<(Range<u64>, u64, u64)>,
}

impl Conduct {
    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// What the thread of one connection needs; a handshake computes with large numbers.
    pub(super) fn stack_bytes(&self) -> usize {
        if self.tls.is_some() {
            1 << 20
        } else {
            128 << 10
        }
    }
}

impl NullSinkBuilder {
    pub(super) fn new() -> Self {
        Self {
            extensions: vec!["creation".to_owned()],
            checksums: Vec::new(),
            port: 0,
            conduct: Conduct::default(),
        }
    }

    /// The extensions that OPTIONS names. Default: `creation`.
    ///
    /// They also switch behaviour: without `creation-with-upload` the body of a POST is counted
    /// but not kept, and without `concatenation`, `creation-defer-length` or `termination` the
    /// requests of those are refused.
    #[must_use]
    pub fn extensions<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.extensions = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// The digests that OPTIONS names (`Tus-Checksum-Algorithm`), which no one verifies here: what
    /// is measured is their cost for the client. Default: none.
    #[must_use]
    pub fn checksums<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.checksums = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// The port to listen on. Default: 0, the kernel chooses.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Speaks TLS and shows this certificate; HTTP/1.1 by ALPN. Default: clear text.
    ///
    /// # Errors
    /// When the key does not fit the certificate.
    pub fn tls(mut self, identity: &Identity) -> io::Result<Self> {
        self.conduct.tls = Some(identity.config(&[b"http/1.1"])?);
        Ok(self)
    }

    /// How long every body is committed before its answer, as a disk would take. Default: zero.
    #[must_use]
    pub fn commit(mut self, time: Duration) -> Self {
        self.conduct.commit = time;
        self
    }

    /// Forgets what a broken request has brought, as servers do that store whole bodies. Default:
    /// it is kept.
    #[must_use]
    pub fn drops_broken(mut self) -> Self {
        self.conduct.drops_broken = true;
        self
    }

    /// Refuses PATCHes with 503, at once and closing the connection: of those numbered `which`,
    /// from 0, each with this `probability` of 0 to 1, as the seed decides. Default: none.
    #[must_use]
    pub fn refuses(mut self, which: Range<u64>, probability: f64, seed: u64) -> Self {
        let parts = (probability.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64;
        self.conduct.refused = Some((which, parts, seed));
        self
    }

    /// Listens on 127.0.0.1 and serves on threads of its own; no runtime is needed.
    ///
    /// # Errors
    /// When the port cannot be listened on or no thread can be started.
    pub fn start(self) -> io::Result<NullSink> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        self.serve(listener)
    }

    /// As [`start`](Self::start), but in this network and at its address.
    ///
    /// # Errors
    /// As [`start`](Self::start); when the network cannot be entered.
    pub fn start_in(self, network: &Namespace) -> io::Result<NullSink> {
        let listener = network.enter(|| TcpListener::bind((network.addr(), self.port)))?;
        self.serve(listener)
    }

    fn serve(self, listener: TcpListener) -> io::Result<NullSink> {
        let address = listener.local_addr()?;
        let twin = listener.try_clone()?;
        let shared = Shared::new(address, self.extensions, self.checksums, self.conduct);
        let shared = Arc::new(shared);
        let accepting = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("null-sink".to_owned())
            .spawn(move || accept(&accepting, &listener))?;
        Ok(NullSink {
            shared,
            listener: twin,
            thread: Some(thread),
        })
    }
}
