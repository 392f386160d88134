//! [`Upload`]: the client machine.
//!
//! It does no I/O and knows no clock. The contract in five verbs:
//!
//! 1. [`step`](Upload::step) says what to do now. It gives the same answer until it is fed.
//! 2. [`on_response`](Upload::on_response), [`on_fault`](Upload::on_fault) and [`on_reconciled`](Upload::on_reconciled) tell
//!    it what came of that; exactly one of them follows each [`Step::Send`] and [`Step::Reconcile`].
//! 3. After each call, drain [`poll_event`](Upload::poll_event). [`Event::Created`] must be written down durably before the
//!    next step is taken: it is all that stands between a crash and a second upload.
//!
//! The one rule above all others: **the server's offset is the truth**. After anything ambiguous the machine asks for it with
//! HEAD; it never sends a byte again, and never creates a second upload, on a guess.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderName, Response, StatusCode};

use super::event::Event;
use super::exchange::Exchange;
use super::failure::Failure;
use super::plan::{Start, UploadPlan};
use super::verdict::Verdict;
use crate::chunk::Chunk;
use crate::rejection::Phase;
use crate::retry::Backoff;
use crate::url::UploadUrl;

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
    /// Not the creation: all bytes were sent, then the upload was gone.
    Vanished(StatusCode),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Create,
    Reconcile(Doubt),
    Sync,
    Patch,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    Ready(Next),
    Waiting { until: Instant, then: Next },
    Done(Outcome),
}

/// One upload, from its creation or its remembered URL to its last confirmed byte. See the [module](self) for the contract.
#[derive(Debug)]
pub struct Upload {
    pub(super) plan: UploadPlan,
    pub(super) state: State,
    pub(super) events: VecDeque<Event>,
    pub(super) url: Option<Arc<UploadUrl>>,
    /// Where a redirect sent the current request, and how many there were.
    pub(super) redirected: Option<(Arc<UploadUrl>, u8)>,
    pub(super) tags: Vec<(HeaderName, String)>,
    /// Confirmed by the server.
    pub(super) offset: u64,
    /// The end of the furthest chunk that was handed out, or the offset that was found: no honest offset lies above it.
    /// `None` until the first offset of this run is known.
    pub(super) reached: Option<u64>,
    /// The first byte that the source can still read.
    pub(super) available_from: u64,
    pub(super) chunk_bytes: u64,
    /// The chunk that was handed out and not answered yet.
    pub(super) in_flight: Option<Chunk>,
    /// The server refused larger chunks.
    pub(super) chunk_cap: u64,
    pub(super) backoff: Backoff,
    pub(super) confirmed_at: Option<Instant>,
    pub(super) tally: Tally,
}

/// What is counted between two confirmed bytes, or over the whole upload.
#[derive(Debug, Default)]
pub(super) struct Tally {
    // Reset by progress:
    pub(super) refusals: u32,
    pub(super) mismatches: u32,
    pub(super) damaged: u32,
    pub(super) foreign: u32,
    pub(super) late_answers: u32,
    pub(super) idle_patches: u32,
    // Over the whole upload:
    pub(super) rewinds: u32,
    pub(super) lost_creations: u32,
    pub(super) recreated: bool,
    pub(super) version_warned: bool,
}

/// The wait for an answer to the last chunk is so many times the usual one: servers join, move and check files then.
const LAST_CHUNK_FACTOR: u32 = 5;

impl Upload {
    /// A machine at its start. Nothing happens until [`step`](Self::step).
    #[must_use]
    pub fn new(plan: UploadPlan) -> Self {
        let (next, url, offset) = match &plan.start {
            Start::Create => (Next::Create, None, 0),
            Start::Doubt => (Next::Reconcile(Doubt::Crash), None, 0),
            Start::Resume { url, offset } => (Next::Sync, Some(Arc::new(url.clone())), *offset),
        };
        let chunk_bytes = plan
            .chunk_rule
            .fit(plan.chunk_bytes.unwrap_or(plan.chunk_rule.preferred_bytes));
        Self {
            state: State::Ready(next),
            events: VecDeque::with_capacity(4),
            url,
            redirected: None,
            tags: Vec::new(),
            offset,
            reached: None,
            available_from: 0,
            chunk_bytes,
            in_flight: None,
            chunk_cap: u64::MAX,
            backoff: Backoff::new(plan.seed),
            confirmed_at: None,
            tally: Tally::default(),
            plan,
        }
    }

