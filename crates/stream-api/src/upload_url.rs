//! [`UploadUrl`]: what can be done at the URL of one upload, without the API.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use http_transport::{Body, Credentials, Origin, Transport};

use crate::client::accept;
use crate::endpoints::UploadOp;
use crate::error::Error;
use crate::multipart::{Form, FormFile};
use crate::secret::Secret;

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// The URL of one upload, one request at a time. Whoever wants whole files to arrive, over networks that
/// break, wants an engine above it.
#[derive(Clone)]
pub struct UploadUrl {
    transport: Arc<dyn Transport>,
    uri: Uri,
    origin: Origin,
    credentials: Option<Credentials>,
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadProgress {
    /// Bytes that have arrived.
    pub offset: u64,
    /// Bytes in all, if the answer said so.
    pub length: Option<u64>,
}

impl UploadUrl {
    /// The upload at `url`, which needs no credentials.
    ///
    /// # Errors
    /// [`Error::Request`] when it is no absolute `http` or `https` URL; it is not repeated.
    pub fn new(transport: Arc<dyn Transport>, url: &Secret) -> Result<Self, Error> {
        let bad = || Error::Request("the upload URL is no http or https URL".into());
        Ok(Self {
            transport,
            uri: url.expose().parse().map_err(|_| bad())?,
            origin: Origin::parse(url.expose()).map_err(|_| bad())?,
            credentials: None,
        })
    }

    /// Sends these where they belong: the URL of an upload that was made with the own token wants them.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self {
            credentials: Some(credentials),
            ..self
        }
    }

    /// Uploads a file below 200 MB in a form, to a one-time URL.
    ///
    /// # Errors
    /// [`Error`]. A refusal is final; after any other error it is not known whether the file has
    /// arrived, and the URL may be used up.
    pub async fn upload_form(&self, file: FormFile) -> Result<(), Error> {
        let form = Form::new().file("file", file.for_video()?);
        let mut request = self.request(UploadOp::Form);
        let content_type = HeaderValue::try_from(form.content_type())
            .map_err(|_| Error::Request("the form's boundary is not valid".into()))?;
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        *request.body_mut() = form.into_body();
        accept(self.transport.send(request).await?).await.map(drop)
    }

    /// Asks how much of the upload has arrived.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Request`] when the answer does not say.
    pub async fn progress(&self) -> Result<UploadProgress, Error> {
        let answer = self.transport.send(self.request(UploadOp::Head)).await?;
        let (head, _) = accept(answer).await?;
        Ok(UploadProgress {
            offset: offset(&head.headers)?,
            length: number(&head.headers, &UPLOAD_LENGTH),
        })
    }

    /// Sends the bytes from `offset` on. Answers how much has arrived then.
    ///
    /// # Errors
    /// [`Error`]. After one that is no refusal, [ask](Self::progress) before anything is sent again.
    pub async fn send(&self, offset_bytes: u64, bytes: impl Into<Body>) -> Result<u64, Error> {
        let mut request = self.request(UploadOp::Patch);
        let headers = request.headers_mut();
        headers.insert(UPLOAD_OFFSET, HeaderValue::from(offset_bytes));
        let kind = HeaderValue::from_static("application/offset+octet-stream");
        headers.insert(CONTENT_TYPE, kind);
        *request.body_mut() = bytes.into();
        let (head, _) = accept(self.transport.send(request).await?).await?;
        offset(&head.headers)
    }

    /// Asks what the server offers: the headers of its answer.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn options(&self) -> Result<HeaderMap, Error> {
        let answer = self.transport.send(self.request(UploadOp::Options)).await?;
        accept(answer).await.map(|(head, _)| head.headers)
    }

    fn request(&self, op: UploadOp) -> Request<Body> {
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = op.endpoint().method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        if op != UploadOp::Form {
            headers.insert(TUS_RESUMABLE, HeaderValue::from_static("1.0.0"));
            if let Some(credentials) = &self.credentials {
                credentials.apply(&self.origin, headers);
            }
        }
        request
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn offset(headers: &HeaderMap) -> Result<u64, Error> {
    number(headers, &UPLOAD_OFFSET)
        .ok_or_else(|| Error::Request("the answer does not say how much has arrived".into()))
}

impl fmt::Debug for UploadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadUrl")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
