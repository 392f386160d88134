//! [`Server::decide`]: from the head of a request to the one thing to do.

use std::time::{Duration, SystemTime};

use http::header::HeaderValue;
use http::{HeaderMap, Method, Request};

use crate::checksum::ChecksumAlgorithm;
use crate::concat::UploadConcat;
use crate::extension::{Extension, ServerCapabilities};
use crate::header::{self, HeaderError};
use crate::length::UploadLength;
use crate::metadata::Metadata;
use crate::rejection::{Meaning, Rejection};
use crate::server::answer::{Create, Head, Join, Options, Terminate, over_max};
use crate::server::append::{self, Append};
use crate::server::{UploadInfo, UploadKind};

/// The rules of one server: what it offers, and nothing that changes.
#[derive(Debug, Clone)]
pub struct Server {
    capabilities: ServerCapabilities,
    expires_after: Option<Duration>,
}

/// Extensions that are nothing without another one, bases before what builds on them.
const BUILT_ON: [(Extension, Extension); 5] = [
    (Extension::CreationWithUpload, Extension::Creation),
    (Extension::CreationDeferLength, Extension::Creation),
    (Extension::Concatenation, Extension::Creation),
    (Extension::ConcatenationUnfinished, Extension::Concatenation),
    (Extension::ChecksumTrailer, Extension::Checksum),
];

/// What a request asks for, checked against the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Say what the server offers.
    Options(Options),
    /// Make an upload, and append the body if there is one.
    Create(Create),
    /// Say how far the upload is.
    Head(Head),
    /// Append the body.
    Append(Append),
    /// Remove the upload and free what it holds (TM-02).
    Terminate(Terminate),
    /// Make a final upload of several partial ones.
    Join(Join),
}

impl Server {
    /// A server that offers `capabilities`, and whose unfinished uploads never expire.
    ///
    /// What the text does not allow to be offered is mended: what builds on an extension goes when that is not offered
    /// (CW-02), and `sha1` is always among the algorithms (CK-03).
    #[must_use]
    pub fn new(mut capabilities: ServerCapabilities) -> Self {
        for (extension, base) in BUILT_ON {
            if !capabilities.extensions.has(base) {
                capabilities.extensions = capabilities.extensions.without(extension);
            }
        }
        let algorithms = &mut capabilities.checksum_algorithms;
        if !algorithms.contains(&ChecksumAlgorithm::Sha1) {
            algorithms.push(ChecksumAlgorithm::Sha1);
        }
        Self {
            capabilities,
            expires_after: None,
        }
    }

    /// Unfinished uploads expire so long after their creation. Default: never. Without effect
    /// unless the capabilities list `expiration` (EX-01).
    #[must_use]
    pub fn with_expiry(mut self, after: Duration) -> Self {
        self.expires_after = Some(after);
        self
    }

    /// What the server offers.
    #[must_use]
    pub fn capabilities(&self) -> &ServerCapabilities {
        &self.capabilities
    }

