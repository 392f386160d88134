//! What an upload leaves in the store.

use std::time::SystemTime;

use resume_store::{Fingerprint, State};

use crate::drive::Driver;
use crate::event::Event;
use crate::journal::Committing;
use crate::outbox::Haste;

impl Driver {
    /// The creation is about to be sent. Where somebody can be asked about it after a crash, it is written down first.
    pub(crate) async fn intend(&mut self) -> Option<Committing> {
        self.record.state = State::Creating;
        self.creation_in_doubt = true;
        if self.shared.service.can_tell() {
            self.save().await;
            return None;
        }
        self.record.updated_at = SystemTime::now();
        let keeper = self.keeper.as_ref()?;
        let record = Some(self.record.clone());
        let journal = &keeper.journal;
        // It is waited for only if there is no answer.
        Some(journal.begin_commit(keeper.fingerprint, record, Haste::Aside))
    }

    /// Takes over how far chunks were handed out. `true` if that is news.
    pub(crate) fn note_reached(&mut self) -> bool {
        let reached = self.upload.reached();
        let is_news = reached > self.record.reached;
        self.record.reached = self.record.reached.max(reached);
        is_news
    }

    pub(crate) fn note_offset(&mut self, offset: u64) {
        self.record.offset = offset;
        self.record.updated_at = SystemTime::now();
        if self.record.length == Some(offset) {
            // Its end is written next.
            return;
        }
        if let Some(keeper) = &self.keeper {
            keeper.journal.note(keeper.fingerprint, self.record.clone());
        }
    }

    pub(crate) fn note_tags(&mut self) {
        let tags = self.upload.tags().iter();
        self.record
            .tags
            .extend(tags.map(|(name, value)| (name.as_str().to_owned(), value.clone())));
    }

    /// Writes the record durably. The upload goes on if that fails; it is told once.
    pub(crate) async fn save(&mut self) {
        self.save_in(Haste::InTurn).await;
    }

    async fn save_in(&mut self, haste: Haste) {
        self.record.updated_at = SystemTime::now();
        let Some(keeper) = &self.keeper else { return };
        let saved = keeper
            .journal
            .begin_commit(keeper.fingerprint, Some(self.record.clone()), haste)
            .end()
            .await;
        self.is_known = saved.is_ok() && self.record.upload_url.is_some();
        self.tell_trouble(saved);
    }

    /// Writes the record of an upload that has ended, and lets go of it. Durably at once if the store does not even know that it
    /// was created; else with the next batch, for a crash before it costs the next run one question.
    pub(crate) async fn retire(&mut self) {
        if !self.is_known {
            return self.save_in(Haste::Aside).await;
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.journal.retire(self.record.clone(), keeper.lease);
        }
    }

    /// Removes the record: there is nothing to go on with.
    pub(crate) async fn forget(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let removed = keeper.journal.commit(keeper.fingerprint, None).await;
        self.tell_trouble(removed);
    }

    /// Removes the record of another source for the same destination.
    pub(crate) async fn forget_key(&mut self, source_key: &str) {
        let Some(keeper) = &self.keeper else { return };
        let fingerprint = Fingerprint::new(&self.record.destination, source_key);
        let removed = keeper.journal.commit(fingerprint, None).await;
        self.tell_trouble(removed);
    }

    pub(crate) fn tell_trouble(&mut self, result: Result<(), String>) {
        if let Err(error) = result
            && !self.save_trouble_told
        {
            self.save_trouble_told = true;
            self.emit(Event::StateNotSaved { error });
        }
    }
}
