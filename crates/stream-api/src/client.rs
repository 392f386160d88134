//! [`StreamClient`]: the operations of one account, over any transport.

mod account;
mod live;
mod media;
mod videos;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::response::Parts;
use http::{Request, StatusCode, Uri};
use http_transport::{API_BODY_LIMIT, Body, Credentials, Origin, Transport};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::endpoints::{Found, Op, find_for};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::lenient;
use crate::multipart::Form;
use crate::patience::{Patience, Repeat};
use crate::rate::{RateLimit, retry_after};

/// Where Cloudflare's own API is.
pub const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";

/// The operations of one account. Cheap to clone. It repeats a request only if it is given [patience](Self::with_patience).
#[derive(Clone)]
pub struct StreamClient {
    transport: Arc<dyn Transport>,
    base: String,
    origin: Origin,
    account: String,
    credentials: Credentials,
    patience: Option<Arc<dyn Patience>>,
}

impl StreamClient {
    /// A client of `account` at the API whose base is `base_url`, such as [`CLOUDFLARE`].
    ///
    /// # Errors
    /// [`Error::Request`] when the base is no absolute `http` or `https` URL, or the account is
    /// empty.
    pub fn new(
        transport: Arc<dyn Transport>,
        base_url: &str,
        account: impl Into<String>,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        let base = base_url.trim_end_matches('/').to_owned();
        let origin =
            Origin::parse(&base).map_err(|_| Error::Request("the API base is no URL".into()))?;
        let account = account.into();
        if account.is_empty() {
            return Err(Error::Request("the account id is empty".into()));
        }
        Ok(Self {
            transport,
            base,
            origin,
            account,
            credentials,
            patience: None,
        })
    }

    /// Sends requests again that failed, as long as `patience` wants to: those that were refused with 429 or never left; and
    /// where doing it twice [leaves what doing it once leaves](crate::Endpoint::is_repeatable), those without an answer, with
    /// 408 and with 5xx. Default: nothing is sent twice.
    #[must_use]
    pub fn with_patience(self, patience: Arc<dyn Patience>) -> Self {
        Self {
            patience: Some(patience),
            ..self
        }
    }

    /// The same client without [patience](Self::with_patience), for whoever asks again by himself.
    #[must_use]
    pub fn without_patience(&self) -> Self {
        Self {
            patience: None,
            ..self.clone()
        }
    }

    pub(crate) fn patience(&self) -> Option<&dyn Patience> {
        self.patience.as_deref()
    }

    /// The account id.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Where tus creations go: the URL of [`Op::VideosCreateTus`].
    #[must_use]
    pub fn tus_creation_url(&self) -> String {
        format!(
            "{}{}",
            self.base,
            Op::VideosCreateTus.endpoint().path_with(&[&self.account])
        )
    }

