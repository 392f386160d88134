//! The loop that moves an upload: it asks the machine what to do, does it, and tells the machine what came of it.
//!
//! This is the only caller of [`Upload`]. No rule of the protocol stands here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use http_transport::TransportError;
use resume_store::{Record, State};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tus_core::client::{
    Event as CoreEvent, Failure, Now, Outcome, Reconciled, Start, Step, Upload, UploadPlan,
};
use tus_core::rejection::Phase;
use tus_core::{ChecksumWish, UploadUrl};

use crate::capabilities::Known;
use crate::chunk_size::ChunkSize;
use crate::control::{Wish, Wishes};
use crate::digest::{Ahead, Reads, WholeDigest};
use crate::error::UploadError;
use crate::event::{Event, EventSink, RestartReason, UploadId};
use crate::keep::Ending;
use crate::measured::Measured;
use crate::new_upload::Report;
use crate::pace::{Pace, Place};
use crate::parts::Portion;
use crate::prove::Tracer;
use crate::resume::{Keeper, Outset};
use crate::source::{Look, Source};
use crate::task::{Setup, Task};
use crate::uploader::Shared;

/// The tag of a record whose upload was created after a doubt: what the first creation may have left is still to be looked for.
const DOUBT_TAG: &str = "doubt";

pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: UploadId,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) source: Arc<dyn Source>,
    /// What the source looked like when its bytes were last known to be the same.
    pub(crate) look: Look,
    pub(crate) upload: Upload,
    /// What the machine was made of, to begin anew with.
    pub(crate) plan: UploadPlan,
    pub(crate) record: Record,
    /// The record of an upload that begins anew.
    pub(crate) fresh: Record,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) tracer: Option<Arc<Tracer>>,
    /// Up to where a source that looks different is the same.
    pub(crate) proven_to: Option<u64>,
    pub(crate) sent: Arc<AtomicU64>,
    /// Up to where the bytes of the request under way have left.
    pub(crate) left: Arc<AtomicU64>,
    pub(crate) requests: u64,
    pub(crate) last_fault: Option<TransportError>,
    pub(crate) save_trouble_told: bool,
    /// That the bandwidth is limited.
    pub(crate) held_told: Arc<AtomicBool>,
    /// A creation was sent, and whether it was carried out is not known.
    pub(crate) creation_in_doubt: bool,
    /// The store has the URL of the upload.
    pub(crate) is_known: bool,
    /// The source could not be read since the last confirmed byte.
    pub(crate) read_failed: bool,
    /// Chunks were refused as too large, and none of this size was taken yet.
    pub(crate) shrunk_to: Option<u64>,
    pub(crate) creation_url: UploadUrl,
    /// Held while this upload is the one that asks what the server offers.
    pub(crate) asking: Option<OwnedMutexGuard<Known>>,
    abandoned: Option<Record>,
    restarted: Option<RestartReason>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) measured: Arc<Measured>,
    pub(crate) chunk_size: ChunkSize,
    /// The digest of the next chunk, made while this one is sent.
    pub(crate) ahead: Option<Ahead>,
    whole_digest: Option<WholeDigest>,
    pub(crate) portion: Option<Portion>,
    /// It is neither a part, nor made of any.
    pub(crate) is_single: bool,
    /// Its end, if that is written without the driver.
    pub(crate) ending: Option<Ending>,
    /// When the last piece left, in microseconds after `started`.
    pub(crate) left_at: Arc<AtomicU64>,
    pub(crate) place: Place,
    landed: CancellationToken,
    pub(crate) started: Instant,
}

