//! [`StoreError`] and [`StoreNotice`]: what stops a store, and what it only has to say.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::codec::from_millis;

/// Why a store cannot do what it was asked. Each names the path and the way out; none holds a
/// record's content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process drives this upload. Leave it to that one, or stop it.
    #[error("{} is in use by {holder}; wait for it or stop it", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// Who holds it, as far as it is known.
        holder: Holder,
    },
    /// What is stored cannot be read, and could not be set aside either.
    #[error("{} is damaged ({what}); move it away to begin anew", path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No space left. Nothing was changed: try again when there is.
    #[error("no space left for {}; free some and run again", path.display())]
    Full {
        /// The folder that cannot grow.
        path: PathBuf,
    },
    /// Any other failure of the file system.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The right to drive this upload has passed to somebody else: stop before the next request.
    /// Only leases with a time limit end like this; those of this crate do not.
    #[error("the lease on {} was lost to another process", path.display())]
    LeaseLost {
        /// The lock.
        path: PathBuf,
    },
    /// The file system has no locks, as some network ones have not.
    #[error(
        "the file system of {} supports no locks; choose a state directory on a local disk",
        path.display()
    )]
    LocksUnsupported {
        /// The lock.
        path: PathBuf,
    },
    /// A newer version of this program wrote the store.
    #[error(
        "{} has format {found}, this version reads up to {supported}; update it, or choose \
         another state directory",
        path.display()
    )]
    Newer {
        /// The version file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that can be read.
        supported: u32,
    },
    /// The store is older than anything this version can read.
    #[error(
        "{} has format {found}, this version reads {supported} and later; open it with an older \
         version first, or choose another state directory",
        path.display()
    )]
    Older {
        /// The version file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The oldest format that can be read.
        supported: u32,
    },
    /// The folder cannot be used safely, or not at all, by this user.
    #[error("{} cannot be used as it is: {what}", path.display())]
    Permission {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and how to set it right.
        what: String,
    },
}

impl StoreError {
    /// The file or folder it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Busy { path, .. }
            | Self::Damaged { path, .. }
            | Self::Full { path }
            | Self::Io { path, .. }
            | Self::LeaseLost { path }
            | Self::LocksUnsupported { path }
            | Self::Newer { path, .. }
            | Self::Older { path, .. }
            | Self::Permission { path, .. } => path,
        }
    }

    /// Sorts an I/O error by what a person can do about it. For use with `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
                io::ErrorKind::PermissionDenied => Self::Permission {
                    path,
                    what: "access is denied; check its owner and mode, or choose another state \
                           directory"
                        .to_owned(),
                },
                io::ErrorKind::ReadOnlyFilesystem => Self::Permission {
                    path,
                    what: "its file system is read-only; choose another state directory".to_owned(),
                },
                _ => Self::Io { path, source },
            }
        }
    }
}

/// Who holds a lock: as much as the holder wrote about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Holder {
    /// The process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The machine.
    #[serde(default)]
    pub host: Option<String>,
    /// Since when, in milliseconds since 1970.
    #[serde(default)]
    pub since_ms: Option<i64>,
}

impl Holder {
    /// Since when; `None` if that is not known or makes no sense.
    pub fn since(&self) -> Option<SystemTime> {
        self.since_ms
            .filter(|millis| (0..END_OF_TIME).contains(millis))
            .map(from_millis)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("another process")?,
        }
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        match self.since() {
            Some(since) => write!(f, " since {}", humantime::format_rfc3339_seconds(since)),
            None => Ok(()),
        }
    }
}

/// Something a person should hear of although the store goes on: fetch them with
/// [`ResumeStore::take_notices`](crate::ResumeStore::take_notices) and print each once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreNotice {
    /// The database was damaged. It was set aside and begun anew with what could be read.
    Damaged {
        /// Where the damaged one is now; `None` if nothing was left of it.
        aside: Option<PathBuf>,
        /// How many records there should have been; `None` if that was lost as well.
        expected: Option<u64>,
        /// How many records were kept.
        kept: u64,
        /// The kept ones are exactly those there should have been.
        complete: bool,
    },
    /// The figures kept beside the database were missing or damaged: whether records are missing
    /// cannot be told. They were written anew.
    Unverified {
        /// The file with the figures.
        path: PathBuf,
        /// How many records there are.
        found: u64,
    },
    /// The state directory was open to other users; its mode was set to 0700.
    Tightened {
        /// The directory.
        path: PathBuf,
    },
}

impl StoreNotice {
    /// How many records are missing for certain, if this notice is about that.
    pub fn lost(&self) -> u64 {
        match self {
            Self::Damaged {
                expected: Some(expected),
                kept,
                ..
            } => expected.saturating_sub(*kept),
            _ => 0,
        }
    }
}

impl fmt::Display for StoreNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged {
                aside,
                expected,
                kept,
                complete,
            } => {
                f.write_str("the resume state was damaged")?;
                match (complete, expected) {
                    (true, _) => write!(f, "; all {kept} records were recovered")?,
                    (false, Some(expected)) if kept < expected => {
                        let lost = expected - kept;
                        write!(f, "; {lost} of {expected} records are lost")?;
                    }
                    (false, Some(expected)) => {
                        write!(
                            f,
                            "; {kept} records were kept of {expected}, some may be outdated"
                        )?;
                    }
                    (false, None) => write!(f, "; {kept} records were kept, some may be lost")?,
                }
                match aside {
                    Some(aside) => write!(f, " (the damaged files are in {})", aside.display()),
                    None => Ok(()),
                }
            }
            Self::Unverified { path, found } => write!(
                f,
                "{} was missing or damaged; whether any of the resume state is lost cannot be \
                 told ({found} records found)",
                path.display()
            ),
            Self::Tightened { path } => write!(
                f,
                "{} was open to other users; its mode is now 0700",
                path.display()
            ),
        }
    }
}

/// The year 10000, which RFC 3339 cannot write.
const END_OF_TIME: i64 = 253_402_300_800_000;
