//! [`Exchange`]: one request that the machine wants sent.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request};

use super::plan::Creation;
use crate::chunk::Chunk;
use crate::header;
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
    /// By how much to multiply the usual wait for an answer: doubled after each answer that did not come in time, and
    /// larger for the last chunk, after which servers do their slowest work.
    pub answer_factor: u32,
    pub(super) length: u64,
    pub(super) creation: Option<Arc<Creation>>,
}

impl Exchange {
    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self.phase {
            Phase::Create => Method::POST,
            Phase::Head => Method::HEAD,
            Phase::Patch => Method::PATCH,
        }
    }

    /// The request without its body and without credentials: those are the sender's to attach, by origin.
    #[must_use]
    pub fn head(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method();
        *request.uri_mut() = self.url.uri().clone();
        self.write(request.headers_mut());
        request
    }

    fn write(&self, headers: &mut HeaderMap) {
        if let Some(creation) = &self.creation {
            headers.extend(creation.headers.clone());
            headers.insert(header::UPLOAD_LENGTH, header::from_integer(self.length)); // CR-04
            if let Some(metadata) = creation.metadata.to_header() {
                headers.insert(header::UPLOAD_METADATA, metadata);
            }
            // Some proxies answer a POST without any length with 411.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if let Some(chunk) = self.chunk {
            headers.insert(CONTENT_TYPE, header::OFFSET_OCTET_STREAM); // P-02
            headers.insert(header::UPLOAD_OFFSET, header::from_integer(chunk.start)); // P-04
            headers.insert(CONTENT_LENGTH, header::from_integer(chunk.len));
        }
        headers.insert(header::TUS_RESUMABLE, header::VERSION); // G-02
    }
}
