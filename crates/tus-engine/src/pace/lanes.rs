//! [`Lanes`]: the connections of an upload in parts, and which part has which of them.
//!
//! Connections are not alike: over a link that is full, one may bring ten times as much as another, and keep to it. A part that is
//! left on a slow one when there are no others would hold the whole up. So no part keeps its connection: after each request
//! the fastest that is free takes the part of which most is left, a slow one that of which least is. Then all of them end
//! together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::futures::Notified;
use tokio::sync::oneshot;

use super::{Line, Pace, Turn, lock};

/// The connections of an upload in parts: the turn that it began with, and spare ones as long as there are any.
#[derive(Debug)]
pub(crate) struct Lanes {
    pace: Arc<Pace>,
    seats: Mutex<Seats>,
}

#[derive(Debug)]
struct Seats {
    own: Own,
    taken: usize,
    most: usize,
    waiting: Vec<Waiting>,
    /// Connections that no part has.
    idle: Vec<Line>,
    /// What each of them brought the last time, by its number, in bytes per second.
    rates: HashMap<u32, f64>,
}

#[derive(Debug)]
enum Own {
    /// No part has it. It may have been given back to other uploads.
    Idle(Option<Turn>),
    Lent,
}

/// A part that waits for a connection.
#[derive(Debug)]
struct Waiting {
    left: u64,
    give: oneshot::Sender<Seat>,
}

/// A turn and a connection, given back when it is dropped.
#[derive(Debug)]
struct Seat {
    lanes: Arc<Lanes>,
    /// `None` once it is given back.
    held: Option<(Held, Line)>,
}

#[derive(Debug)]
enum Held {
    Own(Option<Turn>),
    Spare(Turn),
}

impl Lanes {
    /// At most so many at once.
    pub(crate) fn new(pace: Arc<Pace>, turn: Option<Turn>, most: usize) -> Arc<Self> {
        Arc::new(Self {
            pace,
            seats: Mutex::new(Seats {
                own: Own::Idle(turn),
                taken: 0,
                most,
                waiting: Vec::new(),
                idle: Vec::new(),
                rates: HashMap::new(),
            }),
        })
    }

    /// So many at once from now on.
    pub(crate) fn set_most(&self, most: usize) {
        lock(&self.seats).most = most;
        self.pace.freed.notify_waiters();
    }

    /// How many there could be at this moment.
    pub(crate) fn possible(&self) -> usize {
        let seats = lock(&self.seats);
        let own = usize::from(matches!(seats.own, Own::Idle(_)));
        seats.most.min(seats.taken + own + self.pace.spare())
    }

    /// How many parts are at work, or ready to be.
    pub(crate) fn ready(&self) -> usize {
        let seats = lock(&self.seats);
        seats.taken + seats.waiting.len()
    }

