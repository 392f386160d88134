//! [`Lease`]: the right of one process to drive one upload, for as long as it takes.

mod bytes;
mod file;
mod names;

use std::any::Any;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use self::bytes::{Answer, Bytes};
use self::names::Names;
use crate::codec::to_millis;
use crate::files::host_name;
use crate::gate::Entry;
use crate::guard::{Locked, Place};
use crate::{Fingerprint, Holder, StoreError};

/// The right to drive the upload of one fingerprint. Ends when dropped, and with the process,
/// however that ends.
#[must_use = "dropping a lease gives it back"]
pub struct Lease {
    fingerprint: Fingerprint,
    _guard: Box<dyn Any + Send + Sync>,
}

impl Lease {
    /// A lease that lasts as long as `guard` lives. For implementers of
    /// [`ResumeStore`](crate::ResumeStore).
    pub fn new(fingerprint: Fingerprint, guard: impl Any + Send + Sync) -> Self {
        Self {
            fingerprint,
            _guard: Box::new(guard),
        }
    }

    /// Whose lease it is.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.fingerprint).finish()
    }
}

/// The leases of one store: a byte each, locked in files that are opened once.
///
/// A lease taken and given back is six system calls and leaves nothing behind; none at all as long as the
/// database is open and nobody else has one.
#[derive(Clone)]
pub(crate) struct Leases(Arc<Shared>);

struct Shared {
    state: PathBuf,
    /// The file system has no locks on bytes of an open file.
    files_only: AtomicBool,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Opened with the first lease.
    bytes: Option<Bytes>,
    names: Names,
}

