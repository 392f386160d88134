//! [`ChaosPlan`]: which connection suffers what, decided before the first is made.

use std::ops::RangeInclusive;

use super::Direction;
use super::state::Break;
use crate::Random;

/// What can happen to one connection. Places are counted in the connection's own bytes and drawn
/// from a range; `n..=n` is exactly `n`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// FIN to both sides after so many bytes of a direction.
    Cut(Direction, RangeInclusive<u64>),
    /// RST to both sides after so many bytes of a direction.
    Reset(Direction, RangeInclusive<u64>),
    /// The direction ends after so many bytes, with FIN to its receiver; the other goes on.
    HalfClose(Direction, RangeInclusive<u64>),
    /// Accepted, and then nothing is read or written: a frozen server.
    Freeze,
    /// All that either side says is read and thrown away: a server that listens and never answers.
    Swallow,
    /// The first request arrives, its answer does not; then FIN.
    LoseAnswer,
    /// The first answer is replaced by these bytes; then FIN.
    Splice(Vec<u8>),
    /// One bit of this byte of the request bodies is flipped.
    FlipBody(RangeInclusive<u64>),
}

/// Faults by connection, from a seed. Connections are numbered from 1 in the order of acceptance.
///
/// What happens to connection number n depends on the seed and on n alone, never on timing.
///
/// ```
/// use test_support::{ChaosPlan, ConnectionFault, Direction};
///
/// let plan = ChaosPlan::seeded(7)
///     .on(1, ConnectionFault::LoseAnswer)
///     .sometimes(0.01, ConnectionFault::Cut(Direction::Up, 0..=1_000_000));
/// # drop(plan);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ChaosPlan {
    seed: u64,
    rows: Vec<(When, ConnectionFault)>,
}

#[derive(Clone, Copy, Debug)]
enum When {
    Number(u64),
    /// In parts of 2^32.
    Chance(u64),
}

impl ChaosPlan {
    /// A plan without a fault.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            rows: Vec::new(),
        }
    }

    /// Connection `number`, counted from 1, suffers `fault`. Rows add up.
    #[must_use]
    pub fn on(mut self, number: u64, fault: ConnectionFault) -> Self {
        self.rows.push((When::Number(number), fault));
        self
    }

    /// Each connection suffers `fault` with this `probability`, 0 to 1.
    #[must_use]
    pub fn sometimes(mut self, probability: f64, fault: ConnectionFault) -> Self {
        let parts = (probability.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64;
        self.rows.push((When::Chance(parts), fault));
        self
    }

    /// Every connection suffers `fault`.
    #[must_use]
    pub fn always(self, fault: ConnectionFault) -> Self {
        self.sometimes(1.0, fault)
    }

    /// What happens to connection `number`.
    pub(super) fn draw(&self, number: u64) -> Doom {
        let mut random = Random::new(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut doom = Doom::default();
        for (when, fault) in &self.rows {
            let struck = match when {
                When::Number(wanted) => *wanted == number,
                When::Chance(parts) => random.below(1 << 32) < *parts,
            };
            // Drawn in any case, so that one row never changes what another draws.
            let place = match fault {
                ConnectionFault::Cut(_, range)
                | ConnectionFault::Reset(_, range)
                | ConnectionFault::HalfClose(_, range)
                | ConnectionFault::FlipBody(range) => within(range, &mut random),
                _ => 0,
            };
            if struck {
                doom.suffer(fault, place);
            }
        }
        doom
    }
}

fn within(range: &RangeInclusive<u64>, random: &mut Random) -> u64 {
    let width = range.end().saturating_sub(*range.start());
    range.start() + random.below(width.saturating_add(1))
}

/// The faults of one connection that have not struck yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Doom {
    pub(super) breaks: [Option<(u64, Break)>; 2],
    pub(super) freeze: bool,
    pub(super) swallow: bool,
    pub(super) lose_answer: bool,
    pub(super) splice: Option<Vec<u8>>,
    /// Places in the bodies of this connection.
    pub(super) flips: Vec<u64>,
}

impl Doom {
    fn suffer(&mut self, fault: &ConnectionFault, place: u64) {
        let (direction, kind) = match fault {
            ConnectionFault::Cut(direction, _) => (*direction, Break::Cut),
            ConnectionFault::Reset(direction, _) => (*direction, Break::Reset),
            ConnectionFault::HalfClose(direction, _) => (*direction, Break::HalfClose),
            ConnectionFault::Freeze => return self.freeze = true,
            ConnectionFault::Swallow => return self.swallow = true,
            ConnectionFault::LoseAnswer => return self.lose_answer = true,
            ConnectionFault::Splice(bytes) => return self.splice = Some(bytes.clone()),
            ConnectionFault::FlipBody(_) => return self.flips.push(place),
        };
        let slot = &mut self.breaks[direction as usize];
        // Of two ends the earlier is the one that can be reached.
        if slot.is_none_or(|(at, _)| place < at) {
            *slot = Some((place, kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_number_decide_alone() {
        let plan = ChaosPlan::seeded(3).sometimes(0.5, ConnectionFault::FlipBody(0..=1_000_000));
        let drawn = |number| plan.draw(number).flips;
        let forth: Vec<_> = (1..100).map(drawn).collect();
        let mut back: Vec<_> = (1..100).rev().map(drawn).collect();
        back.reverse();
        assert_eq!(forth, back);
        let struck = forth.iter().filter(|flips| !flips.is_empty()).count();
        assert!((30..70).contains(&struck), "{struck} of 99");
    }

    #[test]
    fn a_row_for_one_number_strikes_that_one_and_the_earlier_end_wins() {
        let plan = ChaosPlan::seeded(0)
            .on(2, ConnectionFault::Cut(Direction::Up, 9..=9))
            .on(2, ConnectionFault::Reset(Direction::Up, 5..=5));
        assert_eq!(plan.draw(1).breaks[0], None);
        assert_eq!(plan.draw(2).breaks[0], Some((5, Break::Reset)));
    }
}
