//! The database written anew: with what can be read where it is damaged, or in the present format.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{House, RESERVE};
use crate::codec::{Frame, Sealed, to_millis};
use crate::database::{Database, Trouble};
use crate::files::{free_bytes, replace_file, sync_folder};
use crate::ledger::{Figures, Ledger};
use crate::recent::Recent;
use crate::salvage::{self, Found};
use crate::verdict::{Sound, collect, tally};
use crate::wal::{LOG_FILE, Log};
use crate::{Record, StoreError, StoreNotice};

impl House {
    /// Sets the damaged database aside and begins anew with what can be read of it and of the log.
    pub(super) fn begin_anew(
        &self,
        ledger: &mut Ledger,
        log: &mut Log,
        expected: Option<Figures>,
        readable: Readable,
    ) -> Result<(Database, Figures, StoreNotice), StoreError> {
        let Readable {
            database,
            recent,
            existed,
        } = readable;
        let is_complete = |found: &Found| {
            let found = tally(found);
            expected.is_some_and(|expected| expected.same_records(&found))
        };
        let mut readable = database.as_ref().map(collect).unwrap_or_default();
        drop(database);
        keep_recent(&mut readable, log, &recent);
        let mut all = readable.clone();
        salvage::scan(&self.records(), &mut all);
        let raw = log.raw();
        salvage::scan_bytes(&raw, &mut all);
        if !existed {
            // It was made a moment ago, by looking for it.
            remove_all(&self.records())?;
        }
        // Raw bytes hold outdated records too, which are not wanted if nothing is missing.
        let mut found = if is_complete(&readable) {
            readable
        } else {
            all
        };
        found.retain(|_, frame| frame.record.is_some());
        let complete = is_complete(&found);
        let kept = found.len() as u64;
        let sequences = found.values().map(|frame| frame.sequence);
        let newest = sequences.chain(expected.map(|it| it.sequence)).max();
        shrink(&mut found);
        let stamp = to_millis(SystemTime::now());
        let aside = self.folder.join(format!("{DAMAGED}{stamp}"));
        let (database, figures) = self.rewrite(ledger, None, found, newest.unwrap_or(0), &aside)?;
        let aside = aside.exists().then_some(aside);
        if let Some(aside) = &aside {
            // For people: what could be read of it was read.
            replace_file(&aside.join(LOG_FILE), &raw).ok();
        }
        log.reset(ledger.note(), figures)?;
        log.clear()?;
        let notice = StoreNotice::Damaged {
            aside,
            expected: expected.map(|expected| expected.count),
            kept,
            complete,
        };
        Ok((database, figures, notice))
    }

    /// Writes all records, as the present format has them, into a new database and drops the old
    /// one and the log. Nothing outdated remains, secrets of finished uploads neither.
    pub(super) fn renew(
        &self,
        ledger: &mut Ledger,
        log: &mut Log,
        database: Database,
        sound: &Sound,
        recent: &Recent,
    ) -> Result<(Database, Figures), StoreError> {
        let mut found = collect(&database);
        drop(database);
        keep_recent(&mut found, log, recent);
        found.retain(|_, frame| frame.record.is_some());
        shrink(&mut found);
        let old = self.old();
        // A ledger that is of no help has no slot worth keeping.
        let current = (!sound.is_unconfirmed).then_some(&sound.settled);
        let (database, figures) =
            self.rewrite(ledger, current, found, sound.figures.sequence, &old)?;
        log.reset(ledger.note(), figures)?;
        log.clear()?;
        remove_all(&old)?;
        Ok((database, figures))
    }

    /// sled hangs on a full disk, so space for both is wanted before.
    pub(super) fn has_room_to_renew(&self, database: &Database) -> bool {
        free_bytes(&self.folder) >= 2 * RESERVE + database.data_bytes()
    }

    /// Writes `found` into a new database and puts it in the place of the present one, which goes
    /// `aside`. `current` are the figures of the present one, if they can be relied upon.
    fn rewrite(
        &self,
        ledger: &mut Ledger,
        current: Option<&Figures>,
        found: Found,
        newest: u64,
        aside: &Path,
    ) -> Result<(Database, Figures), StoreError> {
        let draft = self.draft();
        remove_all(&draft)?;
        let seal =
            |frame: &Frame| Sealed::new(frame.sequence, frame.fingerprint, frame.record.as_ref());
        let values: Vec<_> = found.values().map(seal).collect();
        drop(found);
        let known = ledger.newest().map_or(0, |figures| figures.sequence);
        let mut figures = Figures {
            sequence: known.max(newest) + 1,
            ..Figures::default()
        };
        values.iter().for_each(|value| figures.add(value.bytes()));
        Database::open(&draft)
            .and_then(|mut database| database.apply(values.iter(), &figures))
            .map_err(|trouble| self.give_up(trouble))?;

        // The draft is whole and the present one still there: a crash now begins this again, a
        // crash between the two renames is finished by `finish_swap`.
        match current {
            Some(current) => ledger.intend(current, figures)?,
            None => ledger.reset(figures)?,
        }
        let records = self.records();
        if records.exists() {
            fs::rename(&records, aside).map_err(StoreError::io(&records))?;
        }
        fs::rename(&draft, self.records()).map_err(StoreError::io(&draft))?;
        sync_folder(&self.folder)?;
        ledger.settle(figures)?;
        let database = Database::open(&self.records()).map_err(|trouble| self.give_up(trouble))?;
        Ok((database, figures))
    }

    /// Puts a finished draft in its place after a crash in the middle of a rewrite.
    pub(super) fn finish_swap(&self) -> Result<(), StoreError> {
        let (records, draft) = (self.records(), self.draft());
        if draft.exists() {
            if records.exists() {
                // Whether the draft is whole is unknown, and what it was made of is still there.
                remove_all(&draft)?;
            } else {
                fs::rename(&draft, &records).map_err(StoreError::io(&draft))?;
                sync_folder(&self.folder)?;
            }
        }
        if records.exists() {
            remove_all(&self.old())?;
        }
        Ok(())
    }

    fn give_up(&self, trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::Error(error) => error,
            Trouble::Damaged(what) => StoreError::Damaged {
                path: self.records(),
                what,
            },
        }
    }

    pub(super) fn records(&self) -> PathBuf {
        self.folder.join("records.sled")
    }

    fn old(&self) -> PathBuf {
        self.folder.join("records.sled.old")
    }

    fn draft(&self) -> PathBuf {
        self.folder.join("records.sled.new")
    }
}

/// What there is to read where something is damaged.
pub(super) struct Readable {
    /// If it can be opened.
    pub(super) database: Option<Database>,
    pub(super) recent: Recent,
    /// There was a database before this process looked for one.
    pub(super) existed: bool,
}

/// Keeps the newest of each, as far as it can be read.
fn keep_recent(found: &mut Found, log: &Log, recent: &Recent) {
    for (fingerprint, place) in recent.iter() {
        let frame = log.frame(fingerprint, place).ok();
        if let Some(frame) = frame.and_then(|frame| frame.open()) {
            salvage::keep(found, frame);
        }
    }
}

fn shrink(found: &mut Found) {
    let records = found.values_mut().filter_map(|frame| frame.record.as_mut());
    records.for_each(Record::shrink);
}

fn remove_all(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(_) if !folder.exists() => Ok(()),
        other => other.map_err(StoreError::io(folder)),
    }
}

/// What a damaged database is called once it is set aside, before the time in milliseconds.
pub(crate) const DAMAGED: &str = "records.sled.damaged-";
