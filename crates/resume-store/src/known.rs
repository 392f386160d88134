//! Which uploads the open database knows: whoever begins a new one need not wait for its thread.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Fingerprint;
use crate::ledger::Figures;

/// The fingerprints of all records, for as long as this process keeps others from adding more.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Who reads records must ask the database.
    #[default]
    Unknown,
    /// The database is open, and nobody else can write into it.
    Open(HashSet<u64>),
    /// It was closed with these figures: as long as it has them, the same records are in it.
    Closed(Figures, HashSet<u64>),
}

impl Known {
    /// Whether it is certain that the database has no record of `fingerprint` at this moment.
    pub(crate) fn lacks(&self, fingerprint: &Fingerprint) -> bool {
        match &*self.lock() {
            State::Open(known) => !known.contains(&short(fingerprint)),
            State::Unknown | State::Closed(..) => false,
        }
    }

    /// The database was opened and has these figures, and if they were listed, these records.
    pub(crate) fn open(&self, figures: &Figures, listed: Option<HashSet<u64>>) {
        let mut state = self.lock();
        let known = match std::mem::take(&mut *state) {
            State::Closed(then, known) if then == *figures => Some(known),
            _ => listed,
        };
        if let Some(known) = known {
            *state = State::Open(known);
        }
    }

    /// Records of these are about to be committed. Says which of them have none yet for certain.
    pub(crate) fn add_all<'a>(
        &self,
        fingerprints: impl Iterator<Item = &'a Fingerprint>,
    ) -> HashSet<Fingerprint> {
        let mut state = self.lock();
        let State::Open(known) = &mut *state else {
            return HashSet::new();
        };
        let new = fingerprints.filter(|it| known.insert(short(it)));
        let new = new.copied().collect();
        if known.len() > MOST {
            *state = State::Unknown;
        }
        new
    }

    /// The database, which has these figures, is about to be closed.
    pub(crate) fn close(&self, figures: Figures) {
        let mut state = self.lock();
        if let State::Open(known) = std::mem::take(&mut *state) {
            *state = State::Closed(figures, known);
        }
    }

    /// The database is closed, whether that was [told](Self::close) or not.
    pub(crate) fn is_closed(&self) {
        let mut state = self.lock();
        if let State::Open(_) = &*state {
            *state = State::Unknown;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is made whole or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two that agree in this are taken for one: then the database is asked, which is always right.
pub(crate) fn short(fingerprint: &Fingerprint) -> u64 {
    let (first, _) = fingerprint
        .as_bytes()
        .split_first_chunk()
        .unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*first)
}

/// More are not kept in memory: this is 2 MB.
pub(crate) const MOST: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(name: &str) -> Fingerprint {
        Fingerprint::new("https://tus.example/files", name)
    }

    #[test]
    fn only_an_open_database_is_known_to_lack_something() {
        let known = Known::default();
        assert!(!known.lacks(&upload("a")));
        known.open(&Figures::default(), Some(HashSet::new()));
        assert!(known.lacks(&upload("a")));
        known.add_all([upload("a")].iter());
        assert!(!known.lacks(&upload("a")));
        assert!(known.lacks(&upload("b")));
        known.close(Figures::default());
        assert!(!known.lacks(&upload("b")));
    }

    #[test]
    fn what_was_known_holds_again_if_nobody_changed_anything_meanwhile() {
        let known = Known::default();
        known.open(&Figures::default(), Some(HashSet::new()));
        known.add_all([upload("a")].iter());
        let [first, second] = [1, 2].map(|sequence| Figures {
            sequence,
            ..Figures::default()
        });
        known.close(first);
        known.open(&first, None);
        assert!(!known.lacks(&upload("a")));
        assert!(known.lacks(&upload("b")));

        known.close(first);
        known.open(&second, None);
        assert!(
            !known.lacks(&upload("b")),
            "somebody else may have added it"
        );
    }

    #[test]
    fn a_database_that_ends_without_a_word_leaves_nothing_known() {
        let known = Known::default();
        known.open(&Figures::default(), Some(HashSet::new()));
        known.is_closed();
        known.open(&Figures::default(), None);
        assert!(!known.lacks(&upload("a")));
    }

    #[test]
    fn very_many_are_not_kept_in_memory() {
        let known = Known::default();
        let full = (0..MOST as u64).collect();
        known.open(&Figures::default(), Some(full));
        assert!(known.lacks(&upload("a")));
        known.add_all([upload("b")].iter());
        assert!(!known.lacks(&upload("a")));
    }
}
