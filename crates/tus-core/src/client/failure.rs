//! Why an upload stopped.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::event::{RetryReason, write_status};
use super::verdict::{Verdict, VerdictKind};
use crate::extension::Extension;
use crate::rejection::Phase;
use crate::url::UrlError;

/// Why the machine gave up. [`is_resumable`](Self::is_resumable) tells whether running again can help.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The offset changes under our feet, or the server refuses it again and again: somebody else writes to the upload.
    AnotherWriter,
    /// The server asks to come back later than patience allows.
    ComeBack {
        /// The wait that it asks for.
        after: Duration,
        /// The status that it asked with.
        status: StatusCode,
    },
    /// It is unknown whether the creation was carried out, and asking brought nothing.
    CreationUnclear,
    /// Credentials are missing, wrong, or not allowed to do this.
    Credentials {
        /// What was asked for.
        phase: Phase,
        /// The answer.
        status: StatusCode,
        /// What its body says.
        verdict: Option<Verdict>,
    },
    /// The chunk arrived damaged three times in a row (CK-08).
    Damaged,
    /// The upload is gone, and the source cannot be sent from its beginning any more, or the new one went too.
    Gone {
        /// The answer.
        status: StatusCode,
        /// What its body says.
        verdict: Option<Verdict>,
    },
    /// The other side does not speak tus.
    NotTus {
        /// What was asked for.
        phase: Phase,
        /// The answer.
        status: StatusCode,
    },
    /// The upload URL was made by somebody else for one upload, and cannot be used any more.
    OneTimeUrl {
        /// What became of it.
        why: Spent,
        /// The answer.
        status: StatusCode,
        /// What its body says.
        verdict: Option<Verdict>,
    },
    /// No byte was confirmed for as long as patience lasts, or another request held the upload for longer than any should.
    OutOfPatience {
        /// Time since the last confirmed byte.
        waited: Duration,
        /// What went wrong last.
        last: RetryReason,
    },
    /// Too many refusals in a row.
    OutOfRetries {
        /// Refusals without progress.
        refusals: u32,
        /// What went wrong last.
        last: RetryReason,
    },
    /// The transport failed in a way that repeating does not mend, such as a certificate that is not trusted.
    Permanent,
    /// The server refused for good.
    Refused {
        /// What was asked for.
        phase: Phase,
        /// The answer.
        status: StatusCode,
        /// What its body says.
        verdict: Option<Verdict>,
    },
    /// The server's offset fell below what the source can still read.
    SourcePassed {
        /// The server's offset.
        offset: u64,
        /// The first byte that the source still has.
        available_from: u64,
    },
    /// The upload is longer than the server takes (CR-07); it was not created.
    TooLong {
        /// Bytes of the source.
        length: u64,
        /// Bytes that the server takes at most.
        max_bytes: u64,
    },
    /// The server does not offer what the plan needs; nothing was created.
    Unsupported(Extension),
    /// All bytes were sent, then the server did not know the upload any more, and nobody can say whether it was completed.
    Vanished {
        /// The answer.
        status: StatusCode,
    },
    /// The server broke the protocol.
    Violation(Violation),
}

