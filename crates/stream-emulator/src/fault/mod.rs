//! [`FaultPlan`]: what goes wrong, with which request, how often.

mod happen;
mod json;
mod rule;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use crate::changes::Teller;

pub(crate) use happen::{after, before, body_fault};
pub use json::FaultPlanError;
pub use rule::{FaultRule, FaultTarget};

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// So many bytes of the body arrive, then the connection breaks.
    CutBody {
        /// Bytes that arrive.
        after_bytes: u64,
    },
    /// The request is carried out, and its answer comes late.
    Delay {
        /// So late.
        time: Duration,
    },
    /// The body is read slowly.
    Drip {
        /// Bytes that are read in a second; 0 counts as 1.
        bytes_per_second: u64,
    },
    /// The upload expires now, and the request meets what is left of it. Without effect on an upload
    /// that is complete, and on a request for none.
    Expire,
    /// The request is carried out, and of the answer so many bytes arrive, counted from the first
    /// one of its head. Then the connection breaks.
    HalfAnswer {
        /// Bytes that arrive.
        after_bytes: u64,
    },
    /// The request is carried out, and of the answer its head and so many bytes of its body arrive.
    /// Then the connection breaks. An answer that has no more is whole.
    HalfBody {
        /// Bytes of the body that arrive.
        after_bytes: u64,
    },
    /// A page for people is answered, as a captive portal does; nothing is carried out.
    Html {
        /// The status.
        status: StatusCode,
    },
    /// The request is carried out, and the connection closes instead of the answer: the lost ack.
    LoseAnswer,
    /// The last bytes of an unfinished upload are forgotten before the request is looked at. Without
    /// effect where only digests are kept.
    Recede {
        /// Bytes that are forgotten; no more than there are.
        bytes: u64,
    },
    /// The request is carried out, and answered with this status instead of its own, as a gateway
    /// does that lost the server's answer.
    ReplaceAnswer {
        /// The status.
        status: StatusCode,
    },
    /// The connection is reset as soon as the head was read; nothing is carried out.
    Reset,
    /// The request is carried out and never answered; the connection stays open.
    StallAnswer,
    /// So many bytes of the body are read, then none any more, while the connection stays open.
    StallBody {
        /// Bytes that are read.
        after_bytes: u64,
    },
    /// The request is refused with this status; nothing is carried out.
    Status {
        /// The status.
        status: StatusCode,
        /// Goes into `Retry-After`.
        retry_after: Option<RetryAfter>,
    },
    /// The request is carried out, and the `Upload-Offset` of its answer is wrong. An answer without
    /// one stays as it is.
    WrongOffset {
        /// Bytes that are added; a sum below 0 is 0, one above the length is what it is.
        by: i64,
    },
}

/// What a refusal says about when to come back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryAfter {
    /// In so many whole seconds.
    Seconds(u64),
    /// At a date so far from now.
    DateIn(Duration),
    /// Exactly this, sense or nonsense.
    Text(String),
}

impl From<Duration> for RetryAfter {
    /// Whole seconds, rounded down.
    fn from(wait: Duration) -> Self {
        Self::Seconds(wait.as_secs())
    }
}

/// Rows of faults, in order. Of several rows that fit a request, the first one happens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultPlan {
    rules: Vec<FaultRule>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row at the end.
    #[must_use]
    pub fn with(mut self, rule: FaultRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether nothing goes wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// What a rule is compared with.
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: FaultTarget,
    /// Path and query.
    pub(crate) path: &'a str,
    /// The media id of a video, the id of a generic upload.
    pub(crate) upload: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

/// The plan of a running server; rows can be added at any time.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<FaultRule>>,
    teller: Teller,
}

impl Faults {
    pub(crate) fn new(plan: FaultPlan, teller: Teller) -> Self {
        Self {
            rules: Mutex::new(plan.rules),
            teller,
        }
    }

    /// Adds a row at the end. It counts requests from now on.
    pub fn add(&self, rule: FaultRule) {
        self.rules().push(rule);
    }

    /// Adds all rows of a plan at the end.
    pub fn extend(&self, plan: FaultPlan) {
        self.rules().extend(plan.rules);
    }

    /// Removes all rows.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Whether all rows have happened as often as they should.
    pub fn is_spent(&self) -> bool {
        self.rules().is_empty()
    }

    /// The fault of this request, if any; counts it.
    pub(crate) fn take(&self, subject: &Subject<'_>) -> Option<Fault> {
        let mut rules = self.rules();
        let mut found = None;
        for rule in rules.iter_mut() {
            if rule.counts(subject) && found.is_none() && rule.happens() {
                found = Some(rule.fault.clone());
            }
        }
        rules.retain(|rule| !rule.is_spent());
        drop(rules);
        if found.is_some() {
            self.teller.tell();
        }
        found
    }

    fn rules(&self) -> MutexGuard<'_, Vec<FaultRule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
