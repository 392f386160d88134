//! The watchdog of one exchange: a request body that notes its own progress, an answer body that
//! notices silence, and a timer that looks at the notes.
//!
//! No timer is touched per frame. The body writes the time of its last movement into an atomic;
//! the timer sleeps until the earliest moment at which that could be too long ago, then looks.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::classify::{Peer, classify};
use crate::{Body, BoxError, Deadlines, Phase, TransportError};

/// What is known of one request while it is under way; shared by its body and its watchdog.
pub(crate) struct Progress {
    started: Instant,
    state: AtomicU8,
    sent: AtomicU64,
    /// Microseconds after `started` at which the connection last took or asked for a frame.
    moved: AtomicU64,
    /// The answer is complete: what is left of the request body interests nobody.
    abandoned: AtomicBool,
    source_error: Mutex<Option<BoxError>>,
    new_phase: Notify,
}

/// The connection has not asked for the body yet.
const WAITING: u8 = 0;
/// Frames are being taken.
const SENDING: u8 = 1;
/// The connection wants a frame and the source has none: not the network's fault.
const STARVED: u8 = 2;
/// The last byte was taken.
const ENDED: u8 = 3;

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            state: AtomicU8::new(WAITING),
            sent: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
            source_error: Mutex::new(None),
            new_phase: Notify::new(),
        })
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How long ago the last of the request left, if it did.
    pub(crate) fn since_end(&self) -> Option<Duration> {
        let ended = self.state.load(Ordering::Acquire) == ENDED;
        let moved = Duration::from_micros(self.moved.load(Ordering::Relaxed));
        ended.then(|| self.started.elapsed().saturating_sub(moved))
    }

    /// What the source failed with, if it did. The error that the HTTP stack makes of it is vaguer.
    pub(crate) fn take_source_error(&self) -> Option<BoxError> {
        self.lock_source_error().take()
    }

    /// Stops the request body at its next frame, which closes the connection.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    fn lock_source_error(&self) -> MutexGuard<'_, Option<BoxError>> {
        self.source_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, state: u8) {
        let elapsed = self.started.elapsed().as_micros();
        self.moved.store(
            u64::try_from(elapsed).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        let before = self.state.swap(state, Ordering::AcqRel);
        // The two moments that can bring patience's end nearer; at most two wake-ups a request.
        if before == WAITING || state == ENDED {
            self.new_phase.notify_one();
        }
    }

    /// When patience ends as things stand, and what would then have been waited for in vain.
    /// Time before `since` is forgiven.
    fn due(&self, deadlines: &Deadlines, since: Instant) -> (Instant, Phase) {
        let moved = Duration::from_micros(self.moved.load(Ordering::Relaxed));
        let from = (self.started + moved).max(since);
        match self.state.load(Ordering::Acquire) {
            // The connector has its own deadline; this is what is left should it be missed.
            WAITING => (from + deadlines.connect + deadlines.stall, Phase::Stall),
            SENDING => (from + deadlines.stall, Phase::Stall),
            STARVED => (Instant::now() + deadlines.stall, Phase::Stall),
            _ => {
                let grace = drain_time(self.bytes_sent(), moved);
                (from + deadlines.response + grace, Phase::Response)
            }
        }
    }
}

/// How long buffers below us may still need to drain a body that took `elapsed` to hand over.
///
/// The kernel takes up to 4 MiB (`tcp_wmem`), hyper 400 KiB: at 64 KiB/s that is longer than the
/// whole response deadline, and the server cannot answer before it has the bytes.
fn drain_time(sent: u64, elapsed: Duration) -> Duration {
    if sent == 0 {
        return Duration::ZERO;
    }
    let held = sent.min(BUFFERED_BELOW);
    elapsed.mul_f64(held as f64 / sent as f64)
}

