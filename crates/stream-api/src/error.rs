//! [`Error`]: why an operation failed.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http_transport::TransportError;

use crate::codes::{ERROR_CODES, ErrorCode};
use crate::envelope::Message;
use crate::rate::RateLimit;

/// Why an operation failed. Its text is a lowercase fragment and names no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Cloudflare refused it.
    #[error("{}", Refusal { status: *status, errors, messages, request_id: request_id.as_deref() })]
    Api {
        /// The HTTP status.
        status: StatusCode,
        /// Cloudflare's codes and texts, verbatim. Empty when the answer had no envelope.
        errors: Vec<Message>,
        /// Details; sometimes the useful text stands only here.
        messages: Vec<Message>,
        /// The value of `cf-ray`, which Cloudflare's support asks for.
        request_id: Option<String>,
        /// How long to wait, if the answer said so in seconds.
        retry_after: Option<Duration>,
        /// What is left of the rate limit, if the answer said so.
        limit: Option<Box<RateLimit>>,
    },
    /// The answer is a success that cannot be read.
    #[error("the answer to {operation} cannot be read")]
    Decode {
        /// The operation's id in the endpoint table.
        operation: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The base URL, the account or a credential cannot be used to make a request.
    #[error("the request cannot be built: {0}")]
    Request(String),
    /// No answer arrived.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl Error {
    /// The HTTP status, if there was an answer that refused.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether Cloudflare gave this code (see [`code`](crate::code)), as an error or as a message.
    #[must_use]
    pub fn has_code(&self, code: u64) -> bool {
        match self {
            Self::Api {
                errors, messages, ..
            } => errors
                .iter()
                .chain(messages)
                .any(|message| message.code == code),
            _ => false,
        }
    }

    /// What is known of the first of Cloudflare's codes that something is known of: cause and remedy.
    #[must_use]
    pub fn explained(&self) -> Option<&'static ErrorCode> {
        ERROR_CODES.iter().find(|row| self.has_code(row.code))
    }

    /// Whether the thing asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }
}

struct Refusal<'a> {
    status: StatusCode,
    errors: &'a [Message],
    messages: &'a [Message],
    request_id: Option<&'a str>,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the API answered {}", self.status)?;
        let mut separator = ": ";
        for message in self.errors.iter().chain(self.messages) {
            write!(f, "{separator}{message}")?;
            separator = "; ";
        }
        if let Some(id) = self.request_id {
            write!(f, " [request {id}]")?;
        }
        Ok(())
    }
}
