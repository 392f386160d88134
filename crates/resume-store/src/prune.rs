//! Clearing up: what a store keeps that nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::codec::from_millis;
use crate::house::DAMAGED;
use crate::{
    Change, Filter, Fingerprint, Lease, Record, ResumeStore, SledStore, State, StoreError,
};

/// What [`SledStore::prune`] removes.
///
/// Always: failed uploads, trails that belong to no upload, what dead processes and older versions
/// left of their leases, databases that were set aside as damaged some time ago, and what is
/// outdated in the log. A finished record is only removed by name, however old it is: without it the
/// next run over the same folder would upload that file again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PruneOptions {
    /// Says what would be removed and removes nothing. Default: off.
    pub dry_run: bool,
    /// Also unfinished uploads that have not changed for this long. What the server has of them is
    /// not removed there. Default: none of them.
    pub unfinished_after: Option<Duration>,
    /// Databases set aside as damaged at least this long ago. Default: 30 days.
    pub damaged_after: Duration,
    /// Also these records, whatever their state. Default: none.
    pub named: BTreeSet<Fingerprint>,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            unfinished_after: None,
            damaged_after: Duration::from_secs(30 * 24 * 60 * 60),
            named: BTreeSet::new(),
        }
    }
}

impl PruneOptions {
    /// Says what would be removed and removes nothing.
    #[must_use]
    pub fn with_dry_run(self) -> Self {
        Self {
            dry_run: true,
            ..self
        }
    }

    /// Also removes unfinished uploads that have not changed for `age`.
    #[must_use]
    pub fn with_unfinished_after(self, age: Duration) -> Self {
        Self {
            unfinished_after: Some(age),
            ..self
        }
    }

    /// Removes databases set aside as damaged at least `age` ago.
    #[must_use]
    pub fn with_damaged_after(self, age: Duration) -> Self {
        Self {
            damaged_after: age,
            ..self
        }
    }

    /// Also removes the record of `fingerprint`, whatever its state.
    #[must_use]
    pub fn with_named(mut self, fingerprint: Fingerprint) -> Self {
        self.named.insert(fingerprint);
        self
    }

    fn condemns(&self, fingerprint: &Fingerprint, record: &Record, now: SystemTime) -> bool {
        let is_older = |age| {
            now.duration_since(record.updated_at)
                .is_ok_and(|found| found >= age)
        };
        self.named.contains(fingerprint)
            || match record.state {
                State::Failed => true,
                State::Finished => false,
                _ => self.unfinished_after.is_some_and(is_older),
            }
    }
}

/// What [`SledStore::prune`] removed, or would have removed. All in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneReport {
    /// Records, as they were.
    pub records: Vec<(Fingerprint, Record)>,
    /// Trails without an unfinished upload.
    pub trails: Vec<Fingerprint>,
    /// Files that older versions left of each lease, and those with the names of dead holders.
    pub leases: Vec<PathBuf>,
    /// Databases set aside as damaged.
    pub damaged: Vec<PathBuf>,
    /// Uploads left alone because somebody drives them at this moment.
    pub busy: Vec<Fingerprint>,
}

pub(crate) fn prune(
    store: &SledStore,
    options: &PruneOptions,
    now: SystemTime,
) -> Result<PruneReport, StoreError> {
    let mut pruning = Pruning {
        store,
        options,
        now,
        known: store.list(Filter::all())?.into_iter().collect(),
        busy: BTreeSet::new(),
        report: PruneReport::default(),
    };
    pruning.records()?;
    pruning.trails()?;
    pruning.leases()?;
    pruning.damaged();
    if !options.dry_run {
        // What is outdated goes the next time: what was removed is told in any case.
        store.tidy().ok();
    }
    let mut report = pruning.report;
    report.busy = pruning.busy.into_iter().collect();
    Ok(report)
}

/// May something of an upload be removed?
enum Claim {
    /// No: somebody drives it.
    Busy,
    /// It could be; in a dry run no lease is taken.
    Free,
    /// Yes, as long as this is held.
    Held(#[expect(dead_code, reason = "held, not read")] Lease),
}

struct Pruning<'a> {
    store: &'a SledStore,
    options: &'a PruneOptions,
    now: SystemTime,
    /// What there is when everything that is to go has gone.
    known: BTreeMap<Fingerprint, Record>,
    busy: BTreeSet<Fingerprint>,
    report: PruneReport,
}

