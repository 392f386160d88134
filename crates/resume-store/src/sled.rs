//! [`SledStore`]: records in sled, opened only behind the gate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::files::{prepare_folder, private_folder};
use crate::house::{House, Open};
use crate::lease::lease_file;
use crate::version::{self, VERSION_FILE};
use crate::{Change, Filter, Fingerprint, Lease, Record, ResumeStore, StoreError, StoreNotice};

/// A store in a directory of its own, shared by any number of processes of one user.
///
/// ```text
/// DIR/ (0700, files 0600)
///   VERSION           the format
///   gate.lock         held while sled is open        queue.lock   held shared by those who wait
///   records.sled/     the records                    records.ledger   what there should be
///   leases/FP.lock    held while one process drives that upload
/// ```
///
/// sled stays open between calls as long as nobody else wants it. A thread that lives only while
/// it is open looks every 20 ms and closes it for a waiter; after 10 s without a call it closes it
/// anyway. So a store needs no thread of its owner's and never keeps others waiting.
///
/// # Errors
///
/// All operations may fail with [`StoreError::Full`], [`StoreError::Permission`],
/// [`StoreError::Newer`], [`StoreError::LocksUnsupported`], [`StoreError::Io`], and with
/// [`StoreError::Busy`] when another process keeps the gate for half a minute. Damage is repaired
/// and told in a [`StoreNotice`]; only where that is impossible it is [`StoreError::Damaged`].
pub struct SledStore {
    shared: Arc<Shared>,
}

struct Shared {
    house: House,
    state: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    open: Option<Open>,
    used: Option<Instant>,
    notices: Vec<StoreNotice>,
    /// The records were counted once by this process.
    counted: bool,
    /// Something was amiss with the open database: do not trust it again.
    suspect: bool,
    closer: bool,
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
        let state = Inner {
            notices: notices.into_iter().collect(),
            ..Inner::default()
        };
        Ok(Self {
            shared: Arc::new(Shared {
                house: House::new(folder),
                state: Mutex::new(state),
            }),
        })
    }

    /// The state directory.
    pub fn folder(&self) -> &Path {
        self.shared.house.folder()
    }

    /// Lets go of the database now. It is opened again when needed.
    pub fn close(&self) {
        self.shared.lock().close();
    }

    /// Runs `op` on the open database. Damage found on the way is repaired, and `op` run again.
    fn with<T>(
        &self,
        mut op: impl FnMut(&mut Open) -> Result<T, crate::database::Trouble>,
    ) -> Result<T, StoreError> {
        use crate::database::Trouble;

        let mut inner = self.shared.lock();
        let mut repaired = false;
        loop {
            let open = self.enter(&mut inner)?;
            match op(open) {
                Ok(done) => {
                    if open.is_wanted() {
                        inner.close();
                    } else {
                        inner.used = Some(Instant::now());
                    }
                    return Ok(done);
                }
                Err(trouble) => {
                    // After an error sled's view of itself may be off: begin with a fresh one.
                    inner.close();
                    match trouble {
                        Trouble::Error(error) => return Err(error),
                        Trouble::Damaged(what) => {
                            self.shared.house.room_or_full(&what, repaired)?;
                        }
                    }
                    repaired = true;
                    inner.suspect = true;
                }
            }
        }
    }

    fn enter<'a>(&self, inner: &'a mut Inner) -> Result<&'a mut Open, StoreError> {
        let open = match inner.open.take() {
            Some(open) => open,
            None => {
                let thorough = !inner.counted || inner.suspect;
                let opened = self.shared.house.open(thorough, inner.suspect)?;
                inner.counted = true;
                inner.suspect = false;
                inner.notices.extend(opened.notice);
                opened.open
            }
        };
        if !inner.closer {
            inner.closer = start_closer(Arc::downgrade(&self.shared));
        }
        Ok(inner.open.insert(open))
    }
}

impl ResumeStore for SledStore {
    fn load(&self, fingerprint: &Fingerprint) -> Result<Option<Record>, StoreError> {
        self.with(|open| open.load(fingerprint))
    }

    fn list(&self, filter: Filter) -> Result<Vec<(Fingerprint, Record)>, StoreError> {
        self.with(|open| open.list(&filter))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.with(|open| open.commit(changes))
    }

    fn lease(&self, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
        lease_file(&leases(self.folder()), fingerprint)
    }

    fn take_notices(&self) -> Vec<StoreNotice> {
        std::mem::take(&mut self.shared.lock().notices)
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // After a panic elsewhere the worst that is inside is an open database.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn close(&mut self) {
        self.open = None;
        self.used = None;
    }
}

/// Starts the thread that closes the database. Without it (the system may have no thread left) the
/// database is closed after each call that finds a waiter.
fn start_closer(shared: Weak<Shared>) -> bool {
    let builder = thread::Builder::new().name("store-closer".to_owned());
    builder.spawn(move || close_when_wanted(&shared)).is_ok()
}

fn close_when_wanted(shared: &Weak<Shared>) {
    loop {
        thread::sleep(LOOK);
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let mut inner = match shared.state.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // In use: whoever uses it looks for waiters afterwards.
            Err(TryLockError::WouldBlock) => continue,
        };
        let idle = inner.used.is_none_or(|used| used.elapsed() > IDLE);
        if idle || inner.open.as_ref().is_none_or(Open::is_wanted) {
            inner.close();
            inner.closer = false;
            return;
        }
    }
}

fn leases(folder: &Path) -> PathBuf {
    folder.join("leases")
}

/// A waiter gets the gate within this and the time of a close, 50 ms in all.
const LOOK: Duration = Duration::from_millis(20);
/// Nobody needs a database open that nobody uses.
const IDLE: Duration = Duration::from_secs(10);
