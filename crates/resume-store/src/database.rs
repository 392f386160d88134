//! sled, held at arm's length: its panics caught, its errors sorted, its commits made durable.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sled::{Batch, Config, Db, Mode};

use crate::codec::Sealed;
use crate::files::{private_folder, sync_folder, tighten};
use crate::ledger::Figures;
use crate::{Fingerprint, StoreError};

/// Why the database did not do as asked.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What is on the disk makes no sense.
    Damaged(String),
    /// Anything else.
    Error(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

/// One open sled database.
pub(crate) struct Database {
    /// `None` once closed.
    db: Option<Db>,
    folder: PathBuf,
    /// sled's data file, opened again: its own `flush` does not reach the platter.
    data: File,
    synced_blobs: BTreeSet<OsString>,
}

impl Database {
    /// Opens or creates the database in `folder`. Only while the gate is held.
    pub(crate) fn open(folder: &Path) -> Result<Self, Trouble> {
        private_folder(folder)?;
        let is_new = !folder.join("db").exists();
        let config = Config::new()
            .path(folder)
            .mode(Mode::LowSpace)
            .segment_size(segment_bytes(folder))
            .cache_capacity(1024 * 1024)
            .flush_every_ms(None);
        let begun = Instant::now();
        let db = loop {
            match guarded(folder, || config.open()) {
                // Threads of sled may outlive its handle for a moment, and with them its lock.
                Err(Trouble::Error(StoreError::Busy { .. })) if begun.elapsed() < REOPEN => {
                    thread::sleep(Duration::from_millis(5));
                }
                other => break other?,
            }
        };
        let path = folder.join("db");
        let data = File::open(&path).map_err(StoreError::io(&path))?;
        tighten(folder)?;
        if is_new {
            sync_folder(folder)?;
            sync_folder(folder.parent().unwrap_or(folder))?;
        }
        Ok(Self {
            db: Some(db),
            folder: folder.to_owned(),
            data,
            synced_blobs: BTreeSet::new(),
        })
    }

    /// The stored value of one record, checked.
    pub(crate) fn get(&self, fingerprint: &Fingerprint) -> Result<Option<Sealed>, Trouble> {
        let found = self.run(|db| db.get(fingerprint.as_bytes()))?;
        found
            .map(|bytes| check(fingerprint.as_bytes(), &bytes))
            .transpose()
    }

    /// The figures that were committed together with the records.
    pub(crate) fn figures(&self) -> Result<Option<Figures>, Trouble> {
        let found = self.run(|db| db.get(FIGURES))?;
        Ok(found.and_then(|bytes| Figures::decode(&bytes)))
    }

    /// Hands over every record, in order of fingerprint, and every damaged one as a `Trouble`.
    pub(crate) fn each(
        &self,
        mut visit: impl FnMut(Result<Sealed, Trouble>),
    ) -> Result<(), Trouble> {
        self.run(|db| {
            for item in db.iter() {
                let (key, bytes) = item?;
                if key != FIGURES {
                    visit(check(&key, &bytes));
                }
            }
            Ok(())
        })
    }

    /// Puts values that come before those that are [applied](Self::apply). A crash may leave them
    /// there, also without those.
    pub(crate) fn put<'a>(&self, values: impl Iterator<Item = &'a Sealed>) -> Result<(), Trouble> {
        self.run(|db| db.apply_batch(batch(values)))
    }

    /// Puts values, all or none; `figures` go along. Durable when it returns, and so is what was
    /// [put](Self::put) before.
    pub(crate) fn apply<'a>(
        &mut self,
        values: impl Iterator<Item = &'a Sealed>,
        figures: &Figures,
    ) -> Result<(), Trouble> {
        let mut batch = batch(values);
        batch.insert(FIGURES, figures.encode().as_slice());
        self.run(|db| {
            db.apply_batch(batch)?;
            db.flush()
        })?;
        self.sync_blobs()?;
        let path = self.folder.join("db");
        self.data.sync_data().map_err(StoreError::io(&path))?;
        Ok(())
    }

    /// Bytes that sled's data file takes on the disk.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.data.metadata().map_or(0, |metadata| metadata.len())
    }

    /// sled puts values above some kilobytes into files of their own, and does not sync them.
    fn sync_blobs(&mut self) -> Result<(), StoreError> {
        let folder = self.folder.join("blobs");
        let mut is_new = false;
        let mut synced = BTreeSet::new();
        for entry in fs::read_dir(&folder).map_err(StoreError::io(&folder))? {
            let entry = entry.map_err(StoreError::io(&folder))?;
            if !self.synced_blobs.contains(&entry.file_name()) {
                is_new = true;
                match File::open(entry.path()).and_then(|file| file.sync_all()) {
                    // Replaced meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other.map_err(StoreError::io(&entry.path()))?,
                }
            }
            synced.insert(entry.file_name());
        }
        // Not those that are gone: sled makes new ones for ever.
        self.synced_blobs = synced;
        if is_new {
            tighten(&folder)?;
            sync_folder(&folder)?;
        }
        Ok(())
    }

    fn run<T>(&self, op: impl FnOnce(&Db) -> sled::Result<T>) -> Result<T, Trouble> {
        match &self.db {
            Some(db) => guarded(&self.folder, || op(db)),
            None => Err(Trouble::Damaged("the database is closed".to_owned())),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let db = self.db.take();
        // sled flushes when dropped, and may panic over what it cannot write.
        catch_unwind(AssertUnwindSafe(|| drop(db))).ok();
        // Snapshots appear at any time.
        tighten(&self.folder).ok();
    }
}

