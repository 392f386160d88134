//! [`Clock`]: what time it is here. It can be put forward, so that a test need not wait for an expiry.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The system's clock, and how far it was put forward.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_micros: AtomicU64,
}

impl Clock {
    pub(crate) fn ahead_by(ahead: Duration) -> Self {
        let clock = Self::default();
        clock.advance(ahead);
        clock
    }

    /// In whole microseconds, as the API writes times: what a client reads compares equal to what is
    /// kept.
    pub(crate) fn now(&self) -> SystemTime {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .saturating_add(self.ahead());
        let whole = Duration::new(since.as_secs(), since.subsec_micros() * 1000);
        SystemTime::UNIX_EPOCH
            .checked_add(whole)
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// How far it was put forward in all.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_micros(self.ahead_micros.load(Ordering::Relaxed))
    }

    /// Puts it forward: a hundred years at most, in all.
    pub(crate) fn advance(&self, by: Duration) {
        const MOST: Duration = Duration::from_secs(100 * 366 * 86_400);
        let ahead = self.ahead().saturating_add(by).min(MOST);
        let micros = u64::try_from(ahead.as_micros()).unwrap_or(u64::MAX);
        self.ahead_micros.store(micros, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_put_forward_is_ahead_and_stays_so() {
        let clock = Clock::ahead_by(Duration::from_secs(60));
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.ahead(), Duration::from_secs(120));
        let ahead = clock.now().duration_since(SystemTime::now()).unwrap();
        assert!(ahead > Duration::from_secs(110));
        clock.advance(Duration::MAX);
        assert!(clock.now() > SystemTime::now());
    }
}
