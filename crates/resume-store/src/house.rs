//! The database with all that surrounds it: gate, version, ledger; opened, checked, repaired.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use crate::codec::to_millis;
use crate::database::{Database, Trouble};
use crate::files::{free_bytes, sync_folder};
use crate::gate::Entry;
use crate::ledger::{Figures, Ledger};
use crate::open::Open;
use crate::salvage::{self, Found};
use crate::{Record, StoreError, StoreNotice, version};

/// A state directory.
pub(crate) struct House {
    folder: PathBuf,
    /// The records were counted once by this process.
    counted: AtomicBool,
    /// Something was amiss with the database when it was open last: do not trust it again.
    suspect: AtomicBool,
}

/// The open database, and whatever is to be said about opening it.
pub(crate) struct Opened {
    pub(crate) open: Open,
    pub(crate) notice: Option<StoreNotice>,
}

impl House {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            counted: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
        }
    }

    /// Has the next [`open`](Self::open) begin anew, whatever the count says.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Ordering::Release);
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Passes the gate, opens the database, and brings an older format up to date.
    ///
    /// The first time all records are counted; later the figures stored with them must do.
    pub(crate) fn open(&self) -> Result<Opened, StoreError> {
        let entry = Entry::wait(&self.folder)?;
        let is_current = version::check(&self.folder)? == version::CURRENT;
        let suspect = self.suspect.load(Ordering::Acquire);
        let thorough = suspect || !is_current || !self.counted.load(Ordering::Acquire);
        self.finish_swap()?;
        let existed = self.records().exists();
        // sled hangs on a full disk, and what it began there would be taken for damage.
        self.room_or_full("", false)?;
        let mut ledger = Ledger::open(&self.folder)?;
        let (database, verdict) = match self.look(&ledger, thorough) {
            Ok((database, verdict)) => (Some(database), verdict),
            Err(Trouble::Error(error)) => return Err(error),
            Err(Trouble::Damaged(what)) => (None, Verdict::Damaged(what)),
        };
        let verdict = match verdict {
            Verdict::Sound(_) | Verdict::Unconfirmed(_) | Verdict::Bloated(_) if suspect => {
                Verdict::Damaged("a record cannot be read".to_owned())
            }
            verdict => verdict,
        };
        let (database, figures, notice) = match (verdict, database) {
            (Verdict::Sound(figures), Some(database)) => (database, figures, None),
            (Verdict::Unconfirmed(figures), Some(database)) => {
                ledger.reset(figures)?;
                // Nothing yet to be sure about in a store that was just made.
                let notice = (figures.count > 0).then(|| StoreNotice::Unverified {
                    path: ledger.path().to_owned(),
                    found: figures.count,
                });
                (database, figures, notice)
            }
            (Verdict::Bloated(figures), Some(database)) => {
                let (database, figures) = match self.has_room_to_renew(&database) {
                    true => self.renew(&mut ledger, database, figures)?,
                    false => (database, figures),
                };
                (database, figures, None)
            }
            (Verdict::Damaged(what), database) => {
                self.room_or_full(&what, false)?;
                self.begin_anew(&mut ledger, database, existed)?
            }
            (_, None) => {
                return Err(StoreError::Damaged {
                    path: self.records(),
                    what: "it cannot be opened".to_owned(),
                });
            }
        };
        // What is to be told of a repair must not be lost to a failure here: the next one migrates.
        let (database, figures) = if is_current || notice.is_some() {
            (database, figures)
        } else if self.has_room_to_renew(&database) {
            let renewed = self.renew(&mut ledger, database, figures)?;
            // Last: a crash before this only has it done once more.
            version::write(&self.folder)?;
            renewed
        } else {
            return Err(StoreError::Full {
                path: self.folder.clone(),
            });
        };
        self.counted.store(true, Ordering::Release);
        self.suspect.store(false, Ordering::Release);
        let open = Open {
            database,
            ledger,
            figures,
            folder: self.folder.clone(),
            entry,
        };
        Ok(Opened { open, notice })
    }

    /// `Ok` if damage may be repaired; an error if it only looks like damage because the disk is
    /// full, or if that was tried before.
    pub(crate) fn room_or_full(&self, what: &str, repaired: bool) -> Result<(), StoreError> {
        if free_bytes(&self.folder) < RESERVE {
            return Err(StoreError::Full {
                path: self.folder.clone(),
            });
        }
        if repaired {
            return Err(StoreError::Damaged {
                path: self.records(),
                what: what.to_owned(),
            });
        }
        Ok(())
    }

    /// Opens the database and compares it with the ledger.
    fn look(&self, ledger: &Ledger, thorough: bool) -> Result<(Database, Verdict), Trouble> {
        let database = Database::open(&self.records())?;
        let stored = database.figures()?;
        if let Some(stored) = stored
            && !thorough
            && ledger.knows(&stored)
        {
            return Ok((database, Verdict::Sound(stored)));
        }
        let verdict = match count(&database) {
            Err(Trouble::Error(error)) => return Err(error.into()),
            // The open database is still good for reading what is left.
            Err(Trouble::Damaged(what)) => Verdict::Damaged(what),
            Ok(tally) => judge(&tally, stored, ledger, database.data_bytes()),
        };
        Ok((database, verdict))
    }

    /// Sets the damaged database aside and begins anew with what can be read of it.
    fn begin_anew(
        &self,
        ledger: &mut Ledger,
        database: Option<Database>,
        existed: bool,
    ) -> Result<(Database, Figures, Option<StoreNotice>), StoreError> {
        let expected = ledger.expected();
        let readable = database.as_ref().map(collect).unwrap_or_default();
        drop(database);
        let mut all = readable.clone();
        salvage::scan(&self.records(), &mut all);
        if !existed {
            // It was made a moment ago, by looking for it.
            remove_all(&self.records())?;
        }
        // Raw bytes hold outdated records too, which are not wanted if nothing is missing.
        let mut found = match ledger.confirm(&tally(&readable)) {
            Some(_) => readable,
            None => all,
        };
        found.retain(|_, frame| frame.record.is_some());
        let complete = ledger.confirm(&tally(&found)).is_some();
        let kept = found.len() as u64;
        let newest = found
            .values()
            .map(|frame| frame.sequence)
            .max()
            .unwrap_or(0);
        let stamp = to_millis(SystemTime::now());
        let aside = self.folder.join(format!("{DAMAGED}{stamp}"));
        let (database, figures) = self.rewrite(ledger, found, newest, &aside)?;
        let aside = aside.exists().then_some(aside);
        let notice = StoreNotice::Damaged {
            aside,
            expected,
            kept,
            complete,
        };
        Ok((database, figures, Some(notice)))
    }

    /// Writes all records, as the present format has them, into a new database and drops the old
    /// one. Nothing outdated remains, secrets of finished uploads neither.
    fn renew(
        &self,
        ledger: &mut Ledger,
        database: Database,
        figures: Figures,
    ) -> Result<(Database, Figures), StoreError> {
        let mut found = collect(&database);
        drop(database);
        found.retain(|_, frame| frame.record.is_some());
        let records = found.values_mut().filter_map(|frame| frame.record.as_mut());
        records.for_each(Record::shrink);
        let old = self.old();
        let renewed = self.rewrite(ledger, found, figures.sequence, &old)?;
        remove_all(&old)?;
        Ok(renewed)
    }

    /// sled hangs on a full disk, so space for both is wanted before.
    fn has_room_to_renew(&self, database: &Database) -> bool {
        free_bytes(&self.folder) >= 2 * RESERVE + database.data_bytes()
    }

    /// Writes `found` into a new database and puts it in the place of the present one, which goes
    /// `aside`.
    fn rewrite(
        &self,
        ledger: &mut Ledger,
        found: Found,
        newest: u64,
        aside: &Path,
    ) -> Result<(Database, Figures), StoreError> {
        let draft = self.draft();
        remove_all(&draft)?;
        let values: BTreeMap<_, _> = found
            .into_iter()
            .map(|(fingerprint, frame)| (fingerprint, frame.encode()))
            .collect();
        let mut figures = Figures {
            sequence: ledger.sequence().max(newest) + 1,
            ..Figures::default()
        };
        values.values().for_each(|value| figures.add(value));
        Database::open(&draft)
            .and_then(|mut database| database.apply(values.into_iter(), &figures))
            .map_err(|trouble| self.give_up(trouble))?;

        // The draft is whole and the present one still there: a crash now begins this again, a
        // crash between the two renames is finished by `finish_swap`.
        ledger.reset(figures)?;
        let records = self.records();
        if records.exists() {
            fs::rename(&records, aside).map_err(StoreError::io(&records))?;
        }
        fs::rename(&draft, self.records()).map_err(StoreError::io(&draft))?;
        sync_folder(&self.folder)?;
        let database = Database::open(&self.records()).map_err(|trouble| self.give_up(trouble))?;
        Ok((database, figures))
    }

    /// Puts a finished draft in its place after a crash in the middle of a rewrite.
    fn finish_swap(&self) -> Result<(), StoreError> {
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

    fn records(&self) -> PathBuf {
        self.folder.join("records.sled")
    }

    fn old(&self) -> PathBuf {
        self.folder.join("records.sled.old")
    }

    fn draft(&self) -> PathBuf {
        self.folder.join("records.sled.new")
    }
}

