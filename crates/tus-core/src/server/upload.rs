//! [`UploadInfo`]: what a server has to know of one upload in order to answer for it.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::HeaderValue;

use crate::header;
use crate::length::UploadLength;
use crate::server::Append;

/// The state of one upload, without its identity and without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadInfo {
    /// Total bytes, or not known yet.
    pub length: UploadLength,
    /// Bytes that are stored and acknowledged. For an unfinished final upload it is 0 and says
    /// nothing.
    pub offset: u64,
    /// `Upload-Metadata` exactly as it came, because HEAD has to return it so (MD-08).
    pub metadata: Option<HeaderValue>,
    /// What it is to a concatenation.
    pub kind: UploadKind,
    /// When an unfinished upload is given up; `None` for never.
    pub expires: Option<SystemTime>,
}

/// What an upload is to a concatenation. Exhaustive: the text knows no other kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadKind {
    /// Nothing: it stands for itself.
    Plain,
    /// One part of a later whole (CC-02).
    Partial,
    /// The whole. Holds `Upload-Concat` as it came (CC-18).
    Final(HeaderValue),
}

impl UploadInfo {
    /// An upload without a byte, without metadata, that never expires.
    #[must_use]
    pub fn new(length: UploadLength) -> Self {
        Self {
            length,
            offset: 0,
            metadata: None,
            kind: UploadKind::Plain,
            expires: None,
        }
    }

    /// Whether all bytes are here. An upload of length 0 is complete from the start (CR-06).
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.length.is_complete_at(self.offset)
    }

    /// Whether it was given up. A complete upload never is: only unfinished ones expire (EX-01).
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        !self.is_complete() && self.expires.is_some_and(|expires| expires <= now)
    }

    /// Takes over what an append brought: `received` bytes that are stored, verified and inside
    /// [`Append::limit`], and the length if the request told it (DL-04).
    ///
    /// Also right for a body that broke off, with the bytes that came (G-17), unless
    /// [`Append::keeps_broken_body`] says otherwise.
    pub fn appended(&mut self, append: &Append, received: u64) {
        debug_assert!(
            received <= append.limit,
            "bytes beyond the limit are refused (P-11)"
        );
        self.offset = append.at.saturating_add(received);
        if let Some(length) = append.sets_length {
            self.length = UploadLength::Known(length);
        }
    }

    /// Headers that every answer about this upload carries: the offset (H-01, P-08; not for a
    /// final upload that is unfinished, CC-14) and the expiry of an unfinished one (EX-02, EX-03).
    pub(crate) fn write_progress(&self, headers: &mut HeaderMap) {
        if self.is_complete() || !matches!(self.kind, UploadKind::Final(_)) {
            headers.insert(header::UPLOAD_OFFSET, header::from_integer(self.offset));
        }
        self.write_expiry(headers);
    }

    /// The expiry of an unfinished upload.
    pub(crate) fn write_expiry(&self, headers: &mut HeaderMap) {
        if !self.is_complete()
            && let Some(expires) = self.expires
        {
            headers.insert(header::UPLOAD_EXPIRES, header::from_time(expires));
        }
    }

    /// The headers that only HEAD carries: length (H-02, DL-06, CC-17), metadata (MD-08), kind
    /// (CC-18).
    pub(crate) fn write_description(&self, headers: &mut HeaderMap) {
        match (self.length, &self.kind) {
            (UploadLength::Known(length), _) => {
                headers.insert(header::UPLOAD_LENGTH, header::from_integer(length));
            }
            // The length of a final upload is not deferred by anybody: it cannot be told yet.
            (UploadLength::Deferred, UploadKind::Final(_)) => {}
            (UploadLength::Deferred, _) => {
                headers.insert(header::UPLOAD_DEFER_LENGTH, HeaderValue::from_static("1"));
            }
        }
        if let Some(metadata) = &self.metadata {
            headers.insert(header::UPLOAD_METADATA, metadata.clone());
        }
        match &self.kind {
            UploadKind::Plain => {}
            UploadKind::Partial => {
                headers.insert(header::UPLOAD_CONCAT, HeaderValue::from_static("partial"));
            }
            UploadKind::Final(concat) => {
                headers.insert(header::UPLOAD_CONCAT, concat.clone());
            }
        }
    }
}
