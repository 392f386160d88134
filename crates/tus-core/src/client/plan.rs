//! What an upload sets out to do.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::checksum::ChecksumAlgorithm;
use crate::chunk::ChunkRule;
use crate::concat::UploadConcat;
use crate::extension::ServerCapabilities;
use crate::length::UploadLength;
use crate::metadata::Metadata;
use crate::retry::RetryPolicy;
use crate::url::UploadUrl;

/// The POST that makes a new upload.
#[derive(Debug, Clone)]
pub struct Creation {
    /// Where it goes (CR-03).
    pub url: UploadUrl,
    /// What travels in `Upload-Metadata`.
    pub metadata: Metadata,
    /// Further headers of this one request, such as Stream's `Upload-Creator`. No credentials: those are bound to origins,
    /// and attached by whoever sends.
    pub headers: HeaderMap,
}

impl Creation {
    /// A creation without metadata.
    #[must_use]
    pub fn new(url: UploadUrl) -> Self {
        Self {
            url,
            metadata: Metadata::new(),
            headers: HeaderMap::new(),
        }
    }

    /// Sets [`metadata`](Self::metadata).
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }
}

/// Where an upload begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// Nothing is known: create it.
    Create,
    /// A creation was intended earlier and its outcome is unknown: reconcile first, then create.
    Doubt,
    /// The upload's URL is known: ask for its offset.
    Resume {
        /// Where the upload lives.
        url: UploadUrl,
        /// The last offset that an earlier run knew of. A hint: the upload goes on from where the server says.
        offset: u64,
        /// The end of the furthest chunk that any earlier run handed out
        /// ([`Upload::reached`](super::Upload::reached)); 0 if that is unknown. Where it, or `offset`, covers the length, an
        /// upload that is gone may have been completed: the service is asked before anything is created anew.
        reached: u64,
    },
}

/// Whether chunks carry a digest (CK-05).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChecksumWish {
    /// Never.
    #[default]
    Never,
    /// The cheapest one that the server offers, or none: `crc32`, `sha1`, `sha256`, `md5`.
    Offered,
    /// This one, or the upload fails before it is created.
    Required(ChecksumAlgorithm),
}

/// All that [`Upload`](super::Upload) has to know before it starts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploadPlan {
    /// Where to begin. Default [`Start::Create`].
    pub start: Start,
    /// How to create it; `None` for a one-time upload URL, which can be used but never made anew.
    pub creation: Option<Arc<Creation>>,
    /// Total bytes, known or told later.
    pub length: UploadLength,
    /// What the server wants of a chunk. Default [`ChunkRule::FREE`].
    pub chunk_rule: ChunkRule,
    /// Bytes per PATCH, fitted into the rule. Default: what the rule prefers.
    pub chunk_bytes: Option<u64>,
    /// When to wait and when to stop.
    pub retry: RetryPolicy,
    /// Headers of the creation's answer that are reported in [`Event::Created`](super::Event::Created) and kept.
    pub keep_headers: Vec<HeaderName>,
    /// What the server offers, if that is known. Default: unknown, which is treated as nothing.
    pub capabilities: Option<ServerCapabilities>,
    /// Ask what the server offers before anything else (O-06). Default `false`.
    pub probe: bool,
    /// Protect the body of each PATCH with a digest. Default [`ChecksumWish::Never`].
    pub checksum: ChecksumWish,
    /// Uploads of at most so many bytes are created and sent in one request where the server offers that (CW-03). Default
    /// 0: never. Small only: when the one request breaks, all of it is in doubt.
    pub one_request_bytes: u64,
    /// What the upload is to a concatenation. Default: nothing.
    pub concat: Option<UploadConcat>,
    /// Send PATCH and DELETE as POST with `X-HTTP-Method-Override`, where something on the way does not let them pass
    /// (G-14). Default `false`.
    pub method_override: bool,
    /// The seed of the waits' jitter. Default 0: give each upload its own.
    pub seed: u64,
}

impl UploadPlan {
    /// A new upload of `length` bytes.
    #[must_use]
    pub fn create(creation: Creation, length: impl Into<UploadLength>) -> Self {
        Self::new(Start::Create, Some(creation), length.into())
    }

    /// An upload that was created earlier, or by somebody else. Without `creation` it is never made anew.
    #[must_use]
    pub fn resume(
        url: UploadUrl,
        creation: Option<Creation>,
        length: impl Into<UploadLength>,
    ) -> Self {
        let start = Start::Resume {
            url,
            offset: 0,
            reached: 0,
        };
        Self::new(start, creation, length.into())
    }

    fn new(start: Start, creation: Option<Creation>, length: UploadLength) -> Self {
        Self {
            start,
            creation: creation.map(Arc::new),
            length,
            chunk_rule: ChunkRule::FREE,
            chunk_bytes: None,
            retry: RetryPolicy::DEFAULT,
            keep_headers: Vec::new(),
            capabilities: None,
            probe: false,
            checksum: ChecksumWish::Never,
            one_request_bytes: 0,
            concat: None,
            method_override: false,
            seed: 0,
        }
    }

    /// Sets [`start`](Self::start).
    #[must_use]
    pub fn with_start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// Sets [`chunk_rule`](Self::chunk_rule).
    #[must_use]
    pub fn with_chunk_rule(self, chunk_rule: ChunkRule) -> Self {
        Self { chunk_rule, ..self }
    }

    /// Sets [`chunk_bytes`](Self::chunk_bytes).
    #[must_use]
    pub fn with_chunk_bytes(self, chunk_bytes: Option<u64>) -> Self {
        Self {
            chunk_bytes,
            ..self
        }
    }

    /// Sets [`retry`](Self::retry).
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Sets [`keep_headers`](Self::keep_headers).
    #[must_use]
    pub fn with_keep_headers(self, keep_headers: Vec<HeaderName>) -> Self {
        Self {
            keep_headers,
            ..self
        }
    }

    /// Sets [`capabilities`](Self::capabilities).
    #[must_use]
    pub fn with_capabilities(self, capabilities: Option<ServerCapabilities>) -> Self {
        Self {
            capabilities,
            ..self
        }
    }

    /// Sets [`probe`](Self::probe).
    #[must_use]
    pub fn with_probe(self, probe: bool) -> Self {
        Self { probe, ..self }
    }

    /// Sets [`checksum`](Self::checksum).
    #[must_use]
    pub fn with_checksum(self, checksum: ChecksumWish) -> Self {
        Self { checksum, ..self }
    }

    /// Sets [`one_request_bytes`](Self::one_request_bytes).
    #[must_use]
    pub fn with_one_request_bytes(self, one_request_bytes: u64) -> Self {
        Self {
            one_request_bytes,
            ..self
        }
    }

    /// Sets [`concat`](Self::concat).
    #[must_use]
    pub fn with_concat(self, concat: Option<UploadConcat>) -> Self {
        Self { concat, ..self }
    }

    /// Sets [`method_override`](Self::method_override).
    #[must_use]
    pub fn with_method_override(self, method_override: bool) -> Self {
        Self {
            method_override,
            ..self
        }
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}
