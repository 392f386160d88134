//! [`Turn`]: one connection at work.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;

use super::Pace;

/// A connection at work, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    /// `None` for a spare one.
    permit: Option<OwnedSemaphorePermit>,
    pace: Arc<Pace>,
}

impl Pace {
    /// A place among the uploads that run at once. The semaphore is never closed.
    pub(crate) async fn turn(self: &Arc<Self>) -> Option<Turn> {
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        self.uploads.fetch_add(1, Ordering::Relaxed);
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(running, Ordering::Relaxed);
        Some(Turn {
            permit: Some(permit),
            pace: Arc::clone(self),
        })
    }

    /// A turn that no upload takes, if there is one.
    pub(super) fn spare_turn(self: &Arc<Self>) -> Option<Turn> {
        let connections = self.connections.load(Ordering::Relaxed);
        let more = |running: usize| (running < connections).then_some(running + 1);
        let running = self
            .running
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        self.peak.fetch_max(running + 1, Ordering::Relaxed);
        Some(Turn {
            permit: None,
            pace: Arc::clone(self),
        })
    }
}

impl Turn {
    /// More connections are at work than are to: whoever can wait should give its turn back.
    pub(crate) fn is_surplus(&self) -> bool {
        match self.permit {
            Some(_) => self.pace.surplus.load(Ordering::Relaxed) > 0,
            None => self.pace.running() > self.pace.connections.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pace.running.fetch_sub(1, Ordering::Relaxed);
        if let Some(permit) = self.permit.take() {
            self.pace.uploads.fetch_sub(1, Ordering::Relaxed);
            if self.pace.pay(1) > 0 {
                permit.forget();
            }
        }
        self.pace.freed.notify_waiters();
    }
}
