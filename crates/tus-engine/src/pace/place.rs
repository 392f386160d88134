//! [`Place`]: where an upload, or a part of one, has its turn from.

use std::sync::{Arc, Mutex};

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

    /// The turn of its own, if it has one.
    pub(crate) fn into_turn(self) -> Option<Turn> {
        match self {
            Self::Own(turn) => turn,
            Self::Aside | Self::Part(_) => None,
        }
    }

    /// Gives the turn back. Says whether that was an upload's own.
    pub(crate) fn leave(&mut self) -> bool {
        match self {
            Self::Aside => false,
            Self::Own(turn) => turn.take().is_some(),
            Self::Part(lane) => {
                lane.leave();
                false
            }
        }
    }
}

/// The connections of an upload in parts: the turn that it began with, and spare ones as long as there are any.
#[derive(Debug)]
pub(crate) struct Lanes {
    pace: Arc<Pace>,
    own: Mutex<Own>,
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
    pub(crate) fn new(pace: Arc<Pace>, turn: Option<Turn>) -> Arc<Self> {
        Arc::new(Self {
            pace,
            own: Mutex::new(Own::Idle(turn)),
        })
    }

    /// The next connection that is free for a part.
    pub(crate) async fn lane(self: &Arc<Self>) -> Lane {
        let mut lane = Lane {
            lanes: Arc::clone(self),
            seat: None,
        };
        lane.take().await;
        lane
    }

    /// The turn that the upload began with, once no part is under way any more.
    pub(crate) fn own(&self) -> Option<Turn> {
        match std::mem::replace(&mut *lock(&self.own), Own::Lent) {
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
        let mut own = lock(&self.own);
        if let Own::Idle(turn) = std::mem::replace(&mut *own, Own::Lent) {
            return Some(Seat::Own(turn));
        }
        drop(own);
        self.pace.spare_turn().map(Seat::Spare)
    }
}

/// One connection of an upload in parts, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lane {
    lanes: Arc<Lanes>,
    seat: Option<Seat>,
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
        if let Some(Seat::Own(turn)) = self.seat.take() {
            drop(turn);
            self.return_own(None);
        }
    }

    fn return_own(&self, turn: Option<Turn>) {
        *lock(&self.lanes.own) = Own::Idle(turn);
        self.lanes.pace.freed.notify_waiters();
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(Seat::Own(turn)) = self.seat.take() {
            self.return_own(turn);
        }
    }
}
