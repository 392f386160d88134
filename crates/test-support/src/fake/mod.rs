//! [`FakeServer`]: a server that lies by script, over plain TCP or TLS; and [`FakeH2Server`], the
//! same over HTTP/2.
//!
//! `script` decides on each request, `reply` says what can be answered and `hostile` has the
//! worst of it ready; `connection` speaks, `honest` is the small tus server that answers where no
//! row of the script does, and `tls` makes certificates.

mod connection;
mod h2;
mod honest;
mod hostile;
mod reply;
mod script;
mod tls;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::http1::RequestHead;
use connection::Speech;
use honest::Honest;

pub use h2::{FakeH2Server, H2Act, H2Reply, H2Settings};
pub use reply::Reply;
pub use script::{IntoReply, Script};
pub use tls::{Identity, TestCa};

/// A request as a fake server heard it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FakeRequest {
    /// From 1, over all connections.
    pub number: u64,
    /// From 1, in the order of acceptance.
    pub connection: u64,
    /// When its head was complete, since the server's start.
    pub at: Duration,
    /// As in `"PATCH"`.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Names and values as sent, in order.
    pub headers: Vec<(String, String)>,
    /// Bytes of its body that were read until now; of a chunked one, with the chunks' sizes.
    pub body_bytes: u64,
}

impl FakeRequest {
    /// The first value of a header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it carries credentials: `Authorization`, `Cookie`, or one of Cloudflare's
    /// `X-Auth-…`.
    #[must_use]
    pub fn is_authorized(&self) -> bool {
        self.headers.iter().any(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name == "authorization" || name == "cookie" || name.starts_with("x-auth-")
        })
    }
}

impl fmt::Debug for FakeRequest {
    /// Without the headers' values: a failed assertion must not print credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("FakeRequest")
            .field("number", &self.number)
            .field("connection", &self.connection)
            .field("at", &self.at)
            .field("method", &self.method)
            .field("headers", &names)
            .field("body_bytes", &self.body_bytes)
            .finish_non_exhaustive()
    }
}

/// What all connections of a fake server share.
#[derive(Debug)]
struct Shared {
    start: Instant,
    honest: Honest,
    connections: AtomicU64,
    requests: watch::Sender<Vec<FakeRequest>>,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            honest: Honest::default(),
            connections: AtomicU64::new(0),
            requests: watch::Sender::new(Vec::new()),
        })
    }

    fn connect(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Writes a request down and returns it with its number.
    fn record(&self, connection: u64, head: RequestHead) -> FakeRequest {
        let mut request = FakeRequest {
            number: 0,
            connection,
            at: self.start.elapsed(),
            method: head.method,
            target: head.target,
            headers: head.headers,
            body_bytes: 0,
        };
        self.requests.send_modify(|requests| {
            request.number = requests.len() as u64 + 1;
            requests.push(request.clone());
        });
        request
    }

    fn count_body(&self, request: &FakeRequest, bytes: u64) {
        self.requests.send_modify(|requests| {
            let index = usize::try_from(request.number - 1).unwrap_or(usize::MAX);
            if let Some(request) = requests.get_mut(index) {
                request.body_bytes += bytes;
            }
        });
    }

    async fn wait_until(
        &self,
        patience: Duration,
        condition: impl Fn(&[FakeRequest]) -> bool,
    ) -> Vec<FakeRequest> {
        let mut requests = self.requests.subscribe();
        let waited = requests.wait_for(|requests| condition(requests));
        match tokio::time::timeout(patience, waited).await {
            Ok(found) => found.expect("the server owns the sending half").clone(),
            Err(_) => panic!(
                "the fake server did not come to the awaited state within {patience:?}; it heard {:?}",
                self.requests.borrow(),
            ),
        }
    }
}

/// Listens on a free port of 127.0.0.1.
async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A server on 127.0.0.1 that answers by [`Script`] and writes down what it heard.
///
/// Where no row of the script fits, it is an honest small tus server that counts and discards
/// bytes: creation, HEAD, PATCH, termination. Dropping it stops all its tasks and closes all its
/// sockets.
#[derive(Debug)]
pub struct FakeServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    task: JoinHandle<()>,
}

impl FakeServer {
    /// Starts on plain TCP. Must be called in a tokio runtime, whose tasks it uses.
    ///
    /// # Errors
    /// When no loopback port can be listened on.
    pub async fn start(script: Script) -> io::Result<Self> {
        Self::speaking(script, Speech::Plain, "http").await
    }

    /// Starts on TLS, with the certificate of `identity`.
    ///
    /// # Errors
    /// When no loopback port can be listened on.
    pub async fn start_tls(script: Script, identity: &Identity) -> io::Result<Self> {
        let acceptor = identity.acceptor(&[b"http/1.1"])?;
        Self::speaking(script, Speech::Tls(acceptor), "https").await
    }

    /// Starts a server that answers every TLS handshake with version 1.1, of which there has
    /// been none to agree on since RFC 8996.
    ///
    /// # Errors
    /// When no loopback port can be listened on.
    pub async fn start_tls_1_1() -> io::Result<Self> {
        Self::speaking(Script::new(), Speech::Tls11, "https").await
    }

    async fn speaking(script: Script, speech: Speech, scheme: &'static str) -> io::Result<Self> {
        let (listener, address) = listen().await?;
        let shared = Shared::new();
        let accepting = Arc::clone(&shared);
        let script = Arc::new(script);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        // A failed accept concerns a client that is gone already.
                        if let Ok((stream, _)) = accepted {
                            let (shared, script) = (Arc::clone(&accepting), Arc::clone(&script));
                            connections.spawn(connection::serve(
                                shared, script, speech.clone(), scheme, stream,
                            ));
                        }
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self {
            shared,
            address,
            scheme,
            task,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `path` at this server, as in `http://127.0.0.1:40123/files/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let path = path.trim_start_matches('/');
        format!("{}://{}/{path}", self.scheme, self.address)
    }

    /// Connections accepted, with those whose handshake failed.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// All requests until now, in the order of their heads.
    #[must_use]
    pub fn requests(&self) -> Vec<FakeRequest> {
        self.shared.requests.borrow().clone()
    }

    /// Length and offset of each upload of the honest part, in the order of creation.
    #[must_use]
    pub fn uploads(&self) -> Vec<(Option<u64>, u64)> {
        self.shared.honest.uploads()
    }

    /// Waits until `condition` holds for the requests, and returns those it held for.
    ///
    /// # Panics
    /// When it does not hold within `patience`.
    pub async fn wait_until(
        &self,
        patience: Duration,
        condition: impl Fn(&[FakeRequest]) -> bool,
    ) -> Vec<FakeRequest> {
        self.shared.wait_until(patience, condition).await
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        // The accepting task owns the connections' tasks, so they end with it.
        self.task.abort();
    }
}
