//! [`MemoryStore`]: forgets with the process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::trail::Kept;
use crate::{
    Change, Filter, Fingerprint, Holder, Lease, Record, ResumeStore, StoreError, TRAIL_MIN_BYTES,
    Trail,
};

/// A store in memory. Clones share their records and leases, as processes share a directory: for
/// tests, and for runs that are to leave nothing behind.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    records: BTreeMap<Fingerprint, Record>,
    leased: BTreeSet<Fingerprint>,
    /// With the length of the source.
    trails: BTreeMap<Fingerprint, (u64, Kept)>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl ResumeStore for MemoryStore {
    fn load(&self, fingerprint: &Fingerprint) -> Result<Option<Record>, StoreError> {
        Ok(self.lock().records.get(fingerprint).cloned())
    }

    fn list(&self, filter: Filter) -> Result<Vec<(Fingerprint, Record)>, StoreError> {
        let shared = self.lock();
        let admitted = shared
            .records
            .iter()
            .filter(|(_, record)| filter.admits(record));
        Ok(admitted
            .map(|(fingerprint, record)| (*fingerprint, record.clone()))
            .collect())
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut shared = self.lock();
        for change in changes {
            match change {
                Change::Put(fingerprint, record) => {
                    shared.records.insert(*fingerprint, record.clone());
                }
                Change::Remove(fingerprint) => {
                    shared.records.remove(fingerprint);
                }
            }
        }
        Ok(())
    }

    fn lease(&self, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
        if !self.lock().leased.insert(*fingerprint) {
            return Err(StoreError::Busy {
                path: PathBuf::from(fingerprint.to_string()),
                holder: Holder {
                    pid: Some(std::process::id()),
                    ..Holder::default()
                },
            });
        }
        let guard = MemoryLease {
            shared: Arc::clone(&self.shared),
            fingerprint: *fingerprint,
        };
        Ok(Lease::new(*fingerprint, guard))
    }

    fn lease_new(&self, fingerprint: &Fingerprint) -> Option<Lease> {
        let lease = self.lease(fingerprint).ok()?;
        let is_new = !self.lock().records.contains_key(fingerprint);
        is_new.then_some(lease)
    }

    fn trail(&self, fingerprint: &Fingerprint, length: u64) -> Trail {
        if length <= TRAIL_MIN_BYTES {
            return Trail::in_memory(length);
        }
        let mut shared = self.lock();
        let entry = shared.trails.entry(*fingerprint).or_default();
        if entry.0 != length {
            *entry = (length, Kept::default());
        }
        Trail::kept(length, Arc::clone(&entry.1))
    }

    fn remove_trail(&self, fingerprint: &Fingerprint) {
        self.lock().trails.remove(fingerprint);
    }

    fn move_trail(&self, from: &Fingerprint, to: &Fingerprint) {
        let mut shared = self.lock();
        if let Some(trail) = shared.trails.remove(from) {
            shared.trails.insert(*to, trail);
        }
    }

    fn trails(&self) -> Vec<Fingerprint> {
        self.lock().trails.keys().copied().collect()
    }
}

struct MemoryLease {
    shared: Arc<Mutex<Shared>>,
    fingerprint: Fingerprint,
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        lock(&self.shared).leased.remove(&self.fingerprint);
    }
}

/// A panic elsewhere leaves the maps whole: each change is one call.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
