//! [`SledStore`]: records in sled, opened only behind the gate.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::database::Trouble;
use crate::files::{prepare_folder, private_folder};
use crate::house::House;
use crate::keeper::{Ended, Keeper, Missed};
use crate::lease::lease_file;
use crate::open::Open;
use crate::trail::Trails;
use crate::version::{self, VERSION_FILE};
use crate::{
    Change, Filter, Fingerprint, Lease, Record, ResumeStore, StoreError, StoreNotice, Trail,
};

/// A store in a directory of its own, shared by any number of processes of one user.
///
/// ```text
/// DIR/ (0700, files 0600)
///   VERSION           the format
///   gate.lock         held while sled is open        queue.lock   held shared by those who wait
///   records.sled/     the records                    records.ledger   what there should be
///   leases/FP.lock    held while one process drives that upload
///   trails/FP         digests of the blocks of an unfinished upload's source
/// ```
///
/// sled stays open between calls as long as nobody else wants it. A thread that lives only while
/// it is open looks every 20 ms and closes it for a waiter; after 10 s without a call it closes it
/// anyway. So an idle store never keeps others waiting.
///
/// # Errors
///
/// Any call may fail with [`StoreError::Full`], [`StoreError::Permission`],
/// [`StoreError::Newer`], [`StoreError::LocksUnsupported`] or [`StoreError::Io`], and with
/// [`StoreError::Busy`] when another process keeps the gate for half a minute. Damage is repaired
/// and told in a [`StoreNotice`]; only where that is impossible it is [`StoreError::Damaged`].
///
/// With less than 1 MiB free nothing is written, since sled itself hangs on a full disk.
pub struct SledStore {
    house: Arc<House>,
    trails: Trails,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    keeper: Option<Keeper>,
    /// The thread before this one, which may still be closing the database.
    previous: Option<Ended>,
    notices: Vec<StoreNotice>,
    /// The records were counted once by this process.
    counted: bool,
    /// Something was amiss with the open database: do not trust it again.
    suspect: bool,
}

impl SledStore {
    /// Uses `folder`, which is created if it does not exist. Its database is opened when first
    /// needed, not now.
    ///
    /// A folder that lets other users in is tightened to 0700 if it belongs to this user and is
    /// empty or holds a store already; any other such folder is refused, since it may be a home
    /// or a project named by mistake.
    ///
    /// # Errors
    ///
    /// [`StoreError::Permission`] for a folder that cannot be used safely, [`StoreError::Newer`]
    /// for the store of a newer version, and what the file system says.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = folder.as_ref();
        let notices = prepare_folder(folder, VERSION_FILE)?;
        version::check(folder)?;
        private_folder(&leases(folder))?;
        Ok(Self {
            house: Arc::new(House::new(folder)),
            trails: Trails::new(folder),
            inner: Mutex::new(Inner {
                notices: notices.into_iter().collect(),
                ..Inner::default()
            }),
        })
    }

    /// The state directory.
    pub fn folder(&self) -> &Path {
        self.house.folder()
    }

    /// Lets go of the database now. It is opened again when needed.
    pub fn close(&self) {
        self.lock().close();
    }

    /// Runs `op` on the open database. Damage found on the way is repaired, and `op` run again.
    fn with<T: Send + 'static>(
        &self,
        op: impl FnOnce(&mut Open) -> Result<T, Trouble> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut inner = self.lock();
        let mut repaired = false;
        let mut closed = 0;
        loop {
            match self.keeper(&mut inner)?.run(op.clone()) {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(Trouble::Error(error))) => {
                    inner.stop();
                    return Err(error);
                }
                Ok(Err(Trouble::Damaged(what))) => {
                    inner.stop();
                    self.house.room_or_full(&what, repaired)?;
                    repaired = true;
                    inner.suspect = true;
                }
                // It closed for somebody else at this moment. A new thread does this job first.
                Err(Missed::Closed) if closed < 3 => {
                    closed += 1;
                    inner.stop();
                }
                Err(_) => {
                    inner.stop();
                    return Err(self.no_answer());
                }
            }
        }
    }

    /// The thread that has the database open; started if there is none.
    fn keeper<'a>(&self, inner: &'a mut Inner) -> Result<&'a Keeper, StoreError> {
        let keeper = match inner.keeper.take() {
            Some(keeper) => keeper,
            None => {
                if let Some(previous) = inner.previous.take()
                    && !previous.wait(CLOSING)
                {
                    inner.previous = Some(previous);
                    return Err(self.no_answer());
                }
                let thorough = !inner.counted || inner.suspect;
                let keeper = Keeper::start(&self.house, thorough, inner.suspect)
                    .map_err(StoreError::io(self.folder()))?;
                match keeper.opened() {
                    Ok(Ok(notice)) => inner.notices.extend(notice),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => {
                        inner.previous = Some(keeper.stop());
                        return Err(self.no_answer());
                    }
                }
                inner.counted = true;
                inner.suspect = false;
                keeper
            }
        };
        Ok(inner.keeper.insert(keeper))
    }

    /// sled hangs on a full disk, and hardly ever otherwise.
    fn no_answer(&self) -> StoreError {
        match self.house.room_or_full("", false) {
            Err(full) => full,
            Ok(()) => StoreError::Io {
                path: self.folder().to_owned(),
                source: io::Error::new(io::ErrorKind::TimedOut, "the database does not answer"),
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing is left half done by a panic: at worst a thread is started anew.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResumeStore for SledStore {
    fn load(&self, fingerprint: &Fingerprint) -> Result<Option<Record>, StoreError> {
        let fingerprint = *fingerprint;
        self.with(move |open| open.load(&fingerprint))
    }

    fn list(&self, filter: Filter) -> Result<Vec<(Fingerprint, Record)>, StoreError> {
        self.with(move |open| open.list(&filter))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let changes: Arc<[Change]> = changes.into();
        self.with(move |open| open.commit(&changes))
    }

    fn lease(&self, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
        lease_file(&leases(self.folder()), fingerprint)
    }

    fn trail(&self, fingerprint: &Fingerprint, length: u64) -> Trail {
        self.trails.open(fingerprint, length)
    }

    fn remove_trail(&self, fingerprint: &Fingerprint) {
        self.trails.remove(fingerprint);
    }

    fn move_trail(&self, from: &Fingerprint, to: &Fingerprint) {
        self.trails.rename(from, to);
    }

    fn trails(&self) -> Vec<Fingerprint> {
        self.trails.list()
    }

    fn take_notices(&self) -> Vec<StoreNotice> {
        std::mem::take(&mut self.lock().notices)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore")
            .field("folder", &self.folder())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn stop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            self.previous = Some(keeper.stop());
        }
    }

    fn close(&mut self) {
        self.stop();
        if let Some(previous) = self.previous.take()
            && !previous.wait(CLOSING)
        {
            self.previous = Some(previous);
        }
    }
}

fn leases(folder: &Path) -> PathBuf {
    folder.join("leases")
}

/// How long a close may take before the thread is taken for stuck.
const CLOSING: Duration = Duration::from_secs(5);
