//! The client's process: how it begins, and what outlives it.

use crate::client::{Creation, Exchange, Now, Outcome, Start, Step, Upload, UploadPlan};
use crate::length::UploadLength;
use crate::rejection::Phase;
use crate::sim::options::{Beginning, Options};
use crate::sim::site::{ENDPOINT, Site};
use crate::sim::store::Record;
use crate::sim::{Breach, Pair};
use crate::url::UploadUrl;

/// An upload that an earlier process left.
pub(super) fn planted(
    site: &mut Site,
    stored: u64,
    recorded: u64,
    reached: u64,
    options: &Options,
    base: Now,
) -> Record {
    let url = site.plant(stored, options.wishes.deferred, base.wall);
    let url = UploadUrl::parse(&url).expect("our own URL is one");
    Record::Upload {
        url,
        offset: recorded,
        reached,
    }
}

/// The client that begins with a record. `life` counts the ones before it.
pub(super) fn client(options: &Options, record: &Record, life: u64) -> Upload {
    let endpoint = UploadUrl::parse(ENDPOINT).expect("our own URL is one");
    let creation = Creation::new(endpoint);
    let again = (options.beginning != Beginning::OneTimeUrl).then_some(creation.clone());
    let wishes = options.wishes;
    let length = if wishes.deferred {
        UploadLength::Deferred
    } else {
        UploadLength::Known(options.length)
    };
    let plan = match record {
        Record::Nothing => UploadPlan::create(creation, length),
        Record::Intent => UploadPlan::create(creation, length).with_start(Start::Doubt),
        Record::Upload {
            url,
            offset,
            reached,
        } => UploadPlan::resume(url.clone(), again, length).with_start(Start::Resume {
            url: url.clone(),
            offset: *offset,
            reached: *reached,
        }),
    };
    let offered = wishes.informed.then(|| options.habits.capabilities());
    Upload::new(
        plan.with_chunk_rule(options.rule)
            .with_chunk_bytes(Some(options.chunk_bytes))
            .with_retry(options.retry.with_answer_wait(options.answer_timeout))
            .with_capabilities(offered)
            // A one-time URL comes without anybody to ask.
            .with_probe(wishes.probe && options.beginning != Beginning::OneTimeUrl)
            .with_checksum(wishes.checksum)
            .with_one_request_bytes(wishes.one_request_bytes)
            .with_method_override(wishes.method_override)
            .with_seed(options.seed ^ life),
    )
}

/// Whether a process may die of a step: not of one that takes no time, and not after an end that is told anyway.
pub(super) fn may_die_of(step: &Step) -> bool {
    match step {
        Step::Read { .. } => false,
        Step::Done(outcome) => *outcome == Outcome::Finished,
        _ => true,
    }
}

impl Pair {
    /// What is on the disk before a request leaves.
    pub(super) fn writes_down(&mut self, exchange: &Exchange) {
        if exchange.phase == Phase::Create {
            self.store.commit(Record::Intent);
        } else if exchange.phase == Phase::Patch {
            self.store.note(self.client.offset(), self.client.reached());
            if exchange.is_last() {
                self.store.flush();
                // Whether it leaves after that, the next process cannot know.
                self.checker.all_sent = true;
            }
        }
    }

    /// Whether the client's process dies on this occasion.
    pub(super) fn dies(&mut self) -> bool {
        let chosen = self.random.chance(self.options.crashes_per_mille);
        chosen && !self.time_is_up()
    }

    /// It dies while it does this, or after it wrote down that it would.
    pub(super) fn die_of(&mut self, step: &Step) -> Result<(), Breach> {
        match step {
            Step::Send(exchange) => self.writes_down(exchange),
            Step::WaitUntil(until) => {
                let until = until.saturating_duration_since(self.base.instant);
                let left = until.saturating_sub(self.world.time);
                let part = self.random.below(1000) as f64 / 1000.0;
                self.world
                    .pass(self.world.time + left.mul_f64(part), None)?;
            }
            Step::Reconcile => {
                let _ = self.ask();
            }
            Step::Read { .. } | Step::Done(_) => {}
        }
        self.crash();
        Ok(())
    }

    /// The client's process dies, and another one begins with its record.
    pub(super) fn crash(&mut self) {
        self.report.crashes += 1;
        let record = self.store.crash();
        self.world
            .note(|| format!("client   dies; its record: {record:?}"));
        self.client = client(&self.options, record, u64::from(self.report.crashes));
        self.removed_at = self.options.wishes.removed_at;
        self.checker.reborn(&self.options, self.world.time);
    }
}
