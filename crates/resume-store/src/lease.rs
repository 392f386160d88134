//! [`Lease`]: the right of one process to drive one upload, for as long as it takes.

use std::any::Any;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::codec::to_millis;
use crate::files::{host_name, private_file, same_file};
use crate::guard::{Guard, Post};
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

/// Takes the lease that is a lock on `leases/FINGERPRINT.lock`.
///
/// The file stays: unlinking it while it is locked would let a newcomer lock another file of the
/// same name. Should somebody do so, the [`Guard`] still holds; should it happen between opening
/// and locking, the descriptor no longer leads to what the path names, and all is tried again.
pub(crate) fn lease_file(state: &Path, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
    let path = lock_path(state, fingerprint);
    for _ in 0..ATTEMPTS {
        let mut file = private_file(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file);
                return Err(StoreError::Busy { path, holder });
            }
            Err(TryLockError::Error(error)) => return Err(lock_error(&path, error)),
        }
        if !same_file(&file, &path) {
            continue;
        }
        let Some(guard) = Guard::try_lock(state, Post::Lease(fingerprint))? else {
            // Its holder wrote its name into the file that was removed.
            let holder = Holder::default();
            return Err(StoreError::Busy { path, holder });
        };
        // Only for people: the lock holds without it, even if the disk is full.
        write_holder(&mut file).ok();
        return Ok(Lease::new(
            *fingerprint,
            FileLease {
                file,
                _guard: guard,
            },
        ));
    }
    Err(StoreError::Io {
        path,
        source: io::Error::other("the lock file is replaced again and again"),
    })
}

/// Takes a lease, unlinks its file if `is_spare` then still says so, and gives it back.
pub(crate) fn remove_lease_file(
    state: &Path,
    fingerprint: &Fingerprint,
    is_spare: impl FnOnce() -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    let lease = lease_file(state, fingerprint)?;
    let spare = is_spare()?;
    if spare {
        let path = lock_path(state, fingerprint);
        // The very file that is locked, as taking the lease has shown.
        fs::remove_file(&path).map_err(StoreError::io(&path))?;
    }
    drop(lease);
    Ok(spare)
}

/// Who holds the lease, if anybody does.
pub(crate) fn holder(state: &Path, fingerprint: &Fingerprint) -> Option<Holder> {
    let path = lock_path(state, fingerprint);
    let mut file = File::open(&path);
    let is_held = Guard::is_locked(state, Post::Lease(fingerprint)).unwrap_or_else(|| {
        // For a blink: who tries at this moment finds it busy.
        let lock = file.as_ref().map(File::try_lock_shared);
        matches!(lock, Ok(Err(TryLockError::WouldBlock)))
    });
    is_held.then(|| file.as_mut().map(read_holder).unwrap_or_default())
}

/// Whose lease files there are, in order.
pub(crate) fn lease_files(state: &Path) -> Vec<Fingerprint> {
    let Ok(entries) = fs::read_dir(folder(state)) else {
        return Vec::new();
    };
    let named = |entry: fs::DirEntry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(".lock")?.parse().ok()
    };
    let mut found: Vec<_> = entries.flatten().filter_map(named).collect();
    found.sort_unstable();
    found
}

/// Where the lease files are.
pub(crate) fn folder(state: &Path) -> PathBuf {
    state.join("leases")
}

fn lock_path(state: &Path, fingerprint: &Fingerprint) -> PathBuf {
    folder(state).join(format!("{fingerprint}.lock"))
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

struct FileLease {
    file: File,
    _guard: Guard,
}

impl Drop for FileLease {
    fn drop(&mut self) {
        // While it is still locked: nobody may read a name that no longer holds.
        self.file.set_len(0).ok();
    }
}

pub(crate) fn write_holder(file: &mut File) -> io::Result<()> {
    let holder = Holder {
        pid: Some(std::process::id()),
        host: Some(host_name()),
        since_ms: Some(to_millis(SystemTime::now())),
    };
    file.set_len(0)?;
    file.rewind()?;
    serde_json::to_writer(&mut *file, &holder)?;
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

const ATTEMPTS: u32 = 10;

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
}
