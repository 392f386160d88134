//! [`Stage`]: who broadcasts, and who is awaited back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

/// Who broadcasts, by live input.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Debug)]
enum Session {
    /// A body comes, until this is cancelled.
    On(CancellationToken),
    /// It ended, and until then its recording goes on with the next one.
    Off { account: String, until: SystemTime },
}

impl Stage {
    /// The next broadcast, unless there is one; and whether it goes on with the one before.
    pub(super) fn enter(&self, input: &str) -> Option<(CancellationToken, bool)> {
        let mut sessions = self.lock();
        let known = sessions.get(input);
        if matches!(known, Some(Session::On(_))) {
            return None;
        }
        let goes_on = known.is_some();
        let off = CancellationToken::new();
        sessions.insert(input.to_owned(), Session::On(off.clone()));
        Some((off, goes_on))
    }

    /// Ends a broadcast from outside, or the wait for the next one; true where nobody is left to see to it.
    pub(crate) fn hang_up(&self, input: &str) -> bool {
        let mut sessions = self.lock();
        match sessions.get(input) {
            Some(Session::On(off)) => {
                off.cancel();
                false
            }
            Some(Session::Off { .. }) => sessions.remove(input).is_some(),
            None => false,
        }
    }

    /// Takes the waits that are over: input and account.
    pub(super) fn over(&self, now: SystemTime) -> Vec<(String, String)> {
        let mut over = Vec::new();
        self.lock().retain(|input, session| match session {
            Session::Off { account, until } if *until <= now => {
                over.push((input.clone(), account.clone()));
                false
            }
            _ => true,
        });
        over
    }

    /// Whether somebody broadcasts to it.
    pub(crate) fn is_on(&self, input: &str) -> bool {
        matches!(self.lock().get(input), Some(Session::On(_)))
    }

    /// Nobody is on it any more.
    pub(super) fn leave(&self, input: &str) {
        self.lock().remove(input);
    }

    /// The broadcast ended, and the next one is awaited until then.
    pub(super) fn await_back(&self, input: &str, account: &str, until: SystemTime) {
        let account = account.to_owned();
        let off = Session::Off { account, until };
        self.lock().insert(input.to_owned(), off);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
