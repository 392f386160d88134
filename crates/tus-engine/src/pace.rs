//! [`Pace`]: how many connections to one origin are at work, and the [`Turn`] of each.
//!
//! Where nobody named a number, it is found: as long as more of them bring more bytes, or more files, there are more; when they
//! bring nothing, the last step is taken back; when the server is in trouble, a third of them waits.
//!
//! An upload has a turn of its own. What no upload takes is spare, and for the parts of those that run: they give it back when
//! an upload wants it, or the server less. Uploads at once that were named by number stay; spare turns never do.

mod finder;
mod lanes;
mod line;
mod paces;
mod place;
mod turn;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::options::Parallel;

use finder::{Finder, Goodput};
pub(crate) use lanes::{Lane, Lanes};
pub(crate) use line::Line;
pub(crate) use paces::Paces;
pub(crate) use place::Place;
pub(crate) use turn::Turn;

/// Goodput is taken together over so long a time.
const WINDOW: Duration = Duration::from_secs(2);
/// And over so many round trips as long as each step brings more: then new connections have gathered speed.
const ROUND_TRIPS: u32 = 10;
/// But over no less.
const FIRST_WINDOW: Duration = Duration::from_secs(1);
/// Small files tell sooner.
const SHORT_WINDOW: Duration = Duration::from_millis(500);
/// So long after trouble nobody has more connections than were found to do.
const CALM: Duration = Duration::from_secs(20);

/// How many connections to one origin are at work.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Those of uploads.
    turns: Arc<Semaphore>,
    /// Uploads at once.
    limit: watch::Sender<usize>,
    /// The most of them, where their number is found.
    most_uploads: Option<usize>,
    /// Turns of uploads that are out and not to come back.
    surplus: AtomicUsize,
    /// Connections at once.
    connections: AtomicUsize,
    running: AtomicUsize,
    /// Those of them that are an upload's own.
    uploads: AtomicUsize,
    /// The most that ran at once in this window.
    peak: AtomicUsize,
    bytes: AtomicU64,
    files: AtomicU64,
    /// The shortest round trip, in milliseconds, if one is known.
    round_trip: AtomicU64,
    began: Instant,
    /// When to look again, in milliseconds after `began`.
    look_at: AtomicU64,
    finding: Mutex<Finding>,
    /// The numbers of connections that somebody has for himself.
    lines: Mutex<BTreeSet<u32>>,
    /// A turn may be spare that was not.
    freed: Notify,
}

#[derive(Debug)]
struct Finding {
    finder: Finder,
    window_began: Instant,
    trouble_at: Option<Instant>,
}

impl Finding {
    fn is_calm(&self) -> bool {
        self.trouble_at.is_none_or(|at| at.elapsed() >= CALM)
    }
}

