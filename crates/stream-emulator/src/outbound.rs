//! [`Outbound`]: the way out of this server, for what it fetches and for what it tells.

use std::fmt;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, Uri};
use http_transport::{Body, Transport, TransportError};
use stream_api::code;
use url::Url;

use crate::answer::{self, Answer};
use crate::op::refuse;
use crate::server::Shared;

/// Stream's code for a URL that is none, or none that it would ask.
pub(crate) const INVALID_URL: u64 = 10010;

/// The transport that whoever started this server handed in, if any.
#[derive(Clone, Default)]
pub(crate) struct Outbound(Option<Arc<dyn Transport>>);

impl Outbound {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self(Some(transport))
    }

    /// The transport itself.
    pub(crate) fn transport(&self) -> Option<Arc<dyn Transport>> {
        self.0.clone()
    }

    /// Sends a request; `None` where there is no way out.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
    ) -> Option<Result<Response<Body>, TransportError>> {
        Some(self.0.as_ref()?.send(request).await)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "open" } else { "closed" })
    }
}

/// An absolute `http` or `https` URL.
///
/// # Errors
/// 400 / 10010.
pub(crate) fn check_url(text: &str) -> Result<Uri, Box<Answer>> {
    let url = Url::parse(text).ok().filter(|url| {
        ["http", "https"].contains(&url.scheme()) && url.has_host() && url.username().is_empty()
    });
    let uri = url.and_then(|url| url.as_str().parse().ok());
    uri.ok_or_else(|| {
        let text = "Invalid URL: it must be an http or https URL with a host";
        let status = StatusCode::BAD_REQUEST;
        Box::new(answer::failure(status, INVALID_URL, text))
    })
}

impl Shared {
    /// Asks a URL, and hands back the answer when it is a good one.
    ///
    /// # Errors
    /// 400 / 10010 for what is no URL, 400 / 10005 for what could not be fetched.
    pub(crate) async fn ask(&self, url: &str) -> Result<Response<Body>, Box<Answer>> {
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = Method::GET;
        *request.uri_mut() = check_url(url)?;
        match self.options.outbound.send(request).await {
            None => refuse("this emulator was started without a way out, and fetches nothing"),
            Some(Ok(answer)) if answer.status().is_success() => Ok(answer),
            Some(Ok(answer)) => refuse(format!("the URL answered {}", answer.status())),
            Some(Err(error)) => refuse(format!("the URL could not be fetched: {error}")),
        }
    }

    /// Fetches what a URL answers, `limit` bytes at most.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); 413 for what is larger.
    pub(crate) async fn fetch(&self, url: &str, limit: u64) -> Result<bytes::Bytes, Box<Answer>> {
        let answer = self.ask(url).await?;
        answer.into_body().collect(limit).await.map_err(|error| {
            let (status, text) = match error.kind() {
                http_transport::FaultKind::TooLarge => (
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the file is larger than {limit} bytes"),
                ),
                _ => (
                    StatusCode::BAD_REQUEST,
                    format!("the URL could not be fetched: {error}"),
                ),
            };
            Box::new(answer::failure(status, code::BAD_REQUEST, text))
        })
    }
}
