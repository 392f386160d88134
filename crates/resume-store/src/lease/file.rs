//! Where no byte can be locked: one locked file for each lease, as older versions had it everywhere.
//!
//! The file stays when the lease is given back, for unlinking it while it is locked lets a newcomer
//! lock another file of the same name; [`prune`](crate::SledStore::prune) removes it, holding it.
//! If it is removed between opening and locking, the descriptor no longer leads to what the path
//! names, and all is tried again.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{Lease, folder, lock_error, read_holder, write_holder};
use crate::files::{private_file, same_file};
use crate::{Fingerprint, Holder, StoreError};

/// Takes the lease that is a lock on `leases/FINGERPRINT.lock`.
pub(super) fn take(state: &Path, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
    let path = path(state, fingerprint);
    for _ in 0..ATTEMPTS {
        let mut file = private_file(&path)?;
        match file.try_lock() {
            Ok(()) if same_file(&file, &path) => {
                // Only for people: the lock holds without it, even if the disk is full.
                write_holder(&mut file).ok();
                return Ok(Lease::new(*fingerprint, FileLease { file }));
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file);
                return Err(StoreError::Busy { path, holder });
            }
            Err(TryLockError::Error(error)) => return Err(lock_error(&path, error)),
        }
    }
    Err(StoreError::Io {
        path,
        source: io::Error::other("the lock file is replaced again and again"),
    })
}

/// Who holds the lock, if anybody does.
pub(super) fn holder(state: &Path, fingerprint: &Fingerprint) -> Option<Holder> {
    let mut file = File::open(path(state, fingerprint)).ok()?;
    // For a blink: who tries at this moment finds it busy.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read_holder(&mut file)),
        _ => None,
    }
}

/// Whose lease files there are, in order.
pub(super) fn list(state: &Path) -> Vec<Fingerprint> {
    let entries = fs::read_dir(folder(state)).into_iter().flatten().flatten();
    let named = |entry: fs::DirEntry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(".lock")?.parse().ok()
    };
    let mut found: Vec<_> = entries.filter_map(named).collect();
    found.sort_unstable();
    found
}

pub(super) fn path(state: &Path, fingerprint: &Fingerprint) -> PathBuf {
    folder(state).join(format!("{fingerprint}.lock"))
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

const ATTEMPTS: u32 = 10;