impl Driver {
    pub(crate) async fn new(task: &Task, outset: Outset, setup: Setup) -> Self {
        let (shared, source) = (Arc::clone(&task.shared), Arc::clone(&task.source));
        let options = &shared.options;
        let creation_url = task.new.entry.url().clone();
        // A resume needs to know of checksums only, and is not worth a question unless one was asked for by name.
        let is_part = setup.portion.is_some();
        let is_single = setup.concat.is_none();
        let creates = outset.start == Start::Create;
        let curious = creates || matches!(options.checksum, ChecksumWish::Required(_));
        let one_time = task.new.entry.creation().is_none();
        let tells = shared.service.answers_options() && !one_time;
        let (capabilities, asking) = if tells && curious {
            let known = shared.capabilities.of(&creation_url).await;
            match &*known {
                Known::Answer(answer) => (answer.clone(), None),
                Known::Nothing => (None, Some(known)),
            }
        } else {
            // An answer that is on its way is not waited for either.
            let known = tells.then(|| shared.capabilities.known_of(&creation_url));
            (known.flatten(), None)
        };
        let measured = shared.measurements.of(&creation_url);
        let largest = [
            source.window_bytes(),
            shared.capabilities.largest_chunk(&creation_url),
        ];
        let largest = largest.into_iter().flatten().min();
        let wanted = options.chunk_bytes.or_else(|| measured.chunk_bytes());
        let chunk_bytes = wanted.into_iter().chain(largest).min();
        let chunk_rule = shared.service.chunk_rule();
        let chunk_size = ChunkSize::new(chunk_rule, largest, options.chunk_bytes.is_some());
        let creation = task.new.entry.creation().cloned().map(|mut creation| {
            let key = &outset.record.idempotency_key;
            shared.service.stamp(key, &mut creation);
            creation
        });
        let plan = UploadPlan::resume(creation_url.clone(), creation, source.length())
            .with_start(outset.start)
            .with_chunk_rule(chunk_rule)
            .with_chunk_bytes(chunk_bytes)
            .with_retry(options.retry.with_answer_wait(options.deadlines.response))
            .with_keep_headers(shared.service.keep_headers())
            .with_probe(asking.is_some())
            .with_capabilities(capabilities)
            .with_checksum(options.checksum)
            .with_one_request_bytes(options.one_request_bytes)
            .with_concat(setup.concat)
            .with_method_override(options.method_override)
            .with_seed(seed());
        Self {
            upload: Upload::new(plan.clone()),
            plan,
            record: outset.record,
            fresh: outset.fresh,
            keeper: outset.keeper,
            tracer: outset.tracer,
            proven_to: outset.proven_to,
            abandoned: outset.abandoned,
            restarted: outset.restarted,
            id: task.id,
            sink: setup.sink,
            pace: task.pace(),
            measured,
            chunk_size,
            ahead: None,
            whole_digest: (options.content_sha256 && !is_part).then(WholeDigest::start),
            portion: setup.portion,
            left_at: Arc::default(),
            place: setup.place,
            landed: task.landed.clone(),
            shared,
            look: source.opened_as(),
            source,
            creation_url,
            asking,
            started: Instant::now(),
            sent: Arc::default(),
            left: Arc::default(),
            requests: 0,
            last_fault: None,
            save_trouble_told: false,
            held_told: Arc::default(),
            creation_in_doubt: false,
            read_failed: false,
            shrunk_to: None,
            is_known: outset.is_known,
            is_single,
            ending: None,
        }
    }

    pub(crate) async fn drive(&mut self, mut wishes: Wishes) -> Result<Report, UploadError> {
        if let Some(reason) = self.restarted {
            let lost = self.abandoned.as_ref().map(|record| record.tags.clone());
            let lost = lost.unwrap_or_default();
            self.emit(Event::Restarted { reason, lost });
        }
        if let Some(record) = self.abandoned.take() {
            self.discard(&record).await;
        }
        if self.plan.creation.is_none() && !self.is_known {
            // There is no creation to write down: this is where its memory begins.
            self.save().await;
        }
        let mut terminating = false;
        loop {
            match wishes.current() {
                Wish::Run => {}
                Wish::Pause => {
                    self.pause(&mut wishes).await;
                    continue;
                }
                Wish::Terminate if terminating => {}
                Wish::Terminate => {
                    terminating = true;
                    if self.record.state == State::Active
                        && self.shared.service.discard(&self.record).await == Some(true)
                    {
                        return self.end(Outcome::Terminated).await;
                    }
                    self.upload.terminate();
                }
            }
            self.source.confirmed(self.upload.offset());
            self.upload.forget_below(self.source.available_from());
            if self.upload.is_to_cut() && wishes.unless_changed(self.apportion()).await.is_none() {
                continue;
            }
            let step = self.upload.step(now());
            if let Step::Done(outcome) = step {
                return self.end(outcome).await;
            }
            // A creation is seen through: dropped, it would leave a doubt whether there is an upload.
            let creates = matches!(&step, Step::Send(exchange) if exchange.phase == Phase::Create);
            if creates {
                self.take(step).await?;
            } else {
                match wishes.unless_changed(self.take(step)).await {
                    Some(taken) => taken?,
                    // Another wish: the request under way was dropped, and its connection with it.
                    None => self.upload.interrupted(now()),
                }
            }
            while let Some(event) = self.upload.poll_event() {
                if let CoreEvent::Resumed { offset } = event
                    && !self.within_proof(offset)
                {
                    self.begin_anew().await?;
                    break;
                }
                self.handle(event).await;
            }
        }
    }

