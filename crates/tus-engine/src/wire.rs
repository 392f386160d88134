//! One request of an upload: sent, answered, and told to the machine.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_transport::{
    Aside, Body, Certainty, ERROR_BODY_LIMIT, FaultKind, Line, Phase as Deadline, TransportError,
};
use resume_store::Resemblance;
use tokio::time::{Instant, sleep_until, timeout};
use tus_core::client::{CHECKSUMMED_CHUNK_BYTES, Exchange, Failure, Fault, Outcome, Verdict};
use tus_core::rejection::Phase;
use tus_core::{Checksum, ChecksumAlgorithm, Chunk, header};

use crate::bandwidth::Gate;
use crate::body::ChunkBody;
use crate::chunk_size::Took;
use crate::digest::ChunkDigests;
use crate::drive::{Driver, now};
use crate::error::UploadError;
use crate::event::{Event, WaitReason};
use crate::keep::Intent;
use crate::resume;

/// A chunk of so many bytes tells how fast a connection is: 8 MiB.
const TELLING_BYTES: u64 = 8 * 1024 * 1024;

impl Driver {
    /// Sends one request and feeds what came of it.
    pub(crate) async fn exchange(&mut self, exchange: Exchange) -> Result<(), UploadError> {
        if exchange.phase != Phase::Options {
            // The question got no answer: whoever comes next may ask again.
            self.asking = None;
        }
        if exchange.chunk.is_some() || self.place.is_first() {
            self.place.take(&self.pace).await;
        }
        self.brake(&exchange).await?;
        let mut intent = Intent::Written;
        if exchange.phase == Phase::Create {
            // Written down: a crash from here on is a doubt, never a forgotten upload.
            intent = self.intend(exchange.chunk.is_some()).await;
        }
        if exchange.is_last() {
            self.before_last(&exchange).await?;
        }
        let mut request = exchange.head();
        let body = match (exchange.chunk, exchange.checksum) {
            (None, _) => Body::Empty,
            (Some(chunk), None) => self.body(chunk, None),
            (Some(chunk), Some(algorithm)) if exchange.checksum_trailer => {
                // A trailer travels behind a chunked body only.
                request.headers_mut().remove(CONTENT_LENGTH);
                request
                    .headers_mut()
                    .insert(TRAILER, HeaderValue::from_static("Upload-Checksum"));
                self.body(chunk, Some(algorithm))
            }
            (Some(chunk), Some(algorithm)) => {
                let checksum = self.digest(chunk, algorithm).await?;
                request
                    .headers_mut()
                    .insert(header::UPLOAD_CHECKSUM, checksum.to_header());
                self.body(chunk, None)
            }
        };
        self.left.store(
            exchange.chunk.map_or(0, |chunk| chunk.start),
            Ordering::Relaxed,
        );
        let began = Instant::now();
        let mut request = request.map(|()| body);
        if self.place.is_ahead() {
            request.extensions_mut().insert(Aside);
        }
        if let Some(line) = self.place.line() {
            request.extensions_mut().insert(Line(line));
        }
        let answer = self.send(request, exchange.answer_factor);
        let (answer, intent) = match intent {
            Intent::Written => (answer.await, None),
            Intent::Beside(intent) => (answer.await, intent),
            Intent::Later => self.answer_or_intent(answer).await,
        };
        if exchange.phase == Phase::Patch {
            self.upload.left_to(self.left.load(Ordering::Relaxed));
            self.record.reached = self.upload.reached();
        }
        if let Some(intent) = intent
            && answer.is_err()
        {
            // After an answer the next commit tells as much, and of more.
            let saved = intent.end().await;
            self.tell_trouble(saved);
        }
        match answer {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let head = Response::from_parts(parts, ());
                let verdict = self.verdict(&exchange, &head, body).await;
                if exchange.phase == Phase::Create {
                    self.creation_in_doubt = head.status().is_server_error();
                    if self.creation_in_doubt {
                        // It may have had an answer before it was written down.
                        self.begin_intent();
                    }
                }
                if head.status().is_success() {
                    self.measure(&exchange, began);
                }
                self.upload.on_response(&head, verdict, now());
            }
            Err(error) if error.kind() == FaultKind::Source => self.source_failed(error).await?,
            Err(error) => {
                let fault = fault_of(&error);
                if exchange.phase == Phase::Create && fault == Fault::NotSent {
                    self.creation_in_doubt = false;
                }
                tracing::debug!(upload = ?self.id, phase = ?exchange.phase, %error, "no answer");
                self.last_fault = Some(error);
                self.place.brought(None);
                self.note_break(&exchange);
                self.upload.on_fault(fault, now());
            }
        }
        Ok(())
    }

    /// The last byte is about to leave: once the server has it, the upload is finished, and nothing that is wrong with it can
    /// be mended.
    async fn before_last(&mut self, exchange: &Exchange) -> Result<(), UploadError> {
        let start = exchange.chunk.map_or(0, |chunk| chunk.start);
        if !self.is_same(start).await? {
            return Err(UploadError::SourceChanged);
        }
        if exchange.phase == Phase::Patch && self.note_reached() {
            self.save().await;
        }
        Ok(())
    }

    fn send(
        &mut self,
        mut request: Request<Body>,
        factor: u32,
    ) -> impl Future<Output = Result<Response<Body>, TransportError>> + Send + use<> {
        self.shared.attach_credentials(&mut request);
        let deadlines = self.shared.options.deadlines;
        request
            .extensions_mut()
            .insert(deadlines.with_response(deadlines.response * factor));
        self.requests += 1;
        let asks = matches!(request.body(), Body::Empty);
        let (shared, pace) = (Arc::clone(&self.shared), Arc::clone(&self.pace));
        let measured = Arc::clone(&self.measured);
        async move {
            let began = Instant::now();
            let answer = shared.transport.send(request).await;
            if let Some(answer) = answer.as_ref().ok().filter(|_| asks) {
                measured.answered(answer.extensions(), began.elapsed());
                if let Some(round_trip) = measured.round_trip() {
                    pace.is_as_far_as(round_trip);
                }
            }
            answer
        }
    }

    fn body(&self, chunk: Chunk, trailer: Option<ChecksumAlgorithm>) -> Body {
        let (sink, id, sent) = (Arc::clone(&self.sink), self.id, Arc::clone(&self.sent));
        let (left, pace) = (Arc::clone(&self.left), Arc::clone(&self.pace));
        let (left_at, started) = (Arc::clone(&self.left_at), self.started);
        let mut position = chunk.start;
        let on_sent = move |bytes| {
            position += bytes;
            left.store(position, Ordering::Relaxed);
            let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            left_at.store(micros, Ordering::Relaxed);
            sent.fetch_add(bytes, Ordering::Relaxed);
            pace.sent(bytes);
            sink.event(id, &Event::Sent { bytes, position });
        };
        let pool = Arc::clone(&self.shared.permits.buffers);
        Body::wrap(
            ChunkBody::new(Arc::clone(&self.source), pool, chunk, on_sent)
                .with_gate(self.gate())
                .with_reads(self.reads())
                .with_trailer(trailer)
                .with_look(self.look)
                .with_tracer(self.tracer.clone()),
        )
    }

    /// Where pieces wait that would leave faster than they may.
    fn gate(&self) -> Gate {
        let (sink, id, told) = (Arc::clone(&self.sink), self.id, Arc::clone(&self.held_told));
        let on_wait = move || {
            if !told.swap(true, Ordering::Relaxed) {
                let reason = WaitReason::Bandwidth;
                // Each piece for itself, as long as it goes on.
                let wait = None;
                sink.event(id, &Event::Waiting { reason, wait });
            }
        };
        Gate::new(Arc::clone(&self.shared.permits.bandwidth), on_wait)
    }

    /// Reads the chunk once for its digest; the body is read again, from the page cache. Usually that was done while the chunk
    /// before it was sent.
    async fn digest(
        &mut self,
        chunk: Chunk,
        algorithm: ChecksumAlgorithm,
    ) -> Result<Checksum, UploadError> {
        let pool = Arc::clone(&self.shared.permits.buffers);
        let digests = ChunkDigests::new(Arc::clone(&self.source), pool);
        let ahead = self.ahead.take();
        let checksum = digests.of(chunk, algorithm, ahead).await;
        self.ahead = digests.ahead(chunk, algorithm);
        checksum.map_err(UploadError::Source)
    }

    /// Draws conclusions about the next chunks from what became of this one, where all of it was taken.
    fn measure(&mut self, exchange: &Exchange, began: Instant) {
        let Some(chunk) = exchange.chunk.filter(|_| exchange.phase == Phase::Patch) else {
            return;
        };
        let left_at = self.started + Duration::from_micros(self.left_at.load(Ordering::Relaxed));
        let took = Took {
            bytes: chunk.len,
            body: left_at.saturating_duration_since(began),
            answer: left_at.max(began).elapsed(),
            round_trip: self.measured.round_trip().unwrap_or_default(),
        };
        let alone = self.portion.is_none() && self.pace.running() <= 1;
        let unlimited = self.shared.permits.bandwidth.rate().is_none();
        if alone && unlimited && chunk.len >= TELLING_BYTES {
            let time = (took.body + took.answer).as_secs_f64();
            self.measured.one_brought(chunk.len as f64 / time);
        }
        if self.portion.is_some() {
            let rate = chunk.len as f64 / (took.body + took.answer).as_secs_f64();
            self.place.brought(Some(rate));
            if !exchange.is_last() {
                self.chunk_size.taken(&took);
            }
            return;
        }
        // A chunk with a digest is the price of a break wherever it breaks (CK-11), and there are servers that hold all of it in
        // memory and cut off what is longer.
        if !exchange.is_last()
            && exchange.checksum.is_none()
            && let Some(bytes) = self.chunk_size.taken(&took)
        {
            self.resize(bytes);
        }
    }

    /// How long the next chunk of a part is depends on the connection that it has, so that comes first.
    pub(crate) async fn apportion(&mut self) {
        let Some(portion) = self.portion.clone() else {
            return;
        };
        let length = self.source.length().known().unwrap_or(u64::MAX);
        let left = length.saturating_sub(self.upload.offset());
        self.place.take_for(left).await;
        let round_trip = self.measured.round_trip().unwrap_or_default();
        let bytes = portion.bytes(self.place.rate(), round_trip);
        let checksummed = self.upload.checksum().map(|_| CHECKSUMMED_CHUNK_BYTES);
        let bytes = bytes.min(checksummed.unwrap_or(u64::MAX));
        if let Some(bytes) = self.chunk_size.portion(bytes) {
            self.upload.set_chunk_bytes(bytes);
        }
    }

    /// The connection broke after some of the chunk had left.
    fn note_break(&mut self, exchange: &Exchange) {
        if let Some(chunk) = exchange.chunk.filter(|_| exchange.phase == Phase::Patch)
            && self.left.load(Ordering::Relaxed) > chunk.start
            && let Some(bytes) = self.chunk_size.broken(chunk.len)
        {
            self.resize(bytes);
        }
    }

    fn resize(&mut self, bytes: u64) {
        tracing::debug!(upload = ?self.id, bytes, "another chunk size");
        self.upload.set_chunk_bytes(bytes);
        // How short those of a part are says nothing about the server.
        if self.portion.is_none() {
            self.measured.keep_chunk_bytes(bytes);
        }
    }

    /// Reads the body of an answer: its words if it is a refusal, and to its end so that the connection can be used again. One
    /// that drips is left after as long as a stall may last: no words are worth more.
    async fn verdict(
        &self,
        exchange: &Exchange,
        head: &Response<()>,
        body: Body,
    ) -> Option<Verdict> {
        let most = self.shared.options.deadlines.stall;
        let bytes = timeout(most, body.collect(ERROR_BODY_LIMIT)).await;
        if head.status().is_success() {
            return None;
        }
        let mut verdict = self
            .shared
            .service
            .read_error(head, &bytes.ok().and_then(Result::ok).unwrap_or_default())?;
        // A server that repeats the upload's URL would carry a secret into messages and logs.
        let id = exchange.url.last_segment();
        if self.upload.url().is_some() && id.len() >= 8 {
            verdict.message = verdict.message.replace(id, "…");
        }
        Some(verdict)
    }

    /// Waits while the origin wants to be left alone; stops where it told another upload to come back later than patience allows.
    async fn brake(&mut self, exchange: &Exchange) -> Result<(), UploadError> {
        let origin = exchange.url.origin();
        let creation = exchange.phase == Phase::Create;
        while let Some(until) = self.shared.permits.brake.free_at(origin, creation) {
            let after = until - Instant::now();
            if after > self.shared.options.retry.patience {
                let status = StatusCode::TOO_MANY_REQUESTS;
                let failure = Failure::ComeBack { after, status };
                return self.end(Outcome::Failed(failure)).await.map(drop);
            }
            self.emit(Event::Waiting {
                reason: WaitReason::RateLimit,
                wait: Some(after),
            });
            sleep_until(until).await;
        }
        Ok(())
    }

    /// The source could not be read, or must not be sent as it is now.
    async fn source_failed(&mut self, error: TransportError) -> Result<(), UploadError> {
        let reached = self.upload.reached();
        let touched = self.source.look().map_err(UploadError::Source)? != self.look;
        if touched && self.is_same(reached).await? {
            self.upload.interrupted(now());
            return Ok(());
        }
        if touched || self.tracer.as_ref().is_some_and(|it| it.has_changed()) {
            return Err(UploadError::SourceChanged);
        }
        // A disk may fail once, and a network file system often does.
        if std::mem::replace(&mut self.read_failed, true) {
            return Err(UploadError::Source(reading_error(&error)));
        }
        self.emit(Event::ReadFailed {
            error: reading_error(&error).to_string(),
        });
        self.upload.interrupted(now());
        Ok(())
    }

    /// Whether the first `end` bytes are what they were when they were read. A file that was renamed while it is sent looks like
    /// one that was edited and its time set back: only the bytes can tell.
    async fn is_same(&mut self, end: u64) -> Result<bool, UploadError> {
        // First: what happens while the bytes are compared is seen by the next look.
        let look = self.source.look().map_err(UploadError::Source)?;
        match self.look.compare(&look) {
            Resemblance::Same => return Ok(true),
            Resemblance::Changed => return Ok(false),
            Resemblance::Moved => {}
        }
        let source = Arc::clone(&self.source);
        let evidence = resume::evidence(&source).await?;
        let known = self.record.evidence.as_ref().zip(evidence.as_ref());
        if known.is_some_and(|(then, now)| then.compare(now) == Resemblance::Changed) {
            return Ok(false);
        }
        if let Some(tracer) = self.tracer.clone() {
            let pool = &self.shared.permits.buffers;
            let proven = tracer.proven_to(source.as_ref(), pool, end).await;
            if proven.map_err(UploadError::Source)? < end {
                return Ok(false);
            }
        }
        self.record.evidence = evidence;
        self.look = look;
        Ok(true)
    }
}

fn fault_of(error: &TransportError) -> Fault {
    match (error.certainty(), error.kind()) {
        (Certainty::NotSent, _) => Fault::NotSent,
        (Certainty::MaybeSent, FaultKind::Timeout(Deadline::Response)) => Fault::NoAnswer,
        (Certainty::MaybeSent, _) => Fault::MaybeSent,
        (Certainty::Permanent, _) => Fault::Permanent,
    }
}

/// What the reading brought, from below what the transport made of it.
fn reading_error(error: &TransportError) -> io::Error {
    let (mut below, mut read) = (error.source(), None);
    while let Some(cause) = below {
        read = cause.downcast_ref::<io::Error>().or(read);
        below = cause.source();
    }
    match read {
        Some(read) => match read.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(read.kind(), read.to_string()),
        },
        None => io::Error::other(error.to_string()),
    }
}
