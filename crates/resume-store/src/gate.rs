//! The gate: who may have the database open.
//!
//! `gate.lock` is held while sled is open. Whoever waits for it holds `queue.lock` shared
//! meanwhile, so the holder learns of waiters by trying to lock that exclusively.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::StoreError;
use crate::files::{private_file, same_file};
use crate::guard::Guard;
use crate::lease::{lock_error, read_holder, write_holder};

/// The gate, passed. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Entry {
    // Freed before the gate, so that the next one finds both free.
    _guard: Guard,
    gate: File,
    queue: File,
    folder: PathBuf,
}

impl Entry {
    /// Waits for the gate of `folder`, [`PATIENCE`] at most.
    ///
    /// Polling, not a blocking lock: a holder that is stopped or hangs must not hang everybody.
    pub(crate) fn wait(folder: &Path) -> Result<Self, StoreError> {
        let (gate_path, queue_path) = (folder.join(GATE), folder.join(QUEUE));
        let queue = private_file(&queue_path)?;
        let mut gate = private_file(&gate_path)?;
        let begun = Instant::now();
        let mut queued = false;
        let guard = loop {
            match gate.try_lock() {
                // The file was replaced while it was waited for: others lock the new one.
                Ok(()) if !same_file(&gate, &gate_path) => {
                    gate = private_file(&gate_path)?;
                    continue;
                }
                Ok(()) => {
                    if let Some(guard) = Guard::try_lock(folder)? {
                        break guard;
                    }
                    // The file was replaced while its holder was inside.
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(lock_error(&gate_path, error)),
            }
            if !queued {
                // At most for the blink in which the holder looks whether anybody waits.
                lock_shared(&queue).map_err(|error| lock_error(&queue_path, error))?;
                queued = true;
            }
            if begun.elapsed() > PATIENCE {
                let holder = read_holder(&mut gate);
                return Err(StoreError::Busy {
                    path: gate_path,
                    holder,
                });
            }
            let soon = begun.elapsed() < Duration::from_millis(20);
            thread::sleep(Duration::from_millis(if soon { 1 } else { 5 }));
        };
        if queued {
            queue
                .unlock()
                .map_err(|error| lock_error(&queue_path, error))?;
        }
        // Only for people.
        write_holder(&mut gate).ok();
        Ok(Self {
            _guard: guard,
            gate,
            queue,
            folder: folder.to_owned(),
        })
    }

    /// Whether somebody waits for the gate, or may do so unseen.
    pub(crate) fn is_wanted(&self) -> bool {
        let is_replaced = |file, name| !same_file(file, &self.folder.join(name));
        if is_replaced(&self.gate, GATE) || is_replaced(&self.queue, QUEUE) {
            return true;
        }
        match self.queue.try_lock() {
            Ok(()) => {
                self.queue.unlock().ok();
                false
            }
            Err(_) => true,
        }
    }
}

fn lock_shared(file: &File) -> io::Result<()> {
    loop {
        match file.lock_shared() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

const GATE: &str = "gate.lock";
const QUEUE: &str = "queue.lock";
/// Sled is held for milliseconds; whoever holds it this long does not run.
const PATIENCE: Duration = Duration::from_secs(30);
