//! [`SledStore`]: records in a log and in sled, opened only behind the gate.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::database::Trouble;
use crate::files::{prepare_folder, private_folder};
use crate::house::House;
use crate::keeper::{Ended, Jobs, Keeper, Missed};
use crate::lease::{self, Leases};
use crate::open::Open;
use crate::prune::{PruneOptions, PruneReport, prune};
use crate::trail::Trails;
use crate::version::{self, VERSION_FILE};
use crate::{
    Change, Filter, Fingerprint, Holder, Lease, Record, ResumeStore, State, StoreError,
    StoreNotice, Trail,
};

/// A store in a directory of its own, shared by any number of processes of one user.
///
/// What is in it is told in the [crate's documentation](crate).
///
/// sled stays open between calls as long as nobody else wants it. A thread that lives only while
/// it is open looks every 20 ms and closes it for a waiter; after 10 s without a call it closes it
/// anyway. So an idle store never keeps others waiting.
///
/// Threads may share a store, in an [`Arc`] for one: what they want to commit at the same time
/// becomes one durable commit, so that many writers cost hardly more than one. A commit is one
/// append to a log and one sync; what is in the log goes into sled when it has become long, and when
/// the store is [pruned](Self::prune). What is in the log takes some hundred bytes of memory for each
/// upload.
///
/// # Errors
///
/// Any call may fail with [`StoreError::Full`], [`StoreError::Permission`],
/// [`StoreError::Newer`], [`StoreError::Older`], [`StoreError::LocksUnsupported`] or [`StoreError::Io`], and with
/// [`StoreError::Busy`] when another process keeps the gate for half a minute. Damage is repaired
/// and told in a [`StoreNotice`]; only where that is impossible it is [`StoreError::Damaged`].
///
/// With less than 1 MiB free nothing is written, since sled itself hangs on a full disk.
pub struct SledStore {
    house: Arc<House>,
    leases: Leases,
    trails: Trails,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    keeper: Option<Keeper>,
    /// How many there were, the present one included.
    keepers: u64,
    /// The thread before this one, which may still be closing the database.
    previous: Option<Ended>,
    notices: Vec<StoreNotice>,
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
    /// or [`StoreError::Older`] for the store of a version too far away, and what the file system says.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = folder.as_ref();
        let notices = prepare_folder(folder, VERSION_FILE)?;
        version::check(folder)?;
        private_folder(&lease::folder(folder))?;
        let leases = Leases::new(folder);
        Ok(Self {
            house: Arc::new(House::new(folder, leases.clone())),
            leases,
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

    /// Who drives the upload of `fingerprint` at this moment; `None` if nobody does.
    pub fn holder(&self, fingerprint: &Fingerprint) -> Option<Holder> {
        self.leases.holder(fingerprint)
    }

    /// Removes what nobody needs any more; see [`PruneOptions`]. `now` is the time that ages are
    /// counted to.
    ///
    /// Uploads that somebody drives at this moment are left alone and named in the report. What
    /// is removed beside the database may stay after a failure, and goes the next time.
    ///
    /// # Errors
    ///
    /// When the records cannot be read or removed.
    pub fn prune(
        &self,
        options: &PruneOptions,
        now: SystemTime,
    ) -> Result<PruneReport, StoreError> {
        prune(self, options, now)
    }

    /// Leaves nothing outdated in the log.
    pub(crate) fn tidy(&self) -> Result<(), StoreError> {
        self.ask(|jobs| jobs.run(Open::tidy))
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Lets go of the database now. It is opened again when needed.
    pub fn close(&self) {
        self.lock().close();
    }

    /// Asks the thread that has the database open. Damage found on the way is repaired, and the
    /// thread asked again.
    fn ask<T>(
        &self,
        question: impl Fn(Jobs) -> Result<Result<T, Trouble>, Missed>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let mut repaired = false;
        loop {
            let (keeper, jobs) = self.keeper()?;
            let answer = question(jobs);
            if !matches!(answer, Ok(Ok(_))) {
                self.lock().stop(keeper);
            }
            match answer {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(Trouble::Error(error))) => return Err(error),
                Ok(Err(Trouble::Damaged(what))) => {
                    self.house.room_or_full(&what, repaired)?;
                    repaired = true;
                }
                // It closed at this moment: for another process, or over another caller's trouble.
                Err(Missed::Closed) if begun.elapsed() < PATIENCE => {}
                Err(_) => return Err(self.no_answer()),
            }
        }
    }

    /// The thread that has the database open, and its number; started if there is none.
    fn keeper(&self) -> Result<(u64, Jobs), StoreError> {
        let mut inner = self.lock();
        if inner.keeper.is_none() {
            if let Some(previous) = inner.previous.take()
                && !previous.wait(CLOSING)
            {
                inner.previous = Some(previous);
                return Err(self.no_answer());
            }
            let keeper = Keeper::start(&self.house).map_err(StoreError::io(self.folder()))?;
            match keeper.opened() {
                Ok(Ok(notice)) => inner.notices.extend(notice),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    inner.previous = Some(keeper.stop());
                    return Err(self.no_answer());
                }
            }
            inner.keepers += 1;
            inner.keeper = Some(keeper);
        }
        match &inner.keeper {
            Some(keeper) => Ok((inner.keepers, keeper.jobs())),
            None => Err(self.no_answer()),
        }
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
        self.ask(|jobs| jobs.run(move |open| open.load(&fingerprint)))
    }

    fn load_many(&self, fingerprints: &[Fingerprint]) -> Result<Vec<Option<Record>>, StoreError> {
        if fingerprints.is_empty() {
            return Ok(Vec::new());
        }
        let fingerprints: Arc<[Fingerprint]> = fingerprints.into();
        self.ask(|jobs| {
            let fingerprints = Arc::clone(&fingerprints);
            jobs.run(move |open| fingerprints.iter().map(|whose| open.load(whose)).collect())
        })
    }

    fn list(&self, filter: Filter) -> Result<Vec<(Fingerprint, Record)>, StoreError> {
        self.ask(|jobs| {
            let filter = filter.clone();
            jobs.run(move |open| open.list(&filter))
        })
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.commit_shared(&changes.into())
    }

    fn commit_shared(&self, changes: &Arc<[Change]>) -> Result<(), StoreError> {
        let ending = changes.iter().filter(|change| match change {
            Change::Put(_, record) => record.state == State::Finished,
            Change::Remove(_) => true,
        });
        self.leases.renew(ending.map(Change::fingerprint));
        if changes.is_empty() {
            return Ok(());
        }
        self.ask(|jobs| jobs.commit(Arc::clone(changes)))
    }

    fn lease(&self, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
        self.leases.take(fingerprint)
    }

    fn lease_new(&self, fingerprint: &Fingerprint) -> Option<Lease> {
        let known = self.house.known();
        if !known.lacks(fingerprint) {
            return None;
        }
        let lease = self.leases.take_soon_named(fingerprint)?;
        // Once more: from here on nobody else commits for it, before somebody may have.
        known.lacks(fingerprint).then_some(lease)
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
    /// Stops the thread of that number, unless another caller did.
    fn stop(&mut self, number: u64) {
        if self.keepers == number {
            self.stop_keeper();
        }
    }

    fn stop_keeper(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            self.previous = Some(keeper.stop());
        }
    }

    fn close(&mut self) {
        self.stop_keeper();
        if let Some(previous) = self.previous.take()
            && !previous.wait(CLOSING)
        {
            self.previous = Some(previous);
        }
    }
}

/// How long a close may take before the thread is taken for stuck.
const CLOSING: Duration = Duration::from_secs(5);
/// How long the database may be closed again and again before a caller's turn comes.
const PATIENCE: Duration = Duration::from_secs(30);
