//! The loop that moves an upload: it asks the machine what to do, does it, and tells the machine what came of it.
//!
//! This is the only caller of [`Upload`]. No rule of the protocol stands here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http::{Method, Request, Response};
use http_transport::{
    Body, Certainty, ERROR_BODY_LIMIT, FaultKind, Origin, Phase as Deadline, TransportError,
};
use resume_store::{Record, State};
use tokio::time::{Instant, sleep_until};
use tus_core::client::{
    Event as CoreEvent, Exchange, Failure, Fault, Now, Outcome, RetryReason, Step, Upload,
    UploadPlan, Verdict, VerdictKind,
};
use tus_core::rejection::Phase;
use tus_core::{Chunk, UploadUrl, header};

use crate::body::ChunkBody;
use crate::error::UploadError;
use crate::event::{Event, RestartReason, UploadId, WaitReason};
use crate::permits::Held;
use crate::resume::{self, Begin, Keeper, Outset};
use crate::source::Source;
use crate::uploader::{NewUpload, Report, Shared};

/// One upload from its turn to its end.
pub(crate) async fn run(
    shared: Arc<Shared>,
    id: UploadId,
    source: Arc<dyn Source>,
    new: NewUpload,
) -> Result<Report, UploadError> {
    let Ok(_turn) = Arc::clone(&shared.permits.uploads).acquire_owned().await else {
        return Err(UploadError::Cancelled);
    };
    let started = Instant::now();
    let begin = resume::look_back(&new, source.as_ref(), shared.journal.as_ref()).await?;
    let outset = match begin {
        Begin::Finished {
            record,
            settings_differ,
        } => {
            return Ok(already_uploaded(&record, settings_differ, source.length()));
        }
        Begin::Upload(outset) => outset,
    };
    let label = new.label.clone().unwrap_or_else(|| new.source_key.clone());
    let mut driver = Driver::new(shared, id, source, new, *outset);
    driver.emit(Event::Started {
        label,
        length: driver.upload.length(),
    });
    let result = driver.drive(started).await;
    if result.is_err() {
        driver.emit(Event::Failed);
    }
    result
}

struct Driver {
    shared: Arc<Shared>,
    id: UploadId,
    source: Arc<dyn Source>,
    upload: Upload,
    record: Record,
    keeper: Option<Keeper>,
    abandoned: Option<UploadUrl>,
    restarted: Option<RestartReason>,
    sent: Arc<AtomicU64>,
    requests: u64,
    last_fault: Option<TransportError>,
    save_trouble_told: bool,
}

impl Driver {
    fn new(
        shared: Arc<Shared>,
        id: UploadId,
        source: Arc<dyn Source>,
        new: NewUpload,
        outset: Outset,
    ) -> Self {
        let plan = UploadPlan::create(new.creation, source.length())
            .with_start(outset.start)
            .with_chunk_rule(shared.service.chunk_rule())
            .with_chunk_bytes(shared.options.chunk_bytes)
            .with_retry(shared.options.retry)
            .with_keep_headers(shared.service.keep_headers())
            .with_seed(seed());
        Self {
            upload: Upload::new(plan),
            record: outset.record,
            keeper: outset.keeper,
            abandoned: outset.abandoned,
            restarted: outset.restarted,
            shared,
            id,
            source,
            sent: Arc::new(AtomicU64::new(0)),
            requests: 0,
            last_fault: None,
            save_trouble_told: false,
        }
    }

    async fn drive(&mut self, started: Instant) -> Result<Report, UploadError> {
        if let Some(reason) = self.restarted {
            self.emit(Event::Restarted { reason });
        }
        if let Some(url) = self.abandoned.take() {
            self.terminate(&url).await;
        }
        loop {
            self.upload.forget_below(self.source.available_from());
            match self.upload.step(now()) {
                Step::Send(exchange) => self.exchange(exchange).await?,
                Step::Reconcile => {
                    let found = self.shared.service.reconcile(&self.record).await;
                    self.upload.on_reconciled(found, now());
                }
                Step::WaitUntil(until) => sleep_until(until.into()).await,
                Step::Done(outcome) => return self.end(outcome, started).await,
            }
            while let Some(event) = self.upload.poll_event() {
                self.handle(event).await;
            }
        }
    }

