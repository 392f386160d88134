//! What one connection has done so far, as far as faults depend on it.

use std::ops::Range;

use super::Direction;
use super::plan::Doom;
use super::state::Break;
use crate::http1::{Follower, Part};

/// A copy of a request is kept in memory up to here; a longer one is not sent twice.
const MAX_COPY: usize = 64 << 20;

/// Whether an order waits for requests with one method, or for any.
#[derive(Clone, Debug)]
pub(super) struct Wanted(pub(super) Option<String>);

impl Wanted {
    fn fits(&self, method: &str) -> bool {
        self.0.as_deref().is_none_or(|wanted| wanted == method)
    }
}

/// Faults that wait for a request or its answer, on whichever connection.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) swallow: Vec<Wanted>,
    pub(super) splice: Vec<(Wanted, Vec<u8>)>,
    pub(super) duplicate: Vec<Wanted>,
    /// Stands until answers are released.
    pub(super) hold: Option<Wanted>,
    /// How often answers were released.
    pub(super) releases: u64,
}

/// What must happen to bytes; all but the first and the last only to the begin of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Forward,
    /// Kept back until answers were released more often than this.
    Hold(u64),
    /// Thrown away, and the connection ends.
    Swallow,
    /// Replaced, and the connection ends.
    Splice(Vec<u8>),
    /// Thrown away, and the connection goes on.
    Vanish,
}

/// The bytes a connection has carried, the request it is at, and what is in store for it.
#[derive(Debug, Default)]
pub(super) struct Passage {
    /// From 1.
    pub(super) number: u64,
    pub(super) doom: Doom,
    passed: [u64; 2],
    body_passed: u64,
    requests: Follower,
    /// The method of the request under way; empty before the first.
    method: String,
    /// Bytes of a request have come since the last answer.
    answer_awaited: bool,
    /// The request under way, to be sent twice; `true` once it is complete.
    copy: Option<(Vec<u8>, bool)>,
}

impl Passage {
    pub(super) fn new(number: u64, doom: Doom) -> Self {
        Self {
            number,
            doom,
            ..Self::default()
        }
    }

    /// Counts bytes read in `direction`.
    pub(super) fn pass(&mut self, direction: Direction, bytes: u64) {
        self.passed[direction as usize] += bytes;
    }

    /// Bytes read in `direction`.
    pub(super) fn passed(&self, direction: Direction) -> u64 {
        self.passed[direction as usize]
    }

    /// Where the plan breaks this connection, as bytes from here.
    pub(super) fn next_break(&self, direction: Direction) -> Option<(u64, Break)> {
        let (at, kind) = self.doom.breaks[direction as usize]?;
        Some((at.saturating_sub(self.passed(direction)), kind))
    }

    /// Forgets a planned break that was reached: a half-closed connection lives on.
    pub(super) fn disarm_reached(&mut self, direction: Direction) {
        if self
            .next_break(direction)
            .is_some_and(|(left, _)| left == 0)
        {
            self.doom.breaks[direction as usize] = None;
        }
    }

    /// Looks at bytes from the client: how many requests began with them, and which of the bytes
    /// belong to bodies.
    pub(super) fn see_request(
        &mut self,
        bytes: &[u8],
        orders: &mut Orders,
    ) -> (Vec<String>, Vec<Range<usize>>) {
        let (mut begun, mut bodies) = (Vec::new(), Vec::new());
        for part in self.requests.follow(bytes) {
            match part {
                Part::Begun { method, head } => {
                    self.copy = take_fitting(&mut orders.duplicate, &method, |wanted| wanted)
                        .map(|_| (head, false));
                    self.method.clone_from(&method);
                    self.answer_awaited = true;
                    begun.push(method);
                }
                Part::Body(range) => {
                    if let Some((copy, _)) = &mut self.copy {
                        copy.extend_from_slice(&bytes[range.clone()]);
                        if copy.len() > MAX_COPY {
                            self.copy = None;
                        }
                    }
                    bodies.push(range);
                }
                Part::Ended => {
                    if let Some((_, complete)) = &mut self.copy {
                        *complete = true;
                    }
                }
            }
        }
        if self.requests.is_lost() {
            self.answer_awaited = true;
        }
        (begun, bodies)
    }

    /// Flips the planned bits among body bytes, which lie at `range`; says how many.
    pub(super) fn flip_body(&mut self, bytes: &mut [u8], range: &Range<usize>) -> u64 {
        let first = self.body_passed;
        self.body_passed += range.len() as u64;
        flip(&mut self.doom.flips, first, &mut bytes[range.clone()])
    }