impl Pace {
    fn new(of: &Paces) -> Self {
        let now = Instant::now();
        let (uploads, most_uploads) = match of.parallel {
            Parallel::Auto => (of.first.min(of.most_uploads), Some(of.most_uploads)),
            Parallel::Fixed(uploads) => (uploads.max(1), None),
        };
        let turns = of.fixed.clone();
        Self {
            turns: turns.unwrap_or_else(|| Arc::new(Semaphore::new(uploads))),
            limit: watch::Sender::new(uploads),
            most_uploads,
            surplus: AtomicUsize::new(0),
            connections: AtomicUsize::new(of.first),
            running: AtomicUsize::new(0),
            uploads: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            files: AtomicU64::new(0),
            round_trip: AtomicU64::new(u64::MAX),
            began: now,
            look_at: AtomicU64::new(millis(SHORT_WINDOW)),
            finding: Mutex::new(Finding {
                finder: Finder::new(of.first, of.most),
                window_began: now,
                trouble_at: None,
            }),
            lines: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// How many uploads run at once, from now on and at any change.
    pub(crate) fn limit(&self) -> Limit {
        Limit(self.limit.subscribe())
    }

    /// How many connections are at work now.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// How many uploads run now.
    pub(crate) fn uploads(&self) -> usize {
        self.uploads.load(Ordering::Relaxed)
    }

    /// How many more connections may be at work.
    pub(crate) fn spare(&self) -> usize {
        let connections = self.connections.load(Ordering::Relaxed);
        connections.saturating_sub(self.running())
    }

    /// Whether the server has been well for a while.
    pub(crate) fn is_calm(&self) -> bool {
        lock(&self.finding).is_calm()
    }

    /// One upload alone wants so many connections, and there is a reason to believe that they pay. Where there are several, or
    /// the server has just asked for less, the number that was found stands.
    pub(crate) fn make_room(&self, connections: usize) {
        let mut finding = lock(&self.finding);
        if self.uploads() <= 1 && finding.is_calm() {
            let limit = finding.finder.at_least(connections);
            self.set(limit);
        }
    }

    /// Body bytes have left. Called for every buffer.
    pub(crate) fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.look();
    }

    /// An upload has ended well.
    pub(crate) fn finished(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.look();
    }

    /// How long the way is.
    pub(crate) fn is_as_far_as(&self, round_trip: Duration) {
        self.round_trip
            .fetch_min(millis(round_trip), Ordering::Relaxed);
    }

    /// Over how long bytes are counted before they are compared.
    fn window(&self, finder: &Finder) -> Duration {
        match self.round_trip.load(Ordering::Relaxed) {
            u64::MAX => WINDOW,
            _ if !finder.is_growing() => WINDOW,
            millis => (Duration::from_millis(millis) * ROUND_TRIPS).clamp(FIRST_WINDOW, WINDOW),
        }
    }

    /// The server asked for less, failed, or did not answer.
    pub(crate) fn trouble(&self) {
        let mut finding = lock(&self.finding);
        let now = Instant::now();
        // One trouble is heard by all who were under way.
        if finding.trouble_at.is_some_and(|at| now - at < WINDOW) {
            return;
        }
        finding.trouble_at = Some(now);
        let running = self.peak.load(Ordering::Relaxed);
        self.begin_window(&mut finding, now);
        let limit = finding.finder.trouble(running);
        self.set(limit);
    }

    fn look(&self) {
        let now = Instant::now();
        if millis(now - self.began) < self.look_at.load(Ordering::Relaxed) {
            return;
        }
        // Whoever comes while another looks has nothing to add.
        let Ok(mut finding) = self.finding.try_lock() else {
            return;
        };
        let elapsed = now - finding.window_began;
        let (bytes, files) = (&self.bytes, self.files.load(Ordering::Relaxed));
        let limit = self.connections.load(Ordering::Relaxed);
        let small = files >= 2 * limit as u64;
        let window = self.window(&finding.finder);
        if elapsed < SHORT_WINDOW || (elapsed < window && !small) {
            let next = if elapsed < SHORT_WINDOW {
                SHORT_WINDOW - elapsed
            } else {
                (window - elapsed).min(SHORT_WINDOW / 5)
            };
            self.look_at
                .store(millis(now - self.began + next), Ordering::Relaxed);
            return;
        }
        let counted = if small {
            files
        } else {
            bytes.load(Ordering::Relaxed)
        };
        let seen = Goodput {
            per_second: counted as f64 / elapsed.as_secs_f64(),
            small,
        };
        // Files come and go: nearly all places taken is all of them.
        let is_full = self.peak.load(Ordering::Relaxed) * 4 >= limit * 3;
        self.begin_window(&mut finding, now);
        // After a pause there is nothing to compare.
        if elapsed < 2 * WINDOW {
            let limit = finding.finder.window(seen, is_full);
            self.set(limit);
        }
    }

    fn begin_window(&self, finding: &mut Finding, now: Instant) {
        finding.window_began = now;
        self.bytes.store(0, Ordering::Relaxed);
        self.files.store(0, Ordering::Relaxed);
        self.peak.store(self.running(), Ordering::Relaxed);
        self.look_at
            .store(millis(now - self.began + SHORT_WINDOW), Ordering::Relaxed);
    }

    /// Called by whoever holds the finder, or nobody else does.
    fn set(&self, connections: usize) {
        let had = self.connections.swap(connections, Ordering::Relaxed);
        let before = *self.limit.borrow();
        let limit = match self.most_uploads {
            Some(most) => connections.min(most),
            None => before,
        };
        if limit > before {
            let more = limit - before;
            let kept = self.pay(more);
            self.turns.add_permits(more - kept);
        } else if limit < before {
            let less = before - limit;
            let gone = self.turns.forget_permits(less);
            self.surplus.fetch_add(less - gone, Ordering::Relaxed);
        }
        if connections != had {
            tracing::debug!(connections, had, uploads = limit, "connections at once");
            self.freed.notify_waiters();
        }
        if limit != before {
            self.limit.send_replace(limit);
        }
    }

    /// Takes up to `most` off the surplus, and says how many.
    fn pay(&self, most: usize) -> usize {
        let taken = |surplus: usize| Some(surplus - surplus.min(most));
        let before = self
            .surplus
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        before.unwrap_or_default().min(most)
    }
}

/// How many uploads run at once to one origin, as that changes. From [`Uploader::parallel_to`](crate::Uploader::parallel_to).
#[derive(Debug, Clone)]
pub struct Limit(watch::Receiver<usize>);

impl Limit {
    /// How many may run now.
    #[must_use]
    pub fn now(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits for another number. For ever, where the number is fixed.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::finder::AT_FIRST;
    use super::*;
    use crate::options::Parts;

    fn auto() -> Arc<Pace> {
        Paces::new(Parallel::Auto, 32, Parts::Auto).of("https://a")
    }

    #[tokio::test(start_paused = true)]
    async fn a_fixed_number_is_one_for_all_origins_and_stays() {
        let paces = Paces::new(Parallel::Fixed(2), 32, Parts::Auto);
        let (a, b) = (paces.of("https://a"), paces.of("https://b"));
        let (first, second) = (a.turn().await, b.turn().await);
        let third = a.turn();
        tokio::pin!(third);
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        a.trouble();
        assert_eq!(a.limit().now(), 2);
        drop((first, second));
        assert!(third.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn thousands_of_small_files_have_sixteen_places_within_two_seconds() {
        let pace = auto();
        let begun = Instant::now();
        let worker = |pace: Arc<Pace>| async move {
            while begun.elapsed() < Duration::from_secs(2) {
                let turn = pace.turn().await;
                tokio::time::sleep(Duration::from_millis(100)).await; // one round trip
                drop(turn);
                pace.finished();
            }
        };
        let workers: Vec<_> = (0..64)
            .map(|_| tokio::spawn(worker(Arc::clone(&pace))))
            .collect();
        futures_util::future::join_all(workers).await;
        assert!(pace.limit().now() >= 16, "{:?}", pace.limit());
    }

    #[tokio::test(start_paused = true)]
    async fn over_a_hundred_milliseconds_ten_connections_are_found_in_three_seconds() {
        let pace = auto();
        pace.is_as_far_as(Duration::from_millis(100));
        let begun = Instant::now();
        let worker = |pace: Arc<Pace>| async move {
            while begun.elapsed() < Duration::from_millis(3_200) {
                let turn = pace.turn().await;
                for _ in 0..10 {
                    tokio::time::sleep(Duration::from_millis(50)).await; // the link's pace
                    pace.sent(1024 * 1024);
                }
                drop(turn);
            }
        };
        let workers: Vec<_> = (0..32)
            .map(|_| tokio::spawn(worker(Arc::clone(&pace))))
            .collect();
        futures_util::future::join_all(workers).await;
        assert!(pace.limit().now() >= 10, "{:?}", pace.limit());
    }

    #[tokio::test(start_paused = true)]
    async fn one_trouble_heard_by_many_counts_once_and_running_uploads_give_their_turns_back() {
        let pace = auto();
        let mut turns = Vec::new();
        for _ in 0..AT_FIRST {
            turns.push(pace.turn().await.unwrap());
        }
        for _ in 0..10 {
            pace.trouble();
        }
        assert_eq!(pace.limit().now(), 2);
        assert!(turns[0].is_surplus());
        turns.truncate(2);
        assert!(!turns[0].is_surplus());
        let next = pace.turn();
        tokio::pin!(next);
        assert!(futures_util::poll!(next.as_mut()).is_pending(), "two run");
        turns.clear();
        assert!(next.await.is_some());
        assert_eq!(pace.turns.available_permits(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_back_is_given_again_without_more_than_there_may_be() {
        let pace = auto();
        let turns = [pace.turn().await, pace.turn().await, pace.turn().await];
        pace.set(1);
        pace.set(6);
        drop(turns);
        assert_eq!(pace.turns.available_permits(), 6);
        assert_eq!(pace.surplus.load(Ordering::Relaxed), 0);
    }
}
