//! The database with all that surrounds it: gate, version, log, ledger; opened, checked, repaired.

use std::collections::HashSet;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::codec::{Frame, Sealed, to_millis};
use crate::database::{Database, Trouble};
use crate::files::{free_bytes, replace_file, sync_folder};
use crate::gate::Entry;
use crate::known::Known;
use crate::lease::Leases;
use crate::ledger::{Figures, Ledger};
use crate::open::Open;
use crate::recent::Recent;
use crate::salvage::{self, Found};
use crate::verdict::{Sound, Verdict, collect, count, glance, judge, newest, tally};
use crate::wal::{Content, LOG_FILE, Left, Log};
use crate::{Record, StoreError, StoreNotice, version};

/// A state directory.
pub(crate) struct House {
    folder: PathBuf,
    /// The records were counted once by this process.
    counted: AtomicBool,
    /// Something was amiss with the database when it was open last: do not trust it again.
    suspect: AtomicBool,
    /// A commit failed when it was open last: whether what is in the log is durable is unknown.
    unsure: AtomicBool,
    known: Known,
    leases: Leases,
    /// The log as it was when the database was closed last.
    left: Mutex<Left>,
}

/// The open database, and whatever is to be said about opening it.
pub(crate) struct Opened {
    pub(crate) open: Open,
    pub(crate) notice: Option<StoreNotice>,
}

impl House {
    pub(crate) fn new(folder: &Path, leases: Leases) -> Self {
        Self {
            folder: folder.to_owned(),
            counted: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            unsure: AtomicBool::new(false),
            known: Known::default(),
            leases,
            left: Mutex::default(),
        }
    }

    /// Has the next [`open`](Self::open) begin anew, whatever the count says.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Ordering::Release);
    }

    /// Has the next [`open`](Self::open) write the log once more.
    pub(crate) fn unsure(&self) {
        self.unsure.store(true, Ordering::Release);
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is in the database while it is open.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Closes the database, in which nothing is amiss.
    pub(crate) fn close(&self, open: Open) {
        let left = Left {
            mark: open.log.mark(),
            recent: open.recent,
        };
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }

    fn take_left(&self) -> Left {
        mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner))
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
        let unsure = self.unsure.load(Ordering::Acquire);
        let left = Some(self.take_left()).filter(|_| !thorough && !unsure);
        let (mut log, mut content) = Log::open(&self.folder, left.unwrap_or_default(), unsure)?;
        let mut recent = mem::take(&mut content.recent);
        let mut listed = None;
        let looked = self.look(&ledger, &content, &recent, thorough, &mut listed);
        let (database, verdict) = match looked {
            Ok((database, verdict)) => (Some(database), verdict),
            Err(Trouble::Error(error)) => return Err(error),
            Err(Trouble::Damaged(what)) => (None, Verdict::Damaged(what)),
        };
        let verdict = match verdict {
            Verdict::Sound(_) if suspect => Verdict::Damaged("a record cannot be read".to_owned()),
            verdict => verdict,
        };
        let (database, settled, figures, notice) = match (verdict, database) {
            (Verdict::Sound(sound), Some(database)) => {
                if sound.is_log_spent {
                    recent.clear();
                }
                let works = Works {
                    ledger: &mut ledger,
                    log: &mut log,
                    recent: &mut recent,
                };
                self.take_over(works, database, &sound, is_current)?
            }
            (Verdict::Damaged(what), database) => {
                // What is salvaged may be more than was counted.
                listed = None;
                self.room_or_full(&what, false)?;
                let expected = newest(&ledger, &content);
                let readable = Readable {
                    database,
                    recent: mem::take(&mut recent),
                    existed,
                };
                let (database, figures, notice) =
                    self.begin_anew(&mut ledger, &mut log, expected, readable)?;
                (database, figures, figures, Some(notice))
            }
            (Verdict::Sound(_), None) => {
                return Err(StoreError::Damaged {
                    path: self.records(),
                    what: "it cannot be opened".to_owned(),
                });
            }
        };
        let note = log.mark().note();
        if ledger.note() != Some(note) {
            ledger.note_durably(note)?;
        }
        if !is_current {
            // Last: a crash before this only has it done once more.
            match version::write(&self.folder) {
                // What is to be told must not be lost.
                Err(_) if notice.is_some() => {}
                other => other?,
            }
        }
        self.known.open(&figures, listed);
        self.counted.store(true, Ordering::Release);
        self.suspect.store(false, Ordering::Release);
        self.unsure.store(false, Ordering::Release);
        let open = Open {
            database,
            log,
            ledger,
            recent,
            settled,
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

    /// Opens the database and compares it and the log with the ledger.
    fn look(
        &self,
        ledger: &Ledger,
        content: &Content,
        recent: &Recent,
        thorough: bool,
        listed: &mut Option<HashSet<u64>>,
    ) -> Result<(Database, Verdict), Trouble> {
        let database = Database::open(&self.records())?;
        let stored = database.figures()?;
        if let Some(stored) = stored
            && !thorough
            && let Some(sound) = glance(stored, ledger, content)
        {
            return Ok((database, Verdict::Sound(sound)));
        }
        let verdict = match count(&database, recent) {
            Err(Trouble::Error(error)) => return Err(error.into()),
            // The open database is still good for reading what is left.
            Err(Trouble::Damaged(what)) => Verdict::Damaged(what),
            Ok(tally) => {
                let verdict = judge(&tally, stored, ledger, content, database.data_bytes());
                *listed = Some(tally.listed);
                verdict
            }
        };
        Ok((database, verdict))
    }

    /// Makes sound records ready for use: says what is to be said of them, and writes them anew where
    /// they are of an older format, or take too much space. With the figures of the database, and of
    /// all records.
    fn take_over(
        &self,
        works: Works<'_>,
        database: Database,
        sound: &Sound,
        is_current: bool,
    ) -> Result<(Database, Figures, Figures, Option<StoreNotice>), StoreError> {
        let Works {
            ledger,
            log,
            recent,
        } = works;
        // Nothing yet to be sure about in a store that was just made.
        let is_doubtful = sound.is_unconfirmed && sound.figures.count > 0;
        let notice = is_doubtful.then(|| StoreNotice::Unverified {
            path: ledger.path().to_owned(),
            found: sound.figures.count,
        });
        let has_room = self.has_room_to_renew(&database);
        if !is_current && !has_room {
            return Err(StoreError::Full {
                path: self.folder.clone(),
            });
        }
        if !is_current || (sound.is_bloated && has_room) {
            let (database, figures) = self.renew(ledger, log, database, sound, recent)?;
            recent.clear();
            return Ok((database, figures, figures, notice));
        }
        if sound.is_unconfirmed {
            ledger.reset(sound.settled)?;
        }
        if sound.is_log_spent {
            log.reset(ledger.note(), sound.figures)?;
        }
        Ok((database, sound.settled, sound.figures, notice))
    }

    /// Sets the damaged database aside and begins anew with what can be read of it and of the log.
    fn begin_anew(
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
    fn renew(
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
    fn has_room_to_renew(&self, database: &Database) -> bool {
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

/// What surrounds the database while it is opened.
struct Works<'a> {
    ledger: &'a mut Ledger,
    log: &'a mut Log,
    recent: &'a mut Recent,
}

/// What there is to read where something is damaged.
struct Readable {
    /// If it can be opened.
    database: Option<Database>,
    recent: Recent,
    /// There was a database before this process looked for one.
    existed: bool,
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
/// With less than this free on the disk sled is not even opened; a commit wants twice that.
pub(crate) const RESERVE: u64 = 512 * 1024;
