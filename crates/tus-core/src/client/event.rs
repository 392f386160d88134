//! What the machine reports on its way.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, StatusCode};

use super::Verdict;
use crate::chunk::Chunk;
use crate::extension::ServerCapabilities;
use crate::url::UploadUrl;

/// Something that happened. Drained with [`Upload::poll_event`](super::Upload::poll_event).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server confirmed all bytes below `offset`.
    Acked {
        /// Confirmed bytes.
        offset: u64,
    },
    /// The server refused a chunk that keeps its rule at an offset between two of its units: it is cut otherwise, here and
    /// wherever this comes up again. When no cut is left, [`Recreating`](Self::Recreating) follows instead.
    ChunkRealigned {
        /// How it is cut now.
        step: Realignment,
        /// The next chunk.
        chunk: Chunk,
    },
    /// The server takes chunks of this size only from now on.
    ChunkShrunk {
        /// Bytes per PATCH from now on.
        to_bytes: u64,
    },
    /// The upload exists. Whoever keeps records must have written this down before the next step is taken.
    Created {
        /// Where it lives.
        url: Arc<UploadUrl>,
        /// The kept headers of the answer ([`UploadPlan::keep_headers`](super::UploadPlan::keep_headers)).
        tags: Vec<(HeaderName, String)>,
        /// When the server will remove it if it stays unfinished (EX-03).
        expires: Option<SystemTime>,
    },
    /// The server told a new time of removal (EX-02, EX-05).
    Expires {
        /// When it will be removed.
        at: SystemTime,
    },
    /// The server does not take bytes with a creation, whatever it announces: they are sent after it. Worth remembering for
    /// other uploads to the same server.
    OneRequestRefused,
    /// A creation may have left an upload behind that nobody will finish.
    PossibleOrphan,
    /// What the server offers; `None` when it does not tell. Worth remembering for other uploads to the same server.
    Probed {
        /// Extensions, limits, algorithms.
        capabilities: Option<ServerCapabilities>,
    },
    /// The upload is gone, or cannot be continued; a new one will be created. Whoever keeps records must have forgotten the
    /// old URL before the next step is taken, which may be to remove the upload.
    Recreating {
        /// What the server said of the old one.
        status: StatusCode,
    },
    /// The server's offset was found; the upload goes on from there.
    Resumed {
        /// Confirmed bytes.
        offset: u64,
    },
    /// The machine waits before it goes on.
    Retry {
        /// What went wrong.
        reason: RetryReason,
        /// How long.
        wait: Duration,
        /// Waits since the last progress, this one included.
        attempt: u32,
    },
    /// The server lost confirmed bytes: they will be sent again.
    Rewound {
        /// Confirmed before.
        from: u64,
        /// Confirmed now.
        to: u64,
    },
    /// The server leaves out `Tus-Resumable`. Told once, otherwise harmless.
    VersionMissing,
}

/// How a chunk is cut that begins between two units of the server's [`ChunkRule`](crate::ChunkRule), in the order of the
/// tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Realignment {
    /// It ends at a unit; its length is no multiple of one.
    AlignedEnd,
    /// It is all that is left, as the last chunk, which is exempt from the rule.
    Rest,
}

/// Why something is done again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryReason {
    /// The connection broke, or stalled.
    Broken,
    /// The answer makes no sense of tus: a proxy or a login page may be in between.
    Foreign,
    /// Another request holds the upload.
    Locked,
    /// No answer came in time.
    NoAnswer,
    /// The server accepted nothing of the chunk.
    NoProgress,
    /// The offset was not the server's.
    OffsetMismatch,
    /// The service cannot tell yet what became of a creation.
    Reconciling,
    /// The server refused or failed.
    Refused(StatusCode, Option<Verdict>),
    /// The service asks for fewer requests, or has no room at the moment.
    Throttled(StatusCode, Option<Verdict>),
    /// The server could not be reached.
    Unreachable,
}

impl fmt::Display for RetryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("the connection broke"),
            Self::Foreign => f.write_str("the answer is not from a tus server"),
            Self::Locked => f.write_str("another request holds the upload"),
            Self::NoAnswer => f.write_str("no answer came in time"),
            Self::NoProgress => f.write_str("the server accepted nothing"),
            Self::OffsetMismatch => f.write_str("the offset was not the server's"),
            Self::Reconciling => {
                f.write_str("the service cannot tell yet whether the upload exists")
            }
            Self::Refused(status, verdict) => {
                write_status(f, "the server answered", *status, verdict.as_ref())
            }
            Self::Throttled(status, verdict) => {
                write_status(f, "the server asks to wait:", *status, verdict.as_ref())
            }
            Self::Unreachable => f.write_str("the server could not be reached"),
        }
    }
}

pub(super) fn write_status(
    f: &mut fmt::Formatter<'_>,
    lead: &str,
    status: StatusCode,
    verdict: Option<&Verdict>,
) -> fmt::Result {
    write!(f, "{lead} {}", status.as_u16())?;
    match (verdict, crate::rejection::row_of(status)) {
        (Some(verdict), _) => write!(f, ": {verdict}"),
        (None, Some(row)) => write!(f, ": {}", row.text),
        (None, None) => Ok(()),
    }
}
