//! [`Upload`]: the client machine.
//!
//! It does no I/O and knows no clock. The contract in five verbs:
//!
//! 1. [`step`](Upload::step) says what to do now. It gives the same answer until it is fed.
//! 2. [`on_response`](Upload::on_response), [`on_fault`](Upload::on_fault), [`on_reconciled`](Upload::on_reconciled) and
//!    [`on_available`](Upload::on_available) tell it what came of that; exactly one of them follows each [`Step::Send`],
//!    [`Step::Reconcile`] and [`Step::Read`].
//! 3. After each call, drain [`poll_event`](Upload::poll_event). [`Event::Created`] must be written down durably before the
//!    next step is taken, and [`reached`](Upload::reached) before the last chunk leaves: they are all that stands between a
//!    crash and a second upload.
//!
//! The one rule above all others: **the server's offset is the truth**. After anything ambiguous the machine asks for it with
//! HEAD; it never sends a byte again, and never creates a second upload, on a guess.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, Response};

use super::doubt::Refusal;
use super::event::{Event, Realignment};
use super::failure::{Failure, Violation};
use super::plan::{Start, UploadPlan};
use super::step::{Doubt, Fault, Next, Now, Outcome, Reconciled, State, Step};
use super::verdict::Verdict;
use crate::checksum::ChecksumAlgorithm;
use crate::chunk::Chunk;
use crate::concat::UploadConcat;
use crate::length::UploadLength;
use crate::rejection::Phase;
use crate::retry::Backoff;
use crate::url::UploadUrl;

/// One upload, from its creation or its remembered URL to its last confirmed byte. See the beginning of this file for the contract.
#[derive(Debug)]
pub struct Upload {
    pub(super) plan: UploadPlan,
    pub(super) state: State,
    /// What follows the probe.
    pub(super) first: Next,
    /// Total bytes, as far as they are known here.
    pub(super) length: UploadLength,
    /// Whether the server knows the length, too.
    pub(super) length_told: bool,
    /// How far a source of unknown length can be read.
    pub(super) available_to: u64,
    pub(super) concat: Option<Arc<UploadConcat>>,
    pub(super) checksum: Option<ChecksumAlgorithm>,
    pub(super) checksum_trailer: bool,
    /// The server takes bytes with a creation.
    pub(super) one_request: bool,
    pub(super) events: VecDeque<Event>,
    pub(super) url: Option<Arc<UploadUrl>>,
    /// Where a redirect sent the current request, and how many there were.
    pub(super) redirected: Option<(Arc<UploadUrl>, u8)>,
    pub(super) tags: Vec<(HeaderName, String)>,
    /// Confirmed by the server.
    pub(super) offset: u64,
    /// The end of the furthest chunk that this or an earlier run handed out, or the offset that was found: where no earlier
    /// run wrote, no honest offset lies above it.
    pub(super) reached: u64,
    /// What that was before the chunk under way was handed out.
    pub(super) reached_before: u64,
    /// An offset was told in this run.
    pub(super) located: bool,
    /// An earlier run wrote to the same upload, and its last bytes may still be under way.
    pub(super) inherited: bool,
    /// The first byte that the source can still read.
    pub(super) available_from: u64,
    pub(super) chunk_bytes: u64,
    /// The chunk that was handed out and not answered yet.
    pub(super) in_flight: Option<Chunk>,
    /// The server refused larger chunks.
    pub(super) chunk_cap: u64,
    /// How chunks are cut at odd offsets, if not by the rule.
    pub(super) realignment: Option<Realignment>,
    /// The chunk that was refused at an odd offset, until HEAD confirms that offset.
    pub(super) misfit: Option<(Chunk, Refusal)>,
    /// Why the service is asked about an upload that may be complete.
    pub(super) refusal: Option<Refusal>,
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
    /// Since when 423 is the only answer.
    pub(super) locked_since: Option<Instant>,
    // Over the whole upload:
    pub(super) rewinds: u32,
    pub(super) lost_creations: u32,
    pub(super) recreated: bool,
    pub(super) version_warned: bool,
}