impl Failure {
    /// Whether the same upload, run again later, can go on where it stands.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        match self {
            Self::AnotherWriter
            | Self::ComeBack { .. }
            | Self::CreationUnclear
            | Self::Credentials { .. }
            | Self::Damaged
            | Self::NotTus { .. }
            | Self::OutOfPatience { .. }
            | Self::OutOfRetries { .. }
            | Self::Permanent => true,
            Self::Refused { verdict, .. } => matches!(
                verdict.as_ref().and_then(|verdict| verdict.kind),
                Some(VerdictKind::QueueFull | VerdictKind::StorageFull)
            ),
            Self::Gone { .. }
            | Self::OneTimeUrl { .. }
            | Self::SourcePassed { .. }
            | Self::TooLong { .. }
            | Self::Unsupported(_)
            | Self::Vanished { .. }
            | Self::Violation(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnotherWriter => f.write_str("the offset keeps changing: somebody else writes to this upload"),
            Self::ComeBack { after, status } => {
                write!(f, "the server answered {} and asks to come back in {} s", status.as_u16(), after.as_secs())
            }
            Self::CreationUnclear => {
                f.write_str("the answer to the creation was lost twice, and nobody can say whether the upload exists")
            }
            Self::Credentials { phase, status, verdict } => {
                write_status(f, &format!("{} was not allowed:", noun(*phase)), *status, verdict.as_ref())
            }
            Self::Damaged => f.write_str("a chunk arrived damaged three times in a row"),
            Self::Gone { status, verdict } => {
                write_status(f, "the upload is gone:", *status, verdict.as_ref())
            }
            Self::NotTus { phase, status } => {
                let status = status.as_u16();
                write!(f, "the answer to {} ({status}) is not from a tus server", noun(*phase))
            }
            Self::OneTimeUrl { why, status, verdict } => {
                let lead = format!("the one-time URL {why} (ask whoever gave it for a new one); the server answered");
                write_status(f, &lead, *status, verdict.as_ref())
            }
            Self::OutOfPatience { waited, last } => {
                write!(f, "no byte was confirmed for {} s; last, {last}", waited.as_secs())
            }
            Self::OutOfRetries { refusals, last } => {
                write!(f, "refused {refusals} times in a row; last, {last}")
            }
            Self::Permanent => f.write_str("the connection cannot be made"),
            Self::Refused { phase, status, verdict } => {
                write_status(f, &format!("{} was refused:", noun(*phase)), *status, verdict.as_ref())
            }
            Self::SourcePassed { offset, available_from } => write!(
                f,
                "the server wants byte {offset} again, and the source has only what follows byte {available_from}"
            ),
            Self::TooLong { length, max_bytes } => {
                write!(f, "the source has {length} bytes, and the server takes at most {max_bytes}")
            }
            Self::Unsupported(extension) => {
                write!(f, "the server does not offer the extension {}", extension.name())
            }
            Self::Vanished { status } => write!(
                f,
                "all bytes were sent, then the server answered {}: it is unknown whether the upload was completed",
                status.as_u16()
            ),
            Self::Violation(violation) => violation.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

/// Why a one-time URL cannot be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Spent {
    /// It is too old.
    #[error("has expired")]
    Expired,
    /// The server does not know its upload.
    #[error("is not known any more")]
    Gone,
    /// The server does not say why: a one-time URL needs no credentials, so it is not about those.
    #[error("is not accepted, as one that has expired or was used before")]
    NotAccepted,
    /// Something was uploaded with it before.
    #[error("was used before")]
    Used,
}

/// How a server broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The upload on the server has another length than the source (DL-05).
    #[error("the upload on the server has {theirs} bytes, the source has {ours}")]
    LengthDiffers {
        /// Bytes of the source.
        ours: u64,
        /// Bytes of the upload.
        theirs: u64,
    },
    /// A 201 without a usable `Location` (CR-09).
    #[error("the server created the upload and told no usable Location: {}", .0.map_or("there is none".into(), |e| e.to_string()))]
    Location(Option<UrlError>),
    /// The offset lies beyond the end, or beyond what was ever sent.
    #[error("the server claims {offset} bytes where at most {limit} can be")]
    OffsetBeyond {
        /// What it claims.
        offset: u64,
        /// What can be.
        limit: u64,
    },
    /// The offset fell again and again: the server loses what it confirmed.
    #[error("the server lost confirmed bytes three times")]
    Rewinding,
    /// A redirect that tus does not know, one without a usable target, or too many of them.
    #[error("the server redirects ({0}) in a way that an upload cannot follow")]
    Redirect(StatusCode),
}

fn noun(phase: Phase) -> &'static str {
    match phase {
        Phase::Create => "the creation of the upload",
        Phase::Head => "the question for the offset",
        Phase::Options => "the question for what the server offers",
        Phase::Patch => "a chunk",
        Phase::Terminate => "the termination of the upload",
    }
}
