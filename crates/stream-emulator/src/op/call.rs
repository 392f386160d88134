//! [`Call`]: one request to one operation.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_transport::{Body, TUS_BODY_LIMIT};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stream_api::{Envelope, Message, Op, code};

use crate::answer::{self, Answer};
use crate::entry::Entry;
use crate::form::Form;
use crate::server::Shared;

/// What an operation answers: a refusal is boxed because it is rare.
pub(crate) type Answered = Result<Answer, Box<Answer>>;

/// One request to one operation, with all that a handler may look at.
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) op: Op,
    /// The parameters of the path, the account first.
    pub(crate) parameters: &'a [String],
    pub(crate) head: &'a Request<()>,
    /// Never contended: a body may be sent to another thread, but not shared with it, and a call is.
    body: Mutex<&'a mut Option<Body>>,
    /// Where this server is, as the client calls it.
    pub(crate) base: &'a str,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        op: Op,
        parameters: &'a [String],
        head: &'a Request<()>,
        body: &'a mut Option<Body>,
        base: &'a str,
    ) -> Self {
        Self {
            shared,
            op,
            parameters,
            head,
            body: Mutex::new(body),
            base,
        }
    }

    /// The body, for whoever asks first.
    pub(crate) fn take_body(&self) -> Body {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.take().unwrap_or_default()
    }

    /// Its parts, the body where it was: what is left of it is read by whoever lent it.
    pub(crate) fn into_tus(
        self,
    ) -> (
        &'a Arc<Shared>,
        &'a str,
        &'a Request<()>,
        &'a mut Option<Body>,
        &'a str,
    ) {
        let body = self
            .body
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let account = self.parameters.first().map_or("", String::as_str);
        (self.shared, account, self.head, body, self.base)
    }

    /// The account in the path.
    pub(crate) fn account(&self) -> &str {
        self.parameter(0)
    }

    /// The id after the account: of a video, a key, a live input, a watermark.
    pub(crate) fn id(&self) -> &str {
        self.parameter(1)
    }

    /// The parameter after that: a language, an audio track, an output, a type of download.
    pub(crate) fn part(&self) -> &str {
        self.parameter(2)
    }

    fn parameter(&self, at: usize) -> &str {
        self.parameters.get(at).map_or("", String::as_str)
    }

    /// What the emulator's clock says.
    pub(crate) fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// The headers of the request.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// A value of the query; `None` where it is absent or empty.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let query = self.head.uri().query().unwrap_or("").as_bytes();
        url::form_urlencoded::parse(query)
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    }

    /// The video that the path names.
    ///
    /// # Errors
    /// 404 / 10003 where the account has none of that id.
    pub(crate) fn video(&self) -> Result<Entry, Box<Answer>> {
        let entry = self.shared.videos.entry(self.account(), self.id());
        entry.ok_or_else(|| Box::new(answer::not_found()))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// 400 / 10004 for what cannot be decoded.
    pub(crate) async fn json<T: DeserializeOwned>(&self) -> Result<T, Box<Answer>> {
        let bytes = self.collect().await?;
        serde_json::from_slice(&bytes).map_err(|error| Box::new(undecodable(&error)))
    }

    /// The body as JSON where it need not be there: none is read as `{}`.
    ///
    /// # Errors
    /// 400 / 10004 for what cannot be decoded.
    pub(crate) async fn json_if_any<T: DeserializeOwned>(&self) -> Result<T, Box<Answer>> {
        let bytes = self.collect().await?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(bytes).map_err(|error| Box::new(undecodable(&error)))
    }

    async fn collect(&self) -> Result<Bytes, Box<Answer>> {
        let collecting = self.take_body().collect(TUS_BODY_LIMIT);
        // A megabyte at most: whoever sends it so slowly is not going to.
        let patience = self.shared.options.body_idle * 4;
        match tokio::time::timeout(patience, collecting).await {
            Ok(Ok(bytes)) => Ok(bytes),
            _ => refuse("the body did not come, or is too long"),
        }
    }

    /// The body as a form.
    ///
    /// # Errors
    /// 400 / 10005 for a body that is none.
    pub(crate) fn form(&self) -> Result<Form, Box<Answer>> {
        let body = self.take_body();
        Form::new(self.head.headers(), body, self.shared.options.body_idle)
    }

    /// Runs what blocks (the disk, a key being made) where it may.
    ///
    /// # Errors
    /// 500 when it fails.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Box<Answer>> {
        self.shared.blocking(work).await.map_err(|error| {
            tracing::warn!(%error, op = ?self.op, "an operation failed");
            Box::new(unsaved())
        })
    }
}

impl Shared {
    /// Runs what blocks where it may.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let shared = Arc::clone(self);
        let worked = tokio::task::spawn_blocking(move || work(&shared)).await;
        self.teller.tell();
        worked.map_err(std::io::Error::other)?
    }
}

/// 500: the disk is full, most likely.
pub(crate) fn unsaved() -> Answer {
    answer::failure(
        StatusCode::INTERNAL_SERVER_ERROR,
        code::BAD_REQUEST,
        "the state cannot be saved",
    )
}

/// 200 with a result in the envelope.
pub(crate) fn ok(result: impl Serialize) -> Answered {
    Ok(answer::json(StatusCode::OK, &Envelope::ok(result)))
}

/// 400 / 10005, with the rule that was broken.
pub(crate) fn refuse<T>(text: impl Into<String>) -> Result<T, Box<Answer>> {
    Err(Box::new(answer::bad_request(text)))
}

/// 400 / 10004.
pub(crate) fn undecodable(error: &serde_json::Error) -> Answer {
    let mut envelope = Envelope::<Value>::error(code::DECODING, "Decoding Error");
    envelope
        .messages
        .push(Message::new(code::DECODING, error.to_string()));
    answer::json(StatusCode::BAD_REQUEST, &envelope)
}