impl Upload {
    /// A machine at its start. Nothing happens until [`step`](Self::step).
    #[must_use]
    pub fn new(plan: UploadPlan) -> Self {
        let (next, url, offset, reached) = match &plan.start {
            Start::Create => (Next::Create, None, 0, 0),
            Start::Doubt => (Next::Reconcile(Doubt::Crash), None, 0, 0),
            Start::Resume {
                url,
                offset,
                reached,
            } => {
                let reached = *offset.max(reached);
                (Next::Sync, Some(Arc::new(url.clone())), *offset, reached)
            }
        };
        let chunk_bytes = plan
            .chunk_rule
            .fit(plan.chunk_bytes.unwrap_or(plan.chunk_rule.preferred_bytes));
        let mut upload = Self {
            state: State::Ready(if plan.probe { Next::Probe } else { next }),
            first: next,
            length: plan.length,
            length_told: plan.length != UploadLength::Deferred,
            available_to: 0,
            concat: plan.concat.clone().map(Arc::new),
            checksum: None,
            checksum_trailer: false,
            one_request: false,
            events: VecDeque::with_capacity(4),
            url,
            redirected: None,
            tags: Vec::new(),
            offset,
            reached,
            reached_before: reached,
            located: false,
            inherited: matches!(plan.start, Start::Resume { .. }),
            available_from: 0,
            chunk_bytes,
            in_flight: None,
            chunk_cap: u64::MAX,
            realignment: None,
            misfit: None,
            refusal: None,
            backoff: Backoff::new(plan.seed),
            confirmed_at: None,
            tally: Tally::default(),
            plan,
        };
        if !upload.plan.probe {
            upload.settle();
        }
        upload
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
            State::Ready(Next::Probe) => self.ask_creation_url(Phase::Options, None, now),
            State::Ready(Next::Create) => {
                let chunk = self.chunk_with_creation();
                self.in_flight = chunk;
                self.ask_creation_url(Phase::Create, chunk, now)
            }
            State::Ready(Next::Sync) => self.ask_upload(Phase::Head, None, now),
            State::Ready(Next::Terminate | Next::Discard) => {
                self.ask_upload(Phase::Terminate, None, now)
            }
            State::Ready(Next::Patch) => match self.in_flight.or_else(|| self.next_chunk()) {
                Some(chunk) => {
                    if self.in_flight.replace(chunk).is_none() {
                        self.reached_before = self.reached;
                        self.reached = self.reached.max(chunk.end());
                    }
                    self.ask_upload(Phase::Patch, Some(chunk), now)
                }
                None => Step::Read {
                    until: self.offset.saturating_add(self.cut_bytes()),
                },
            },
        }
    }

    /// The answer to the last [`Step::Send`]. `verdict` is what the service read in the body of a refusal.
    pub fn on_response(&mut self, head: &Response<()>, verdict: Option<Verdict>, now: Now) {
        let State::Ready(next) = self.state else {
            return;
        };
        match next {
            Next::Probe => self.on_probed(head, verdict, now),
            Next::Terminate => self.on_terminated(head, verdict, now),
            Next::Create => self.on_created(head, verdict, now),
            Next::Sync => self.on_synced(head, verdict, now),
            Next::Patch => self.on_patched(head, verdict, now),
            Next::Discard => self.discarded(head, verdict, now),
            Next::Reconcile(_) => {}
        }
    }

    /// No answer came to the last [`Step::Send`].
    pub fn on_fault(&mut self, fault: Fault, now: Now) {
        let State::Ready(next) = self.state else {
            return;
        };
        self.in_flight = None;
        // A redirect holds for one request (RFC 9110, 15.4.8): its target may be what is broken.
        self.redirected = None;
        match next {
            Next::Probe => self.probe_failed(fault, now),
            _ => self.faulted(next, fault, now),
        }
    }

    /// The answer to [`Step::Reconcile`].
    pub fn on_reconciled(&mut self, found: Reconciled, now: Now) {
        let State::Ready(Next::Reconcile(doubt)) = self.state else {
            return;
        };
        self.reconciled(doubt, found, now);
    }

    /// The answer to [`Step::Read`]: the source can be read up to `end`, and ends there if `is_end`.
    pub fn on_available(&mut self, end: u64, is_end: bool) {
        if self.length != UploadLength::Deferred || matches!(self.state, State::Done(_)) {
            return;
        }
        self.available_to = self.available_to.max(end);
        if is_end && self.available_to < self.offset {
            // The bytes on the server are another source's.
            let (ours, theirs) = (self.available_to, self.offset);
            return self.fail(Failure::Violation(Violation::LengthDiffers {
                ours,
                theirs,
            }));
        }
        if is_end {
            self.length = UploadLength::Known(self.available_to);
        }
    }

    /// Tells that the request under way was dropped on purpose. What became of it is asked for, without a wait; patience
    /// starts over.
    pub fn interrupted(&mut self, now: Now) {
        self.confirmed_at = Some(now.instant);
        self.in_flight = None;
        self.redirected = None;
        match self.state {
            State::Ready(Next::Patch) => self.go(Next::Sync),
            State::Ready(Next::Create) => self.go(Next::Reconcile(Doubt::LostAnswer)),
            _ => {}
        }
    }

    /// Removes the upload from the server (TM-02), whatever it was doing. Call [`interrupted`](Self::interrupted) first if a
    /// request is under way. Ends with [`Outcome::Terminated`]. Said twice it changes nothing: a wait is kept.
    pub fn terminate(&mut self) {
        match &self.state {
            State::Done(_)
            | State::Ready(Next::Terminate)
            | State::Waiting {
                then: Next::Terminate,
                ..
            } => {}
            _ if self.url.is_some() => self.go(Next::Terminate),
            State::Ready(Next::Reconcile(_))
            | State::Waiting {
                then: Next::Reconcile(_),
                ..
            } => {
                // Whether there is anything to remove is not known, and where it would be neither.
                self.events.push_back(Event::PossibleOrphan);
                self.state = State::Done(Outcome::Terminated);
            }
            _ => self.state = State::Done(Outcome::Terminated),
        }
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

    /// Whether the next [`step`](Self::step) cuts a chunk and hands it out.
    #[must_use]
    pub fn is_to_cut(&self) -> bool {
        matches!(self.state, State::Ready(Next::Patch)) && self.in_flight.is_none()
    }

    /// The digest that chunks carry, once it is known.
    #[must_use]
    pub fn checksum(&self) -> Option<ChecksumAlgorithm> {
        self.checksum
    }

    /// Bytes that the server confirmed.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Tells that of the chunk under way no byte from `position` on has left, however the request ended. To be called before
    /// that is told; without it the whole chunk is taken to have left, and an upload that is gone by then to be complete,
    /// perhaps.
    pub fn left_to(&mut self, position: u64) {
        if let Some(chunk) = self.in_flight.filter(|chunk| position < chunk.end()) {
            let left = position.max(chunk.start);
            self.reached = self.reached_before.max(left);
        }
    }

    /// The end of the furthest chunk that this or an earlier run handed out. It is raised as soon as [`step`](Self::step)
    /// hands out a PATCH. A record of it that is written before the chunk leaves tells a later run, which gives it back in
    /// [`Start::Resume`], whether an upload that is gone by then may have been completed.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.reached
    }

    /// Total bytes, as far as they are known by now.
    #[must_use]
    pub fn length(&self) -> UploadLength {
        self.length
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

    pub(super) fn finish(&mut self) {
        self.state = State::Done(Outcome::Finished);
    }

    pub(super) fn terminated(&mut self) {
        self.state = State::Done(Outcome::Terminated);
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.state = State::Done(Outcome::Failed(failure));
    }

    /// Whether the last byte was handed out, by this or by an earlier run: the upload may be whole, whatever the server says.
    pub(super) fn all_sent(&self) -> bool {
        self.length
            .known()
            .is_some_and(|length| self.reached >= length)
    }

    /// Time since the last confirmed byte.
    pub(super) fn unconfirmed_for(&self, now: Now) -> Duration {
        self.confirmed_at.map_or(Duration::ZERO, |then| {
            now.instant.saturating_duration_since(then)
        })
    }
}
