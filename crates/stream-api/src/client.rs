//! [`StreamClient`]: the operations of one account, over any transport.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{Request, Uri};
use http_transport::{API_BODY_LIMIT, Body, Credentials, Origin, Transport};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::endpoints::Op;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::lenient;
use crate::op::edit::VideoEdit;
use crate::op::listing::{ListVideos, VideoPage};
use crate::op::videos::Video;

/// Where Cloudflare's own API is.
pub const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";

/// The operations of one account. Cheap to clone. It never repeats a request by itself.
#[derive(Clone)]
pub struct StreamClient {
    transport: Arc<dyn Transport>,
    base: String,
    origin: Origin,
    account: String,
    credentials: Credentials,
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
        })
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

    /// Reads one video.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn video(&self, id: &str) -> Result<Video, Error> {
        let envelope = self.call(Op::VideosGet, &[id], &[], None).await?;
        envelope.result.ok_or_else(|| missing(Op::VideosGet))
    }

    /// Changes settings of one video, and answers the whole of it. Fields that the service does not
    /// take are dropped silently there: compare the answer with what was wanted.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the edit is out of [bounds](crate::bounds);
    /// [`Error::is_not_found`] tells a video that is not there.
    pub async fn edit_video(&self, id: &str, edit: &VideoEdit) -> Result<Video, Error> {
        edit.check()?;
        let body = serde_json::to_value(edit).map_err(|error| Error::Request(error.to_string()))?;
        let envelope = self.call(Op::VideosEdit, &[id], &[], Some(&body)).await?;
        envelope.result.ok_or_else(|| missing(Op::VideosEdit))
    }

    /// Lists videos, one answer long: newest first, up to 1,000. To go on, list once more with
    /// [`before`](ListVideos::before) the oldest of them.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_videos(&self, filter: &ListVideos) -> Result<VideoPage, Error> {
        let envelope: Envelope<Vec<Video>> = self
            .call(Op::VideosList, &[], &filter.query(), None)
            .await?;
        let count = |name| envelope.other.get(name).and_then(lenient::to_number);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let count = |name| count(name).map(|count| count as u64);
        let (total, range) = (count("total"), count("range"));
        Ok(VideoPage {
            videos: envelope.result.unwrap_or_default(),
            total,
            range,
        })
    }

    /// Deletes one video, with everything that was made of it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn delete_video(&self, id: &str) -> Result<(), Error> {
        self.call::<Value>(Op::VideosDelete, &[id], &[], None)
            .await
            .map(drop)
    }

    /// Carries out any operation of the table. `parameters` follow the account in its path. An empty
    /// body of a success reads as an envelope without result.
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
        let request = self.request(op, parameters, query, body)?;
        let (head, body) = self.transport.send(request).await?.into_parts();
        let bytes = body.collect(API_BODY_LIMIT).await?;
        if head.status.is_success() && bytes.is_empty() {
            return Ok(Envelope {
                success: true,
                result: None,
                ..Envelope::error(0, "")
            });
        }
        if !head.status.is_success() {
            // A failure may come from a proxy, with any body at all.
            let envelope = serde_json::from_slice::<Envelope<Value>>(&bytes).ok();
            return Err(refused(head.status, &head.headers, envelope));
        }
        let operation = op.endpoint().id;
        let envelope: Envelope<Value> =
            serde_json::from_slice(&bytes).map_err(|source| Error::Decode { operation, source })?;
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

    fn request(
        &self,
        op: Op,
        parameters: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Request<Body>, Error> {
        let endpoint = op.endpoint();
        let mut all = vec![self.account.as_str()];
        all.extend(parameters);
        let mut url = format!("{}{}", self.base, endpoint.path_with(&all));
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
        if let Some(body) = body {
            *request.body_mut() = Body::from(body.to_string());
            let json = http::HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        self.credentials.apply(&self.origin, request.headers_mut());
        Ok(request)
    }
}

impl fmt::Debug for StreamClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamClient")
            .field("base", &self.base)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

fn refused(
    status: http::StatusCode,
    headers: &HeaderMap,
    envelope: Option<Envelope<Value>>,
) -> Error {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let (errors, messages) = envelope
        .map(|envelope| (envelope.errors, envelope.messages))
        .unwrap_or_default();
    Error::Api {
        status,
        errors,
        messages,
        request_id: text("cf-ray").map(str::to_owned),
        retry_after: text(RETRY_AFTER.as_str())
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(Duration::from_secs),
    }
}

fn missing(op: Op) -> Error {
    let source = serde::de::Error::custom("the result is missing");
    Error::Decode {
        operation: op.endpoint().id,
        source,
    }
}
