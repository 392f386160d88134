//! [`Store`]: what a client's process writes down, and what of that survives it.

use crate::url::UploadUrl;

/// What is known of an upload.
#[derive(Debug, Clone)]
pub(super) enum Record {
    Nothing,
    /// A creation was intended.
    Intent,
    Upload {
        url: UploadUrl,
        offset: u64,
        reached: u64,
    },
}

/// A disk, and what has not been written to it yet. Intents, creations and the last chunk are committed before anything
/// follows from them; offsets are merged, and may be lost.
#[derive(Debug)]
pub(super) struct Store {
    newest: Record,
    committed: Record,
}

impl Store {
    pub(super) fn new(record: Record) -> Self {
        Self {
            newest: record.clone(),
            committed: record,
        }
    }

    /// Durably, at once.
    pub(super) fn commit(&mut self, record: Record) {
        *self = Self::new(record);
    }

    /// In memory, until the next [`flush`](Self::flush).
    pub(super) fn note(&mut self, confirmed: u64, sent_to: u64) {
        if let Record::Upload {
            offset, reached, ..
        } = &mut self.newest
        {
            *offset = confirmed;
            *reached = sent_to;
        }
    }

    pub(super) fn flush(&mut self) {
        self.committed = self.newest.clone();
    }

    /// What the next process finds.
    pub(super) fn crash(&mut self) -> &Record {
        self.newest = self.committed.clone();
        &self.newest
    }
}
