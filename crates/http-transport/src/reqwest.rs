//! [`ReqwestTransport`]: the real transport.
//!
//! reqwest is asked to do as little as possible: no retry, no redirect, no decompression, no total
//! timeout. What it lacks, a watchdog on the body, is in `watch.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Method, Request, Response};
use http_body::Body as _;
use reqwest::{Client, ClientBuilder, redirect, retry};

use crate::classify::{Peer, classify};
use crate::clients::{Clients, Trust};
use crate::names::Names;
use crate::watch::{Incoming, Outgoing, Progress, watch};
use crate::{
    AnsweredAfter, Aside, Body, BoxFuture, Deadlines, FaultKind, Line, Origin, Phase, Transport,
    TransportError,
};

/// A [`Transport`] over reqwest, hyper and rustls, with a pool of connections.
///
/// Cheap to clone; clones share the pool.
///
/// ```no_run
/// use http_transport::{Body, Protocol, Transport, ReqwestTransport};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = ReqwestTransport::builder(Protocol::Http1)
///     .user_agent("stream-upload/0.1")
///     .build()?;
/// let request = http::Request::head("http://127.0.0.1:8787/files/1").body(Body::Empty)?;
/// let response = transport.send(request).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    clients: Arc<Clients>,
    /// With a pool of its own, for requests that go [aside](Aside).
    aside: Arc<Clients>,
    /// With a pool for each, in which there is one connection: those of the [lines](Line).
    lines: Arc<Mutex<HashMap<u32, Arc<Clients>>>>,
    deadlines: Deadlines,
}

/// Which versions of HTTP to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1 or HTTP/2, as the server likes: for API calls.
    Any,
    /// HTTP/1.1 only: for bodies, since one HTTP/2 connection caps all of them at its window.
    Http1,
}

impl ReqwestTransport {
    /// A transport with all defaults.
    ///
    /// # Errors
    ///
    /// [`FaultKind::Invalid`] when the TLS stack cannot be set up.
    pub fn new(protocol: Protocol) -> Result<Self, TransportError> {
        Self::builder(protocol).build()
    }

    /// A transport to be configured.
    pub fn builder(protocol: Protocol) -> ReqwestTransportBuilder {
        ReqwestTransportBuilder {
            protocol,
            deadlines: Deadlines::default(),
            user_agent: None,
            roots: Vec::new(),
            system_proxy: true,
            names: Names::default(),
        }
    }

    /// The client whose pool has the connection of that number.
    fn line(&self, number: u32) -> Arc<Clients> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let made = lines
            .entry(number)
            .or_insert_with(|| Arc::new(self.clients.with_own_pool()));
        Arc::clone(made)
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (mut parts, body) = request.into_parts();
        let origin = Origin::try_from(&parts.uri).map_err(|error| {
            TransportError::new(
                FaultKind::Invalid,
                "the request's URL is not an absolute http or https URL",
            )
            .with_source(error)
        })?;
        let clients = match (parts.extensions.get(), parts.extensions.get()) {
            (Some(Line(number)), _) => &self.line(*number),
            (None, Some(Aside)) => &self.aside,
            (None, None) => &self.clients,
        };
        let (client, no_system_roots) = clients.client_for(&parts.uri)?;
        let peer = Peer {
            origin,
            no_system_roots,
        };
        let deadlines = parts.extensions.get().copied().unwrap_or(self.deadlines);

        // hyper says nothing about the length of an absent body; servers may answer that with 411.
        if body.is_end_stream() && has_body_semantics(&parts.method) {
            parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }

        let asks = body.is_end_stream();
        let progress = Progress::new();
        let body = reqwest::Body::wrap(Outgoing::new(body, Arc::clone(&progress)));
        let request = reqwest::Request::try_from(Request::from_parts(parts, body))
            .map_err(|error| classify(error, &peer, 0))?;

