//! The trait [`Transport`] and the deadlines it works by.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::{Body, TransportError};

/// What [`Transport::send`] returns: boxed by hand, so that the trait is usable as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends one request and hands back the head of its answer, with the body still to be read.
///
/// # What a caller may rely on
///
/// - Every answer of the server is `Ok`, whatever its status.
/// - One call sends at most one request: nothing is retried and no redirect is followed.
/// - A [`Deadlines`] in the request's extensions overrides the transport's own.
/// - An [`Aside`] in them asks for a connection that none of the others uses.
/// - A [`Line`] in them asks for the connection of that number.
/// - An [`AnsweredAfter`] in the extensions of an answer says how long the server took for it.
/// - The body is sent with `Content-Length` when its size hint is exact.
///
/// # Cancellation
///
/// Dropping the future abandons the request and closes its connection. Bytes that the kernel had
/// already taken may still reach the server.
pub trait Transport: Send + Sync {
    /// Sends `request`, whose URI must be absolute.
    ///
    /// # Errors
    ///
    /// When no answer arrived: see [`FaultKind`](crate::FaultKind) for the reasons and
    /// [`TransportError::certainty`] for what they allow.
    fn send(
        &self,
        request: http::Request<Body>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>>;
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(
        &self,
        request: http::Request<Body>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        (**self).send(request)
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send(
        &self,
        request: http::Request<Body>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        (**self).send(request)
    }
}

/// In a request's extensions: it goes over a connection that none of the requests without this goes over. For small ones that
/// are sent while bodies are on their way over a link that is full: a connection which is opened then is slow for long, and
/// the next body should not meet it. A transport without a pool of its own may ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aside;

/// In a request's extensions: it goes over a connection that only requests of the same number go over. For bodies whose
/// connections differ in speed: whoever has found a fast one can have it again. One number is for one request at a time. A
/// transport that has one pool for all may ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line(pub u32);

/// In the extensions of an answer to a request without a body: the time from when the request left, over a connection that was
/// there by then, to the head of the answer. A transport that does not know it leaves it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnsweredAfter(pub Duration);

/// How long a transport waits, and for what. There is no limit on a whole request: 200 MB over a
/// slow link is legitimate as long as bytes keep moving.
///
/// Put one into a request's extensions to override the transport's own for that request.
///
/// ```
/// use std::time::Duration;
/// use http_transport::Deadlines;
///
/// let defaults = Deadlines::default();
/// assert_eq!(defaults.connect, Duration::from_secs(10));
/// assert_eq!(defaults.response, Duration::from_secs(60));
/// assert_eq!(defaults.stall, Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// Name lookup, TCP and TLS together. Default 10 s.
    ///
    /// Connections are shared between requests, so a transport with a pool applies the value it
    /// was built with; one in a request's extensions changes only how long such a transport waits
    /// before it takes the silence for a stall.
    pub connect: Duration,
    /// From the last body byte (or the request, if it has no body) to the head of the answer.
    /// Default 60 s; a transport adds what its socket buffers need to drain at the rate seen.
    pub response: Duration,
    /// Without any body byte moving: request body not accepted by the connection, or response body
    /// not arriving. Default 30 s. Time in which the request body itself has nothing to give does
    /// not count.
    pub stall: Duration,
}

impl Deadlines {
    /// Replaces [`connect`](Self::connect).
    #[must_use]
    pub fn with_connect(mut self, connect: Duration) -> Self {
        self.connect = connect;
        self
    }

    /// Replaces [`response`](Self::response).
    #[must_use]
    pub fn with_response(mut self, response: Duration) -> Self {
        self.response = response;
        self
    }

    /// Replaces [`stall`](Self::stall).
    #[must_use]
    pub fn with_stall(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response: Duration::from_secs(60),
            stall: Duration::from_secs(30),
        }
    }
}