impl Leases {
    pub(crate) fn new(state: &Path) -> Self {
        Self(Arc::new(Shared {
            state: state.to_owned(),
            files_only: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                bytes: None,
                names: Names::new(state),
            }),
        }))
    }

    /// Takes the lease of `fingerprint`, if that is a matter of a moment. Its holder has a name with the next
    /// [`renew`](Self::renew), together with others.
    pub(crate) fn take_soon_named(&self, fingerprint: &Fingerprint) -> Option<Lease> {
        let mut inner = self.lock();
        let Inner { bytes, names } = &mut *inner;
        let place = Place::of(fingerprint);
        if bytes.as_mut().is_some_and(|it| it.take_at_once(place)) {
            names.note_later(fingerprint);
            return Some(self.byte_lease(fingerprint));
        }
        None
    }

    /// Takes the lease of `fingerprint`, or says who has it.
    pub(crate) fn take(&self, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
        let state = &self.0.state;
        if self.0.files_only.load(Ordering::Relaxed) {
            return file::take(state, fingerprint);
        }
        let mut answer = self.take_byte(fingerprint)?;
        if matches!(answer, Answer::Taken) && !self.holds(fingerprint) {
            let holder = self.name(fingerprint);
            if holder == Holder::default() {
                // Whoever has the database open may have all leases, and lets go of this one with the gate. It is ours until
                // that is tried: else the same might come again.
                let _entry = Entry::wait(state)?;
                answer = self.take_byte(fingerprint)?;
            }
        }
        match answer {
            Answer::Held => Ok(self.byte_lease(fingerprint)),
            Answer::Taken => {
                let [_, path] = bytes::paths(state);
                let holder = self.name(fingerprint);
                Err(StoreError::Busy { path, holder })
            }
            Answer::Unsupported => {
                self.0.files_only.store(true, Ordering::Relaxed);
                file::take(state, fingerprint)
            }
        }
    }

    /// The database is open: takes all leases that there can be, if nobody else has any.
    pub(crate) fn widen(&self) {
        if self.0.files_only.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = self.lock();
        if inner.bytes.is_none() {
            inner.bytes = Bytes::open(&self.0.state).ok();
        }
        if let Some(bytes) = &mut inner.bytes {
            bytes.widen();
        }
    }

    /// The database is about to be closed: lets others have what is not held.
    pub(crate) fn narrow(&self) {
        if let Some(bytes) = &mut self.lock().bytes {
            bytes.narrow();
        }
    }

    fn holds(&self, fingerprint: &Fingerprint) -> bool {
        let place = Place::of(fingerprint);
        self.lock().bytes.as_ref().is_some_and(|it| it.holds(place))
    }

    fn byte_lease(&self, fingerprint: &Fingerprint) -> Lease {
        let lease = ByteLease {
            leases: self.clone(),
            fingerprint: *fingerprint,
        };
        Lease::new(*fingerprint, lease)
    }

    fn take_byte(&self, fingerprint: &Fingerprint) -> Result<Answer, StoreError> {
        let mut inner = self.lock();
        let Inner { bytes, names } = &mut *inner;
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => bytes.insert(Bytes::open(&self.0.state)?),
        };
        let answer = bytes.take(Place::of(fingerprint))?;
        if matches!(answer, Answer::Held) {
            names.note(fingerprint);
        }
        Ok(answer)
    }

    /// Looks after what is held for long: files that somebody removed are made again and locked. The `ending` are about to be
    /// given back, and not worth it.
    pub(crate) fn renew<'a>(&self, ending: impl Iterator<Item = &'a Fingerprint>) {
        let mut inner = self.lock();
        let Inner { bytes, names } = &mut *inner;
        if let Some(bytes) = bytes
            && !bytes.is_idle()
        {
            let places = ending
                .inspect(|fingerprint| names.skip(fingerprint))
                .map(Place::of);
            // What cannot be renewed now is with the next commit.
            bytes.renew(&places.collect()).ok();
            names.renew();
        }
    }

    /// Who holds the lease of `fingerprint`, if anybody does.
    pub(crate) fn holder(&self, fingerprint: &Fingerprint) -> Option<Holder> {
        if self.holds(fingerprint) {
            return Some(self.name(fingerprint));
        }
        match bytes::look(&self.0.state, Place::of(fingerprint)) {
            Some(Locked::Itself) => Some(self.name(fingerprint)),
            // What is held for longer than a moment has a name.
            Some(Locked::WithAll) => names::find(&self.0.state, fingerprint),
            Some(Locked::Not) => None,
            None => file::holder(&self.0.state, fingerprint),
        }
    }

    /// The name of whoever holds the lease; older versions wrote it into a lease file.
    fn name(&self, fingerprint: &Fingerprint) -> Holder {
        names::find(&self.0.state, fingerprint)
            .or_else(|| file::holder(&self.0.state, fingerprint))
            .unwrap_or_default()
    }

    /// Whose lease files there are, in order: those of older versions, and of file systems that
    /// know no other locks.
    pub(crate) fn files(&self) -> Vec<Fingerprint> {
        file::list(&self.0.state)
    }

    /// Where the lease file of `fingerprint` is, or would be.
    pub(crate) fn file(&self, fingerprint: &Fingerprint) -> PathBuf {
        file::path(&self.0.state, fingerprint)
    }

    /// Removes a lease file, while holding the lease in every way there is.
    pub(crate) fn remove_file(&self, fingerprint: &Fingerprint) -> Result<(), StoreError> {
        let lease = self.take(fingerprint)?;
        let also = match self.0.files_only.load(Ordering::Relaxed) {
            true => None,
            false => Some(file::take(&self.0.state, fingerprint)?),
        };
        let path = self.file(fingerprint);
        // The very file that is locked, as taking it has shown.
        fs::remove_file(&path).map_err(StoreError::io(&path))?;
        drop((also, lease));
        Ok(())
    }

    /// Files with the names of dead holders, in order: removed, unless this is a `dry_run`.
    pub(crate) fn sweep(&self, dry_run: bool) -> Vec<PathBuf> {
        names::sweep(&self.0.state, dry_run)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in between leaves at worst a byte locked: until the store is dropped.
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct ByteLease {
    leases: Leases,
    fingerprint: Fingerprint,
}

impl Drop for ByteLease {
    fn drop(&mut self) {
        let mut inner = self.leases.lock();
        // The name first, for afterwards somebody else may have the lease.
        inner.names.strike(&self.fingerprint);
        if let Some(bytes) = &mut inner.bytes {
            bytes.give_back(Place::of(&self.fingerprint));
        }
    }
}

/// Where all that belongs to leases is.
pub(crate) fn folder(state: &Path) -> PathBuf {
    state.join("leases")
}

/// Tells file systems without locks from other failures.
pub(crate) fn lock_error(path: &Path, error: io::Error) -> StoreError {
    // ENOLCK has no kind of its own.
    let unsupported = error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error());
    if unsupported {
        StoreError::LocksUnsupported {
            path: path.to_owned(),
        }
    } else {
        StoreError::io(path)(error)
    }
}

