//! [`FakeH2Server`]: a server in control of its HTTP/2 frames.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, server};
use http::Response;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{FakeRequest, Identity, Shared, listen};
use crate::http1::RequestHead;

/// The flow control that a [`FakeH2Server`] offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct H2Settings {
    /// `SETTINGS_INITIAL_WINDOW_SIZE`, in bytes: what a stream may send before it is given more.
    /// Default: 65,535, as the standard's. 0 lets no body begin, once the client has heard of it.
    pub window: u32,
    /// Whether bytes that were read are given back as window. Default: yes. Without it every
    /// stream stops after `window` bytes, and all of them after the connection's 65,535.
    pub gives_window: bool,
}

impl Default for H2Settings {
    fn default() -> Self {
        Self {
            window: 65_535,
            gives_window: true,
        }
    }
}

/// What a [`FakeH2Server`] does with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum H2Act {
    /// What the honest tus server would answer.
    Honest,
    /// A status and headers, no body.
    Answer(u16, Vec<(String, String)>),
    /// RST_STREAM with this reason; `REFUSED_STREAM` is `7` (RFC 9113, 7).
    Reset(u32),
    /// GOAWAY without an error: this stream is answered honestly, no new one is taken.
    GoAway,
    /// GOAWAY with this reason, and the connection ends with all its streams. A client that is
    /// still sending may see the RST that follows instead.
    GoAwayNow(u32),
    /// Nothing, ever.
    Hang,
}

/// An act, and how much of the body is read before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct H2Reply {
    after: Option<u64>,
    act: H2Act,
}

impl H2Reply {
    /// Does `act` at the end of the body.
    #[must_use]
    pub fn new(act: H2Act) -> Self {
        Self { after: None, act }
    }

    /// Refuses the stream at once: it was not processed, and may be sent again.
    #[must_use]
    pub fn refused() -> Self {
        Self::new(H2Act::Reset(Reason::REFUSED_STREAM.into())).after(0)
    }

    /// Does it after `bytes` bytes of the body already.
    #[must_use]
    pub fn after(mut self, bytes: u64) -> Self {
        self.after = Some(bytes);
        self
    }
}

/// A server on 127.0.0.1 that speaks HTTP/2 and does as its script says; over TLS by ALPN, or
/// over plain TCP with a client that knows beforehand.
///
/// Dropping it stops all its tasks and closes all its sockets.
#[derive(Debug)]
pub struct FakeH2Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    task: JoinHandle<()>,
}

trait Decide: Fn(&FakeRequest) -> H2Reply + Send + Sync + 'static {}
impl<F: Fn(&FakeRequest) -> H2Reply + Send + Sync + 'static> Decide for F {}

