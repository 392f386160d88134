//! The open database, and what is done with it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::codec::Frame;
use crate::database::{Database, Trouble, Value};
use crate::files::free_bytes;
use crate::gate::Entry;
use crate::house::RESERVE;
use crate::ledger::{Figures, Ledger};
use crate::{Change, Filter, Fingerprint, Record, StoreError};

/// The database while the gate is held.
pub(crate) struct Open {
    // Dropped in this order: sled is closed before the gate opens.
    pub(crate) database: Database,
    pub(crate) ledger: Ledger,
    pub(crate) figures: Figures,
    pub(crate) folder: PathBuf,
    pub(crate) entry: Entry,
}

impl Open {
    /// Whether somebody waits for the gate.
    pub(crate) fn is_wanted(&self) -> bool {
        self.entry.is_wanted()
    }

    pub(crate) fn load(&self, fingerprint: &Fingerprint) -> Result<Option<Record>, Trouble> {
        Ok(self
            .database
            .get(fingerprint)?
            .and_then(|value| value.frame.record))
    }

    pub(crate) fn list(&self, filter: &Filter) -> Result<Vec<(Fingerprint, Record)>, Trouble> {
        let mut records = Vec::new();
        let mut spoiled = None;
        self.database.each(|value| match value {
            Ok(Value { frame, .. }) => {
                if let Some(record) = frame.record.filter(|record| filter.admits(record)) {
                    records.push((frame.fingerprint, record));
                }
            }
            Err(trouble) => spoiled = Some(trouble),
        })?;
        spoiled.map_or(Ok(records), Err)
    }

    /// Makes the changes, all or none, in their order.
    pub(crate) fn commit<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
    ) -> Result<(), Trouble> {
        let mut next = self.figures;
        next.sequence += 1;
        // The last change of each upload decides.
        let last: BTreeMap<&Fingerprint, &Change> = changes
            .map(|change| (change.fingerprint(), change))
            .collect();
        let mut values = Vec::with_capacity(last.len());
        let mut bytes = 0;
        for (fingerprint, change) in last {
            let old = self.database.get(fingerprint)?;
            if let Some(old) = old.filter(|old| old.frame.record.is_some()) {
                next.subtract(&old.bytes);
            }
            let record = match change {
                Change::Put(_, record) => Some(record.clone()),
                Change::Remove(_) => None,
            };
            let is_put = record.is_some();
            let frame = Frame {
                sequence: next.sequence,
                fingerprint: *fingerprint,
                record,
            };
            let value = frame.encode();
            if is_put {
                next.add(&value);
            }
            bytes += value.len() as u64;
            values.push((*fingerprint, value));
        }
        // What is asked beyond the reserve is for closing again: sled then writes its page table.
        let wanted = 2 * RESERVE + 4 * bytes + self.database.data_bytes() / 4;
        if free_bytes(&self.folder) < wanted {
            let path = self.folder.clone();
            return Err(Trouble::Error(StoreError::Full { path }));
        }
        self.ledger.intend(&self.figures, next)?;
        self.database.apply(values.into_iter(), &next)?;
        self.figures = next;
        self.ledger.settle(next)?;
        Ok(())
    }
}