/// This process, from now on.
fn this_process() -> Holder {
    Holder {
        pid: Some(std::process::id()),
        host: Some(host_name()),
        since_ms: Some(to_millis(SystemTime::now())),
    }
}

pub(crate) fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    serde_json::to_writer(&mut *file, &this_process())?;
    file.write_all(b"\n")
}

/// Whatever can be read: the holder may be writing at this moment.
pub(crate) fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(4096).read_to_string(&mut text));
    match read {
        Ok(_) => serde_json::from_str(&text).unwrap_or_default(),
        Err(_) => Holder::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_told_from_other_failures() {
        let path = Path::new("/net/state/gate.lock");
        let unsupported = [
            io::Error::from_raw_os_error(rustix::io::Errno::NOLCK.raw_os_error()),
            io::Error::from_raw_os_error(rustix::io::Errno::OPNOTSUPP.raw_os_error()),
            io::Error::from_raw_os_error(rustix::io::Errno::NOSYS.raw_os_error()),
        ];
        for error in unsupported {
            let error = lock_error(path, error);
            assert!(
                matches!(error, StoreError::LocksUnsupported { .. }),
                "{error:?}"
            );
            assert!(error.to_string().contains("on a local disk"), "{error}");
        }
        let error = lock_error(path, io::Error::from(io::ErrorKind::InvalidInput));
        assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    }

    #[test]
    fn where_no_byte_can_be_locked_a_file_for_each_lease_excludes() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder(root.path())).expect("a folder");
        let [one, other] = [(); 2].map(|()| {
            let leases = Leases::new(root.path());
            leases.0.files_only.store(true, Ordering::Relaxed);
            leases
        });
        let fingerprint = Fingerprint::new("destination", "1");
        let lease = one.take(&fingerprint).expect("a free lease");
        for leases in [&one, &other] {
            let error = leases.take(&fingerprint).expect_err("a taken lease");
            let StoreError::Busy { path, holder } = error else {
                panic!("{error:?}");
            };
            assert_eq!(path, leases.file(&fingerprint));
            assert_eq!(holder.pid, Some(std::process::id()));
            assert!(matches!(
                leases.remove_file(&fingerprint),
                Err(StoreError::Busy { .. })
            ));
        }
        drop(lease);
        assert_eq!(other.files(), [fingerprint]);
        other.remove_file(&fingerprint).expect("nobody has it");
        assert_eq!(other.files(), []);
        let _again = other.take(&fingerprint).expect("a free lease");
    }

    #[test]
    fn two_uploads_at_the_same_byte_wait_for_one_another() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder(root.path())).expect("a folder");
        let leases = Leases::new(root.path());
        let alike = [1, 2].map(|last| {
            let mut bytes = [7; 32];
            bytes[31] = last;
            Fingerprint::from_bytes(bytes)
        });
        let lease = leases.take(&alike[0]).expect("a free lease");
        let error = leases.take(&alike[1]).expect_err("the same byte");
        assert!(matches!(error, StoreError::Busy { .. }), "{error:?}");
        drop(lease);
        let _other = leases.take(&alike[1]).expect("a free byte");
    }
}
