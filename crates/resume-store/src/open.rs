//! The open database and its log, and what is done with them.

use std::collections::{BTreeMap, HashSet};
use std::mem;
use std::path::PathBuf;

use crate::codec::Sealed;
use crate::database::{Database, Trouble, spoiled};
use crate::files::free_bytes;
use crate::gate::Entry;
use crate::house::RESERVE;
use crate::ledger::{self, Figures, Ledger};
use crate::recent::{Place, Recent};
use crate::wal::Log;
use crate::{Change, Filter, Fingerprint, Record, StoreError};

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
        let found = match self.recent.get(fingerprint) {
            Some(place) => Some(self.log.frame(fingerprint, place)?),
            None => self.database.get(fingerprint)?,
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
            Ok(value) if self.recent.contains(&value.fingerprint) => {}
            Ok(value) => take(&value),
            Err(trouble) => unread = Some(trouble),
        })?;
        for (fingerprint, place) in self.recent.iter() {
            take(&self.log.frame(fingerprint, place)?);
        }
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
        let mut places = Vec::with_capacity(last.len());
        let mut frames = Vec::new();
        for (fingerprint, change) in last {
            if let Some(old) = self.counted(fingerprint, new)? {
                next.subtract_digest(&old);
            }
            let record = match change {
                Change::Put(_, record) => Some(record),
                Change::Remove(_) => None,
            };
            let frame = Sealed::new(next.sequence, *fingerprint, record);
            let place = Place::new(frames.len() as u64, &frame);
            if let Some(digest) = &place.digest {
                next.add_digest(digest);
            }
            frames.extend_from_slice(frame.bytes());
            places.push((*fingerprint, place));
        }
        // Also what it takes to bring all of it into the database: that must not fail later.
        let bytes = frames.len() as u64;
        if !self.has_room(bytes) {
            self.checkpoint()?;
            if !self.has_room(bytes) {
                return Err(self.full());
            }
        }
        let begin = self.log.mark().end;
        self.log.append(&frames, next)?;
        self.figures = next;
        for (fingerprint, mut place) in places {
            place.at += begin;
            self.recent.insert(fingerprint, place);
        }
        // It is only a hint, and the commit is durable.
        self.ledger.note_lightly(self.log.mark().note()).ok();
        Ok(())
    }

    /// What the record of `fingerprint` is counted as now, if there is one. Of those that are `new`
    /// there is none.
    fn counted(
        &self,
        fingerprint: &Fingerprint,
        new: &HashSet<Fingerprint>,
    ) -> Result<Option<[u8; 16]>, Trouble> {
        if let Some(place) = self.recent.get(fingerprint) {
            return Ok(place.digest);
        }
        if new.contains(fingerprint) {
            return Ok(None);
        }
        let stored = self.database.get(fingerprint)?;
        let stored = stored.filter(Sealed::has_record);
        Ok(stored.map(|stored| ledger::digest(stored.bytes())))
    }

    /// Brings a long log into the database.
    pub(crate) fn relieve(&mut self) -> Result<(), Trouble> {
        if self.log.mark().end > LONG && self.has_room(0) {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Brings what is in the log into the database, and leaves nothing outdated in it, where the disk
    /// has room for that.
    pub(crate) fn tidy(&mut self) -> Result<(), Trouble> {
        if self.has_room(0) {
            self.checkpoint()?;
            self.log.clear()?;
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
        let mut values = Vec::new();
        let mut bytes = 0;
        for (fingerprint, place) in self.recent.iter() {
            if bytes > BATCH {
                self.database.put(mem::take(&mut values).iter())?;
                bytes = 0;
            }
            bytes += u64::from(place.length);
            values.push(self.log.frame(fingerprint, place)?);
        }
        self.database.apply(values.iter(), &self.figures)?;
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

/// Bytes of frames from which on the log goes into the database. The log is the cheaper home: so many
/// uploads live and end there that most stores never need another. More would show when it is read.
const LONG: u64 = 8 * 1024 * 1024;
/// No log becomes longer than this and one commit, whatever the database's trouble.
const MOST: u64 = 4 * LONG;
/// Bytes of frames that the database is given at once, since they are in memory then.
const BATCH: u64 = 1024 * 1024;