    /// Carries out any operation of the table that answers an envelope. `parameters` follow the account
    /// in its path. An empty body of a success reads as an envelope without result.
    ///
    /// # Errors
    /// [`Error`]: also when the envelope says that the operation did not succeed.
    pub async fn call<T: DeserializeOwned>(
        &self,
        op: Op,
        parameters: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Envelope<T>, Error> {
        let body = body.map(ToString::to_string);
        let mut repeat = Repeat::new(self, op);
        loop {
            let payload = body.clone().map(Payload::Json);
            let request = self.request(op, parameters, query, payload)?;
            match self.send(request).await {
                Ok((head, bytes)) => return read(op, &head, &bytes),
                Err(error) if repeat.is_done_by(&error) => return Ok(nothing()),
                Err(error) => repeat.after(error).await?,
            }
        }
    }

    /// As [`call`](Self::call), for what carries a form. It is sent once: [`call_form_by`](Self::call_form_by) can make it anew.
    ///
    /// # Errors
    /// [`Error`]: also when the envelope says that the operation did not succeed.
    pub async fn call_form<T: DeserializeOwned>(
        &self,
        op: Op,
        parameters: &[&str],
        form: Form,
    ) -> Result<Envelope<T>, Error> {
        let request = self.request(op, parameters, &[], Some(Payload::Form(form)))?;
        let (head, bytes) = self.send(request).await?;
        read(op, &head, &bytes)
    }

    /// As [`call_form`](Self::call_form), with a form that `make` makes anew for each attempt, so that it is sent again as
    /// other requests are.
    ///
    /// # Errors
    /// [`Error`]: also that of `make`, and when the envelope says that the operation did not succeed.
    pub async fn call_form_by<T: DeserializeOwned, F>(
        &self,
        op: Op,
        parameters: &[&str],
        make: impl Fn() -> F,
    ) -> Result<Envelope<T>, Error>
    where
        F: Future<Output = Result<Form, Error>>,
    {
        let mut repeat = Repeat::new(self, op);
        loop {
            let form = make().await?;
            let request = self.request(op, parameters, &[], Some(Payload::Form(form)))?;
            match self.send(request).await {
                Ok((head, bytes)) => return read(op, &head, &bytes),
                Err(error) => repeat.after(error).await?,
            }
        }
    }

    /// As [`call`](Self::call), for what answers a text instead of an envelope.
    ///
    /// # Errors
    /// [`Error`]: also when the text is not UTF-8.
    pub async fn call_text(&self, op: Op, parameters: &[&str]) -> Result<String, Error> {
        let mut repeat = Repeat::new(self, op);
        let bytes = loop {
            let request = self.request(op, parameters, &[], None)?;
            match self.send(request).await {
                Ok((_, bytes)) => break bytes,
                Err(error) => repeat.after(error).await?,
            }
        };
        String::from_utf8(bytes.into()).map_err(|source| Error::Decode {
            operation: op.endpoint().id,
            source: serde::de::Error::custom(source),
        })
    }

    /// The result of an operation that has one.
    async fn result<T: DeserializeOwned>(
        &self,
        op: Op,
        parameters: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<T, Error> {
        let envelope = self.call(op, parameters, query, body).await?;
        envelope.result.ok_or_else(|| missing(op))
    }

    /// The same, of what carries this as JSON.
    async fn send_json<T: DeserializeOwned>(
        &self,
        op: Op,
        parameters: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_value(body).map_err(|error| Error::Request(error.to_string()))?;
        self.result(op, parameters, &[], Some(&body)).await
    }

    /// The elements of a list; a list that is `null` is empty, and so is one that is not there.
    async fn elements<T: DeserializeOwned>(
        &self,
        op: Op,
        parameters: &[&str],
    ) -> Result<Vec<T>, Error> {
        let envelope = self.call::<Value>(op, parameters, &[], None).await?;
        Ok(lenient::list(envelope.result.unwrap_or_default()).unwrap_or_default())
    }

    /// An operation whose answer says nothing but that it is done.
    async fn done(&self, op: Op, parameters: &[&str]) -> Result<(), Error> {
        self.call::<Value>(op, parameters, &[], None)
            .await
            .map(drop)
    }

    /// Sends, and turns a refusal into an error.
    async fn send(&self, request: Request<Body>) -> Result<(Parts, Bytes), Error> {
        let answer = self.transport.send(request).await?;
        accept(answer).await
    }

    fn request(
        &self,
        op: Op,
        parameters: &[&str],
        query: &[(&str, String)],
        payload: Option<Payload>,
    ) -> Result<Request<Body>, Error> {
        let endpoint = op.endpoint();
        let mut all = vec![self.account.as_str()];
        all.extend(parameters);
        let path = endpoint.path_with(&all);
        let content_type = match &payload {
            None => None,
            Some(Payload::Json(_)) => Some("application/json".to_owned()),
            Some(Payload::Form(form)) => Some(form.content_type()),
        };
        // An id that is empty, or the name of another operation, must not lead there.
        let leads_here = !all.iter().any(|it| matches!(*it, "." | ".."))
            && matches!(
                find_for(&endpoint.method, &path, content_type.as_deref()),
                Found::Endpoint(row, _) if row.path == endpoint.path
            );
        if !leads_here {
            return Err(Error::Request(format!("an id of {} is no id", endpoint.id)));
        }
        let mut url = format!("{}{path}", self.base);
        for (index, (name, value)) in query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        let invalid = |_| Error::Request("the URL is not valid".into());
        let uri: Uri = url.parse().map_err(invalid)?;
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = endpoint.method.clone();
        *request.uri_mut() = uri;
        if let Some(content_type) = content_type {
            let value = HeaderValue::try_from(content_type)
                .map_err(|_| Error::Request("the form's boundary is not valid".into()))?;
            request.headers_mut().insert(CONTENT_TYPE, value);
        }
        match payload {
            None => {}
            Some(Payload::Json(text)) => *request.body_mut() = Body::from(text),
            Some(Payload::Form(form)) => *request.body_mut() = form.into_body(),
        }
        self.credentials.apply(&self.origin, request.headers_mut());
        Ok(request)
    }
}

/// What a request carries.
enum Payload {
    Form(Form),
    Json(String),
}

impl fmt::Debug for StreamClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamClient")
            .field("base", &self.base)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// Reads an answer whole, and turns a refusal into an error.
pub(crate) async fn accept(answer: http::Response<Body>) -> Result<(Parts, Bytes), Error> {
    let (head, body) = answer.into_parts();
    let bytes = body.collect(API_BODY_LIMIT).await?;
    if head.status.is_success() {
        return Ok((head, bytes));
    }
    // A failure may come from a proxy, with any body at all.
    let envelope = serde_json::from_slice::<Envelope<Value>>(&bytes).ok();
    Err(refused(head.status, &head.headers, envelope))
}

/// Reads the envelope of a success.
fn read<T: DeserializeOwned>(op: Op, head: &Parts, bytes: &[u8]) -> Result<Envelope<T>, Error> {
    let operation = op.endpoint().id;
    if bytes.is_empty() {
        return Ok(nothing());
    }
    let envelope: Envelope<Value> =
        serde_json::from_slice(bytes).map_err(|source| Error::Decode { operation, source })?;
    if !envelope.success {
        return Err(refused(head.status, &head.headers, Some(envelope)));
    }
    let result = match envelope.result {
        None => None,
        Some(value) => {
            Some(T::deserialize(value).map_err(|source| Error::Decode { operation, source })?)
        }
    };
    Ok(Envelope {
        success: true,
        errors: envelope.errors,
        messages: envelope.messages,
        result,
        other: envelope.other,
    })
}

/// The envelope of a success that says nothing.
fn nothing<T>() -> Envelope<T> {
    Envelope {
        success: true,
        result: None,
        ..Envelope::error(0, "")
    }
}

fn refused(status: StatusCode, headers: &HeaderMap, envelope: Option<Envelope<Value>>) -> Error {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let (errors, messages) = envelope
        .map(|envelope| (envelope.errors, envelope.messages))
        .unwrap_or_default();
    Error::Api {
        status,
        errors,
        messages,
        request_id: text("cf-ray").map(str::to_owned),
        retry_after: retry_after(headers),
        limit: RateLimit::of(headers).map(Box::new),
    }
}

fn missing(op: Op) -> Error {
    let source = serde::de::Error::custom("the result is missing");
    Error::Decode {
        operation: op.endpoint().id,
        source,
    }
}