impl FakeH2Server {
    /// Starts with TLS where an identity is given. `decide` sees each request before its body.
    ///
    /// # Errors
    /// When no loopback port can be listened on.
    pub async fn start(
        identity: Option<&Identity>,
        settings: H2Settings,
        decide: impl Fn(&FakeRequest) -> H2Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let acceptor = identity.map(|it| it.acceptor(&[b"h2"])).transpose()?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let (listener, address) = listen().await?;
        let shared = Shared::new();
        let serving = Serving {
            shared: Arc::clone(&shared),
            settings,
            base: format!("{scheme}://{address}"),
            decide: Arc::new(decide),
        };
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        // A failed accept concerns a client that is gone already.
                        if let Ok((stream, _)) = accepted {
                            let connection = serving.clone().connect(stream, acceptor.clone());
                            connections.spawn(connection);
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

    /// `path` at this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let path = path.trim_start_matches('/');
        format!("{}://{}/{path}", self.scheme, self.address)
    }

    /// Connections accepted.
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

impl Drop for FakeH2Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What every stream needs.
#[derive(Clone)]
struct Serving {
    shared: Arc<Shared>,
    settings: H2Settings,
    base: String,
    decide: Arc<dyn Decide>,
}

/// What a stream asks of its connection.
enum Order {
    GoAway,
    GoAwayNow(Reason),
}

impl Serving {
    async fn connect(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        let number = self.shared.connect();
        match acceptor {
            None => self.serve(number, stream).await,
            Some(acceptor) => {
                if let Ok(stream) = acceptor.accept(stream).await {
                    self.serve(number, stream).await;
                }
            }
        }
    }

    async fn serve(self, number: u64, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let handshake = server::Builder::new()
            .initial_window_size(self.settings.window)
            .handshake::<_, Bytes>(stream)
            .await;
        let Ok(mut connection): Result<Connection<_, Bytes>, _> = handshake else {
            return;
        };
        let (orders, mut inbox) = mpsc::unbounded_channel();
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                accepted = connection.accept() => {
                    let Some(Ok((request, respond))) = accepted else {
                        // What is still to be said, a GOAWAY above all, is said first.
                        let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
                        return;
                    };
                    let (head, body) = request.into_parts();
                    let request = self.shared.record(number, head_of(&head));
                    let serving = self.clone();
                    let orders = orders.clone();
                    streams.spawn(async move {
                        // A stream that fails has a client that left.
                        let _ = serving.answer(&request, body, respond, &orders).await;
                    });
                }
                Some(order) = inbox.recv() => match order {
                    Order::GoAway => connection.graceful_shutdown(),
                    Order::GoAwayNow(reason) => connection.abrupt_shutdown(reason),
                },
                Some(_) = streams.join_next() => {}
            }
        }
    }

    async fn answer(
        &self,
        request: &FakeRequest,
        mut body: RecvStream,
        mut respond: SendResponse<Bytes>,
        orders: &mpsc::UnboundedSender<Order>,
    ) -> Result<(), h2::Error> {
        let reply = (self.decide)(request);
        let honest = &self.shared.honest;
        let (answer, counter) = match reply.act {
            H2Act::Honest | H2Act::GoAway => {
                let (answer, counter) = honest.answer(request, &self.base);
                (Some(answer), counter)
            }
            _ => (None, None),
        };
        let mut read = 0;
        let mut told = false;
        loop {
            if reply.after.is_some_and(|after| read >= after) && !told {
                told = true;
                match reply.act {
                    // It only says so: the stream is read to its end and answered.
                    H2Act::GoAway => order(orders, Order::GoAway),
                    _ => break,
                }
            }
            let Some(bytes) = body.data().await else {
                break;
            };
            let bytes = bytes?.len();
            read += bytes as u64;
            self.shared.count_body(request, bytes as u64);
            if let Some(counter) = &counter {
                counter.fetch_add(bytes as u64, Ordering::AcqRel);
            }
            if self.settings.gives_window {
                body.flow_control().release_capacity(bytes)?;
            }
        }
        let (status, headers) = match reply.act {
            H2Act::Reset(reason) => {
                respond.send_reset(reason.into());
                return Ok(());
            }
            H2Act::GoAwayNow(reason) => {
                order(orders, Order::GoAwayNow(reason.into()));
                return std::future::pending().await;
            }
            H2Act::Hang => return std::future::pending().await,
            H2Act::Answer(status, headers) => (status, headers),
            H2Act::Honest | H2Act::GoAway => {
                if reply.act == H2Act::GoAway && !told {
                    order(orders, Order::GoAway);
                }
                let Some(answer) = answer else { return Ok(()) };
                let owned = |(name, value): (&str, String)| (name.to_owned(), value);
                (
                    answer.status,
                    answer.headers.into_iter().map(owned).collect(),
                )
            }
        };
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let response = response.body(()).expect("a script names valid headers");
        respond.send_response(response, true)?;
        Ok(())
    }
}

fn order(orders: &mpsc::UnboundedSender<Order>, order: Order) {
    // The receiver is the connection, which outlives its streams.
    let _ = orders.send(order);
}

fn head_of(parts: &http::request::Parts) -> RequestHead {
    let target = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    RequestHead {
        method: parts.method.to_string(),
        target: target.to_owned(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
    }
}