impl Pruning<'_> {
    fn records(&mut self) -> Result<(), StoreError> {
        let condemned: Vec<_> = self
            .known
            .iter()
            .filter(|(fingerprint, record)| self.options.condemns(fingerprint, record, self.now))
            .map(|(fingerprint, _)| *fingerprint)
            .collect();
        for some in condemned.chunks(AT_ONCE) {
            let mut gone = Vec::new();
            for fingerprint in some {
                let claim = self.claim(fingerprint)?;
                let record = match &claim {
                    Claim::Busy => continue,
                    // Whoever drove it may have changed it meanwhile.
                    Claim::Held(_) => self.store.load(fingerprint)?,
                    Claim::Free => self.known.get(fingerprint).cloned(),
                };
                let condemns =
                    |record: &Record| self.options.condemns(fingerprint, record, self.now);
                if let Some(record) = record.filter(condemns) {
                    gone.push((*fingerprint, record, claim));
                }
            }
            if !self.options.dry_run {
                let changes: Vec<_> = gone
                    .iter()
                    .map(|(whose, ..)| Change::Remove(*whose))
                    .collect();
                self.store.commit(&changes)?;
            }
            for (fingerprint, record, _claim) in gone {
                self.known.remove(&fingerprint);
                self.report.records.push((fingerprint, record));
            }
        }
        Ok(())
    }

    fn trails(&mut self) -> Result<(), StoreError> {
        for fingerprint in self.store.trails() {
            if self.is_unfinished(&fingerprint) {
                continue;
            }
            let claim = self.claim(&fingerprint)?;
            if matches!(claim, Claim::Busy) {
                continue;
            }
            if matches!(claim, Claim::Held(_)) {
                // It may have been begun meanwhile.
                match self.store.load(&fingerprint)? {
                    Some(record) => self.known.insert(fingerprint, record),
                    None => self.known.remove(&fingerprint),
                };
                if self.is_unfinished(&fingerprint) {
                    continue;
                }
                self.store.remove_trail(&fingerprint);
            }
            self.report.trails.push(fingerprint);
        }
        Ok(())
    }

    /// Where a byte can be locked nobody needs lease files, and elsewhere they are made again.
    fn leases(&mut self) -> Result<(), StoreError> {
        let leases = self.store.leases();
        for fingerprint in leases.files() {
            let removed = if self.options.dry_run {
                matches!(self.claim(&fingerprint)?, Claim::Free)
            } else {
                match leases.remove_file(&fingerprint) {
                    Err(StoreError::Busy { .. }) => {
                        self.busy.insert(fingerprint);
                        false
                    }
                    other => other.map(|()| true)?,
                }
            };
            if removed {
                self.report.leases.push(leases.file(&fingerprint));
            }
        }
        self.report
            .leases
            .extend(leases.sweep(self.options.dry_run));
        self.report.leases.sort_unstable();
        Ok(())
    }

    fn damaged(&mut self) {
        let mut found: Vec<_> = set_aside(self.store.folder())
            .filter(|(_, since)| {
                let age = self.now.duration_since(*since);
                age.is_ok_and(|age| age >= self.options.damaged_after)
            })
            .map(|(path, _)| path)
            .collect();
        found.sort_unstable();
        if !self.options.dry_run {
            found.retain(|path| fs::remove_dir_all(path).is_ok());
        }
        self.report.damaged = found;
    }

    fn claim(&mut self, fingerprint: &Fingerprint) -> Result<Claim, StoreError> {
        let claim = if self.options.dry_run {
            match self.store.holder(fingerprint) {
                Some(_) => Claim::Busy,
                None => Claim::Free,
            }
        } else {
            match self.store.lease(fingerprint) {
                Ok(lease) => Claim::Held(lease),
                Err(StoreError::Busy { .. }) => Claim::Busy,
                Err(error) => return Err(error),
            }
        };
        if matches!(claim, Claim::Busy) {
            self.busy.insert(*fingerprint);
        }
        Ok(claim)
    }

    fn is_unfinished(&self, fingerprint: &Fingerprint) -> bool {
        let record = self.known.get(fingerprint);
        record.is_some_and(|record| !matches!(record.state, State::Finished | State::Failed))
    }
}

/// Databases that were set aside, and when.
fn set_aside(folder: &Path) -> impl Iterator<Item = (PathBuf, SystemTime)> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name();
        let stamp = name.to_str()?.strip_prefix(DAMAGED)?.parse().ok()?;
        Some((entry.path(), from_millis(stamp)))
    })
}

/// Leases held together, and records removed in one commit: where each takes an open file, those
/// are few.
const AT_ONCE: usize = 64;
