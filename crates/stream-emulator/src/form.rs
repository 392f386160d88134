//! [`Form`]: a `multipart/form-data` body (RFC 7578), a field at a time, as its bytes come.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyDataStream;
use http_transport::Body;
use stream_api::code;

use crate::answer::{self, Answer};
use crate::server::{DRAIN_TIME, Shared};

/// A form that is being read.
pub(crate) struct Form {
    fields: multer::Multipart<'static>,
    idle: Duration,
}

/// One field of a form. Its bytes are still to come.
pub(crate) struct Field {
    field: multer::Field<'static>,
    idle: Duration,
}

impl Form {
    /// `idle` is how long the next bytes may take.
    ///
    /// # Errors
    /// The refusal of a body that is no form.
    pub(crate) fn new(
        headers: &HeaderMap,
        body: Body,
        idle: Duration,
    ) -> Result<Self, Box<Answer>> {
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        match kind.map(multer::parse_boundary) {
            Some(Ok(boundary)) => Ok(Self {
                fields: multer::Multipart::new(BodyDataStream::new(body), boundary),
                idle,
            }),
            _ => Err(Box::new(answer::bad_request(
                "the body must be multipart/form-data with a boundary",
            ))),
        }
    }

    /// The next field; `None` at the end of the form. What is left of the one before is skipped.
    ///
    /// # Errors
    /// The refusal of a form that is broken, or does not go on.
    pub(crate) async fn next(&mut self) -> Result<Option<Field>, Box<Answer>> {
        let next = tokio::time::timeout(self.idle, self.fields.next_field());
        let field = next
            .await
            .map_err(|_| idle())?
            .map_err(|error| broken(&error))?;
        Ok(field.map(|field| Field {
            field,
            idle: self.idle,
        }))
    }
}

impl Shared {
    /// Reads the rest of a form and throws it away, for a while: a client that is still sending reads the answer
    /// instead of a reset.
    pub(crate) fn drain_form(&self, mut form: Form) {
        let stop = self.stop_connections.clone();
        let draining = async move {
            while let Ok(Some(mut field)) = form.next().await {
                while let Ok(Some(_)) = field.chunk().await {}
            }
        };
        let draining = tokio::time::timeout(DRAIN_TIME, draining);
        tokio::spawn(stop.run_until_cancelled_owned(draining));
    }
}

impl Field {
    /// Its name; empty where it has none.
    pub(crate) fn name(&self) -> &str {
        self.field.name().unwrap_or("")
    }

    /// The next bytes; `None` at the end of the field.
    ///
    /// # Errors
    /// As [`Form::next`].
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Box<Answer>> {
        let chunk = tokio::time::timeout(self.idle, self.field.chunk());
        chunk
            .await
            .map_err(|_| idle())?
            .map_err(|error| broken(&error))
    }

    /// All bytes, `limit` at most.
    ///
    /// # Errors
    /// As [`Form::next`]; 413 for a field that is longer.
    pub(crate) async fn bytes(mut self, limit: usize) -> Result<Vec<u8>, Box<Answer>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > limit {
                return Err(too_large(self.name(), limit as u64));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// All bytes as text, 64 KiB at most.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes); 400 for what is no UTF-8.
    pub(crate) async fn text(self) -> Result<String, Box<Answer>> {
        let name = self.name().to_owned();
        String::from_utf8(self.bytes(64 * 1024).await?)
            .map_err(|_| Box::new(answer::bad_request(format!("{name} is no text"))))
    }
}

/// The refusal of a file that is larger than the documentation allows.
pub(crate) fn too_large(name: &str, limit: u64) -> Box<Answer> {
    Box::new(answer::failure(
        StatusCode::PAYLOAD_TOO_LARGE,
        code::BAD_REQUEST,
        format!("{name} is larger than {limit} bytes"),
    ))
}

fn idle() -> Box<Answer> {
    Box::new(answer::failure(
        StatusCode::REQUEST_TIMEOUT,
        code::BAD_REQUEST,
        "the body did not go on",
    ))
}

fn broken(error: &multer::Error) -> Box<Answer> {
    Box::new(answer::bad_request(format!(
        "the form cannot be read: {error}"
    )))
}