fn batch<'a>(values: impl Iterator<Item = &'a Sealed>) -> Batch {
    let mut batch = Batch::default();
    for value in values {
        batch.insert(value.fingerprint.as_bytes(), value.bytes());
    }
    batch
}

fn check(key: &[u8], bytes: &[u8]) -> Result<Sealed, Trouble> {
    match Sealed::read(bytes) {
        Some((value, length)) if length == bytes.len() && value.fingerprint.as_bytes() == key => {
            Ok(value)
        }
        _ => Err(spoiled()),
    }
}

/// What is wrong with a record that cannot be read.
pub(crate) fn spoiled() -> Trouble {
    Trouble::Damaged("a record fails its checksum".to_owned())
}

/// The bytes of sled's segments, as the database in `folder` has them.
///
/// Larger ones hold a page with many records; a page that fits into none goes into a file of its
/// own, with all the syncs that takes. Stores before version 3 had small ones, until they were
/// brought up to date.
fn segment_bytes(folder: &Path) -> usize {
    let settings = fs::read(folder.join("conf")).unwrap_or_default();
    if settings.starts_with(b"segment_size: 8192\n") {
        8192
    } else {
        64 * 1024
    }
}

/// Runs an operation of sled; it panics over damage that it did not foresee.
fn guarded<T>(folder: &Path, op: impl FnOnce() -> sled::Result<T>) -> Result<T, Trouble> {
    match catch_unwind(AssertUnwindSafe(op)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(sort(folder, error)),
        Err(_) => Err(Trouble::Damaged("sled gave up on it".to_owned())),
    }
}

fn sort(folder: &Path, error: sled::Error) -> Trouble {
    use io::ErrorKind::{
        InvalidData, InvalidInput, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem,
        StorageFull, UnexpectedEof,
    };

    match error {
        sled::Error::Io(error) => match error.kind() {
            // sled's lock, of which there is no type to tell.
            io::ErrorKind::Other if error.to_string().contains("could not acquire lock") => {
                Trouble::Error(StoreError::Busy {
                    path: folder.to_owned(),
                    holder: crate::Holder::default(),
                })
            }
            PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull => {
                Trouble::Error(StoreError::io(folder)(error))
            }
            InvalidData | InvalidInput | NotFound | UnexpectedEof => {
                Trouble::Damaged(format!("sled: {error}"))
            }
            _ => Trouble::Error(StoreError::io(folder)(error)),
        },
        sled::Error::Corruption { .. } => Trouble::Damaged("sled: corrupted".to_owned()),
        // Its text may quote what it read: kept out of messages.
        sled::Error::Unsupported(_) => Trouble::Damaged("sled: unsupported settings".to_owned()),
        _ => Trouble::Damaged("sled: inconsistent".to_owned()),
    }
}

/// Shorter than any fingerprint, so never in the way of one.
const FIGURES: &[u8] = b"figures";
/// How long sled may take to let go of its own lock.
const REOPEN: Duration = Duration::from_secs(1);
