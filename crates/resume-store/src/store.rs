//! The trait [`ResumeStore`] and what it is asked with.

use std::sync::Arc;

use crate::{Change, Evidence, Fingerprint, Lease, Record, State, StoreError, StoreNotice, Trail};

/// Keeps records and trails. Blocking: call it from threads that may wait.
///
/// What every store promises is listed, one function per promise, in `behaviour` (feature
/// `testing`); run it against a new one.
pub trait ResumeStore: Send + Sync {
    /// The record of `fingerprint`, if there is one.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn load(&self, fingerprint: &Fingerprint) -> Result<Option<Record>, StoreError>;

    /// The records of many uploads, in the order asked for: for whoever would wait for each alone.
    /// By default one after the other.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn load_many(&self, fingerprints: &[Fingerprint]) -> Result<Vec<Option<Record>>, StoreError> {
        fingerprints.iter().map(|whose| self.load(whose)).collect()
    }

    /// All records that `filter` lets through, ordered by fingerprint.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn list(&self, filter: Filter) -> Result<Vec<(Fingerprint, Record)>, StoreError>;

    /// Makes the changes, all of them or none, in their order. When this returns they outlive the
    /// process and the machine's power. Without changes it only looks after what is held.
    ///
    /// # Errors
    ///
    /// When they could not be made durable. They may then be there or not; making them again is
    /// safe.
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// As [`commit`](Self::commit): for a store that hands the changes to another thread, and need not copy them.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    fn commit_shared(&self, changes: &Arc<[Change]>) -> Result<(), StoreError> {
        self.commit(changes)
    }

    /// The right to drive the upload of `fingerprint`. It ends when the lease is dropped, or with
    /// the process.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] when somebody has it.
    fn lease(&self, fingerprint: &Fingerprint) -> Result<Lease, StoreError>;

    /// The lease of an upload of which the store has no record, if both can be had without waiting: not
    /// for another thread or process, nor for more of the disk than locks take. `None` says nothing: ask for the
    /// [lease](Self::lease) and the [record](Self::load). By default it is that.
    fn lease_new(&self, fingerprint: &Fingerprint) -> Option<Lease> {
        let _ = fingerprint;
        None
    }

    /// The trail of a source of `length` bytes. What an earlier run noted is there if the length
    /// agrees; otherwise it is begun anew. Bring the upload's lease.
    ///
    /// Never fails: where nothing can be kept, and by default, the trail is off.
    fn trail(&self, fingerprint: &Fingerprint, length: u64) -> Trail {
        let _ = (fingerprint, length);
        Trail::off()
    }

    /// Forgets a trail, if there is one: when its upload is finished, given up, or begun anew with
    /// other bytes. Bring the upload's lease. Does nothing by default.
    fn remove_trail(&self, fingerprint: &Fingerprint) {
        let _ = fingerprint;
    }

    /// Gives the trail of `from` to `to`, over the one that `to` had: for a source that was moved.
    /// Bring both leases. Does nothing by default.
    fn move_trail(&self, from: &Fingerprint, to: &Fingerprint) {
        let _ = (from, to);
    }

    /// Whose trails are kept, in order: the unfinished uploads of all but short sources. None by
    /// default.
    fn trails(&self) -> Vec<Fingerprint> {
        Vec::new()
    }

    /// What a person should hear of, once. Empty by default.
    fn take_notices(&self) -> Vec<StoreNotice> {
        Vec::new()
    }
}

/// A store behind a pointer is that store.
macro_rules! forward {
    ($pointer:ty, $($bound:tt)+) => {
        impl<T: $($bound)+> ResumeStore for $pointer {
            fn load(&self, fingerprint: &Fingerprint) -> Result<Option<Record>, StoreError> {
                (**self).load(fingerprint)
            }

            fn load_many(
                &self,
                fingerprints: &[Fingerprint],
            ) -> Result<Vec<Option<Record>>, StoreError> {
                (**self).load_many(fingerprints)
            }

            fn list(&self, filter: Filter) -> Result<Vec<(Fingerprint, Record)>, StoreError> {
                (**self).list(filter)
            }

            fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
                (**self).commit(changes)
            }

            fn commit_shared(&self, changes: &Arc<[Change]>) -> Result<(), StoreError> {
                (**self).commit_shared(changes)
            }

            fn lease(&self, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
                (**self).lease(fingerprint)
            }

            fn lease_new(&self, fingerprint: &Fingerprint) -> Option<Lease> {
                (**self).lease_new(fingerprint)
            }

            fn trail(&self, fingerprint: &Fingerprint, length: u64) -> Trail {
                (**self).trail(fingerprint, length)
            }

            fn remove_trail(&self, fingerprint: &Fingerprint) {
                (**self).remove_trail(fingerprint);
            }

            fn move_trail(&self, from: &Fingerprint, to: &Fingerprint) {
                (**self).move_trail(from, to);
            }

            fn trails(&self) -> Vec<Fingerprint> {
                (**self).trails()
            }

            fn take_notices(&self) -> Vec<StoreNotice> {
                (**self).take_notices()
            }
        }
    };
}

forward!(Box<T>, ResumeStore + ?Sized);
forward!(Arc<T>, ResumeStore + ?Sized);

/// Which records to list. Default: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Only those in one of these states; empty lets every state through.
    pub states: Vec<State>,
    /// Only those that go to this destination.
    pub destination: Option<String>,
    /// Only those whose source has this length in bytes.
    pub length: Option<u64>,
    /// Only those whose source had these samples: how a moved file is found.
    pub samples: Option<[u8; 32]>,
}

impl Filter {
    /// Lets everything through.
    pub fn all() -> Self {
        Self::default()
    }

    /// Also lets this state through; once one is named, only named ones pass.
    #[must_use]
    pub fn with_state(mut self, state: State) -> Self {
        self.states.push(state);
        self
    }

    /// Only records that go to `destination`.
    #[must_use]
    pub fn with_destination(mut self, destination: impl Into<String>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// Only records of sources that resemble `evidence`, wherever their file was.
    #[must_use]
    pub fn with_bytes_like(mut self, evidence: &Evidence) -> Self {
        self.length = Some(evidence.length);
        self.samples = Some(evidence.samples);
        self
    }

    /// Whether `record` passes.
    pub fn admits(&self, record: &Record) -> bool {
        let evidence = record.evidence.as_ref();
        (self.states.is_empty() || self.states.contains(&record.state))
            && self
                .destination
                .as_ref()
                .is_none_or(|destination| *destination == record.destination)
            && self
                .length
                .is_none_or(|length| record.length == Some(length))
            && self
                .samples
                .is_none_or(|samples| evidence.is_some_and(|e| e.samples == samples))
    }
}
