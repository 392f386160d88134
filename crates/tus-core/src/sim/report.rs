//! [`Report`] and [`Breach`]: what a run did, and what it should not have done.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::client::{Event, Exchange, Fault, Outcome};
use crate::rejection::Phase;
use crate::sim::Mishap;

/// What happened in one run, or in many.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// Runs.
    pub runs: u64,
    /// Runs in which the upload finished.
    pub finished: u64,
    /// Requests that the client sent.
    pub requests: u32,
    /// POSTs among them.
    pub posts: u32,
    /// HEADs among them.
    pub heads: u32,
    /// PATCHes among them.
    pub patches: u32,
    /// Bytes of bodies that the client began to send.
    pub body_bytes: u64,
    /// Questions to the service.
    pub reconciles: u32,
    /// Deaths of the client's process.
    pub crashes: u32,
    /// Times that the server confirmed more than before.
    pub confirmations: u32,
    /// Creations that were answered with 201.
    pub creations_answered: u32,
    /// Creations that the server carried out.
    pub creations: u32,
    /// Whole uploads on the server at the end.
    pub complete_uploads: u32,
    /// Falls of the server that took back what it had told.
    pub losses: u32,
    /// Uploads that the service did not see when it said that there were none.
    pub overlooked: u32,
    /// Uploads that could be neither continued nor removed: what is late may still complete them.
    pub left_behind: u32,
    /// Chunks that were cut otherwise at an odd offset.
    pub realigned: u32,
    /// Offsets that fell.
    pub rewinds: u32,
    /// Virtual time.
    pub time: Duration,
    /// What befell requests, and how often.
    pub befallen: BTreeMap<Mishap, u64>,
    /// The statuses that the client heard.
    pub answers: BTreeMap<u16, u64>,
    /// Requests without an answer, by fault.
    pub faults: BTreeMap<&'static str, u64>,
    /// How runs ended that did not finish.
    pub failures: BTreeMap<String, u64>,
    /// An upload was given up at an odd offset.
    pub(super) forsakes: bool,
}

impl Report {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.finished += other.finished;
        self.requests = self.requests.saturating_add(other.requests);
        self.posts = self.posts.saturating_add(other.posts);
        self.heads = self.heads.saturating_add(other.heads);
        self.patches = self.patches.saturating_add(other.patches);
        self.body_bytes += other.body_bytes;
        self.reconciles += other.reconciles;
        self.crashes += other.crashes;
        self.confirmations = self.confirmations.saturating_add(other.confirmations);
        self.creations_answered += other.creations_answered;
        self.creations += other.creations;
        self.complete_uploads += other.complete_uploads;
        self.losses += other.losses;
        self.overlooked += other.overlooked;
        self.left_behind += other.left_behind;
        self.realigned += other.realigned;
        self.rewinds += other.rewinds;
        self.time += other.time;
        merge(&mut self.befallen, &other.befallen);
        merge(&mut self.answers, &other.answers);
        merge(&mut self.faults, &other.faults);
        merge(&mut self.failures, &other.failures);
    }

    /// Mishaps, all kinds together.
    #[must_use]
    pub fn mishaps(&self) -> u32 {
        self.befallen.values().sum::<u64>() as u32
    }

    pub(super) fn statuses(&self, status: u16) -> u32 {
        self.answers.get(&status).copied().unwrap_or(0) as u32
    }

    pub(super) fn unanswered(&self) -> u32 {
        self.faults.values().sum::<u64>() as u32
    }

    pub(super) fn sent(&mut self, exchange: &Exchange) {
        self.requests += 1;
        self.body_bytes += exchange.chunk.map_or(0, |chunk| chunk.len);
        let phase = exchange.phase;
        self.posts += u32::from(phase == Phase::Create);
        self.heads += u32::from(phase == Phase::Head);
        self.patches += u32::from(phase == Phase::Patch);
    }

    pub(super) fn befell(&mut self, mishap: Mishap) {
        *self.befallen.entry(mishap).or_default() += 1;
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        *self.answers.entry(status.as_u16()).or_default() += 1;
    }

    pub(super) fn faulted(&mut self, fault: Fault) {
        let name = match fault {
            Fault::NotSent => "not sent",
            Fault::MaybeSent => "maybe sent",
            Fault::NoAnswer => "no answer",
            Fault::Permanent => "permanent",
        };
        *self.faults.entry(name).or_default() += 1;
    }

    pub(super) fn happened(&mut self, event: &Event) {
        match event {
            Event::Acked { .. } => self.confirmations += 1,
            Event::Created { .. } => self.creations_answered += 1,
            Event::ChunkRealigned { .. } => self.realigned += 1,
            Event::Recreating { status } => self.forsakes |= *status == StatusCode::BAD_REQUEST,
            Event::PossibleOrphan if self.forsakes => self.left_behind += 1,
            Event::Rewound { .. } => self.rewinds += 1,
            _ => {}
        }
    }

    pub(super) fn ended(&mut self, outcome: &Outcome, time: Duration) {
        self.time = time;
        self.finished = u64::from(*outcome == Outcome::Finished);
        if let Outcome::Failed(failure) = outcome {
            let name = format!("{failure:?}");
            let end = name.find(" {").unwrap_or(name.len());
            self.failures.insert(name[..end].to_owned(), 1);
        }
    }
}

fn merge<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}

/// An invariant that does not hold.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Breach {
    /// The seed of the run.
    pub seed: u64,
    /// What should hold.
    pub invariant: &'static str,
    /// What was found instead.
    pub detail: String,
    /// What happened before, if a trace was kept: one line each, virtual seconds first.
    pub trace: Vec<String>,
    /// Whether it was a run of [`operations`](crate::sim::operations).
    pub operations: bool,
}

impl Breach {
    pub(super) fn new(invariant: &'static str, detail: impl Into<String>) -> Self {
        Self {
            seed: 0,
            invariant,
            detail: detail.into(),
            trace: Vec::new(),
            operations: false,
        }
    }
}

/// Lines of the trace that are shown.
const SHOWN: usize = 60;

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            invariant,
            detail,
            ..
        } = self;
        writeln!(f, "seed {seed}: it should hold that {invariant}; {detail}")?;
        let hidden = self.trace.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(f, "({hidden} earlier lines)")?;
        }
        for line in &self.trace[hidden..] {
            writeln!(f, "{line}")?;
        }
        let which = if self.operations { " --operations" } else { "" };
        writeln!(
            f,
            "again: cargo run --release -p tus-core --features sim --example sim -- --from {seed} --seeds 1{which}"
        )
    }
}

impl std::error::Error for Breach {}
