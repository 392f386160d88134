//! A second lock behind each lock file, for the case that somebody removes the first.
//!
//! A lock on a file excludes those who open the same file. Once its name is unlinked a newcomer
//! makes and locks another one, and there are two owners. So whoever holds a lease or the gate also
//! locks one byte of `guard.lock`, far beyond its end, at a place of its own.
//!
//! This takes locks that belong to an open file and not to a process, which std has not and other
//! systems than Linux have not either: there, only the lock files count.

use std::fs::File;
use std::path::Path;

use crate::files::private_file;
use crate::{Fingerprint, StoreError};

/// What a byte of the guard stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Post<'a> {
    Gate,
    Lease(&'a Fingerprint),
}

/// The lock on one byte; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Guard {
    _file: Option<File>,
}

impl Guard {
    /// Locks the byte of `post`; `None` when somebody else has it.
    pub(crate) fn try_lock(state: &Path, post: Post<'_>) -> Result<Option<Self>, StoreError> {
        let file = private_file(&state.join("guard.lock"))?;
        Ok(match sys::try_lock(&file, post.offset()) {
            sys::Outcome::Locked => Some(Self { _file: Some(file) }),
            sys::Outcome::Taken => None,
            // The lock file alone must do.
            sys::Outcome::Unsupported => Some(Self { _file: None }),
        })
    }

    /// Whether somebody has the byte of `post`, without touching it; `None` if that cannot be told.
    pub(crate) fn is_locked(state: &Path, post: Post<'_>) -> Option<bool> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(state.join("guard.lock"));
        match file {
            Ok(file) => sys::is_locked(&file, post.offset()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(false),
            Err(_) => None,
        }
    }
}

impl Post<'_> {
    /// Two leases at the same byte would only make one of them wait, once in 2^62.
    fn offset(self) -> i64 {
        match self {
            Self::Gate => i64::MAX - 1,
            Self::Lease(fingerprint) => {
                let [a, b, c, d, e, f, g, h, ..] = *fingerprint.as_bytes();
                i64::from_le_bytes([a, b, c, d, e, f, g, h & 0x3f])
            }
        }
    }
}

mod sys {
    pub(super) enum Outcome {
        Locked,
        Taken,
        Unsupported,
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use std::fs::File;

        use nix::errno::Errno;
        use nix::fcntl::{FcntlArg, fcntl};
        use nix::libc::{F_UNLCK, F_WRLCK, SEEK_SET, flock};

        use super::Outcome;

        pub(crate) fn try_lock(file: &File, offset: i64) -> Outcome {
            match fcntl(file, FcntlArg::F_OFD_SETLK(&byte(offset))) {
                Ok(_) => Outcome::Locked,
                Err(Errno::EAGAIN | Errno::EACCES) => Outcome::Taken,
                Err(_) => Outcome::Unsupported,
            }
        }

        pub(crate) fn is_locked(file: &File, offset: i64) -> Option<bool> {
            let mut found = byte(offset);
            fcntl(file, FcntlArg::F_OFD_GETLK(&mut found)).ok()?;
            Some(i32::from(found.l_type) != F_UNLCK)
        }

        fn byte(offset: i64) -> flock {
            flock {
                l_type: F_WRLCK as i16,
                l_whence: SEEK_SET as i16,
                l_start: offset,
                l_len: 1,
                l_pid: 0,
            }
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) use linux::{is_locked, try_lock};

    #[cfg(not(target_os = "linux"))]
    pub(super) fn try_lock(_: &std::fs::File, _: i64) -> Outcome {
        Outcome::Unsupported
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn is_locked(_: &std::fs::File, _: i64) -> Option<bool> {
        None
    }
}
