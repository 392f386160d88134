//! Where the log has the newest frame of each upload: the frames themselves stay on the disk.

use std::collections::BTreeMap;

use crate::Fingerprint;
use crate::codec::Sealed;
use crate::ledger;

/// What is in the log and not yet in the database: the newest of each upload.
#[derive(Default)]
pub(crate) struct Recent(BTreeMap<Fingerprint, Place>);

/// Where a frame lies, and all that must be known of it to count it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Bytes of frames before it.
    pub(crate) at: u64,
    pub(crate) length: u32,
    /// What its record is counted as; `None` for the mark of a removal.
    pub(crate) digest: Option<[u8; 16]>,
}

impl Place {
    pub(crate) fn new(at: u64, frame: &Sealed) -> Self {
        Self {
            at,
            length: u32::try_from(frame.bytes().len()).unwrap_or(u32::MAX),
            digest: frame.has_record().then(|| ledger::digest(frame.bytes())),
        }
    }
}

impl Recent {
    pub(crate) fn get(&self, fingerprint: &Fingerprint) -> Option<&Place> {
        self.0.get(fingerprint)
    }

    pub(crate) fn contains(&self, fingerprint: &Fingerprint) -> bool {
        self.0.contains_key(fingerprint)
    }

    /// A newer frame takes the place of an older one.
    pub(crate) fn insert(&mut self, fingerprint: Fingerprint, place: Place) {
        self.0.insert(fingerprint, place);
    }

    /// In order of fingerprint, as the database has them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Fingerprint, &Place)> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