/// Waits for `answer` as long as the exchange moves.
///
/// # Errors
///
/// The phase in which it stopped moving.
pub(crate) async fn watch<F: Future>(
    progress: &Progress,
    deadlines: &Deadlines,
    answer: F,
) -> Result<F::Output, Phase> {
    let mut since = progress.started;
    let timer = sleep_until(progress.due(deadlines, since).0);
    tokio::pin!(answer, timer);
    loop {
        tokio::select! {
            biased;
            output = &mut answer => return Ok(output),
            () = progress.new_phase.notified() => {}
            () = &mut timer => {
                // A timer that fires late says that this process slept or starved: the peer may
                // have been answering all along, so it gets a full turn.
                if timer.deadline().elapsed() > OVERSLEPT {
                    since = Instant::now();
                }
                let (due, phase) = progress.due(deadlines, since);
                if due <= Instant::now() {
                    return Err(phase);
                }
            }
        }
        timer.as_mut().reset(progress.due(deadlines, since).0);
    }
}

/// The request's body on its way out: notes progress, keeps its promise about the length.
pub(crate) struct Outgoing {
    /// For `Sync`, which reqwest wants and a body need not be. Never locked: `get_mut` is free.
    body: Mutex<Body>,
    /// What is left of a frame too large to be one sign of life.
    frame: Bytes,
    remaining: Option<u64>,
    /// The reactor had its turn since the last frame.
    yielded: bool,
    /// Bytes that left since its last turn.
    unwatched: u64,
    progress: Arc<Progress>,
}

impl Outgoing {
    pub(crate) fn new(body: Body, progress: Arc<Progress>) -> Self {
        Self {
            remaining: if body.is_end_stream() {
                Some(0)
            } else {
                body.exact_len()
            },
            body: Mutex::new(body),
            frame: Bytes::new(),
            yielded: false,
            unwatched: 0,
            progress,
        }
    }

    /// Ends the stream because of its source: what the server has is a part.
    fn fail(&mut self, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        *self.progress.lock_source_error() = Some(error);
        Poll::Ready(Some(Err("the source of the request body failed".into())))
    }

