//! Locks on single bytes of a file, far beyond its end: one place for the gate, one for each lease.
//!
//! They belong to an open file and not to a process, which std has not and other systems than Linux
//! have not either: there, only lock files count.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::files::private_file;
use crate::{Fingerprint, StoreError};

/// Which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place(i64);

/// What became of a wish to lock a byte.
#[derive(Debug)]
pub(crate) enum Outcome {
    Locked,
    /// Another open file has it.
    Taken,
    /// Neither the system nor the file system knows such locks.
    Unsupported,
    Failed(io::Error),
}

impl Place {
    const GATE: Self = Self(i64::MAX - 1);

    /// Two leases at the same byte would only make one of them wait, once in 2^62.
    pub(crate) fn of(fingerprint: &Fingerprint) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *fingerprint.as_bytes();
        Self(i64::from_le_bytes([a, b, c, d, e, f, g, h & 0x3f]))
    }

    /// Locks the byte. Whoever locks it twice in the same open file has it once.
    pub(crate) fn try_lock(self, file: &File) -> Outcome {
        sys::try_lock(file, self.0, 1)
    }

    /// Frees the byte, if this open file has it.
    pub(crate) fn unlock(self, file: &File) {
        sys::unlock(file, self.0, 1);
    }

    /// Who has the byte in the file at `path`, without touching it; `None` if that cannot be told.
    pub(crate) fn look(self, path: &Path) -> Option<Locked> {
        match File::options().read(true).write(true).open(path) {
            Ok(file) => sys::look(&file, self.0, 1),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Locked::Not),
            Err(_) => None,
        }
    }
}

/// By whom a byte is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locked {
    Not,
    /// By somebody who has this one, or some.
    Itself,
    /// By somebody who has all that stand for leases.
    WithAll,
}

/// Whether nobody else has the byte of any lease, as far as can be told.
pub(crate) fn has_none(file: &File) -> bool {
    sys::look(file, 0, ALL) == Some(Locked::Not)
}

/// Locks the bytes of all leases that there can be, if nobody else has any.
pub(crate) fn try_lock_all(file: &File) -> Outcome {
    sys::try_lock(file, 0, ALL)
}

/// Frees them, but for those that are `kept`: these stay locked all the while.
pub(crate) fn unlock_all_but(file: &File, kept: impl Iterator<Item = Place>) {
    let mut kept: Vec<_> = kept.map(|place| place.0).collect();
    kept.sort_unstable();
    let mut from = 0;
    for place in kept.into_iter().chain([ALL]) {
        if place > from {
            sys::unlock(file, from, place - from);
        }
        from = place + 1;
    }
}

/// The second lock of the gate, for the case that somebody removes `gate.lock`: its holder's lock
/// is then on a file that nobody finds any more. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct Guard {
    _file: Option<File>,
}

impl Guard {
    /// Locks the gate's byte; `None` when somebody else has it.
    pub(crate) fn try_lock(state: &Path) -> Result<Option<Self>, StoreError> {
        let file = private_file(&state.join(GUARD_FILE))?;
        Ok(match Place::GATE.try_lock(&file) {
            Outcome::Locked => Some(Self { _file: Some(file) }),
            Outcome::Taken => None,
            // The lock file alone must do.
            Outcome::Unsupported | Outcome::Failed(_) => Some(Self { _file: None }),
        })
    }
}

/// Behind the last byte that stands for a lease.
const ALL: i64 = 1 << 62;
/// The file of the gate's byte; leases have theirs there as well.
pub(crate) const GUARD_FILE: &str = "guard.lock";

#[cfg(target_os = "linux")]
mod sys {
    use std::fs::File;

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc::{F_UNLCK, F_WRLCK, SEEK_SET, flock};

    use super::{Locked, Outcome};

    pub(super) fn try_lock(file: &File, offset: i64, length: i64) -> Outcome {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&bytes(F_WRLCK, offset, length))) {
            Ok(_) => Outcome::Locked,
            Err(Errno::EAGAIN | Errno::EACCES) => Outcome::Taken,
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::ENOLCK) => {
                Outcome::Unsupported
            }
            Err(error) => Outcome::Failed(error.into()),
        }
    }

    pub(super) fn unlock(file: &File, offset: i64, length: i64) {
        // What cannot be freed is freed when the file is closed.
        fcntl(file, FcntlArg::F_OFD_SETLK(&bytes(F_UNLCK, offset, length))).ok();
    }

    pub(super) fn look(file: &File, offset: i64, length: i64) -> Option<Locked> {
        let mut found = bytes(F_WRLCK, offset, length);
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut found)).ok()?;
        Some(match i32::from(found.l_type) {
            F_UNLCK => Locked::Not,
            _ if found.l_len > 1 => Locked::WithAll,
            _ => Locked::Itself,
        })
    }

    fn bytes(kind: i32, offset: i64, length: i64) -> flock {
        flock {
            l_type: kind as i16,
            l_whence: SEEK_SET as i16,
            l_start: offset,
            l_len: length,
            l_pid: 0,
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod sys {
    use std::fs::File;

    use super::{Locked, Outcome};

    pub(super) fn try_lock(_: &File, _: i64, _: i64) -> Outcome {
        Outcome::Unsupported
    }

    pub(super) fn unlock(_: &File, _: i64, _: i64) {}

    pub(super) fn look(_: &File, _: i64, _: i64) -> Option<Locked> {
        None
    }
}
