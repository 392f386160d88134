//! [`Bandwidth`]: how fast all connections of an uploader may send together.
//!
//! A bucket that is paid in advance: each piece of a body books the time that it takes at the rate, behind all that was booked
//! before, and leaves when that time has come. So connections share the rate in the order in which they ask, none of them
//! starves, and none is woken in vain.

use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_transport::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Time that was not used and may be made up for: what the pauses between two requests cost is not lost.
const CREDIT: Duration = Duration::from_millis(250);
/// A piece takes about so long at the rate: short, so that the rate is even and several connections alternate.
const PIECES_PER_SECOND: u64 = 8;
/// Smaller pieces cost more than they smooth.
const MIN_PIECE_BYTES: u64 = 4 * 1024;
/// A wait that is worth an event.
const WORTH_TELLING: Duration = Duration::from_millis(50);

/// The limit that all bodies of one uploader share.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    /// Bytes per second; `None` without a limit.
    rate: watch::Sender<Option<NonZeroU64>>,
    /// Up to when everything is booked.
    booked_to: Mutex<Instant>,
}

impl Bandwidth {
    pub(crate) fn new(rate: Option<NonZeroU64>) -> Arc<Self> {
        Arc::new(Self {
            rate: watch::Sender::new(rate),
            booked_to: Mutex::new(Instant::now()),
        })
    }

    /// Changes the rate. Whoever waits books anew.
    pub(crate) fn set(&self, rate: Option<NonZeroU64>) {
        self.rate.send_if_modified(|old| {
            let changed = *old != rate;
            *old = rate;
            if changed {
                *self.booked_to() = Instant::now();
            }
            changed
        });
    }

    /// Bytes per second.
    pub(crate) fn rate(&self) -> Option<NonZeroU64> {
        *self.rate.borrow()
    }

    fn booked_to(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.booked_to
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Books `bytes` at `rate`, and says when they may leave.
    fn book(&self, bytes: u64, rate: NonZeroU64) -> Instant {
        let now = Instant::now();
        let mut booked_to = self.booked_to();
        let from = (*booked_to).max(now.checked_sub(CREDIT).unwrap_or(now));
        *booked_to = from + Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        from
    }
}

/// The way of one body through the limit.
pub(crate) struct Gate {
    bandwidth: Arc<Bandwidth>,
    on_wait: Box<dyn FnMut() + Send>,
    /// The piece that is waited for, and how many bytes it may have.
    waiting: Option<(usize, BoxFuture<'static, ()>)>,
}

impl Gate {
    /// `on_wait` hears of waits that are worth telling; it must not block.
    pub(crate) fn new(bandwidth: Arc<Bandwidth>, on_wait: impl FnMut() + Send + 'static) -> Self {
        Self {
            bandwidth,
            on_wait: Box::new(on_wait),
            waiting: None,
        }
    }

    /// How many of `wanted` bytes may leave now; at least one, if any is wanted.
    pub(crate) fn poll_pass(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        if self.waiting.is_none() {
            let Some(rate) = self.bandwidth.rate() else {
                return Poll::Ready(wanted);
            };
            let most = (rate.get() / PIECES_PER_SECOND).max(MIN_PIECE_BYTES);
            let piece = wanted.min(usize::try_from(most).unwrap_or(usize::MAX));
            let until = self.bandwidth.book(piece as u64, rate);
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Poll::Ready(piece);
            }
            if wait >= WORTH_TELLING {
                (self.on_wait)();
            }
            let bandwidth = Arc::clone(&self.bandwidth);
            let turn = async move { until_free(&bandwidth, piece, rate, until).await };
            self.waiting = Some((piece, Box::pin(turn)));
        }
        let Some((piece, turn)) = &mut self.waiting else {
            return Poll::Ready(wanted);
        };
        ready!(Pin::new(turn).poll(cx));
        let piece = (*piece).min(wanted);
        self.waiting = None;
        Poll::Ready(piece)
    }
}

/// Waits until a piece that is booked for `until` may leave; books again when the rate changes meanwhile.
async fn until_free(bandwidth: &Bandwidth, piece: usize, rate: NonZeroU64, mut until: Instant) {
    let mut rates = bandwidth.rate.subscribe();
    let mut booked_at = Some(rate);
    loop {
        let now = *rates.borrow_and_update();
        if now != booked_at {
            booked_at = now;
            match now {
                Some(rate) => until = bandwidth.book(piece as u64, rate),
                None => return,
            }
        }
        tokio::select! {
            () = sleep_until(until) => return,
            changed = rates.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const RATE: u64 = 1_000_000;

    fn limited(rate: u64) -> Arc<Bandwidth> {
        Bandwidth::new(NonZeroU64::new(rate))
    }

    /// Sends so many bytes, as a body does.
    async fn send(bandwidth: Arc<Bandwidth>, bytes: usize) {
        let mut gate = Gate::new(bandwidth, || {});
        let mut left = bytes;
        while left > 0 {
            left -= poll_fn(|cx| gate.poll_pass(cx, left.min(256 * 1024))).await;
        }
    }

    fn seconds(since: Instant) -> f64 {
        since.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_everything_leaves_at_once() {
        let begun = Instant::now();
        send(Bandwidth::new(None), 100_000_000).await;
        assert!(begun.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn one_body_takes_as_long_as_the_rate_says() {
        let begun = Instant::now();
        send(limited(RATE), 10_000_000).await;
        let took = seconds(begun);
        assert!((9.5..=10.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn eight_bodies_share_the_rate_and_none_starves() {
        let bandwidth = limited(RATE);
        let begun = Instant::now();
        let sending = (0..8).map(|_| {
            let bandwidth = Arc::clone(&bandwidth);
            tokio::spawn(async move {
                send(bandwidth, 1_000_000).await;
                seconds(begun)
            })
        });
        let ends = futures_util::future::join_all(sending).await;
        let ends: Vec<f64> = ends.into_iter().map(Result::unwrap).collect();
        let (first, last) = ends.iter().fold((f64::MAX, 0.0_f64), |(a, b), end| {
            (a.min(*end), b.max(*end))
        });
        assert!((7.5..=8.0).contains(&last), "{last}");
        assert!(last - first < 2.0, "they end together: {ends:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_rate_holds_at_once_for_whoever_waits() {
        let bandwidth = limited(1_000);
        let sending = tokio::spawn(send(Arc::clone(&bandwidth), 1_000_000));
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(5)).await;
        bandwidth.set(NonZeroU64::new(RATE));
        sending.await.unwrap();
        let took = seconds(begun);
        assert!((5.7..=6.1).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_lifted_holds_nobody_any_more() {
        let bandwidth = limited(1_000);
        let sending = tokio::spawn(send(Arc::clone(&bandwidth), 1_000_000));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let begun = Instant::now();
        bandwidth.set(None);
        sending.await.unwrap();
        assert!(begun.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_nobody_used_is_not_saved_up() {
        let bandwidth = limited(RATE);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        send(Arc::clone(&bandwidth), 3_000_000).await;
        let took = seconds(begun);
        assert!((2.5..=3.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_told() {
        let told = Arc::new(AtomicU64::new(0));
        let teller = Arc::clone(&told);
        let mut gate = Gate::new(limited(4096), move || {
            teller.fetch_add(1, Ordering::Relaxed);
        });
        for _ in 0..3 {
            assert_eq!(poll_fn(|cx| gate.poll_pass(cx, 4096)).await, 4096);
        }
        assert_eq!(
            told.load(Ordering::Relaxed),
            2,
            "the first one leaves at once"
        );
    }
}
