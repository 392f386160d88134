//! A seam for HTTP: one request with a streamed body in, one response or a classified fault out.
//!
//! [`Transport`] is the whole interface. Any answer of the server, 500 included, is `Ok`; a
//! [`TransportError`] means that no answer arrived, and its [`certainty`](TransportError::certainty)
//! says what the caller may conclude about the request. A transport never retries, never follows a
//! redirect and never adds a header of its own that carries meaning: those decisions belong to the
//! protocol machine above it.
//!
//! Upload URLs are bearer secrets. Errors name the host and the port, never a path or a query, and
//! [`Credentials`] attach themselves only to the origins they were given for.
//!
//! # Features
//!
//! - `reqwest` (default): `ReqwestTransport`, the real one.
//! - `ciphers`: `use_fastest_ciphers`, for programs.
//! - `testing`: `LossyTransport`, which cuts and drops by plan.

mod auth;
mod body;
#[cfg(feature = "ciphers")]
mod ciphers;
#[cfg(feature = "reqwest")]
mod classify;
#[cfg(feature = "reqwest")]
mod clients;
mod fault;
#[cfg(feature = "testing")]
mod lossy;
#[cfg(feature = "reqwest")]
mod names;
#[cfg(feature = "reqwest")]
mod reqwest;
mod transport;
#[cfg(feature = "reqwest")]
mod watch;

#[cfg(feature = "reqwest")]
pub use self::reqwest::{Protocol, ReqwestTransport, ReqwestTransportBuilder};
pub use auth::{Credentials, CredentialsError, Origin, OriginError};
pub use body::{API_BODY_LIMIT, Body, BoxError, ERROR_BODY_LIMIT, TUS_BODY_LIMIT};
#[cfg(feature = "ciphers")]
pub use ciphers::use_fastest_ciphers;
pub use fault::{Certainty, FaultKind, Phase, TransportError};
#[cfg(feature = "testing")]
pub use lossy::{Loss, LossPlan, LossyTransport};
pub use transport::{AnsweredAfter, Aside, BoxFuture, Deadlines, Line, Transport};