    /// Sends one request and feeds what came of it.
    async fn exchange(&mut self, exchange: Exchange) -> Result<(), UploadError> {
        self.brake(&exchange).await;
        if exchange.phase == Phase::Create {
            // Written down before it is sent: a crash from here on is a doubt, never a forgotten upload.
            self.record.state = State::Creating;
            self.save().await;
        }
        let body = exchange.chunk.map_or(Body::Empty, |chunk| self.body(chunk));
        let request = exchange.head().map(|()| body);
        match self.send(request, exchange.answer_factor).await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let head = Response::from_parts(parts, ());
                let verdict = self.verdict(&exchange, &head, body).await;
                self.upload.on_response(&head, verdict, now());
            }
            Err(error) if error.kind() == FaultKind::Source => return Err(self.source_error(error)),
            Err(error) => {
                let fault = match (error.certainty(), error.kind()) {
                    (Certainty::NotSent, _) => Fault::NotSent,
                    (Certainty::MaybeSent, FaultKind::Timeout(Deadline::Response)) => {
                        Fault::NoAnswer
                    }
                    (Certainty::MaybeSent, _) => Fault::MaybeSent,
                    (Certainty::Permanent, _) => Fault::Permanent,
                };
                tracing::debug!(upload = ?self.id, phase = ?exchange.phase, %error, "no answer");
                self.last_fault = Some(error);
                self.upload.on_fault(fault, now());
            }
        }
        Ok(())
    }

    async fn send(
        &mut self,
        mut request: Request<Body>,
        factor: u32,
    ) -> Result<Response<Body>, TransportError> {
        if let Ok(origin) = Origin::try_from(request.uri()) {
            for credentials in &self.shared.credentials {
                credentials.apply(&origin, request.headers_mut());
            }
        }
        let deadlines = self.shared.options.deadlines;
        request
            .extensions_mut()
            .insert(deadlines.with_response(deadlines.response * factor));
        self.requests += 1;
        self.shared.transport.send(request).await
    }

    fn body(&self, chunk: Chunk) -> Body {
        let (shared, id, sent) = (Arc::clone(&self.shared), self.id, Arc::clone(&self.sent));
        let mut position = chunk.start;
        let on_sent = move |bytes| {
            position += bytes;
            sent.fetch_add(bytes, Ordering::Relaxed);
            shared.sink.event(id, &Event::Sent { bytes, position });
        };
        let pool = Arc::clone(&self.shared.permits.buffers);
        Body::wrap(ChunkBody::new(
            Arc::clone(&self.source),
            pool,
            chunk,
            on_sent,
        ))
    }

    /// Reads the body of an answer: its words if it is a refusal, and to its end so that the connection can be used again.
    async fn verdict(
        &self,
        exchange: &Exchange,
        head: &Response<()>,
        body: Body,
    ) -> Option<Verdict> {
        let bytes = body.collect(ERROR_BODY_LIMIT).await.ok();
        if head.status().is_success() {
            return None;
        }
        let mut verdict = self
            .shared
            .service
            .read_error(head, &bytes.unwrap_or_default())?;
        // A server that repeats the upload's URL would carry a secret into messages and logs.
        let id = exchange.url.last_segment();
        if exchange.phase != Phase::Create && id.len() >= 8 {
            verdict.message = verdict.message.replace(id, "…");
        }
        Some(verdict)
    }

    /// Waits while the origin wants to be left alone.
    async fn brake(&self, exchange: &Exchange) {
        let origin = exchange.url.origin();
        while let Some(until) = self
            .shared
            .permits
            .brake
            .free_at(&origin, exchange.phase == Phase::Create)
        {
            let wait = Some(until - Instant::now());
            self.emit(Event::Waiting {
                reason: WaitReason::RateLimit,
                wait,
            });
            sleep_until(until).await;
        }
    }

    /// Keeps the record and tells listeners.
    async fn handle(&mut self, event: CoreEvent) {
        match event {
            CoreEvent::Acked { offset } => {
                self.note_offset(offset);
                self.last_fault = None;
                self.emit(Event::Acked { offset });
            }
            CoreEvent::ChunkShrunk { to_bytes } => self.emit(Event::ChunkShrunk { to_bytes }),
            CoreEvent::Created { url, expires, .. } => {
                self.record.state = State::Active;
                self.record.upload_url = Some(UploadUrl::clone(&url));
                self.record.offset = 0;
                self.record.expires_at = expires;
                self.note_tags();
                self.save().await;
                self.emit(Event::Created {
                    tags: self.record.tags.clone(),
                });
            }
            CoreEvent::Expires { at } => {
                if self.record.expires_at != Some(at) {
                    self.record.expires_at = Some(at);
                    self.emit(Event::Expires { at });
                }
            }
            CoreEvent::PossibleOrphan => self.emit(Event::PossibleOrphan),
            CoreEvent::Recreating { .. } => {
                self.record.upload_url = None;
                self.record.offset = 0;
                self.emit(Event::Restarted {
                    reason: RestartReason::Gone,
                });
            }
            CoreEvent::Resumed { offset } => {
                self.note_offset(offset);
                self.emit(Event::Resumed { offset });
            }
            CoreEvent::Retry {
                reason,
                wait,
                attempt,
            } => self.retry(reason, wait, attempt),
            CoreEvent::Rewound { from, to } => {
                self.note_offset(to);
                self.emit(Event::Rewound { from, to });
            }
            CoreEvent::VersionMissing => self.emit(Event::VersionMissing),
            other => tracing::debug!(?other, "an event without listener"),
        }
    }

    fn retry(&self, reason: RetryReason, wait: std::time::Duration, attempt: u32) {
        if let RetryReason::Throttled(_, verdict) = &reason
            && let Some(url) = self.upload.target()
        {
            let full = verdict.as_ref().and_then(|verdict| verdict.kind);
            let no_room = matches!(
                full,
                Some(VerdictKind::QueueFull | VerdictKind::StorageFull)
            );
            let held = if no_room { Held::Creations } else { Held::All };
            self.shared.permits.brake.hold(&url.origin(), held, wait);
        }
        let transport = matches!(
            reason,
            RetryReason::Broken | RetryReason::NoAnswer | RetryReason::Unreachable
        );
        let detail = self
            .last_fault
            .as_ref()
            .filter(|_| transport)
            .map(ToString::to_string);
        self.emit(Event::Retry {
            reason,
            detail,
            wait,
            attempt,
        });
    }

    async fn end(&mut self, outcome: Outcome, started: Instant) -> Result<Report, UploadError> {
        match outcome {
            Outcome::Finished => {
                self.record.state = State::Finished;
                self.record.offset = self.upload.length();
                self.note_tags();
                self.save().await;
                self.emit(Event::Finished {
                    tags: self.record.tags.clone(),
                });
                Ok(Report {
                    length: self.upload.length(),
                    already_uploaded: false,
                    settings_differ: false,
                    tags: self.record.tags.clone(),
                    upload_id: upload_id(&self.record),
                    bytes_sent: self.sent.load(Ordering::Relaxed),
                    requests: self.requests,
                    elapsed: started.elapsed(),
                })
            }
            Outcome::Failed(failure) => {
                if matches!(failure, Failure::Gone { .. } | Failure::Vanished { .. }) {
                    self.record.state = State::Failed;
                    self.save().await;
                }
                Err(UploadError::GaveUp {
                    failure,
                    last_fault: self.last_fault.take(),
                })
            }
        }
    }

    /// One attempt to remove an upload that is given up, so that it does not stay behind (TM-02). Where the server does not
    /// do that, it is reported.
    async fn terminate(&mut self, url: &UploadUrl) {
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = url.uri().clone();
        request
            .headers_mut()
            .insert(header::TUS_RESUMABLE, header::VERSION);
        let gone = match self.send(request, 1).await {
            Ok(answer) => {
                answer.status().is_success() || matches!(answer.status().as_u16(), 404 | 410)
            }
            Err(_) => false,
        };
        if !gone {
            self.emit(Event::PossibleOrphan);
        }
    }

    fn source_error(&self, error: TransportError) -> UploadError {
        if !self.source.is_unchanged().unwrap_or(true) {
            return UploadError::SourceChanged;
        }
        UploadError::Source(std::io::Error::other(error))
    }

    fn note_offset(&mut self, offset: u64) {
        self.record.offset = offset;
        self.record.updated_at = SystemTime::now();
        if let Some(keeper) = &self.keeper {
            keeper.journal.note(keeper.fingerprint, self.record.clone());
        }
    }

    fn note_tags(&mut self) {
        let tags = self.upload.tags().iter();
        self.record
            .tags
            .extend(tags.map(|(name, value)| (name.as_str().to_owned(), value.clone())));
    }

    /// Writes the record durably. The upload goes on if that fails; it is told once.
    async fn save(&mut self) {
        self.record.updated_at = SystemTime::now();
        let Some(keeper) = &self.keeper else { return };
        if let Err(error) = keeper
            .journal
            .commit(keeper.fingerprint, self.record.clone())
            .await
            && !self.save_trouble_told
        {
            self.save_trouble_told = true;
            self.emit(Event::StateNotSaved { error });
        }
    }

    fn emit(&self, event: Event) {
        if !matches!(event, Event::Sent { .. }) {
            tracing::debug!(upload = ?self.id, ?event);
        }
        self.shared.sink.event(self.id, &event);
    }
}

fn already_uploaded(record: &Record, settings_differ: bool, length: u64) -> Report {
    Report {
        length,
        already_uploaded: true,
        settings_differ,
        tags: record.tags.clone(),
        upload_id: upload_id(record),
        bytes_sent: 0,
        requests: 0,
        elapsed: std::time::Duration::ZERO,
    }
}

fn upload_id(record: &Record) -> String {
    record
        .upload_url
        .as_ref()
        .map(|url| url.last_segment().to_owned())
        .unwrap_or_default()
}

fn now() -> Now {
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
