//! [`ReqwestTransport`]: the real transport.
//!
//! reqwest is asked to do as little as possible: no retry, no redirect, no decompression, no total
//! timeout. What it lacks, a watchdog on the body, is in `watch.rs`.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body as _;
use reqwest::{Certificate, Client, ClientBuilder, redirect, retry};

use crate::classify::{Peer, classify};
use crate::names::Names;
use crate::watch::{Incoming, Outgoing, Progress, watch};
use crate::{
    Aside, Body, BoxFuture, Deadlines, FaultKind, Origin, Phase, Transport, TransportError,
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

    async fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (mut parts, body) = request.into_parts();
        let origin = Origin::try_from(&parts.uri).map_err(|error| {
            TransportError::new(
                FaultKind::Invalid,
                "the request's URL is not an absolute http or https URL",
            )
            .with_source(error)
        })?;
        let clients = match parts.extensions.get::<Aside>() {
            Some(Aside) => &self.aside,
            None => &self.clients,
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

        let progress = Progress::new();
        let body = reqwest::Body::wrap(Outgoing::new(body, Arc::clone(&progress)));
        let request = reqwest::Request::try_from(Request::from_parts(parts, body))
            .map_err(|error| classify(error, &peer, 0))?;

        let answer = watch(&progress, &deadlines, client.execute(request)).await;
        let sent = progress.bytes_sent();
        let response = match answer {
            Ok(Ok(response)) => Response::from(response),
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
        let mut roots = Vec::new();
        for pem in &self.roots {
            roots.extend(
                Certificate::from_pem_bundle(pem)
                    .map_err(invalid("an extra certificate authority is not valid PEM"))?,
            );
        }
        let deadlines = self.deadlines;
        let aside = Clients::new(self.clone(), roots.clone());
        let clients = Clients::new(self, roots);
        if clients.recipe.may_meet_a_proxy() {
            clients.secure()?;
        } else {
            clients.plain()?;
        }
        Ok(ReqwestTransport {
            clients: Arc::new(clients),
            aside: Arc::new(aside),
            deadlines,
        })
    }

    /// Whether plain http may go through a proxy, which may itself be reached by TLS.
    fn may_meet_a_proxy(&self) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        self.system_proxy
            && ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
                .into_iter()
                .any(is_set)
    }

    /// Keeps reqwest's pool (idle for 90 s) and its `TCP_USER_TIMEOUT` of 30 s.
    fn client(&self) -> ClientBuilder {
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

/// One client for plain http, and one for https that is made when it is first needed: reading the system's certificates takes
/// ten milliseconds and two megabytes, which a small upload to a server of the local network need not pay.
#[derive(Debug)]
struct Clients {
    recipe: ReqwestTransportBuilder,
    roots: Vec<Certificate>,
    plain: OnceLock<Client>,
    secure: OnceLock<Secure>,
}

#[derive(Debug)]
struct Secure {
    client: Client,
    no_system_roots: bool,
}

impl Clients {
    fn new(recipe: ReqwestTransportBuilder, roots: Vec<Certificate>) -> Self {
        Self {
            recipe,
            roots,
            plain: OnceLock::new(),
            secure: OnceLock::new(),
        }
    }

    /// The client for `uri`, and whether it knows no authorities but those that were given.
    fn client_for(&self, uri: &Uri) -> Result<(&Client, bool), TransportError> {
        if uri.scheme() == Some(&Scheme::HTTP) && !self.recipe.may_meet_a_proxy() {
            return Ok((self.plain()?, false));
        }
        let secure = self.secure()?;
        Ok((&secure.client, secure.no_system_roots))
    }

    fn plain(&self) -> Result<&Client, TransportError> {
        if let Some(client) = self.plain.get() {
            return Ok(client);
        }
        let client = self.recipe.client().tls_certs_only([]).build();
        let client = client.map_err(invalid("the HTTP client cannot be set up"))?;
        Ok(self.plain.get_or_init(|| client))
    }

    fn secure(&self) -> Result<&Secure, TransportError> {
        if let Some(secure) = self.secure.get() {
            return Ok(secure);
        }
        let roots = || self.roots.iter().cloned();
        let with_system = self.recipe.client().tls_certs_merge(roots()).build();
        let secure = match with_system {
            Ok(client) => Secure {
                client,
                no_system_roots: false,
            },
            // A system without any certificates (a bare container) must still reach a server behind a given authority.
            Err(_) => {
                let only_given = self.recipe.client().tls_certs_only(roots()).build();
                Secure {
                    client: only_given.map_err(invalid("the HTTP client cannot be set up"))?,
                    no_system_roots: true,
                }
            }
        };
        Ok(self.secure.get_or_init(|| secure))
    }
}

fn invalid(what: &'static str) -> impl FnOnce(reqwest::Error) -> TransportError {
    move |error| TransportError::new(FaultKind::Invalid, what).with_source(error.without_url())
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
