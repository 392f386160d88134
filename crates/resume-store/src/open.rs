//! The open database and its log, and what is done with them.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use crate::codec::Sealed;
use crate::database::{Database, Trouble, spoiled};
use crate::files::free_bytes;
use crate::gate::Entry;
use crate::house::RESERVE;
use crate::ledger::{Figures, Ledger};
use crate::wal::Log;
use crate::{Change, Filter, Fingerprint, Record, StoreError};

/// What is in the log and not yet in the database: the newest of each upload.
pub(crate) type Recent = BTreeMap<Fingerprint, Sealed>;

/// The database and the log while the gate is held.
pub(crate) struct Open {
    // Dropped in this order: sled is closed before the gate opens.
    pub(crate) database: Database,
    pub(crate) log: Log,
    pub(crate) ledger: Ledger,
    pub(crate) recent: Recent,
    /// Of the records in the database.
    pub(crate) settled: Figures,
    /// Of all records.
    pub(crate) figures: Figures,
    pub(crate) folder: PathBuf,
    pub(crate) entry: Entry,
}

impl Open {
    /// Whether somebody waits for the gate.
    pub(crate) fn is_wanted(&self) -> bool {
        self.entry.is_wanted()
    }

    pub(crate) fn load(&self, fingerprint: &Fingerprint) -> Result<Option<Record>, Trouble> {
        let stored;
        let found = match self.recent.get(fingerprint) {
            Some(recent) => Some(recent),
            None => {
                stored = self.database.get(fingerprint)?;
                stored.as_ref()
            }
        };
        match found {
            Some(found) => Ok(found.open().ok_or_else(spoiled)?.record),
            None => Ok(None),
        }
    }

    pub(crate) fn list(&self, filter: &Filter) -> Result<Vec<(Fingerprint, Record)>, Trouble> {
        let mut records = Vec::new();
        let mut trouble = None;
        let mut take = |found: &Sealed| match found.open() {
            Some(frame) => {
                if let Some(record) = frame.record.filter(|record| filter.admits(record)) {
                    records.push((frame.fingerprint, record));
                }
            }
            None => trouble = Some(spoiled()),
        };
        let mut unread = None;
        self.database.each(|value| match value {
            Ok(value) if self.recent.contains_key(&value.fingerprint) => {}
            Ok(value) => take(&value),
            Err(trouble) => unread = Some(trouble),
        })?;
        self.recent.values().for_each(take);
        records.sort_unstable_by_key(|(fingerprint, _)| *fingerprint);
        unread.or(trouble).map_or(Ok(records), Err)
    }

    /// Makes the changes, all or none, in their order. Of those that are `new` there is no record yet.
    pub(crate) fn commit<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
        new: &HashSet<Fingerprint>,
    ) -> Result<(), Trouble> {
        if self.log.mark().end > MOST {
            // It went wrong before. If it still does, this is where somebody hears of it.
            self.checkpoint()?;
        }
        let mut next = self.figures;
        next.sequence += 1;
        // The last change of each upload decides.
        let last: BTreeMap<&Fingerprint, &Change> = changes
            .map(|change| (change.fingerprint(), change))
            .collect();
        let mut values = Vec::with_capacity(last.len());
        let mut frames = Vec::new();
        for (fingerprint, change) in last {
            let stored;
            let old = match self.recent.get(fingerprint) {
                Some(recent) => Some(recent),
                None if new.contains(fingerprint) => None,
                None => {
                    stored = self.database.get(fingerprint)?;
                    stored.as_ref()
                }
            };
            if let Some(old) = old.filter(|old| old.has_record()) {
                next.subtract(old.bytes());
            }
            let record = match change {
                Change::Put(_, record) => Some(record),
                Change::Remove(_) => None,
            };
            let value = Sealed::new(next.sequence, *fingerprint, record);
            if value.has_record() {
                next.add(value.bytes());
            }
            frames.extend_from_slice(value.bytes());
            values.push(value);
        }
        // Also what it takes to bring all of it into the database: that must not fail later.
        let bytes = frames.len() as u64;
        if !self.has_room(bytes) {
            self.checkpoint()?;
            if !self.has_room(bytes) {
                return Err(self.full());
            }
        }
        self.log.append(&frames, next)?;
        self.figures = next;
        for value in values {
            self.recent.insert(value.fingerprint, value);
        }
        // It is only a hint, and the commit is durable.
        self.ledger.note_lightly(self.log.mark().note()).ok();
        Ok(())
    }

    /// Brings a long log into the database.
    pub(crate) fn relieve(&mut self) -> Result<(), Trouble> {
        if self.log.mark().end > LONG && self.has_room(0) {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Brings a log into the database that the next one would have to read, when there is time. On
    /// failure it stays as it is.
    pub(crate) fn rest(&mut self) -> Result<(), Trouble> {
        if self.log.mark().end > SHORT && self.has_room(0) {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Brings what is in the log into the database, and begins the log anew. A crash anywhere in
    /// between has it done once more.
    fn checkpoint(&mut self) -> Result<(), Trouble> {
        if self.recent.is_empty() {
            return Ok(());
        }
        if !self.has_room(0) {
            return Err(self.full());
        }
        self.ledger.intend(&self.settled, self.figures)?;
        self.database.apply(self.recent.values(), &self.figures)?;
        self.settled = self.figures;
        self.ledger.settle(self.figures)?;
        self.log.reset(self.ledger.note(), self.figures)?;
        self.ledger.note_durably(self.log.mark().note())?;
        self.recent.clear();
        Ok(())
    }

    fn full(&self) -> Trouble {
        let path = self.folder.clone();
        Trouble::Error(StoreError::Full { path })
    }

    /// Whether `bytes` more can be committed, and all of it be brought into the database.
    fn has_room(&self, bytes: u64) -> bool {
        let all = self.log.mark().end + bytes;
        // What is asked beyond the reserve is for closing again: sled then writes its page table.
        let wanted =
            2 * RESERVE + self.log.growth(bytes) + 4 * all + self.database.data_bytes() / 4;
        free_bytes(&self.folder) >= wanted
    }
}

/// Bytes of frames from which on the log goes into the database: so many that sled's syncs do not
/// show, and so few that reading them does not, nor the memory they take.
const LONG: u64 = 1024 * 1024;
/// As many are left to the next one who opens the store: they are read in no time.
const SHORT: u64 = 64 * 1024;
/// No log becomes longer than this and one commit, whatever the database's trouble.
const MOST: u64 = 4 * LONG;
