//! [`Exchange`]: one request that the machine wants sent.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request};

use super::plan::Creation;
use crate::checksum::ChecksumAlgorithm;
use crate::chunk::Chunk;
use crate::concat::UploadConcat;
use crate::header;
use crate::length::UploadLength;
use crate::rejection::Phase;
use crate::url::UploadUrl;

/// A request: where it goes, and which bytes of the source form its body. Cheap to clone; the head is built on demand.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What it is for.
    pub phase: Phase,
    /// Where it goes.
    pub url: Arc<UploadUrl>,
    /// The bytes of the source that form the body; `None` for a request without body.
    pub chunk: Option<Chunk>,
    /// The digest of the body that has to go along in `Upload-Checksum`: as a header, or as a trailer where
    /// [`checksum_trailer`](Self::checksum_trailer) allows it.
    pub checksum: Option<ChecksumAlgorithm>,
    /// Whether the server takes the digest behind the body (CT-02), so that the source is read once.
    pub checksum_trailer: bool,
    /// By how much to multiply the usual wait for an answer: doubled after each answer that did not come in time, and
    /// larger for the last chunk and for a concatenation, after which servers do their slowest work, and never more than is
    /// left of patience ([`RetryPolicy::answer_wait`](crate::RetryPolicy::answer_wait) is the usual wait).
    pub answer_factor: u32,
    pub(super) creation: Option<Arc<Creation>>,
    pub(super) concat: Option<Arc<UploadConcat>>,
    /// Told with a creation, or with the first PATCH after it became known (CR-04, DL-04).
    pub(super) length: Option<UploadLength>,
    pub(super) method_override: bool,
    /// The body ends with the upload's last byte.
    pub(super) last: bool,
}

impl Exchange {
    /// The method that is meant. What goes over the wire may be a POST that names it (G-13).
    #[must_use]
    pub fn method(&self) -> Method {
        match self.phase {
            Phase::Create => Method::POST,
            Phase::Head => Method::HEAD,
            Phase::Options => Method::OPTIONS,
            Phase::Patch => Method::PATCH,
            Phase::Terminate => Method::DELETE,
        }
    }

    /// Whether it carries the upload's last byte: when its answer is lost, the upload may be complete. Whoever keeps records
    /// should have written that down ([`Upload::reached`](super::Upload::reached)) before it is sent.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// The request without its body, without its checksum, and without credentials: those are the sender's to attach, by
    /// origin.
    #[must_use]
    pub fn head(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method();
        *request.uri_mut() = self.url.uri().clone();
        self.write(request.headers_mut());
        if self.method_override && matches!(self.phase, Phase::Patch | Phase::Terminate) {
            let meant = if self.phase == Phase::Patch {
                "PATCH"
            } else {
                "DELETE"
            };
            request
                .headers_mut()
                .insert(header::METHOD_OVERRIDE, HeaderValue::from_static(meant));
            *request.method_mut() = Method::POST;
        }
        request
    }

    fn write(&self, headers: &mut HeaderMap) {
        if let Some(creation) = &self.creation {
            headers.extend(creation.headers.clone());
            if let Some(metadata) = creation.metadata.to_header() {
                headers.insert(header::UPLOAD_METADATA, metadata);
            }
            // Some proxies answer a POST without any length with 411.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if let Some(Ok(concat)) = self.concat.as_ref().map(|concat| concat.to_header()) {
            headers.insert(header::UPLOAD_CONCAT, concat); // CC-02, CC-03
        }
        match self.length {
            Some(UploadLength::Known(length)) => {
                headers.insert(header::UPLOAD_LENGTH, header::from_integer(length));
            }
            Some(UploadLength::Deferred) => {
                headers.insert(header::UPLOAD_DEFER_LENGTH, HeaderValue::from_static("1"));
            }
            None => {}
        }
        if let Some(chunk) = self.chunk {
            headers.insert(CONTENT_TYPE, header::OFFSET_OCTET_STREAM); // P-02, CW-04
            headers.insert(CONTENT_LENGTH, header::from_integer(chunk.len));
            if self.phase == Phase::Patch {
                headers.insert(header::UPLOAD_OFFSET, header::from_integer(chunk.start)); // P-04
            }
        }
        // O-04: a client should not send it with OPTIONS.
        if self.phase != Phase::Options {
            headers.insert(header::TUS_RESUMABLE, header::VERSION); // G-02
        }
    }
}
