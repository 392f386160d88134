//! [`ChunkSize`]: how long the next chunk is, where nobody named a size.
//!
//! Between two chunks a connection stands still for a round trip and whatever the server does with the first one: the longer
//! the chunks, the less that costs. When a connection breaks, a server may drop the whole chunk: the shorter, the less that
//! costs.

use std::time::Duration;

use tus_core::ChunkRule;

/// Pauses that cost no more than this share of the time are well spent.
const GAP_SHARE: f64 = 0.03;
/// A chunk that takes longer is halved, and none is doubled that would.
const MOST_TIME: Duration = Duration::from_secs(60);
/// Where a rule names no largest chunk: 512 MiB.
const MOST_BYTES: u64 = 512 * 1024 * 1024;
/// Where a rule names no smallest chunk, a break shortens chunks no further than this: 1 MiB.
const LEAST_BYTES: u64 = 1024 * 1024;
/// What may lie in the system's buffers when the last byte of a body has left, in bytes: the time that it takes to drain is no
/// pause.
const BUFFERED_BYTES: u64 = 4 * 1024 * 1024;

/// The size of the chunks to come.
#[derive(Debug)]
pub(crate) struct ChunkSize {
    rule: ChunkRule,
    /// What the source or the server takes at most.
    most: u64,
    /// `None` until the first chunk was cut.
    size: Option<u64>,
    /// Bytes that were taken since the connection broke the last time.
    unbroken: u64,
    /// As many were taken between the last two breaks.
    between_breaks: Option<u64>,
    /// Somebody named the size.
    fixed: bool,
}

/// What a chunk took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) bytes: u64,
    /// From the request to the last byte that left.
    pub(crate) body: Duration,
    /// From there to the answer.
    pub(crate) answer: Duration,
    /// An answer to a request without a body, at least.
    pub(crate) round_trip: Duration,
}

impl Took {
    /// How long nothing moved.
    fn gap(&self) -> Duration {
        let buffered = self.bytes.min(BUFFERED_BYTES) as f64 / self.bytes.max(1) as f64;
        let draining = self.body.mul_f64(buffered);
        self.answer.saturating_sub(draining).max(self.round_trip)
    }
}

impl ChunkSize {
    /// Within `rule` and no larger than `most`, if there is such a bound. `fixed` sizes stay.
    pub(crate) fn new(rule: ChunkRule, most: Option<u64>, fixed: bool) -> Self {
        let ceiling = rule.max_bytes.min(MOST_BYTES.max(rule.preferred_bytes));
        Self {
            rule,
            most: most.unwrap_or(u64::MAX).min(ceiling),
            size: None,
            unbroken: 0,
            between_breaks: None,
            fixed,
        }
    }

    /// The server takes no larger chunks.
    pub(crate) fn shrunk(&mut self, to_bytes: u64) {
        self.most = self.most.min(to_bytes);
        self.size = self.size.map(|size| size.min(to_bytes));
    }

    /// A whole chunk was taken, and is not the last one. The size from now on, if it is another one.
    pub(crate) fn taken(&mut self, took: &Took) -> Option<u64> {
        let size = self.size.unwrap_or(0).max(took.bytes);
        let time = took.body + took.answer;
        let pause = took.gap().as_secs_f64() / took.body.as_secs_f64();
        self.unbroken = self.unbroken.saturating_add(took.bytes);
        let wanted = if time > MOST_TIME {
            self.half_of(size)
        } else if pause > GAP_SHARE.max(self.risk(size)) && time * 2 <= MOST_TIME {
            self.rule
                .fit(size.saturating_mul(2).min(self.most))
                .max(size)
        } else {
            size
        };
        self.change(size, wanted)
    }

    /// The next chunk of a part is to have so many bytes. How many it has, unless somebody named a size: after a break no more
    /// than that allows.
    pub(crate) fn portion(&self, bytes: u64) -> Option<u64> {
        let most = self.between_breaks.and(self.size);
        (!self.fixed).then(|| bytes.min(most.unwrap_or(self.most)))
    }

    /// The connection broke over a chunk of so many bytes.
    pub(crate) fn broken(&mut self, bytes: u64) -> Option<u64> {
        let size = self.size.unwrap_or(bytes);
        self.between_breaks = Some(self.unbroken);
        self.unbroken = 0;
        self.change(size, self.half_of(size))
    }

    /// What chunks of twice this size would lose more than these, as a share of all bytes, if breaks come as before and the server
    /// drops what broke: on the average half a chunk. They spare as large a share of the pauses.
    fn risk(&self, size: u64) -> f64 {
        let between = self.between_breaks.map(|bytes| bytes.max(self.unbroken));
        between.map_or(0.0, |bytes| size as f64 / bytes.max(1) as f64)
    }

    fn change(&mut self, size: u64, wanted: u64) -> Option<u64> {
        if self.fixed || wanted == size {
            self.size = Some(size);
            return None;
        }
        self.size = Some(wanted);
        self.size
    }

