//! [`Place`]: where an upload, or a part of one, has its turn from.

use std::sync::Arc;

use super::{Lane, Pace, Turn};

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
            Self::Part(lane) => lane.is_ahead() && lane.line().is_none(),
        }
    }

    /// Whether even what has no body goes over its connection: it is a part, and others are not at work yet.
    pub(crate) fn is_first(&self) -> bool {
        matches!(self, Self::Part(lane) if !lane.is_ahead())
    }

    /// Waits for the connection that is the best for the `left` bytes of a part. What it had may go to another.
    pub(crate) async fn take_for(&mut self, left: u64) {
        if let Self::Part(lane) = self {
            lane.take_for(left).await;
        }
    }

    /// Which connection a part has.
    pub(crate) fn line(&self) -> Option<u32> {
        match self {
            Self::Aside | Self::Own(_) => None,
            Self::Part(lane) => lane.line(),
        }
    }

    /// What it brings, in bytes per second, if that is known.
    pub(crate) fn rate(&self) -> Option<f64> {
        match self {
            Self::Aside | Self::Own(_) => None,
            Self::Part(lane) => lane.rate(),
        }
    }

    /// The connection of a part brought so many bytes per second; `None`, it broke.
    pub(crate) fn brought(&mut self, rate: Option<f64>) {
        if let Self::Part(lane) = self {
            lane.brought(rate);
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
