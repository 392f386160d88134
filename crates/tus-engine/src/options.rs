//! [`UploaderOptions`]: every knob of the engine, its unit and its default.

use std::num::NonZeroU64;
use std::time::Duration;

use http_transport::Deadlines;
use tus_core::{ChecksumWish, RetryPolicy};

/// How an [`Uploader`](crate::Uploader) works. The defaults suit a link of any speed.
///
/// ```
/// let options = tus_engine::UploaderOptions::default();
/// assert_eq!(options.parallel, tus_engine::Parallel::Auto);
/// assert_eq!(options.most_parallel, 32);
/// assert_eq!(options.parts, tus_engine::Parts::Auto);
/// assert_eq!(options.chunk_bytes, None);
/// assert_eq!(options.one_request_bytes, 1024 * 1024);
/// assert_eq!(options.buffer_bytes, 32 * 1024 * 1024);
/// assert_eq!(options.commit_interval.as_millis(), 250);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploaderOptions {
    /// Uploads at once; further ones wait for their turn. Default [`Parallel::Auto`].
    pub parallel: Parallel,
    /// The most uploads at once to one origin that [`Parallel::Auto`] comes to. Default 32. Their connections, those of parts
    /// included, come to no more than that either, or to 8, or to what [`Parts::Fixed`] names, whichever is most.
    pub most_parallel: usize,
    /// Bytes per PATCH, fitted into the service's rule; to refuse a size that does not fit, ask
    /// [`ChunkRule::check`](tus_core::ChunkRule::check) first. Default: what the service prefers to begin with, more while the
    /// pause between two chunks costs more than 3 % of the time, half of it after a break.
    pub chunk_bytes: Option<u64>,
    /// Whether chunks carry a digest. Default [`ChecksumWish::Offered`]: the cheapest one that the server offers, or none.
    pub checksum: ChecksumWish,
    /// Whether the [`Report`](crate::Report) tells SHA-256 of the whole source. Of one that is sent in order and in one run it
    /// costs no second reading; else what was not read by this run is read at the end. Default `false`.
    pub content_sha256: bool,
    /// Uploads of at most so many bytes are created and sent in one request, where the server offers that. Default 1 MiB.
    pub one_request_bytes: u64,
    /// Connections for one upload, where the server joins partial uploads (`concatenation`). Default [`Parts::Auto`]. There are
    /// up to four times as many parts, so that a slow connection holds nothing up; each is resumed on its own, and has at least
    /// 1 MiB. Uploads go first: parts have the connections that no upload takes, and fewer while the server asks for less, fails
    /// or does not answer.
    pub parts: Parts,
    /// Send PATCH and DELETE as POST with `X-HTTP-Method-Override`, where something on the way does not let them pass. Default
    /// `false`.
    pub method_override: bool,
    /// Memory for bytes on their way, in bytes, over all uploads. Default 32 MiB. Each upload uses at most four buffers of
    /// 512 KiB, whatever its chunk size.
    pub buffer_bytes: usize,
    /// How long confirmed offsets are gathered before they are written to the store. Default 250 ms. Creation and end are
    /// written at once.
    pub commit_interval: Duration,
    /// How many body bytes may leave per second, over all connections. Default: any number.
    /// [`Uploader::set_bandwidth`](crate::Uploader::set_bandwidth) changes it while uploads run.
    pub bandwidth: Option<NonZeroU64>,
    /// How long the transport waits, and for what.
    pub deadlines: Deadlines,
    /// When to wait and when to stop.
    pub retry: RetryPolicy,
}

/// How many uploads run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Parallel {
    /// As many as help, found anew for each origin: begins with 4, has more of them while more bytes (or, of small files, more
    /// files) come through, and fewer when the server asks for less, fails or does not answer.
    #[default]
    Auto,
    /// So many, over all origins.
    Fixed(usize),
}

impl From<usize> for Parallel {
    fn from(count: usize) -> Self {
        Self::Fixed(count.max(1))
    }
}

/// Over how many connections one upload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Parts {
    /// One, unless it is measured that more pay: the server joins partial uploads, the source has at least 32 MiB, the way is
    /// 20 ms long or more, and one connection does not fill it. Then up to 8, of those that no other upload takes.
    #[default]
    Auto,
    /// So many at most, if the server joins partial uploads.
    Fixed(usize),
}

impl From<usize> for Parts {
    fn from(count: usize) -> Self {
        Self::Fixed(count.max(1))
    }
}

impl Default for UploaderOptions {
    fn default() -> Self {
        Self {
            parallel: Parallel::Auto,
            most_parallel: 32,
            chunk_bytes: None,
            checksum: ChecksumWish::Offered,
            content_sha256: false,
            one_request_bytes: 1024 * 1024,
            parts: Parts::Auto,
            method_override: false,
            buffer_bytes: 32 * 1024 * 1024,
            commit_interval: Duration::from_millis(250),
            bandwidth: None,
            deadlines: Deadlines::default(),
            retry: RetryPolicy::DEFAULT,
        }
    }
}

impl UploaderOptions {
    /// Sets [`parallel`](Self::parallel): a number, at least 1, or [`Parallel::Auto`].
    #[must_use]
    pub fn with_parallel(self, parallel: impl Into<Parallel>) -> Self {
        Self {
            parallel: parallel.into(),
            ..self
        }
    }

    /// Sets [`most_parallel`](Self::most_parallel), at least 1.
    #[must_use]
    pub fn with_most_parallel(self, most_parallel: usize) -> Self {
        Self {
            most_parallel: most_parallel.max(1),
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

    /// Sets [`content_sha256`](Self::content_sha256).
    #[must_use]
    pub fn with_content_sha256(self, content_sha256: bool) -> Self {
        Self {
            content_sha256,
            ..self
        }
    }

    /// Sets [`one_request_bytes`](Self::one_request_bytes).
    #[must_use]
    pub fn with_one_request_bytes(self, one_request_bytes: u64) -> Self {
        Self {
            one_request_bytes,
            ..self
        }
    }

    /// Sets [`parts`](Self::parts): a number, at least 1, or [`Parts::Auto`].
    #[must_use]
    pub fn with_parts(self, parts: impl Into<Parts>) -> Self {
        Self {
            parts: parts.into(),
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

    /// Sets [`bandwidth`](Self::bandwidth).
    #[must_use]
    pub fn with_bandwidth(self, bandwidth: Option<NonZeroU64>) -> Self {
        Self { bandwidth, ..self }
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
