//! The bytes that stand for leases, each locked in two files.
//!
//! A lock on a file excludes those who open the same file. Once its name is unlinked a newcomer
//! makes and locks another one, and there would be two owners. So each byte is locked in two files,
//! and whoever removes one of them lets no second writer in. A store that next takes a lease or
//! commits finds out, and locks what it holds in the new file as well: then the other one may go.
//!
//! Always in the same order, so that of two who try at the same time one succeeds.
//!
//! As long as nobody else has any, a store that has the database open [locks them all](Bytes::widen):
//! its leases are then its own affair. Others find the byte that they want locked, pass the gate, for
//! which the database is closed and all but what is held is given back, and try again.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Stat};

use super::lock_error;
use crate::StoreError;
use crate::files::private_file;
use crate::guard::{GUARD_FILE, Locked, Outcome, Place, has_none, try_lock_all, unlock_all_but};

/// Both files, open, and what is locked in them.
pub(super) struct Bytes {
    state: PathBuf,
    /// The state directory, open: the way from here to the files is short.
    folder: File,
    files: [Guarded; 2],
    /// Locks of one open file do not exclude each other, so this does.
    held: HashSet<Place>,
    /// The file system has shown that it knows such locks.
    proven: bool,
    /// All bytes are locked, whether they are held or not.
    alone: bool,
}

/// What became of a wish to hold a byte.
pub(super) enum Answer {
    Held,
    Taken,
    /// There are no such locks here.
    Unsupported,
}

impl Bytes {
    pub(super) fn open(state: &Path) -> Result<Self, StoreError> {
        let [first, second] = paths(state);
        Ok(Self {
            state: state.to_owned(),
            folder: File::open(state).map_err(StoreError::io(state))?,
            files: [Guarded::open(first)?, Guarded::open(second)?],
            held: HashSet::new(),
            proven: false,
            alone: false,
        })
    }

    pub(super) fn holds(&self, place: Place) -> bool {
        self.held.contains(&place)
    }

    /// Holds the byte, if all are locked in any case; `false` if not.
    pub(super) fn take_at_once(&mut self, place: Place) -> bool {
        self.alone && self.held.insert(place)
    }

    /// Locks the byte in both files.
    pub(super) fn take(&mut self, place: Place) -> Result<Answer, StoreError> {
        if self.holds(place) {
            return Ok(Answer::Taken);
        }
        if self.alone && self.are_in_place() {
            self.held.insert(place);
            return Ok(Answer::Held);
        }
        self.files.iter_mut().for_each(Guarded::lock_absent);
        for _ in 0..ATTEMPTS {
            match self.lock(place)? {
                Answer::Held => {}
                other => return Ok(other),
            }
            // Only now: what newcomers open is locked, even if somebody removes files just here.
            if self.are_in_place() {
                self.held.insert(place);
                return Ok(Answer::Held);
            }
            self.unlock(place);
            self.reopen()?;
        }
        Err(StoreError::Io {
            path: self.files[1].path.clone(),
            source: io::Error::other("the lock file is replaced again and again"),
        })
    }

    pub(super) fn give_back(&mut self, place: Place) {
        if !self.alone {
            self.unlock(place);
        }
        self.held.remove(&place);
    }

    /// Locks all bytes, if nobody else has any: from here on it takes no call to hold one. If files are removed meanwhile, the
    /// next [`renew`](Self::renew) finds that out.
    pub(super) fn widen(&mut self) {
        // Looked at first: a try would be in the way of those who have some.
        if !self.files.iter().all(|file| has_none(&file.file)) {
            return;
        }
        let mut outcomes = self.files.iter().map(|file| try_lock_all(&file.file));
        let all = outcomes.all(|outcome| matches!(outcome, Outcome::Locked));
        self.alone = true;
        if all && self.are_in_place() {
            self.proven = true;
            self.files.iter_mut().for_each(|file| file.absent.clear());
        } else {
            self.narrow();
        }
    }

    /// Gives back what is not held.
    pub(super) fn narrow(&mut self) {
        if std::mem::take(&mut self.alone) {
            for file in &self.files {
                let kept = self
                    .held
                    .iter()
                    .filter(|place| !file.absent.contains(place));
                unlock_all_but(&file.file, kept.copied());
            }
        }
    }

