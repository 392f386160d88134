//! [`TransportError`]: why no answer arrived, and what that says about the request.

use std::borrow::Cow;

use crate::BoxError;

/// No answer arrived. The message names host and port and what to look at; it holds no path, no
/// query and no header, since each of them may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    kind: FaultKind,
    bytes_sent: u64,
    message: Cow<'static, str>,
    source: Option<BoxError>,
}

impl TransportError {
    /// An error of `kind` with a message: a lowercase fragment that reads after "failed to send:"
    /// and contains no secret.
    pub fn new(kind: FaultKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            bytes_sent: 0,
            message: message.into(),
            source: None,
        }
    }

    /// Adds how many bytes of the request body had left.
    #[must_use]
    pub fn with_bytes_sent(mut self, bytes_sent: u64) -> Self {
        self.bytes_sent = bytes_sent;
        self
    }

    /// Adds the error below this one. It must not carry the request's URL.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Bytes of the request body that were handed to the connection. An upper bound of what the
    /// server has: never an offset.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// What the caller may conclude about the request.
    pub fn certainty(&self) -> Certainty {
        match self.kind {
            FaultKind::Connect | FaultKind::Timeout(Phase::Connect) => Certainty::NotSent,
            FaultKind::Tls | FaultKind::Proxy | FaultKind::Source | FaultKind::Invalid => {
                Certainty::Permanent
            }
            FaultKind::Cancelled
            | FaultKind::Interrupted
            | FaultKind::Timeout(Phase::Response | Phase::Stall)
            | FaultKind::TooLarge => Certainty::MaybeSent,
        }
    }
}

/// The reason for a [`TransportError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// Whoever asked no longer wants the answer.
    Cancelled,
    /// No connection: name not found, refused, unreachable, or cut before the request.
    Connect,
    /// The connection broke after the request had begun.
    Interrupted,
    /// The request itself cannot be sent, such as a URL that is not `http` or `https`.
    Invalid,
    /// The proxy on the way wants credentials that it was not given.
    Proxy,
    /// The request body's own stream failed: the file could not be read. The network is fine.
    Source,
    /// The two sides will never agree on TLS: certificate not trusted, expired or for another
    /// host, or no protocol version in common.
    Tls,
    /// A deadline passed.
    Timeout(Phase),
    /// The answer is larger than accepted.
    TooLarge,
}

/// What was waited for when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The connection.
    Connect,
    /// The head of the answer, after the body had left.
    Response,
    /// Any movement of a body that is not at its end.
    Stall,
}

/// What a fault says about the request. Together with the method it decides whether sending again
/// is safe.
///
/// Exhaustive on purpose: every caller must handle all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// The server saw nothing: sending again is safe.
    NotSent,
    /// The server may have seen all of it: ask before sending again.
    MaybeSent,
    /// Sending again would fail the same way. [`FaultKind::Source`] is among these: there the
    /// server may have seen a part, and it is the source that wants another look.
    Permanent,
}
