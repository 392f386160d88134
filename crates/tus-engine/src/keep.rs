//! What an upload leaves in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use resume_store::{Fingerprint, State};
use tokio::time::timeout;

use crate::drive::{Driver, emit};
use crate::event::{Event, EventSink, UploadId};
use crate::journal::{Committing, LEISURE};
use crate::outbox::Haste;
use crate::resume::Keeper;

impl Driver {
    /// The creation is about to be sent, `whole` if it carries all there is. Where somebody can be asked about it after a crash, it is
    /// written down first; that of a part as well, for it costs a part nothing that counts, and what a crash leaves of it is told.
    pub(crate) async fn intend(&mut self, whole: bool) -> Intent {
        self.record.state = State::Creating;
        self.creation_in_doubt = true;
        if self.shared.service.can_tell() || self.portion.is_some() {
            self.save().await;
            return Intent::Written;
        }
        self.record.updated_at = SystemTime::now();
        match &self.keeper {
            // Many small sources are written down together in any case.
            Some(keeper) if whole && keeper.journal.is_crowded() => Intent::Later,
            _ => Intent::Beside(self.begin_intent()),
        }
    }

    pub(crate) fn begin_intent(&self) -> Option<Committing> {
        let Keeper {
            journal,
            fingerprint,
            ..
        } = self.keeper.as_ref()?;
        // It is waited for only if there is no answer.
        Some(journal.begin_commit(*fingerprint, Some(self.record.clone()), Haste::InTurn))
    }

    /// Waits for the answer to a creation whose intent would not be written at once in any case: if it comes before, there is
    /// no doubt left to write down. Else, also where nobody waits for it any more, the intent is put down.
    pub(crate) async fn answer_or_intent<T, E>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> (Result<T, E>, Option<Committing>) {
        let late = Late(Some(self));
        tokio::pin!(answer);
        match timeout(LEISURE, answer.as_mut()).await {
            Ok(Ok(answer)) => {
                late.drop_it();
                (Ok(answer), None)
            }
            Ok(Err(error)) => (Err(error), late.put_down()),
            Err(_) => {
                let intent = late.put_down();
                (answer.await, intent)
            }
        }
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

    /// Puts down the record of an upload that has ended and that the store does not know, to be waited for without the driver:
    /// of small sources, many ends wait at once.
    pub(crate) fn begin_ending(&mut self) -> Option<Ending> {
        if self.is_known || !self.is_single {
            return None;
        }
        let keeper = self.keeper.take()?;
        keeper.visit.leave();
        self.record.updated_at = SystemTime::now();
        let record = Some(self.record.clone());
        let journal = &keeper.journal;
        Some(Ending {
            committing: journal.begin_commit(keeper.fingerprint, record, Haste::Aside),
            _keeper: keeper,
            id: self.id,
            sink: Arc::clone(&self.sink),
            tags: self.record.tags.clone(),
            trouble_told: self.save_trouble_told,
        })
    }

    /// Removes the record: there is nothing to go on with.
    pub(crate) async fn forget(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let removed = keeper.journal.commit(keeper.fingerprint, None).await;
        self.tell_trouble(removed);
    }

    /// Removes the records of other sources for the same destination.
    pub(crate) async fn forget_keys(&mut self, source_keys: impl Iterator<Item = &String>) {
        let Some(keeper) = &self.keeper else { return };
        let forget = |key| {
            let fingerprint = Fingerprint::new(&self.record.destination, key);
            let journal = &keeper.journal;
            journal.begin_commit(fingerprint, None, Haste::InTurn)
        };
        let removed: Vec<_> = source_keys.map(forget).collect();
        for one in removed {
            let removed = one.end().await;
            self.tell_trouble(removed);
        }
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

/// The last record of an upload on its way into the store.
pub(crate) struct Ending {
    committing: Committing,
    _keeper: Keeper,
    id: UploadId,
    sink: Arc<dyn EventSink>,
    tags: BTreeMap<String, String>,
    trouble_told: bool,
}

impl Ending {
    /// Waits until it is there, and tells the upload's end.
    pub(crate) async fn wait(self) {
        if let Err(error) = self.committing.end().await
            && !self.trouble_told
        {
            emit(&*self.sink, self.id, &Event::StateNotSaved { error });
        }
        emit(&*self.sink, self.id, &Event::Finished { tags: self.tags });
    }
}

/// What becomes of the intent of a creation.
pub(crate) enum Intent {
    Written,
    /// It is written while the request is on its way.
    Beside(Option<Committing>),
    /// It is, unless the answer comes [before](Driver::answer_or_intent).
    Later,
}

/// An intent that was not put down yet.
struct Late<'a>(Option<&'a Driver>);

impl Late<'_> {
    fn drop_it(mut self) {
        self.0 = None;
    }

    fn put_down(mut self) -> Option<Committing> {
        self.0.take()?.begin_intent()
    }
}

impl Drop for Late<'_> {
    fn drop(&mut self) {
        if let Some(driver) = self.0.take() {
            driver.begin_intent();
        }
    }
}
