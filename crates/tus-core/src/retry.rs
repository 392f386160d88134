//! [`RetryPolicy`]: how long to wait, and when to stop. [`Backoff`] is its state.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName};

use crate::header;

/// How patient an upload is. Plain data; all waiting is done by whoever drives the machine.
///
/// Patience is measured since the last byte that the server *confirmed*, never over the whole upload. A dead network, a lock
/// and an announced wait cost time only; refusals (5xx, and 4xx that invite a retry) also count as attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Upper bound of the first wait; each further one doubles. Default 500 ms.
    pub first_wait: Duration,
    /// Upper bound of every wait that the server did not ask for. Default 60 s.
    pub max_wait: Duration,
    /// Time since the last confirmed byte after which the upload stops, resumably. Default 1 h.
    pub patience: Duration,
    /// How long whoever sends usually waits for an answer. The machine needs it to keep its
    /// [`answer_factor`](crate::client::Exchange::answer_factor) within patience. Default 60 s.
    pub answer_wait: Duration,
    /// Refusals in a row, without progress between them, after which the upload stops. Default 10.
    pub max_refusals: u32,
}

impl RetryPolicy {
    /// The defaults named above.
    pub const DEFAULT: Self = Self {
        first_wait: Duration::from_millis(500),
        max_wait: Duration::from_secs(60),
        patience: Duration::from_secs(60 * 60),
        answer_wait: Duration::from_secs(60),
        max_refusals: 10,
    };

    /// Sets [`patience`](Self::patience).
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sets [`answer_wait`](Self::answer_wait).
    #[must_use]
    pub fn with_answer_wait(self, answer_wait: Duration) -> Self {
        Self {
            answer_wait,
            ..self
        }
    }

    /// Sets [`max_refusals`](Self::max_refusals).
    #[must_use]
    pub fn with_max_refusals(self, max_refusals: u32) -> Self {
        Self {
            max_refusals,
            ..self
        }
    }

    /// Sets [`first_wait`](Self::first_wait) and [`max_wait`](Self::max_wait).
    #[must_use]
    pub fn with_waits(self, first_wait: Duration, max_wait: Duration) -> Self {
        Self {
            first_wait,
            max_wait,
            ..self
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Exponential waits with full jitter, so that a thousand clients do not come back in step. The randomness comes from a seed
/// given at construction: a run can be repeated.
#[derive(Debug, Clone)]
pub struct Backoff {
    attempt: u32,
    random: u64,
}

impl Backoff {
    /// A backoff with its own sequence of random numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            attempt: 0,
            random: seed,
        }
    }

    /// Waits taken since the last [`reset`](Self::reset).
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The next wait: between a tenth and the whole of `first_wait · 2ⁿ`, capped by `max_wait`. The tenth keeps a lucky
    /// draw from becoming a busy loop.
    pub fn next_wait(&mut self, policy: &RetryPolicy) -> Duration {
        let doubled = policy.first_wait.saturating_mul(1 << self.attempt.min(20));
        let ceiling = doubled.min(policy.max_wait);
        self.attempt = self.attempt.saturating_add(1);
        ceiling.mul_f64(0.1 + 0.9 * self.unit())
    }

    /// Starts over with short waits: progress was made.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// A random number in `0.0 .. 1.0` (SplitMix64: waits need no better one).
    fn unit(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The wait that a server asks for with `Retry-After`: whole seconds, or a date. A date is compared with the answer's own `Date`,
/// so that a clock of ours that is wrong changes nothing, and with `wall` only where there is none. Anything else, a date in the
/// past included, is no wish at all.
#[must_use]
pub fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = header::text(headers, &RETRY_AFTER).ok()??.trim();
    if let Some(seconds) = header::parse_integer(text) {
        return Some(Duration::from_secs(seconds));
    }
    let date = |name: &HeaderName| {
        let text = header::text(headers, name).ok()??;
        httpdate::parse_http_date(text.trim()).ok()
    };
    let until = date(&RETRY_AFTER)?;
    until.duration_since(date(&DATE).unwrap_or(wall)).ok()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_never_vanish() {
        let policy = RetryPolicy::DEFAULT;
        let mut backoff = Backoff::new(7);
        for n in 0..40_u32 {
            let ceiling = (policy.first_wait * 2_u32.pow(n.min(10))).min(policy.max_wait);
            let wait = backoff.next_wait(&policy);
            assert!(wait <= ceiling && wait >= ceiling / 10, "{n}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait(&policy) <= policy.first_wait);
    }

    #[test]
    fn one_seed_gives_one_sequence_and_two_seeds_differ() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..5)
                .map(|_| backoff.next_wait(&RetryPolicy::DEFAULT))
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn a_servers_wish_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_767);
        let wish = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers, now)
        };
        assert_eq!(wish("5"), Some(Duration::from_secs(5)));
        assert_eq!(
            wish("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(10))
        );
        assert_eq!(wish("Sun, 06 Nov 1994 08:49:00 GMT"), None);
        assert_eq!(wish("-1"), None);
        assert_eq!(wish("soon"), None);
        assert_eq!(wish("99999999999999999999"), None);
    }

    #[test]
    fn a_date_is_counted_from_the_servers_own() {
        let mut headers = HeaderMap::new();
        let date = |text| HeaderValue::from_static(text);
        headers.insert(RETRY_AFTER, date("Sun, 06 Nov 1994 08:49:37 GMT"));
        headers.insert(DATE, date("Sun, 06 Nov 1994 08:49:30 GMT"));
        let wish = |wall| retry_after(&headers, wall);
        let a_day = Duration::from_secs(24 * 60 * 60);
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        for wall in [now, now - a_day, now + a_day, UNIX_EPOCH] {
            assert_eq!(wish(wall), Some(Duration::from_secs(7)));
        }
        headers.insert(DATE, date("today"));
        assert_eq!(retry_after(&headers, now), Some(Duration::from_secs(7)));
    }
}
