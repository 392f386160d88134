//! The words between the machine and whoever drives it.

use std::time::{Instant, SystemTime};

use super::exchange::Exchange;
use super::failure::Failure;

/// The time, as the caller sees it: a monotonic one for waits, the wall's for dates that servers send.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For waits and patience.
    pub instant: Instant,
    /// For `Retry-After` and `Upload-Expires`.
    pub wall: SystemTime,
}

/// What to do next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Make the source ready up to this byte, and tell with [`Upload::on_available`](super::Upload::on_available) how far it came. Only while its length
    /// is not known.
    Read {
        /// The byte behind the last one that the next chunk wants.
        until: u64,
    },
    /// Send this request, with these bytes of the source.
    Send(Exchange),
    /// Ask the service what became of a creation.
    Reconcile,
    /// Do nothing until then.
    WaitUntil(Instant),
    /// It is over.
    Done(Outcome),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All bytes are confirmed.
    Finished,
    /// It stopped.
    Failed(Failure),
    /// It was removed from the server, as asked.
    Terminated,
}

/// A request without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing of it left this machine.
    NotSent,
    /// Some or all of it left; whether it was carried out is unknown.
    MaybeSent,
    /// It left whole, and no answer came in time. As [`MaybeSent`](Self::MaybeSent), but the next one gets more time.
    NoAnswer,
    /// Repeating will not help.
    Permanent,
}

/// What a service says of a doubtful creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reconciled {
    /// It was not carried out, or what it left has been removed: create.
    Absent,
    /// It was carried out and all its bytes are there: nothing to do.
    Complete,
    /// Not clear yet: ask again later.
    Pending,
    /// The service cannot tell.
    Unknown,
}

/// Why a creation is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// An earlier process stopped between its intent and its record.
    Crash,
    /// The answer was lost.
    LostAnswer,
    /// The server failed while it carried it out.
    Refused,
    /// Not the creation: all bytes were sent, then the server refused the upload for good.
    Vanished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Probe,
    Create,
    Reconcile(Doubt),
    Sync,
    Patch,
    Terminate,
    /// Remove the upload, then begin anew.
    Discard,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    Ready(Next),
    Waiting { until: Instant, then: Next },
    Done(Outcome),
}