    fn half_of(&self, size: u64) -> u64 {
        let least = if self.rule.min_bytes > 1 {
            self.rule.min_bytes
        } else {
            LEAST_BYTES
        };
        self.rule.fit((size / 2).max(least)).min(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    const STREAM: ChunkRule = ChunkRule {
        min_bytes: 5 * MIB,
        max_bytes: 200 * MIB,
        multiple_of_bytes: 256 * KIB,
        preferred_bytes: 50 * MIB,
    };

    #[test]
    fn where_connections_break_chunks_grow_only_as_far_as_the_breaks_cost_less_than_the_pauses() {
        let mut chunk = ChunkSize::new(ChunkRule::FREE, None, false);
        chunk.size = Some(16 * MIB);
        // Two chunks, then a break: 32 MiB came before it.
        for _ in 0..2 {
            chunk.taken(&took(16 * MIB, 160, 2));
        }
        assert_eq!(chunk.broken(16 * MIB), Some(8 * MIB));
        assert_eq!(
            chunk.taken(&took(8 * MIB, 80, 10)),
            None,
            "a quarter is at risk"
        );
        assert_eq!(chunk.taken(&took(8 * MIB, 80, 40)), Some(16 * MIB));
        // Without more breaks they matter less and less.
        for _ in 0..9 {
            chunk.taken(&took(16 * MIB, 160, 2));
        }
        assert_eq!(chunk.taken(&took(16 * MIB, 160, 11)), Some(32 * MIB));
    }

    /// A chunk at so many MiB per second, and so long a pause behind it.
    fn took(bytes: u64, rate: u64, gap: u64) -> Took {
        let body = Duration::from_secs_f64(bytes as f64 / (rate * MIB) as f64);
        let buffered = body.mul_f64(bytes.min(BUFFERED_BYTES) as f64 / bytes as f64);
        Took {
            bytes,
            body,
            answer: buffered + Duration::from_millis(gap),
            round_trip: Duration::ZERO,
        }
    }

    fn on_stream() -> ChunkSize {
        ChunkSize::new(STREAM, None, false)
    }

    #[test]
    fn chunks_grow_while_the_pause_costs_more_than_three_per_cent() {
        let mut size = on_stream();
        assert_eq!(size.taken(&took(50 * MIB, 100, 70)), Some(100 * MIB));
        assert_eq!(size.taken(&took(100 * MIB, 100, 70)), Some(200 * MIB));
        assert_eq!(size.taken(&took(200 * MIB, 100, 70)), None, "the largest");
        assert_eq!(on_stream().taken(&took(50 * MIB, 100, 10)), None);
    }

    #[test]
    fn a_server_without_a_rule_is_given_half_a_gibibyte_at_most() {
        let mut size = ChunkSize::new(ChunkRule::FREE, None, false);
        let mut sizes = vec![64 * MIB];
        while let Some(next) = size.taken(&took(sizes[sizes.len() - 1], 100, 1000)) {
            sizes.push(next);
        }
        assert_eq!(sizes, [64, 128, 256, 512].map(|size| size * MIB));
    }

    #[test]
    fn what_the_systems_buffers_hold_is_no_pause() {
        let mut slow = took(50 * MIB, 5, 0);
        slow.answer += Duration::from_millis(100);
        assert_eq!(on_stream().taken(&slow), None);
    }

    #[test]
    fn a_pause_is_no_shorter_than_the_way() {
        let mut far = took(50 * MIB, 100, 0);
        far.round_trip = Duration::from_millis(50);
        assert_eq!(on_stream().taken(&far), Some(100 * MIB));
    }

    #[test]
    fn a_break_halves_down_to_the_smallest_chunk_in_steps_of_the_rule() {
        let mut size = on_stream();
        assert_eq!(size.broken(50 * MIB), Some(25 * MIB));
        assert_eq!(size.broken(25 * MIB), Some(12 * MIB + 512 * KIB));
        assert_eq!(size.broken(12 * MIB), Some(6 * MIB + 256 * KIB));
        assert_eq!(size.broken(6 * MIB), Some(5 * MIB));
        assert_eq!(size.broken(5 * MIB), None);
        let mut size = ChunkSize::new(ChunkRule::FREE, None, false);
        assert_eq!(size.broken(2 * MIB), Some(MIB));
        assert_eq!(size.broken(MIB), None);
        let mut size = ChunkSize::new(ChunkRule::FREE, None, false);
        assert_eq!(size.broken(64 * KIB), None, "never larger than it was");
    }

    #[test]
    fn a_chunk_of_more_than_a_minute_is_halved_and_none_is_doubled_into_one() {
        let mut size = on_stream();
        let mut slow = took(50 * MIB, 1, 0);
        slow.body = Duration::from_secs(70);
        assert_eq!(size.taken(&slow), Some(25 * MIB));
        let mut near = took(50 * MIB, 1, 5_000);
        near.body = Duration::from_secs(35);
        assert_eq!(on_stream().taken(&near), None);
    }

    #[test]
    fn a_size_that_was_named_stays() {
        let mut size = ChunkSize::new(STREAM, None, true);
        assert_eq!(size.taken(&took(50 * MIB, 100, 1000)), None);
        assert_eq!(size.broken(50 * MIB), None);
    }

    #[test]
    fn what_was_refused_as_too_large_is_not_grown_to_again() {
        let mut size = on_stream();
        size.shrunk(25 * MIB);
        assert_eq!(size.taken(&took(25 * MIB, 100, 70)), None);
        let mut pipe = ChunkSize::new(ChunkRule::FREE, Some(8 * MIB), false);
        assert_eq!(pipe.taken(&took(8 * MIB, 100, 70)), None);
    }
}
