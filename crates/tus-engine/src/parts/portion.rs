//! [`Portion`]: how much of a part goes with one request.
//!
//! Between two requests a part can go on over another connection, see [`Lanes`](crate::pace::Lanes). So the less is left of the
//! whole, the less goes with each: no request that is under way over a slow connection is to outlast the others by much.

use std::sync::Arc;
use std::time::Duration;

use super::together::Together;

/// Each request carries what takes such a share of the time that is left.
const SHARE: f64 = 0.25;
/// But no less than what takes so many round trips: between two requests, one passes in which nothing moves.
const ROUND_TRIPS: u32 = 3;
/// Nor than what takes so long: near by, a server has more to do with a request than with its bytes.
const LEAST_TIME: Duration = Duration::from_millis(100);
/// Nor than this: 256 KiB.
const LEAST_BYTES: u64 = 256 * 1024;
/// Over a connection of which nothing is known yet: 4 MiB.
const FIRST_BYTES: u64 = 4 * 1024 * 1024;

/// What a part knows of the whole.
#[derive(Clone)]
pub(crate) struct Portion(pub(super) Arc<Together>);

/// How the whole gets on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// Bytes that have not left yet.
    pub(super) left: u64,
    /// Bytes per second, over all connections.
    pub(super) rate: f64,
}

impl Portion {
    /// How much goes with the next request over a connection that brings `rate` bytes per second, if that is known.
    pub(crate) fn bytes(&self, rate: Option<f64>, round_trip: Duration) -> u64 {
        bytes(self.0.flow(), rate, round_trip)
    }
}

fn bytes(flow: Option<Flow>, rate: Option<f64>, round_trip: Duration) -> u64 {
    let Some((flow, rate)) = flow.zip(rate) else {
        return FIRST_BYTES;
    };
    let left = flow.left as f64 / flow.rate;
    let least = LEAST_TIME.max(round_trip * ROUND_TRIPS);
    let time = (left * SHARE).max(least.as_secs_f64());
    ((rate * time) as u64).max(LEAST_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// What goes with a request over a connection of `rate` MiB/s, when `left` MiB are left and all bring 40 MiB/s.
    fn portion(left: u64, rate: u64) -> u64 {
        let flow = Flow {
            left: left * MIB,
            rate: (40 * MIB) as f64,
        };
        let rate = (rate * MIB) as f64;
        bytes(Some(flow), Some(rate), Duration::from_millis(100))
    }

    #[test]
    fn the_less_is_left_the_less_goes_with_a_request() {
        assert_eq!(portion(1600, 4), 40 * MIB, "a quarter of 40 s");
        assert_eq!(portion(160, 4), 4 * MIB);
        let three_round_trips = 6 * MIB / 5;
        assert_eq!(portion(40, 4), three_round_trips);
        assert_eq!(portion(0, 4), three_round_trips);
    }

    #[test]
    fn less_goes_over_a_slower_connection() {
        assert_eq!(portion(160, 20), 20 * MIB);
        assert_eq!(portion(160, 2), 2 * MIB);
        assert_eq!(portion(160, 0), MIB / 4);
    }

    #[test]
    fn the_first_request_of_all_is_short() {
        assert_eq!(bytes(None, None, Duration::ZERO), 4 * MIB);
    }
}
