//! [`Place`]: where an upload, or a part of one, has its turn from.

use std::sync::{Arc, Mutex};

use tokio::sync::futures::Notified;

use super::{Pace, Turn, lock};

/// Where an upload has its turn from.
#[derive(Debug)]
pub(crate) enum Place {
    /// It needs none: it does next to nothing.
    Aside,
    /// A turn of its own.
    Own(Option<Turn>),
    /// It is a part, and has one of the connections of its whole.
    Part(Lane),
}

impl Place {
    /// Waits for a turn, unless it has one. One that is wanted back is given back first: whoever waits longest has it next.
    pub(crate) async fn take(&mut self, pace: &Arc<Pace>) {
        match self {
            Self::Aside => {}
            Self::Own(turn) => {
                if turn.as_ref().is_some_and(Turn::is_surplus) {
                    *turn = None;
                }
                if turn.is_none() {
                    *turn = pace.turn().await;
                }
            }
            Self::Part(lane) => lane.take().await,
        }
    }

    /// Whether it waits for its connection while all of them are at work.
    pub(crate) fn is_ahead(&self) -> bool {
        match self {
            Self::Aside | Self::Own(_) => false,
            Self::Part(lane) => lane.ahead && lane.seat.is_none(),
        }
    }

    /// The turn of its own, if it has one.
    pub(crate) fn into_turn(self) -> Option<Turn> {
        match self {
            Self::Own(turn) => turn,
            Self::Aside | Self::Part(_) => None,
        }
    }

    /// Gives the turn back, to have one again later.
    pub(crate) fn leave(&mut self) {
        match self {
            Self::Aside => {}
            Self::Own(turn) => *turn = None,
            Self::Part(lane) => lane.leave(),
        }
    }

    /// Gives the turn back for good. Says whether that was an upload's own.
    pub(crate) fn end(&mut self) -> bool {
        match std::mem::replace(self, Self::Aside) {
            Self::Own(turn) => turn.is_some(),
            Self::Aside | Self::Part(_) => false,
        }
    }
}

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
}

#[derive(Debug)]
enum Own {
    /// No part has it. It may have been given back to other uploads.
    Idle(Option<Turn>),
    Lent,
}

#[derive(Debug)]
enum Seat {
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

    /// Ready when there may be more.
    pub(crate) fn more(&self) -> Notified<'_> {
        self.pace.freed.notified()
    }

    /// A connection for a part, which is waited for when it is needed. `ahead`, all are at work by now.
    pub(crate) fn lane(self: &Arc<Self>, ahead: bool) -> Lane {
        Lane {
            lanes: Arc::clone(self),
            seat: None,
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

    async fn seat(&self) -> Seat {
        loop {
            let freed = self.pace.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(seat) = self.free_seat() {
                return seat;
            }
            freed.await;
        }
    }

    fn free_seat(&self) -> Option<Seat> {
        let mut seats = lock(&self.seats);
        if seats.taken >= seats.most {
            return None;
        }
        let seat = match std::mem::replace(&mut seats.own, Own::Lent) {
            Own::Idle(turn) => Seat::Own(turn),
            Own::Lent => Seat::Spare(self.pace.spare_turn()?),
        };
        seats.taken += 1;
        Some(seat)
    }

    fn give_back(&self, seat: Seat) {
        let mut seats = lock(&self.seats);
        seats.taken -= 1;
        match seat {
            Seat::Own(turn) => seats.own = Own::Idle(turn),
            Seat::Spare(turn) => drop(turn),
        }
        drop(seats);
        self.pace.freed.notify_waiters();
    }
}

/// One connection of an upload in parts, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lane {
    lanes: Arc<Lanes>,
    seat: Option<Seat>,
    ahead: bool,
}

impl Lane {
    async fn take(&mut self) {
        let is_surplus = match &self.seat {
            Some(Seat::Own(Some(turn)) | Seat::Spare(turn)) => turn.is_surplus(),
            _ => false,
        };
        if is_surplus {
            self.leave();
        }
        if self.seat.is_none() {
            self.seat = Some(self.lanes.seat().await);
        }
        if let Some(Seat::Own(turn @ None)) = &mut self.seat {
            *turn = self.lanes.pace.turn().await;
        }
    }

    fn leave(&mut self) {
        let seat = match self.seat.take() {
            // Its turn is another upload's.
            Some(Seat::Own(_)) => Seat::Own(None),
            Some(spare) => spare,
            None => return,
        };
        self.lanes.give_back(seat);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.lanes.give_back(seat);
        }
    }
}