    /// Opens anew what was replaced, and locks there what is held.
    /// What is about to be given back may stay as it is.
    pub(super) fn renew(&mut self, ending: &HashSet<Place>) -> Result<(), StoreError> {
        if self.files.iter().all(Guarded::is_at_its_path) {
            self.files
                .iter_mut()
                .for_each(|file| file.lock_absent_but(ending));
            return Ok(());
        }
        self.reopen()
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        self.narrow();
        let Self { files, held, .. } = self;
        for file in files {
            if !file.is_at_its_path() {
                let mut fresh = Guarded::open(file.path.clone())?;
                fresh.absent.extend(held.iter());
                fresh.lock_absent();
                *file = fresh;
            }
        }
        self.folder = File::open(&self.state).map_err(StoreError::io(&self.state))?;
        Ok(())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    fn lock(&mut self, place: Place) -> Result<Answer, StoreError> {
        for (index, file) in self.files.iter().enumerate() {
            let answer = match place.try_lock(&file.file) {
                Outcome::Locked => continue,
                Outcome::Taken => {
                    self.proven = true;
                    Ok(Answer::Taken)
                }
                Outcome::Unsupported if !self.proven => Ok(Answer::Unsupported),
                // Others rely on these locks by now.
                Outcome::Unsupported => Err(lock_error(
                    &file.path,
                    io::Error::from(io::ErrorKind::Unsupported),
                )),
                Outcome::Failed(error) => Err(lock_error(&file.path, error)),
            };
            let locked = &self.files[..index];
            locked.iter().for_each(|file| place.unlock(&file.file));
            return answer;
        }
        self.proven = true;
        Ok(Answer::Held)
    }

    fn unlock(&mut self, place: Place) {
        // The first one last: whoever gets it finds the other free.
        for file in self.files.iter_mut().rev() {
            match file.absent.iter().rposition(|absent| *absent == place) {
                Some(absent) => drop(file.absent.swap_remove(absent)),
                None => place.unlock(&file.file),
            }
        }
    }

    /// Whether newcomers open these very files.
    fn are_in_place(&self) -> bool {
        let mut named = NAMES.iter().zip(&self.files);
        named.all(|(name, file)| {
            let found = rustix::fs::statat(&self.folder, *name, AtFlags::SYMLINK_NOFOLLOW);
            found.is_ok_and(|found| file.is(&found))
        })
    }
}

/// One of the two files.
struct Guarded {
    path: PathBuf,
    file: File,
    stat: Stat,
    /// What is held and is not locked here yet: somebody tried for it at that moment, to find the other file's byte taken.
    /// Tried again with each lease and commit.
    absent: Vec<Place>,
}

impl Guarded {
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        let file = private_file(&path)?;
        let stat = rustix::fs::fstat(&file).map_err(|error| StoreError::io(&path)(error.into()))?;
        Ok(Self {
            path,
            file,
            stat,
            absent: Vec::new(),
        })
    }

    fn is_at_its_path(&self) -> bool {
        rustix::fs::lstat(&self.path).is_ok_and(|found| self.is(&found))
    }

    fn is(&self, found: &Stat) -> bool {
        found.st_ino == self.stat.st_ino && found.st_dev == self.stat.st_dev
    }

    fn lock_absent(&mut self) {
        self.lock_absent_but(&HashSet::new());
    }

    fn lock_absent_but(&mut self, ending: &HashSet<Place>) {
        let Self { file, absent, .. } = self;
        absent.retain(|place| {
            ending.contains(place) || !matches!(place.try_lock(file), Outcome::Locked)
        });
    }
}

/// Who has the byte; `None` if that cannot be told.
pub(super) fn look(state: &Path, place: Place) -> Option<Locked> {
    let [first, second] = paths(state);
    match place.look(&first) {
        Some(Locked::Not) => place.look(&second),
        other => other,
    }
}

/// In the order in which they are locked. Older versions know the first one only.
pub(super) fn paths(state: &Path) -> [PathBuf; 2] {
    NAMES.map(|name| state.join(name))
}

const NAMES: [&str; 2] = [GUARD_FILE, "leases/guard.lock"];

const ATTEMPTS: u32 = 10;
