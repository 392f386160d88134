//! [`Lease`]: the right of one process to drive one upload, for as long as it takes.

use std::any::Any;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::SystemTime;

use crate::codec::to_millis;
use crate::files::{host_name, private_file, same_file};
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
/// The file stays for good: unlinking it while it is locked would let a newcomer lock another file
/// of the same name. Should somebody have done so, the descriptor no longer leads to what the path
/// names, and the lock is taken again.
pub(crate) fn lease_file(folder: &Path, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
    let path = folder.join(format!("{fingerprint}.lock"));
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
        if same_file(&file, &path) {
            // Only for people: the lock holds without it, even if the disk is full.
            write_holder(&mut file).ok();
            return Ok(Lease::new(*fingerprint, FileLease { file }));
        }
    }
    Err(StoreError::Io {
        path,
        source: io::Error::other("the lock file is replaced again and again"),
    })
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