    fn give(&mut self, data: Bytes) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let len = data.len() as u64;
        match &mut self.remaining {
            Some(remaining) if len > *remaining => {
                return self.fail("the source gave more bytes than announced".into());
            }
            Some(remaining) => *remaining -= len,
            None => {}
        }
        self.yielded = false;
        self.unwatched += len;
        self.progress.sent.fetch_add(len, Ordering::Relaxed);
        self.progress.note(match self.remaining {
            Some(0) => ENDED,
            _ => SENDING,
        });
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.progress.abandoned.load(Ordering::Relaxed) {
            return Poll::Ready(Some(Err("the server has answered already".into())));
        }
        // Before each frame the reactor gets a turn (1 µs or so): hyper then sees an early refusal
        // before it runs into the reset that follows it. Without this the refusal was lost in 80 %
        // of tries against a server that answers and closes at once, with it in 4 %. Most refusals
        // come at the start; later a turn for every other large frame is enough. A body of one
        // frame leaves together with its head, in one system call: no write follows that a reset
        // could meet. Where others follow, to save that first turn lost 40 %.
        let (sent, left) = (this.progress.bytes_sent(), this.remaining);
        let one_frame = sent == 0 && left.is_some_and(|left| left <= LARGEST_FRAME as u64);
        let due = this.unwatched >= TURN_BYTES || sent < TURN_BYTES;
        if due && !one_frame && !std::mem::replace(&mut this.yielded, true) {
            this.unwatched = 0;
            let turn = std::pin::pin!(tokio::task::yield_now());
            if turn.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        if !this.frame.is_empty() {
            let data = this.frame.split_to(this.frame.len().min(LARGEST_FRAME));
            return this.give(data);
        }

        let body = this.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Poll::Ready(item) = Pin::new(body).poll_frame(cx) else {
            this.progress.note(STARVED);
            return Poll::Pending;
        };
        match item {
            None => match this.remaining {
                Some(missing @ 1..) => {
                    this.fail(format!("the source ended {missing} bytes early").into())
                }
                _ => {
                    this.progress.note(ENDED);
                    Poll::Ready(None)
                }
            },
            Some(Err(error)) => this.fail(error),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(mut data) => {
                    this.frame = data.split_off(data.len().min(LARGEST_FRAME));
                    this.give(data)
                }
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = self.remaining == Some(0);
        // A body without bytes is never polled, only asked this, when the request's head goes
        // out: from there on the answer is due.
        if ended && self.progress.bytes_sent() == 0 {
            self.progress.note(ENDED);
        }
        ended
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The answer's body on its way in: fails when it stops arriving.
pub(crate) struct Incoming {
    body: reqwest::Body,
    stall: Duration,
    /// Since when the reader has been waiting for the next frame.
    waiting: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    peer: Peer,
    progress: Arc<Progress>,
}

impl Incoming {
    pub(crate) fn new(
        body: reqwest::Body,
        stall: Duration,
        peer: Peer,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            body,
            stall,
            waiting: None,
            timer: None,
            peer,
            progress,
        }
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = self.get_mut();
        if let Poll::Ready(item) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(item.map(|frame| {
                frame.map_err(|error| classify(error, &this.peer, this.progress.bytes_sent()))
            }));
        }

        // Silence counts only while somebody listens: a reader may take its time between frames.
        let since = this.waiting.get_or_insert_with(Instant::now);
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(*since + this.stall)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let due = *since + this.stall;
            if due.elapsed() > OVERSLEPT {
                *since = Instant::now();
            } else if due <= Instant::now() {
                let error = this.peer.timed_out(Phase::Stall, this.stall);
                let error = error.with_bytes_sent(this.progress.bytes_sent());
                return Poll::Ready(Some(Err(error)));
            }
            timer.as_mut().reset(*since + this.stall);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.progress.abandon();
    }
}

/// Frames above this are cut (without a copy), so that each one taken is a timely sign of life.
const LARGEST_FRAME: usize = 512 * 1024;
/// Once as much has left, the reactor has a turn only whenever as much has left again.
const TURN_BYTES: u64 = 1024 * 1024;
/// Default maximum of a Linux send buffer and hyper's own write buffer.
const BUFFERED_BELOW: u64 = 4 * 1024 * 1024 + 400 * 1024;
/// A timer that fires this much late was not run on time.
const OVERSLEPT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_slept_gives_the_peer_a_full_turn() {
        let deadlines = Deadlines::default();
        let progress = Progress::new();
        progress.note(SENDING);
        let begun = Instant::now();
        let watched = watch(&progress, &deadlines, pending::<()>());
        tokio::pin!(watched);
        assert!(poll_once(watched.as_mut()).await.is_none());

        // Two hours pass at once, as they do for a closed laptop.
        tokio::time::advance(Duration::from_secs(7200)).await;
        assert!(poll_once(watched.as_mut()).await.is_none());
        assert_eq!(watched.await, Err(Phase::Stall));
        assert_eq!(begun.elapsed(), Duration::from_secs(7200) + deadlines.stall);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_with_nothing_to_give_is_not_a_stall() {
        let deadlines = Deadlines::default();
        let progress = Progress::new();
        progress.note(STARVED);
        let watched = watch(&progress, &deadlines, pending::<()>());
        let waited = tokio::time::timeout(Duration::from_secs(3600), watched).await;
        assert!(waited.is_err(), "the watchdog must not speak");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_buffers_hold_is_given_time_to_drain() {
        let deadlines = Deadlines::default();
        let progress = Progress::new();
        progress.sent.store(8 * BUFFERED_BELOW, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(400)).await;
        progress.note(ENDED);
        let begun = Instant::now();
        let watched = watch(&progress, &deadlines, pending::<()>()).await;
        assert_eq!(watched, Err(Phase::Response));
        let drained = Duration::from_secs(50);
        assert!(begun.elapsed().abs_diff(deadlines.response + drained) < Duration::from_millis(5));
    }

    /// Polls once.
    async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            Poll::Ready(match future.as_mut().poll(cx) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            })
        })
        .await
    }
}
