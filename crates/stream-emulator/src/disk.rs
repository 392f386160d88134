//! [`Disk`]: the state of a server that outlives it, as one JSON file per upload and per video.
//!
//! ```text
//! <data>/            0700, files 0600
//!   lock             held by the server that uses the directory
//!   blobs/<id>       bytes
//!   uploads/<id>.json, videos/<id>.json
//!   keys/, …         what accounts hold besides videos, as <account>~<id>.json
//!   expired/<id>.json uploads without a byte, that only say that they expired
//!   made/<id>/       what ffmpeg made of a video; can be made again
//!   clock.json       how far the clock was put forward, if it was
//! ```
//!
//! A JSON file is replaced whole (written beside, synced, renamed, directory synced), so after a
//! crash there is the old one or the new one. It is written only after the bytes that it counts were
//! synced: the offset after a restart is never more than the durable bytes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::id;

/// A data directory that this server holds.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    _lock: File,
}

/// What a JSON file is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Expired,
    /// What an account holds besides videos, by the name of its folder.
    Group(&'static str),
    Upload,
    Video,
}

impl Kind {
    fn directory(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Group(name) => name,
            Self::Upload => "uploads",
            Self::Video => "videos",
        }
    }
}

impl Disk {
    /// Takes the directory. A server that was just dropped may still be finishing its last write, so
    /// its lock is waited for, up to two seconds.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        make_directory(root)?;
        for name in ["blobs", "expired", "uploads", "videos"] {
            make_directory(&root.join(name))?;
        }
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(root.join("lock"))?;
        let give_up = Instant::now() + Duration::from_secs(2);
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(10)); // blocking: once, before anything is served
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(
                        io::ErrorKind::ResourceBusy,
                        format!("{} is in use by another emulator", root.display()),
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
        })
    }

    /// Makes the folder of a kind, if it is not there.
    pub(crate) fn make(&self, kind: Kind) -> io::Result<()> {
        make_directory(&self.root.join(kind.directory()))
    }

    /// Where the bytes of `id` are.
    pub(crate) fn blob_path(&self, id: &str) -> PathBuf {
        debug_assert!(id::is_valid(id));
        self.root.join("blobs").join(id)
    }

    /// Where what was made of the video `id` is.
    pub(crate) fn made(&self, id: &str) -> PathBuf {
        debug_assert!(id::is_valid(id));
        self.root.join("made").join(id)
    }

    /// Makes an empty file for the bytes of `id`.
    pub(crate) fn create_blob(&self, id: &str) -> io::Result<PathBuf> {
        let path = self.blob_path(id);
        private(OpenOptions::new().write(true).create_new(true)).open(&path)?;
        sync_directory(&self.root.join("blobs"))?;
        Ok(path)
    }

    /// Removes the bytes of `id`, if they are there.
    pub(crate) fn remove_blob(&self, id: &str) -> io::Result<()> {
        missing_is_fine(fs::remove_file(self.blob_path(id)))
    }

    /// Writes the state of `id`, durably.
    pub(crate) fn save(&self, kind: Kind, id: &str, state: &impl Serialize) -> io::Result<()> {
        replace(&self.root.join(kind.directory()), id, state)
    }

    /// Writes how far the clock was put forward, durably.
    pub(crate) fn save_clock(&self, ahead: Duration) -> io::Result<()> {
        replace(&self.root, "clock", &ahead)
    }

    /// How far the clock was put forward.
    pub(crate) fn clock(&self) -> io::Result<Duration> {
        match fs::read(self.root.join("clock.json")) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Duration::ZERO),
            Err(error) => Err(error),
        }
    }

    /// Forgets `id`.
    pub(crate) fn remove(&self, kind: Kind, id: &str) -> io::Result<()> {
        let directory = self.root.join(kind.directory());
        missing_is_fine(fs::remove_file(directory.join(format!("{id}.json"))))?;
        sync_directory(&directory)
    }

    /// Reads all states of a kind. What cannot be read is reported and left where it is.
    pub(crate) fn load<T: DeserializeOwned>(&self, kind: Kind) -> io::Result<Vec<T>> {
        let mut states = Vec::new();
        for entry in fs::read_dir(self.root.join(kind.directory()))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match serde_json::from_slice(&fs::read(&path)?) {
                Ok(state) => states.push(state),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a state file cannot be read");
                }
            }
        }
        Ok(states)
    }
}

fn replace(directory: &Path, name: &str, state: &impl Serialize) -> io::Result<()> {
    let path = directory.join(format!("{name}.json"));
    let new = directory.join(format!("{name}.json.new"));
    let mut file =
        private(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    sync_directory(directory)
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// A rename or a new name is durable only with its directory. Other systems have no such call.
fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