    /// Ready when there may be more.
    pub(crate) fn more(&self) -> Notified<'_> {
        self.pace.freed.notified()
    }

    /// A connection for a part of `left` bytes, which is waited for when it is needed. `ahead`, all are at work by now.
    pub(crate) fn lane(self: &Arc<Self>, ahead: bool, left: u64) -> Lane {
        Lane {
            lanes: Arc::clone(self),
            seat: None,
            left,
            ahead,
        }
    }

    /// The turn that the upload began with, once no part is under way any more.
    pub(crate) fn own(&self) -> Option<Turn> {
        match std::mem::replace(&mut lock(&self.seats).own, Own::Lent) {
            Own::Idle(turn) => turn,
            Own::Lent => None,
        }
    }

    async fn seat(self: &Arc<Self>, left: u64) -> Seat {
        loop {
            let (give, seat) = oneshot::channel();
            lock(&self.seats).waiting.push(Waiting { left, give });
            // Whoever creates parts ahead counts those that are ready.
            self.pace.freed.notify_waiters();
            if let Some(seat) = self.given(seat).await {
                return seat;
            }
        }
    }

    /// Waits until a seat is given, by whoever gives one back or by this when there may be one more.
    async fn given(self: &Arc<Self>, mut seat: oneshot::Receiver<Seat>) -> Option<Seat> {
        loop {
            let freed = self.pace.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            self.settle();
            tokio::select! {
                biased;
                given = &mut seat => return given.ok(),
                () = freed => {}
            }
        }
    }

    /// Gives those that wait what there is to give.
    fn settle(self: &Arc<Self>) {
        while let Some((seat, to)) = self.pair() {
            // If nobody waits there any more, it is given back at once.
            drop(to.send(seat));
        }
    }

    /// The fastest connection that is free, and the part that is to have it.
    fn pair(self: &Arc<Self>) -> Option<(Seat, oneshot::Sender<Seat>)> {
        let mut seats = lock(&self.seats);
        seats.waiting.retain(|one| !one.give.is_closed());
        if seats.waiting.is_empty() || seats.taken >= seats.most {
            return None;
        }
        let held = match std::mem::replace(&mut seats.own, Own::Lent) {
            Own::Idle(turn) => Held::Own(turn),
            Own::Lent => Held::Spare(self.pace.spare_turn()?),
        };
        seats.taken += 1;
        let line = seats.fastest().unwrap_or_else(|| self.pace.line());
        let to = seats.part_for(&line);
        let seat = Seat {
            lanes: Arc::clone(self),
            held: Some((held, line)),
        };
        Some((seat, to.give))
    }

    fn give_back(self: &Arc<Self>, held: Held, line: Line) {
        let mut seats = lock(&self.seats);
        seats.taken -= 1;
        seats.idle.push(line);
        match held {
            Held::Own(turn) => seats.own = Own::Idle(turn),
            Held::Spare(turn) => drop(turn),
        }
        drop(seats);
        self.settle();
        self.pace.freed.notify_waiters();
    }
}

impl Seats {
    /// Takes the fastest of the idle connections.
    fn fastest(&mut self) -> Option<Line> {
        let rate = |line: &Line| self.rates.get(&line.number()).copied().unwrap_or_default();
        let numbered = self.idle.iter().enumerate();
        let (index, _) = numbered.max_by(|a, b| rate(a.1).total_cmp(&rate(b.1)))?;
        Some(self.idle.swap_remove(index))
    }

    /// Takes the part that is to go over `line`. There is one.
    fn part_for(&mut self, line: &Line) -> Waiting {
        let average = self.rates.values().sum::<f64>() / self.rates.len() as f64;
        let is_slow = self
            .rates
            .get(&line.number())
            .is_some_and(|rate| *rate < average);
        let numbered = self.waiting.iter().enumerate();
        // Of equals, the one that has waited longest.
        let part = if is_slow {
            numbered.min_by_key(|(_, one)| one.left)
        } else {
            numbered.rev().max_by_key(|(_, one)| one.left)
        };
        let index = part.map(|(index, _)| index).unwrap_or_default();
        self.waiting.remove(index)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((held, line)) = self.held.take() {
            self.lanes.give_back(held, line);
        }
    }
}

/// A part's connection.
#[derive(Debug)]
pub(crate) struct Lane {
    lanes: Arc<Lanes>,
    seat: Option<Seat>,
    /// Bytes of the part that are to be sent.
    left: u64,
    ahead: bool,
}

impl Lane {
    /// Waits for a connection, unless it has one that is not wanted back.
    pub(super) async fn take(&mut self) {
        let held = self.seat.as_ref().and_then(|seat| seat.held.as_ref());
        let is_surplus = match held {
            Some((Held::Own(Some(turn)) | Held::Spare(turn), _)) => turn.is_surplus(),
            _ => false,
        };
        if is_surplus {
            self.leave();
        }
        if self.seat.is_none() {
            self.seat = Some(self.lanes.seat(self.left).await);
        }
        let held = self.seat.as_mut().and_then(|seat| seat.held.as_mut());
        if let Some((Held::Own(turn @ None), _)) = held {
            *turn = self.lanes.pace.turn().await;
        }
    }

    /// Waits for the best connection for `left` bytes. The one it had may go to another part.
    pub(super) async fn take_for(&mut self, left: u64) {
        self.left = left;
        self.seat = None;
        self.take().await;
    }