enum Verdict {
    /// As the ledger says.
    Sound(Figures),
    /// Sound, and mostly dead space.
    Bloated(Figures),
    /// In itself consistent, and the ledger is of no help.
    Unconfirmed(Figures),
    /// Records are missing or spoiled.
    Damaged(String),
}

fn judge(found: &Tally, stored: Option<Figures>, ledger: &Ledger, data_bytes: u64) -> Verdict {
    let missing = || Verdict::Damaged("records are missing".to_owned());
    match (ledger.confirm(&found.figures), stored) {
        (Some(slot), _)
            if data_bytes > BLOATED.max(found.bytes.saturating_mul(16))
                || found.removed > MARKS.max(found.figures.count) =>
        {
            Verdict::Bloated(slot)
        }
        (Some(slot), _) => Verdict::Sound(slot),
        // One slot is spoiled, and the database is newer than the other and whole in itself.
        (None, Some(stored))
            if stored.same_records(&found.figures) && ledger.may_have_known(&stored) =>
        {
            Verdict::Unconfirmed(stored)
        }
        (None, _) if ledger.expected().is_some() => missing(),
        (None, None) if found.figures.count == 0 => Verdict::Unconfirmed(found.figures),
        (None, _) => missing(),
    }
}

struct Tally {
    figures: Figures,
    bytes: u64,
    removed: u64,
}

