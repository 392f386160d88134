//! [`Line`]: one connection among those to an origin, by a number that the transport knows it by.

use std::sync::Arc;

use super::{Pace, lock};

/// A connection that nobody else uses, given back when it is dropped. It may be there already, for whoever had the number before.
#[derive(Debug)]
pub(crate) struct Line {
    number: u32,
    pace: Arc<Pace>,
}

impl Line {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

impl Pace {
    /// The connection of the lowest number that nobody has.
    pub(crate) fn line(self: &Arc<Self>) -> Line {
        let mut taken = lock(&self.lines);
        let free = (0..).find(|number| !taken.contains(number));
        let number = free.unwrap_or_default();
        taken.insert(number);
        Line {
            number,
            pace: Arc::clone(self),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        lock(&self.pace.lines).remove(&self.number);
    }
}