    /// Gives the connection back, and its turn to another upload.
    pub(super) fn leave(&mut self) {
        if let Some(mut seat) = self.seat.take()
            && let Some((Held::Own(turn), _)) = &mut seat.held
        {
            *turn = None;
        }
    }

    /// It is created while others are at work.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead
    }

    /// Which connection it has.
    pub(super) fn line(&self) -> Option<u32> {
        let (_, line) = self.seat.as_ref()?.held.as_ref()?;
        Some(line.number())
    }

    /// What its connection brings, in bytes per second, if that is known.
    pub(super) fn rate(&self) -> Option<f64> {
        let line = self.line()?;
        lock(&self.lanes.seats).rates.get(&line).copied()
    }

    /// It brought so many bytes per second; `None`, it broke.
    pub(super) fn brought(&self, rate: Option<f64>) {
        let Some(line) = self.line() else { return };
        let mut seats = lock(&self.lanes.seats);
        match rate {
            Some(rate) => seats.rates.insert(line, rate),
            None => seats.rates.remove(&line),
        };
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, poll};

    use super::*;
    use crate::options::{Parallel, Parts};
    use crate::pace::Paces;

    /// Of an upload that has so many connections.
    fn lanes(most: usize) -> Arc<Lanes> {
        let paces = Paces::new(Parallel::Fixed(1), 1, Parts::Fixed(most));
        let pace = paces.of("https://a");
        let turn = pace.turn().now_or_never().flatten();
        assert!(turn.is_some());
        Lanes::new(pace, turn, most)
    }

    /// A part with a connection that brings so much.
    async fn at_work(lanes: &Arc<Lanes>, rate: f64) -> Lane {
        let mut lane = lanes.lane(false, 100);
        lane.take().await;
        lane.brought(Some(rate));
        lane
    }

    #[tokio::test]
    async fn a_fast_connection_takes_the_part_of_which_most_is_left_and_a_slow_one_that_of_which_least_is()
     {
        for (free, wanted) in [("fast", 90), ("slow", 10)] {
            let lanes = lanes(2);
            let fast = at_work(&lanes, 20.0).await;
            let slow = at_work(&lanes, 2.0).await;
            let mut waiting = [50, 90, 10, 40].map(|left| lanes.lane(true, left));
            let mut takes: Vec<_> = waiting
                .iter_mut()
                .map(|lane| Box::pin(lane.take()))
                .collect();
            for take in &mut takes {
                assert!(poll!(take.as_mut()).is_pending());
            }
            drop(if free == "fast" { fast } else { slow });
            let (_, index, rest) = futures_util::future::select_all(takes).await;
            drop(rest);
            assert_eq!(waiting[index].left, wanted, "the {free} one is free");
        }
    }

    #[tokio::test]
    async fn between_two_requests_a_part_goes_over_to_a_faster_connection_that_is_free() {
        let lanes = lanes(2);
        let fast = at_work(&lanes, 20.0).await;
        let mut slow = at_work(&lanes, 2.0).await;
        let (theirs, ours) = (fast.line(), slow.line());
        slow.take_for(50).await;
        assert_eq!(slow.line(), ours, "the fast one is at work");
        drop(fast);
        slow.take_for(50).await;
        assert_eq!((slow.line(), slow.rate()), (theirs, Some(20.0)));
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_takes_no_connection_away() {
        let lanes = lanes(1);
        let first = at_work(&lanes, 1.0).await;
        let (mut gone, mut next) = (lanes.lane(true, 90), lanes.lane(true, 10));
        let mut waits = Box::pin(gone.take());
        assert!(poll!(waits.as_mut()).is_pending());
        drop(first);
        drop(waits);
        drop(gone);
        next.take().await;
        assert_eq!(next.line(), Some(0));
    }

    #[tokio::test]
    async fn a_connection_that_broke_counts_as_one_of_which_nothing_is_known() {
        let lanes = lanes(1);
        let lane = at_work(&lanes, 20.0).await;
        lane.brought(None);
        assert_eq!(lane.rate(), None);
    }
}