fn count(database: &Database) -> Result<Tally, Trouble> {
    let mut tally = Tally {
        figures: Figures::default(),
        bytes: 0,
        removed: 0,
    };
    let mut spoiled = None;
    database.each(|value| match value {
        Ok(value) if value.frame.record.is_some() => {
            tally.figures.add(&value.bytes);
            tally.bytes += value.bytes.len() as u64;
        }
        Ok(_) => tally.removed += 1,
        Err(trouble) => spoiled = Some(trouble),
    })?;
    spoiled.map_or(Ok(tally), Err)
}

/// Everything that can be read, whatever else happens.
fn collect(database: &Database) -> Found {
    let mut found = Found::new();
    // Where reading ends, what was read remains.
    database
        .each(|value| {
            if let Ok(value) = value {
                salvage::keep(&mut found, value.frame);
            }
        })
        .ok();
    found
}

fn tally(found: &Found) -> Figures {
    let mut figures = Figures::default();
    let records = found.values().filter(|frame| frame.record.is_some());
    records.for_each(|frame| figures.add(&frame.encode()));
    figures
}

fn remove_all(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(_) if !folder.exists() => Ok(()),
        other => other.map_err(StoreError::io(folder)),
    }
}

/// What a damaged database is called once it is set aside, before the time in milliseconds.
pub(crate) const DAMAGED: &str = "records.sled.damaged-";
/// With less than this free on the disk sled is not even opened; a commit wants twice that.
pub(crate) const RESERVE: u64 = 512 * 1024;
/// A data file below this is never worth rewriting.
const BLOATED: u64 = 4 * 1024 * 1024;
/// Marks of removals below this do not matter.
const MARKS: u64 = 1000;
