//! From reqwest's error to ours. Its own questions (`is_connect`, `is_timeout`) are too coarse, so
//! the chain of causes is walked for the I/O, TLS or hyper error that tells them apart.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, Error as TlsError};

use crate::names::TurnedPrivate;
use crate::{FaultKind, Origin, Phase, TransportError};

/// Whom a message names, and what else it should know.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) origin: Origin,
    /// The system offered no certificate authorities at all.
    pub(crate) no_system_roots: bool,
}

impl Peer {
    pub(crate) fn timed_out(&self, phase: Phase, after: Duration) -> TransportError {
        let host = self.origin.authority();
        let message = match phase {
            Phase::Connect => format!("no connection to {host} within {after:?}"),
            Phase::Response => format!("{host} did not answer within {after:?}"),
            Phase::Stall => format!("stalled: no byte moved to or from {host} for {after:?}"),
        };
        TransportError::new(FaultKind::Timeout(phase), message)
    }

    /// Each message with its way out.
    fn describe(&self, cause: &Cause, error: &reqwest::Error) -> String {
        let host = self.origin.authority();
        match cause {
            Cause::Certificate(why) if self.no_system_roots => format!(
                "certificate of {host} cannot be checked ({why}): this system has no certificate \
                 authorities; install them or add one as an extra root"
            ),
            Cause::Certificate(why) => format!(
                "certificate of {host} is not accepted ({why}); check the clock and the host \
                 name, or add its authority as an extra root"
            ),
            Cause::Tls(why) => format!("{host} and this client do not agree on TLS ({why})"),
            Cause::Proxy => format!("the proxy on the way to {host} wants credentials"),
            Cause::Name => format!(
                "no address found for {}; check the name and the network",
                self.origin.host()
            ),
            Cause::TurnedPrivate => format!(
                "{} has private addresses only, and had public ones: it is not followed there; \
                 check who answers for the name",
                self.origin.host()
            ),
            Cause::Connect(Some(io::ErrorKind::ConnectionRefused)) => {
                format!("connection refused by {host}; check that a server listens there")
            }
            Cause::Connect(Some(
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable,
            )) => format!("{host} cannot be reached; check the network"),
            Cause::Connect(_) => format!("no connection to {host}"),
            Cause::HeadTooLarge => format!("the head of the answer of {host} is too large"),
            Cause::NotHttp => format!("{host} did not answer in HTTP"),
            Cause::Timeout(Phase::Connect) => format!("no connection to {host} in time"),
            Cause::Timeout(_) => format!("stalled: {host} acknowledged nothing in time"),
            Cause::Invalid => format!("the request to {host} cannot be sent: {error}"),
            Cause::Broken => format!("the connection to {host} broke off"),
        }
    }
}

/// Turns reqwest's error into ours; the URL is taken out of it.
pub(crate) fn classify(error: reqwest::Error, peer: &Peer, bytes_sent: u64) -> TransportError {
    let error = error.without_url();
    let cause = Cause::of(&error);
    TransportError::new(cause.kind(), peer.describe(&cause, &error))
        .with_bytes_sent(bytes_sent)
        .with_source(error)
}

enum Cause {
    Broken,
    Certificate(String),
    Connect(Option<io::ErrorKind>),
    HeadTooLarge,
    Invalid,
    Name,
    NotHttp,
    Proxy,
    Timeout(Phase),
    Tls(String),
    TurnedPrivate,
}

impl Cause {
    fn of(error: &reqwest::Error) -> Self {
        let connecting = error.is_connect();
        let mut io_kind = None;
        for cause in causes(error) {
            if let Some(tls) = cause.downcast_ref::<TlsError>() {
                match disagreement(tls, connecting) {
                    Some(Disagreement::Certificate) => return Self::Certificate(tls.to_string()),
                    Some(Disagreement::Protocol) => return Self::Tls(tls.to_string()),
                    None => {}
                }
            } else if cause.is::<TurnedPrivate>() {
                return Self::TurnedPrivate;
            } else if let Some(io) = cause.downcast_ref::<io::Error>() {
                io_kind = Some(io.kind());
            } else if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
                if hyper.is_parse_too_large() {
                    return Self::HeadTooLarge;
                }
                if hyper.is_parse() {
                    return Self::NotHttp;
                }
            } else if connecting && cause.to_string().ends_with(PROXY_WANTS_CREDENTIALS) {
                return Self::Proxy;
            }
        }
        if error.is_builder() {
            Self::Invalid
        } else if connecting && error.is_dns() {
            Self::Name
        } else if error.is_timeout() {
            // Not ours: the connector's, or the kernel's `TCP_USER_TIMEOUT`.
            Self::Timeout(if connecting {
                Phase::Connect
            } else {
                Phase::Stall
            })
        } else if connecting {
            Self::Connect(io_kind)
        } else {
            Self::Broken
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Broken | Self::NotHttp => FaultKind::Interrupted,
            Self::Certificate(_) | Self::Tls(_) => FaultKind::Tls,
            Self::Connect(_) | Self::Name | Self::TurnedPrivate => FaultKind::Connect,
            Self::HeadTooLarge => FaultKind::TooLarge,
            Self::Invalid => FaultKind::Invalid,
            Self::Proxy => FaultKind::Proxy,
            Self::Timeout(phase) => FaultKind::Timeout(*phase),
        }
    }
}

/// The error and everything below it. An `io::Error` hides the error it was made of from
/// `source()`, and TLS errors sit exactly there.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn Error + 'static));
        inside.or_else(|| error.source())
    })
}

enum Disagreement {
    Certificate,
    Protocol,
}

/// Whether the two sides would disagree the same way again, unlike after a damaged record.
fn disagreement(error: &TlsError, connecting: bool) -> Option<Disagreement> {
    match error {
        TlsError::InvalidCertificate(_)
        | TlsError::NoCertificatesPresented
        | TlsError::UnsupportedNameType
        | TlsError::InvalidCertRevocationList(_) => Some(Disagreement::Certificate),
        // Damaged on the way, in either direction.
        TlsError::DecryptError
        | TlsError::PeerMisbehaved(_)
        | TlsError::AlertReceived(
            AlertDescription::BadRecordMac
            | AlertDescription::DecryptError
            | AlertDescription::InternalError,
        ) => None,
        // TLS 1.3 refuses a client's certificate only after the handshake.
        TlsError::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => Some(Disagreement::Protocol),
        _ => connecting.then_some(Disagreement::Protocol),
    }
}

/// hyper-util's tunnel error has no public type; this is the end of its text.
const PROXY_WANTS_CREDENTIALS: &str = "proxy authorization required";