    /// Whether an answer begins with these bytes. An interim one is none.
    pub(super) fn begins_answer(&mut self, bytes: &[u8]) -> bool {
        if bytes.starts_with(b"HTTP/1.1 100") {
            return false;
        }
        std::mem::take(&mut self.answer_awaited)
    }

    /// Decides on an answer that begins, and takes the order for it.
    pub(super) fn fate(&mut self, orders: &mut Orders) -> Fate {
        let method = &self.method;
        let ordered = take_fitting(&mut orders.swallow, method, |wanted| wanted).is_some();
        if ordered || std::mem::take(&mut self.doom.lose_answer) {
            return Fate::Swallow;
        }
        let planned = self.doom.splice.take();
        let splice = take_fitting(&mut orders.splice, method, |(wanted, _)| wanted);
        if let Some(bytes) = planned.or(splice.map(|(_, bytes)| bytes)) {
            return Fate::Splice(bytes);
        }
        match &orders.hold {
            Some(wanted) if wanted.fits(method) => Fate::Hold(orders.releases),
            _ => Fate::Forward,
        }
    }

    /// The request that is answered now, if it has to be sent once more.
    pub(super) fn take_copy(&mut self) -> Option<Vec<u8>> {
        match self.copy.take() {
            Some((copy, true)) => Some(copy),
            _ => None,
        }
    }
}

/// Takes the first order out of `orders` that waits for `method`.
fn take_fitting<T>(orders: &mut Vec<T>, method: &str, wanted: fn(&T) -> &Wanted) -> Option<T> {
    let index = orders.iter().position(|order| wanted(order).fits(method))?;
    Some(orders.remove(index))
}

/// Flips the lowest bit of the bytes at `places`, where `bytes` begin at `first`; forgets the
/// places that were found and says how many.
pub(super) fn flip(places: &mut Vec<u64>, first: u64, bytes: &mut [u8]) -> u64 {
    let before = places.len();
    places.retain(|at| {
        let place = at.checked_sub(first).and_then(|i| usize::try_from(i).ok());
        match place.and_then(|i| bytes.get_mut(i)) {
            Some(byte) => {
                *byte ^= 1;
                false
            }
            None => true,
        }
    });
    (before - places.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &[u8] = b"PATCH /files/1 HTTP/1.1\r\nContent-Length: 4\r\n\r\n";

    fn swallowing(method: &str) -> Orders {
        Orders {
            swallow: vec![Wanted(Some(method.to_owned()))],
            ..Orders::default()
        }
    }

    #[test]
    fn a_body_sent_after_100_continue_keeps_its_method_and_that_is_no_answer() {
        let mut passage = Passage::default();
        let mut orders = swallowing("PATCH");
        passage.see_request(PATCH, &mut orders);
        assert!(!passage.begins_answer(b"HTTP/1.1 100 Continue"));
        passage.see_request(b"body", &mut orders);
        assert!(passage.begins_answer(b"HTTP/1.1 204 No Content"));
        assert_eq!(passage.fate(&mut orders), Fate::Swallow);
        assert!(orders.swallow.is_empty());
    }

    #[test]
    fn an_order_for_one_method_waits_for_it() {
        let mut passage = Passage::default();
        let mut orders = swallowing("PATCH");
        passage.see_request(b"HEAD /files/1 HTTP/1.1\r\n\r\n", &mut orders);
        assert!(passage.begins_answer(b"HTTP/1.1 200 OK"));
        assert_eq!(passage.fate(&mut orders), Fate::Forward);
        assert_eq!(orders.swallow.len(), 1);
    }

    #[test]
    fn the_second_piece_of_an_answer_is_no_answer_of_its_own() {
        let mut passage = Passage::default();
        passage.see_request(PATCH, &mut Orders::default());
        assert!(passage.begins_answer(b"HTTP/1.1 200 OK\r\n"));
        assert!(!passage.begins_answer(b"rest"));
    }

    #[test]
    fn only_a_complete_request_is_copied() {
        let mut passage = Passage::default();
        let mut orders = Orders {
            duplicate: vec![Wanted(None), Wanted(None)],
            ..Orders::default()
        };
        passage.see_request(PATCH, &mut orders);
        assert_eq!(passage.take_copy(), None);
        passage.see_request(b"body", &mut orders);
        passage.see_request(PATCH, &mut orders);
        passage.see_request(b"body", &mut orders);
        assert_eq!(passage.take_copy(), Some([PATCH, b"body"].concat()));
    }
}
