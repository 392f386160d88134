//! One direction: its rate, its delay, and the places where it breaks or lies.

use std::time::Duration;

use tokio::time::Instant;

use super::state::Break;

/// How much a limited direction may catch up after a late timer; it bounds every burst, too.
const SLACK: Duration = Duration::from_millis(20);

/// Bytes of one connection under way in a delay without a rate.
const MAX_UNDER_WAY: usize = 64 << 20;

/// The most that one read takes.
pub(super) const READ: usize = 64 * 1024;

/// Settings and faults of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// Bytes per second.
    pub(super) rate: Option<u64>,
    pub(super) delay: Duration,
    /// Total count at which the connection at hand breaks, once.
    pub(super) break_at: Option<(u64, Break)>,
    /// Count of its own at which each connection breaks.
    pub(super) each_after: Option<(u64, Break)>,
    /// Total positions of bytes to spoil.
    pub(super) flips: Vec<u64>,
    pub(super) half_close_epoch: u64,
    /// When the rate lets the next byte through.
    free_at: Option<Instant>,
}

impl Lane {
    /// Bytes that may be under way inside the proxy, per connection.
    pub(super) fn capacity(&self) -> usize {
        match self.rate {
            _ if self.delay.is_zero() => READ,
            Some(rate) => READ + (rate as f64 * self.delay.as_secs_f64()) as usize,
            None => MAX_UNDER_WAY,
        }
    }

    /// The most that may be read at once, of up to `most`.
    pub(super) fn read_limit(&self, most: usize) -> usize {
        let Some(rate) = self.rate else { return most };
        // Ten milliseconds at a time flow evenly and cost few timers.
        let even = usize::try_from(rate / 100).unwrap_or(most);
        most.min(even.max(256))
    }

    /// Takes note of `n` bytes at `now` and returns when the rate lets the next ones be read.
    pub(super) fn spend(&mut self, n: usize, now: Instant) -> Instant {
        let Some(rate) = self.rate else { return now };
        let start = match self.free_at {
            // A timer that rang late is made up for; an idle second is not.
            Some(at) => at.max(now.checked_sub(SLACK).unwrap_or(now)),
            None => now,
        };
        let next = start + Duration::from_secs_f64(n as f64 / rate.max(1) as f64);
        self.free_at = Some(next);
        next
    }
}
