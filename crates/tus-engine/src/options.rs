//! [`UploaderOptions`]: every knob of the engine, its unit and its default.

use std::time::Duration;

use http_transport::Deadlines;
use tus_core::{ChecksumWish, RetryPolicy};

/// How an [`Uploader`](crate::Uploader) works. The defaults suit a link of any speed.
///
/// ```
/// let options = tus_engine::UploaderOptions::default();
/// assert_eq!(options.parallel, 4);
/// assert_eq!(options.chunk_bytes, None);
/// assert_eq!(options.one_request_bytes, 1024 * 1024);
/// assert_eq!(options.buffer_bytes, 32 * 1024 * 1024);
/// assert_eq!(options.commit_interval.as_millis(), 250);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploaderOptions {
    /// Uploads at once; further ones wait for their turn. Default 4.
    pub parallel: usize,
    /// Bytes per PATCH. Default: what the service prefers. Fitted into the service's rule; to refuse a size that does not
    /// fit, ask [`ChunkRule::check`](tus_core::ChunkRule::check) first.
    pub chunk_bytes: Option<u64>,
    /// Whether chunks carry a digest. Default [`ChecksumWish::Offered`]: the cheapest one that the server offers, or none.
    pub checksum: ChecksumWish,
    /// Uploads of at most so many bytes are created and sent in one request, where the server offers that. Default 1 MiB.
    pub one_request_bytes: u64,
    /// Connections for one upload, where the server joins partial uploads (`concatenation`). Default 1. Every part is resumed
    /// on its own; a part has at least 1 MiB.
    pub parts: usize,
    /// Send PATCH and DELETE as POST with `X-HTTP-Method-Override`, where something on the way does not let them pass. Default
    /// `false`.
    pub method_override: bool,
    /// Memory for bytes on their way, in bytes, over all uploads. Default 32 MiB. Each upload uses at most four buffers of
    /// 512 KiB, whatever its chunk size.
    pub buffer_bytes: usize,
    /// How long confirmed offsets are gathered before they are written to the store. Default 250 ms. Creation and end are
    /// written at once.
    pub commit_interval: Duration,
    /// How long the transport waits, and for what.
    pub deadlines: Deadlines,
    /// When to wait and when to stop.
    pub retry: RetryPolicy,
}

impl Default for UploaderOptions {
    fn default() -> Self {
        Self {
            parallel: 4,
            chunk_bytes: None,
            checksum: ChecksumWish::Offered,
            one_request_bytes: 1024 * 1024,
            parts: 1,
            method_override: false,
            buffer_bytes: 32 * 1024 * 1024,
            commit_interval: Duration::from_millis(250),
            deadlines: Deadlines::default(),
            retry: RetryPolicy::DEFAULT,
        }
    }
}

impl UploaderOptions {
    /// Sets [`parallel`](Self::parallel), at least 1.
    #[must_use]
    pub fn with_parallel(self, parallel: usize) -> Self {
        Self {
            parallel: parallel.max(1),
            ..self
        }
    }

    /// Sets [`chunk_bytes`](Self::chunk_bytes).
    #[must_use]
    pub fn with_chunk_bytes(self, chunk_bytes: Option<u64>) -> Self {
        Self {
            chunk_bytes,
            ..self
        }
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

    /// Sets [`parts`](Self::parts), at least 1.
    #[must_use]
    pub fn with_parts(self, parts: usize) -> Self {
        Self {
            parts: parts.max(1),
            ..self
        }
    }

    /// Sets [`method_override`](Self::method_override).
    #[must_use]
    pub fn with_method_override(self, method_override: bool) -> Self {
        Self {
            method_override,
            ..self
        }
    }

    /// Sets [`buffer_bytes`](Self::buffer_bytes).
    #[must_use]
    pub fn with_buffer_bytes(self, buffer_bytes: usize) -> Self {
        Self {
            buffer_bytes,
            ..self
        }
    }

    /// Sets [`commit_interval`](Self::commit_interval).
    #[must_use]
    pub fn with_commit_interval(self, commit_interval: Duration) -> Self {
        Self {
            commit_interval,
            ..self
        }
    }

    /// Sets [`deadlines`](Self::deadlines).
    #[must_use]
    pub fn with_deadlines(self, deadlines: Deadlines) -> Self {
        Self { deadlines, ..self }
    }

    /// Sets [`retry`](Self::retry).
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }
}