    /// Reads the head of a request. `info` is the upload that its URL names: `None` for the
    /// creation URL and for an upload that is not there.
    ///
    /// The caller has to hold the upload against other writers from here until the decision is
    /// carried out; whom it cannot give that, it answers with [`Meaning::Locked`] (P-12).
    ///
    /// Whether there is a body is read from `Content-Length` and `Transfer-Encoding`; whoever
    /// speaks a version of HTTP that has other ways (G-18) adds one of them.
    ///
    /// # Errors
    /// The [`Rejection`] to answer with; nothing may be changed then (G-04, P-05).
    pub fn decide<B>(
        &self,
        head: &Request<B>,
        info: Option<&UploadInfo>,
        now: SystemTime,
    ) -> Result<Decision, Rejection> {
        let headers = head.headers();
        let method = requested_method(head)?;
        // O-05: OPTIONS is answered whatever version it names.
        if method == Method::OPTIONS {
            return Ok(Decision::Options(Options(self.capabilities.clone())));
        }
        // G-03, G-05: an unreadable version is not the one spoken here.
        if header::text(headers, &header::TUS_RESUMABLE) != Ok(Some("1.0.0")) {
            return Err(Meaning::UnsupportedVersion.into());
        }
        if method == Method::POST {
            return match info {
                Some(_) => Err(Meaning::MethodNotAllowed.into()),
                None => self.create(headers, now),
            };
        }
        if ![Method::HEAD, Method::PATCH, Method::DELETE].contains(&method) {
            return Err(Meaning::MethodNotAllowed.into());
        }
        let info = info.ok_or(Meaning::NotFound)?;
        if info.is_expired(now) {
            return Err(Meaning::Expired.into());
        }
        match method {
            Method::HEAD => Ok(Decision::Head(Head)),
            Method::PATCH => self.append(headers, info).map(Decision::Append),
            _ if self.offers(Extension::Termination) => Ok(Decision::Terminate(Terminate)),
            _ => Err(Meaning::MethodNotAllowed.into()),
        }
    }

    fn create(&self, headers: &HeaderMap, now: SystemTime) -> Result<Decision, Rejection> {
        if !self.offers(Extension::Creation) {
            return Err(Meaning::MethodNotAllowed.into());
        }
        let metadata = metadata(headers)?;
        let expires = self
            .expires_after
            .filter(|_| self.offers(Extension::Expiration))
            .and_then(|after| now.checked_add(after));
        let kind = match self.concat(headers)? {
            None => UploadKind::Plain,
            Some(UploadConcat::Partial) => UploadKind::Partial,
            Some(UploadConcat::Final(parts)) => {
                // CC-06: the length is the sum of the parts and nothing else.
                if header::upload_length(headers)?.is_some() || append::has_body(headers)? {
                    return Err(Rejection::because(
                        Meaning::BadRequest,
                        "a final upload has neither a length nor a body of its own",
                    ));
                }
                let concat = headers[header::UPLOAD_CONCAT].clone();
                return Ok(Decision::Join(Join {
                    parts,
                    info: UploadInfo {
                        metadata,
                        kind: UploadKind::Final(concat),
                        expires,
                        ..UploadInfo::new(UploadLength::Deferred)
                    },
                    accepts_unfinished: self.offers(Extension::ConcatenationUnfinished),
                    max_size_bytes: self.capabilities.max_size_bytes,
                }));
            }
        };
        let length = header::upload_length(headers)?.ok_or_else(|| {
            Rejection::because(
                Meaning::BadRequest,
                "neither Upload-Length nor Upload-Defer-Length",
            )
        })?;
        if length == UploadLength::Deferred && !self.offers(Extension::CreationDeferLength) {
            return Err(Rejection::because(
                Meaning::BadLength,
                "this server wants the length at creation",
            ));
        }
        let limit = self.room(length, 0)?;
        let body = if append::has_body(headers)? {
            if !self.offers(Extension::CreationWithUpload) {
                return Err(Rejection::because(
                    Meaning::BadRequest,
                    "this server takes no bytes at creation",
                ));
            }
            check_content_type(headers)?;
            Some(Append::read(&self.capabilities, headers, 0, limit, None)?)
        } else {
            None
        };
        let info = UploadInfo {
            metadata,
            kind,
            expires,
            ..UploadInfo::new(length)
        };
        Ok(Decision::Create(Create { info, body }))
    }