        let answer = watch(&progress, &deadlines, client.execute(request)).await;
        let sent = progress.bytes_sent();
        let response = match answer {
            Ok(Ok(response)) => {
                let mut response = Response::from(response);
                if let Some(after) = progress.since_end().filter(|_| asks) {
                    response.extensions_mut().insert(AnsweredAfter(after));
                }
                response
            }
            Ok(Err(error)) => {
                return Err(match progress.take_source_error() {
                    Some(source) => {
                        TransportError::new(FaultKind::Source, "the request's body cannot be read")
                            .with_bytes_sent(sent)
                            .with_source(source)
                    }
                    None => classify(error, &peer, sent),
                });
            }
            Err(phase) => {
                let after = match phase {
                    Phase::Connect => deadlines.connect,
                    Phase::Response => deadlines.response,
                    Phase::Stall => deadlines.stall,
                };
                return Err(peer.timed_out(phase, after).with_bytes_sent(sent));
            }
        };

        // reqwest offers no setting for this; hyper stops at 100 fields and 400 KiB by itself.
        if head_bytes(response.headers()) > HEAD_LIMIT {
            let host = peer.origin.authority();
            let message = format!("the head of the answer of {host} is larger than 64 KiB");
            progress.abandon();
            return Err(TransportError::new(FaultKind::TooLarge, message).with_bytes_sent(sent));
        }

        let (parts, body) = response.into_parts();
        let body = if body.is_end_stream() {
            // Answered before the request had ended: the rest of it is not wanted.
            progress.abandon();
            Body::Empty
        } else {
            Body::wrap(Incoming::new(body, deadlines.stall, peer, progress))
        };
        Ok(Response::from_parts(parts, body))
    }
}

impl Transport for ReqwestTransport {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(self.exchange(request))
    }
}

/// Settings of a [`ReqwestTransport`], from [`ReqwestTransport::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ReqwestTransportBuilder {
    protocol: Protocol,
    deadlines: Deadlines,
    user_agent: Option<String>,
    roots: Vec<Bytes>,
    system_proxy: bool,
    names: Names,
}

impl ReqwestTransportBuilder {
    /// The `User-Agent` header. Default: none is sent.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// How long to wait, unless a request says otherwise. Default: [`Deadlines::default`].
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// Trusts the certificate authorities in a PEM file's content, beside those of the system.
    /// Default: the system's only.
    pub fn add_root_pem(mut self, pem: impl Into<Bytes>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are obeyed. Default: yes.
    pub fn system_proxy(mut self, obey: bool) -> Self {
        self.system_proxy = obey;
        self
    }

    /// Builds the transport.
    ///
    /// # Errors
    ///
    /// [`FaultKind::Invalid`] when a root is not PEM, the user agent is not fit for a header, or
    /// the TLS stack cannot be set up.
    pub fn build(self) -> Result<ReqwestTransport, TransportError> {
        let trust = Trust::new(&self.roots, self.protocol)?;
        let deadlines = self.deadlines;
        let clients = Clients::new(self, trust);
        clients.make_first()?;
        let aside = clients.with_own_pool();
        Ok(ReqwestTransport {
            clients: Arc::new(clients),
            aside: Arc::new(aside),
            lines: Arc::default(),
            deadlines,
        })
    }

    /// Whether plain http may go through a proxy, which may itself be reached by TLS.
    pub(crate) fn may_meet_a_proxy(&self) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        self.system_proxy
            && ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
                .into_iter()
                .any(is_set)
    }

    /// Keeps reqwest's pool (idle for 90 s) and its `TCP_USER_TIMEOUT` of 30 s.
    pub(crate) fn client(&self) -> ClientBuilder {
        let mut client = Client::builder()
            .retry(retry::never())
            .redirect(redirect::Policy::none())
            .referer(false)
            .dns_resolver(self.names.clone())
            .tcp_nodelay(true)
            .connect_timeout(self.deadlines.connect);
        if self.protocol == Protocol::Http1 {
            client = client.http1_only();
        }
        if let Some(user_agent) = &self.user_agent {
            client = client.user_agent(user_agent);
        }
        if !self.system_proxy {
            client = client.no_proxy();
        }
        client
    }
}

/// Methods whose requests are expected to have a body (RFC 9110, section 8.6).
fn has_body_semantics(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PUT || *method == Method::PATCH
}

fn head_bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum()
}

const HEAD_LIMIT: usize = 64 * 1024;