    /// What to do now.
    pub fn step(&mut self, now: Now) -> Step {
        self.confirmed_at.get_or_insert(now.instant);
        if let State::Waiting { until, then } = self.state {
            if now.instant < until {
                return Step::WaitUntil(until);
            }
            self.state = State::Ready(then);
        }
        match &self.state {
            State::Waiting { until, .. } => Step::WaitUntil(*until),
            State::Done(outcome) => Step::Done(outcome.clone()),
            State::Ready(Next::Reconcile(_)) => Step::Reconcile,
            State::Ready(Next::Create) => self.create(),
            State::Ready(Next::Sync) => self.send(Phase::Head, None),
            State::Ready(Next::Patch) => {
                let chunk = self.in_flight.unwrap_or_else(|| self.next_chunk());
                self.in_flight = Some(chunk);
                self.reached = self.reached.max(Some(chunk.end()));
                self.send(Phase::Patch, Some(chunk))
            }
        }
    }

    /// The answer to the last [`Step::Send`]. `verdict` is what the service read in the body of a refusal.
    pub fn on_response(&mut self, head: &Response<()>, verdict: Option<Verdict>, now: Now) {
        let State::Ready(next) = self.state else {
            return;
        };
        match next {
            Next::Create => self.on_created(head, verdict, now),
            Next::Sync => self.on_synced(head, verdict, now),
            Next::Patch => self.on_patched(head, verdict, now),
            Next::Reconcile(_) => {}
        }
    }

    /// No answer came to the last [`Step::Send`].
    pub fn on_fault(&mut self, fault: Fault, now: Now) {
        let State::Ready(next) = self.state else {
            return;
        };
        self.in_flight = None;
        self.faulted(next, fault, now);
    }

    /// The answer to [`Step::Reconcile`].
    pub fn on_reconciled(&mut self, found: Reconciled, now: Now) {
        let State::Ready(Next::Reconcile(doubt)) = self.state else {
            return;
        };
        self.reconciled(doubt, found, now);
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Tells that the source can no longer read the bytes below `offset`, as a pipe cannot.
    pub fn forget_below(&mut self, offset: u64) {
        self.available_from = self.available_from.max(offset);
    }

    /// Changes the size of the chunks to come, within the rule and below what the server refused as too large.
    pub fn set_chunk_bytes(&mut self, chunk_bytes: u64) {
        self.chunk_bytes = self.plan.chunk_rule.fit(chunk_bytes);
    }

    /// Bytes that the server confirmed.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Total bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.plan.length
    }

    /// Where the upload lives, once that is known.
    #[must_use]
    pub fn url(&self) -> Option<&UploadUrl> {
        self.url.as_deref()
    }

    /// Where the next request goes, redirects aside: the upload, or before it exists the creation URL.
    #[must_use]
    pub fn target(&self) -> Option<&UploadUrl> {
        self.url()
            .or_else(|| self.plan.creation.as_deref().map(|creation| &creation.url))
    }

    /// The kept headers of the creation's answer and of the last chunk's.
    #[must_use]
    pub fn tags(&self) -> &[(HeaderName, String)] {
        &self.tags
    }

    fn next_chunk(&self) -> Chunk {
        let wanted = self.chunk_bytes.min(self.chunk_cap);
        self.plan.chunk_rule.next(
            self.offset,
            self.plan.length.saturating_sub(self.offset),
            wanted,
        )
    }

    fn create(&mut self) -> Step {
        if self.plan.creation.is_some() {
            return self.send(Phase::Create, None);
        }
        // Only a plan that was told to create and not how comes here: nothing was ever uploaded.
        let failure = Failure::Gone {
            status: StatusCode::NOT_FOUND,
            verdict: None,
        };
        self.fail(failure.clone());
        Step::Done(Outcome::Failed(failure))
    }

    fn send(&self, phase: Phase, chunk: Option<Chunk>) -> Step {
        let creation = if phase == Phase::Create {
            self.plan.creation.clone()
        } else {
            None
        };
        let usual = match (&creation, &self.url) {
            (Some(creation), _) => Arc::new(creation.url.clone()),
            (None, Some(url)) => Arc::clone(url),
            (None, None) => unreachable!("HEAD and PATCH follow a creation or a remembered URL"),
        };
        let url = self
            .redirected
            .as_ref()
            .map_or(usual, |(url, _)| Arc::clone(url));
        let last = chunk.is_some_and(|chunk| chunk.end() == self.plan.length);
        let patience = if last { LAST_CHUNK_FACTOR } else { 1 };
        let answer_factor = patience.saturating_mul(1 << self.tally.late_answers.min(4));
        Step::Send(Exchange {
            phase,
            url,
            chunk,
            answer_factor,
            length: self.plan.length,
            creation,
        })
    }

    pub(super) fn finish(&mut self) {
        self.state = State::Done(Outcome::Finished);
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.state = State::Done(Outcome::Failed(failure));
    }

    /// Time since the last confirmed byte.
    pub(super) fn unconfirmed_for(&self, now: Now) -> Duration {
        self.confirmed_at.map_or(Duration::ZERO, |then| {
            now.instant.saturating_duration_since(then)
        })
    }
}
