//! The database with all that surrounds it: gate, version, log, ledger; opened, checked, repaired.

mod rewrite;

use std::collections::HashSet;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

pub(crate) use self::rewrite::DAMAGED;
use self::rewrite::Readable;
use crate::database::{Database, Trouble};
use crate::files::free_bytes;
use crate::gate::Entry;
use crate::known::Known;
use crate::lease::Leases;
use crate::ledger::{Figures, Ledger};
use crate::open::Open;
use crate::recent::Recent;
use crate::verdict::{Sound, Verdict, count, glance, judge, newest};
use crate::wal::{Content, Left, Log};
use crate::{StoreError, StoreNotice, version};

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
}

/// What surrounds the database while it is opened.
struct Works<'a> {
    ledger: &'a mut Ledger,
    log: &'a mut Log,
    recent: &'a mut Recent,
}

/// With less than this free on the disk sled is not even opened; a commit wants twice that.
pub(crate) const RESERVE: u64 = 512 * 1024;