    fn append(&self, headers: &HeaderMap, info: &UploadInfo) -> Result<Append, Rejection> {
        if matches!(info.kind, UploadKind::Final(_)) {
            return Err(Meaning::FinalUpload.into());
        }
        check_content_type(headers)?;
        let offset = header::upload_offset(headers)?
            .ok_or_else(|| Rejection::because(Meaning::BadRequest, "Upload-Offset is missing"))?;
        if offset != info.offset {
            return Err(Rejection::because(
                Meaning::OffsetMismatch,
                format!("the offset is {}, not {offset}", info.offset),
            ));
        }
        let (length, sets_length) = match (header::upload_length(headers)?, info.length) {
            (None, length) => (length, None),
            (Some(UploadLength::Deferred), UploadLength::Deferred) => (info.length, None),
            (Some(UploadLength::Known(told)), UploadLength::Deferred) if told >= info.offset => {
                (UploadLength::Known(told), Some(told))
            }
            // Telling the length again is no change of it (DL-05).
            (Some(told), known) if told == known => (known, None),
            _ => return Err(Meaning::BadLength.into()),
        };
        let limit = self.room(length, offset)?;
        Append::read(&self.capabilities, headers, offset, limit, sets_length)
    }

    fn concat(&self, headers: &HeaderMap) -> Result<Option<UploadConcat>, Rejection> {
        let Some(text) = header::text(headers, &header::UPLOAD_CONCAT)? else {
            return Ok(None);
        };
        // A part that the server takes for a whole would never be joined: say so at once.
        if !self.offers(Extension::Concatenation) {
            return Err(Rejection::because(
                Meaning::BadRequest,
                "this server joins no partial uploads",
            ));
        }
        let concat = UploadConcat::parse(text)
            .map_err(|error| Rejection::because(Meaning::BadRequest, error.to_string()))?;
        Ok(Some(concat))
    }

    /// Bytes that may follow `offset` (CR-07, P-11).
    fn room(&self, length: UploadLength, offset: u64) -> Result<u64, Rejection> {
        let max = self.capabilities.max_size_bytes.unwrap_or(u64::MAX);
        let end = length.known().unwrap_or(max);
        if end > max {
            return Err(over_max(max));
        }
        Ok(end.saturating_sub(offset))
    }

    fn offers(&self, extension: Extension) -> bool {
        self.capabilities.extensions.has(extension)
    }
}

/// The method that a request asks for: `X-HTTP-Method-Override` if it is there, whatever the actual
/// one is (G-13). Who treats requests by their method must ask here, or an override passes it by.
///
/// # Errors
/// [`Meaning::BadRequest`] when the header is there twice, [`Meaning::MethodNotAllowed`] when it
/// names none.
pub fn requested_method<B>(head: &Request<B>) -> Result<Method, Rejection> {
    match header::text(head.headers(), &header::METHOD_OVERRIDE)? {
        None => Ok(head.method().clone()),
        Some(name) => name.parse().map_err(|_| Meaning::MethodNotAllowed.into()),
    }
}

/// MD-08: kept as it came. MD-11, MD-12: what cannot be read exactly is refused. MD-13: an empty header is none, for tuspy
/// sends one with every upload that has no metadata.
fn metadata(headers: &HeaderMap) -> Result<Option<HeaderValue>, Rejection> {
    let Some(text) = header::text(headers, &header::UPLOAD_METADATA)? else {
        return Ok(None);
    };
    if text.is_empty() {
        return Ok(None);
    }
    Metadata::parse(text)
        .map_err(|error| Rejection::because(Meaning::BadRequest, error.to_string()))?;
    Ok(headers.get(header::UPLOAD_METADATA).cloned())
}

/// P-03, CW-04.
fn check_content_type(headers: &HeaderMap) -> Result<(), Rejection> {
    let wanted = header::OFFSET_OCTET_STREAM;
    if header::content_type(headers)
        .is_some_and(|kind| wanted == kind.to_ascii_lowercase().as_str())
    {
        return Ok(());
    }
    Err(Meaning::UnsupportedMediaType.into())
}

impl From<HeaderError> for Rejection {
    fn from(error: HeaderError) -> Self {
        let meaning = match &error {
            HeaderError::Invalid(name) if *name == header::UPLOAD_DEFER_LENGTH => {
                Meaning::BadLength
            }
            _ => Meaning::BadRequest,
        };
        Self::because(meaning, error.to_string())
    }
}