    /// Does what the machine says.
    async fn take(&mut self, step: Step) -> Result<(), UploadError> {
        match step {
            Step::Send(exchange) => self.exchange(exchange).await?,
            Step::Read { until } => {
                let ready = self
                    .source
                    .make_ready(until)
                    .await
                    .map_err(UploadError::Source)?;
                self.upload.on_available(ready.end, ready.is_end);
            }
            Step::Reconcile => {
                if self.record.state == State::Creating {
                    self.record.tags.insert(DOUBT_TAG.into(), String::new());
                }
                // A service whose answer drips must not outlast patience: it is asked again as long as that lasts.
                let asked = self.shared.service.reconcile(&self.record);
                let found = timeout(self.plan.retry.patience, asked).await;
                let found = found.unwrap_or_else(|_| Reconciled::Pending.into());
                self.record.tags.extend(found.tags);
                self.upload.on_reconciled(found.reconciled, now());
            }
            Step::WaitUntil(until) => sleep_until(until.into()).await,
            Step::Done(_) => {}
        }
        Ok(())
    }

    /// Waits for another wish, with the lease and without a turn.
    async fn pause(&mut self, wishes: &mut Wishes) {
        self.upload.interrupted(now());
        self.place.leave();
        self.emit(Event::Paused);
        wishes.changed().await;
        self.place.take(&self.pace).await;
        self.upload.interrupted(now());
        self.emit(Event::Unpaused);
    }

    pub(crate) async fn end(&mut self, outcome: Outcome) -> Result<Report, UploadError> {
        match outcome {
            Outcome::Finished => {
                let length = self.upload.offset();
                self.record.length = Some(length);
                self.note_tags();
                let doubted = self.record.tags.remove(DOUBT_TAG).is_some();
                let upload_id = upload_id(&self.record);
                let content_sha256 = self.content_sha256(length).await;
                let content = self.tracer.as_ref().and_then(|tracer| tracer.content());
                self.record.finish(content);
                // The network is free for the next one while the end is written.
                if self.place.end() {
                    self.pace.finished();
                }
                self.landed.cancel();
                if !doubted {
                    self.ending = self.begin_ending();
                }
                if self.ending.is_none() {
                    self.retire().await;
                    if doubted && !self.shared.service.tidy(&self.record).await {
                        self.emit(Event::PossibleOrphan);
                    }
                    self.emit(Event::Finished {
                        tags: self.record.tags.clone(),
                    });
                }
                Ok(Report {
                    length,
                    already_uploaded: false,
                    settings_differ: false,
                    tags: self.record.tags.clone(),
                    upload_id,
                    content_sha256,
                    bytes_sent: self.sent.load(Ordering::Relaxed),
                    requests: self.requests,
                    elapsed: self.started.elapsed(),
                })
            }
            Outcome::Failed(failure) => {
                self.hold_others(&failure);
                let lost = matches!(
                    failure,
                    Failure::Gone { .. } | Failure::OneTimeUrl { .. } | Failure::Vanished { .. }
                );
                if lost {
                    self.record.state = State::Failed;
                    self.save().await;
                } else if self.record.state == State::Creating && !self.creation_in_doubt {
                    // Nothing was created: the next run has nothing to ask about.
                    self.forget().await;
                }
                Err(UploadError::GaveUp {
                    failure,
                    last_fault: self.last_fault.take(),
                })
            }
            Outcome::Terminated => {
                self.forget().await;
                Err(UploadError::Terminated)
            }
        }
    }

    /// Where bodies leave what they read, if somebody wants it.
    pub(crate) fn reads(&self) -> Option<Reads> {
        self.whole_digest.as_ref().map(WholeDigest::reads)
    }

    /// The digest of the whole source, which must not fail an upload that is finished.
    async fn content_sha256(&mut self, length: u64) -> Option<[u8; 32]> {
        let whole = self.whole_digest.take()?;
        let pool = &self.shared.permits.buffers;
        match whole.finish(&self.source, pool, length).await {
            Ok(digest) => digest,
            Err(error) => {
                tracing::warn!(%error, "the source cannot be read for its digest");
                None
            }
        }
    }

    pub(crate) fn emit(&self, event: Event) {
        emit(&*self.sink, self.id, &event);
    }
}

pub(crate) fn emit(sink: &dyn EventSink, id: UploadId, event: &Event) {
    if !matches!(event, Event::Sent { .. }) {
        tracing::debug!(upload = ?id, ?event);
    }
    sink.event(id, event);
}

pub(crate) fn upload_id(record: &Record) -> String {
    let url = record.upload_url.as_ref();
    url.map(|url| url.last_segment().to_owned())
        .unwrap_or_default()
}

pub(crate) fn now() -> Now {
    // tokio's clock, which tests can stop.
    Now {
        instant: Instant::now().into_std(),
        wall: SystemTime::now(),
    }
}

fn seed() -> u64 {
    // Without randomness from the system the waits of two uploads are alike: a pity, not a fault.
    getrandom::u64().unwrap_or(0)
}
