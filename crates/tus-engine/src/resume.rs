//! Where an upload begins: what is remembered of it, and whether that still holds.

use std::io;
use std::path::Path;
use std::sync::Arc;

use resume_store::{
    Evidence, Fingerprint, Lease, Record, Resemblance, State, StoreError, TRAIL_MIN_BYTES, Trail,
};
use sha2::{Digest, Sha256};
use tus_core::client::Start;

use crate::buffer::BufferPool;
use crate::error::UploadError;
use crate::event::RestartReason;
use crate::journal::Journal;
use crate::new_upload::{Entry, NewUpload, Resume};
use crate::outbox::Visit;
use crate::parts;
use crate::prove::{self, Tracer};
use crate::source::Source;

/// The outcome of looking back.
pub(crate) enum Begin {
    /// An earlier run finished it.
    Finished {
        record: Box<Record>,
        settings_differ: bool,
    },
    /// Begin, or go on.
    Upload(Box<Outset>),
}

/// All that the driver starts from.
pub(crate) struct Outset {
    pub(crate) start: Start,
    pub(crate) record: Record,
    /// The store has the record, with the upload's URL.
    pub(crate) is_known: bool,
    /// The record of an upload that begins anew.
    pub(crate) fresh: Record,
    pub(crate) restarted: Option<RestartReason>,
    /// A remembered upload that is given up: to be removed from the server.
    pub(crate) abandoned: Option<Record>,
    /// Into how many parts a remembered upload was divided that is given up.
    pub(crate) abandoned_parts: Option<u64>,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) tracer: Option<Arc<Tracer>>,
    /// The source looks different from what is remembered, and was read again: its bytes are the same up to here.
    pub(crate) proven_to: Option<u64>,
}

/// The right to write an upload's record, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) journal: Journal,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) lease: Lease,
    pub(crate) visit: Visit,
}

/// Where an upload is looked for, and with what.
pub(crate) struct Retrospect<'a> {
    pub(crate) new: &'a NewUpload,
    pub(crate) source: &'a Arc<dyn Source>,
    pub(crate) journal: Option<&'a Journal>,
    pub(crate) pool: &'a Arc<BufferPool>,
    /// Hears that a source is read for comparison.
    pub(crate) on_comparing: &'a (dyn Fn(u64) + Send + Sync),
}

impl Retrospect<'_> {
    /// Takes the lease, loads the record and compares it with the source.
    pub(crate) async fn look_back(&self) -> Result<Begin, UploadError> {
        let new = self.new;
        let mut fresh = Record::intended(&new.source_key, new.destination_name());
        fresh.length = self.source.length().known();
        fresh.settings = settings(new);
        fresh.evidence = evidence(self.source).await?;
        let mut outset = Outset {
            start: match &new.entry {
                Entry::Creation(_) => Start::Create,
                Entry::UploadUrl(url) => Start::Resume {
                    url: url.clone(),
                    offset: 0,
                    reached: 0,
                },
            },
            record: fresh.clone(),
            is_known: false,
            fresh,
            restarted: None,
            abandoned: None,
            abandoned_parts: None,
            keeper: None,
            tracer: None,
            proven_to: None,
        };
        if let Entry::UploadUrl(url) = &new.entry {
            outset.record.state = State::Active;
            outset.record.upload_url = Some(url.clone());
        }
        let Some(journal) = self.journal.filter(|_| new.remember) else {
            outset.trace(true).await;
            return Ok(Begin::Upload(Box::new(outset)));
        };

        let fingerprint = new.fingerprint();
        let (keeper, known) = recall(journal, fingerprint).await?;
        outset.keeper = Some(keeper);
        let known = match known {
            None => self.adopt(journal, fingerprint, &outset.fresh).await?,
            known => known,
        };
        let Some(known) = known else {
            outset.trace(true).await;
            return Ok(Begin::Upload(Box::new(outset)));
        };
        outset.trace(false).await;
        Box::pin(self.weigh(known, outset)).await
    }

    /// Decides between what is remembered and a fresh start.
    async fn weigh(&self, mut known: Record, mut outset: Outset) -> Result<Begin, UploadError> {
        let same_settings = known.settings == outset.fresh.settings;
        let same_source = self.compare(&known, &mut outset).await?;
        let anew = if self.new.resume != Resume::Continue {
            Some(RestartReason::Asked)
        } else if !same_source {
            Some(RestartReason::SourceChanged)
        } else if !same_settings {
            Some(RestartReason::SettingsChanged)
        } else {
            None
        };
        match known.state {
            // The same bytes are there already: another copy is made only when asked for by name.
            State::Finished if same_source && self.new.resume != Resume::AnewEvenIfFinished => {
                if known.evidence != outset.fresh.evidence {
                    // Proven a moment ago: the next run need not read it all again.
                    known.evidence.clone_from(&outset.fresh.evidence);
                    outset.commit(&known).await;
                }
                return Ok(Begin::Finished {
                    record: Box::new(known),
                    settings_differ: !same_settings,
                });
            }
            // What somebody else created cannot be begun anew: the server has bytes of another content.
            State::Finished | State::Active if self.is_one_time() && !same_source => {
                return Err(UploadError::SourceChanged);
            }
            State::Active if anew.is_none() || self.is_one_time() => {
                if let Some(url) = &known.upload_url {
                    outset.start = Start::Resume {
                        url: self.new.current(url),
                        offset: known.offset,
                        reached: known.reached,
                    };
                }
                known.evidence.clone_from(&outset.fresh.evidence);
                outset.is_known = known.upload_url.is_some();
                outset.record = known;
                return Ok(Begin::Upload(Box::new(outset)));
            }
            State::Active => {
                outset.restarted = anew;
                outset.abandoned_parts = parts::count_of(&known);
                outset.abandoned = known.upload_url.is_some().then_some(known);
            }
            State::Finished => outset.restarted = anew,
            State::Creating => {
                outset.start = Start::Doubt;
                outset.record.idempotency_key = known.idempotency_key;
                outset.record.created_at = known.created_at;
                outset.record.tags = known.tags;
            }
            // Given up for good: nothing of it helps.
            _ => {}
        }
        outset.proven_to = None;
        outset.trace(true).await;
        Ok(Begin::Upload(Box::new(outset)))
    }

    fn is_one_time(&self) -> bool {
        self.new.entry.creation().is_none()
    }

    /// Whether the source is the one that an earlier run began with; reads it where looking at it does not tell. One that can
    /// prove nothing is taken at its length's word.
    async fn compare(&self, known: &Record, outset: &mut Outset) -> Result<bool, UploadError> {
        if known.length != outset.fresh.length {
            return Ok(false);
        }
        let (then, now) = match (&known.evidence, &outset.fresh.evidence) {
            (Some(then), Some(now)) => (then, now),
            (None, None) => return Ok(true),
            _ => return Ok(false),
        };
        match then.compare(now) {
            Resemblance::Same => Ok(true),
            Resemblance::Changed => Ok(false),
            Resemblance::Moved if known.state == State::Finished => {
                let Some(content) = known.content else {
                    return Ok(false);
                };
                (self.on_comparing)(now.length);
                let found = prove::content(self.source.as_ref(), now.length, self.pool).await;
                Ok(found.map_err(UploadError::Source)? == Some(content))
            }
            Resemblance::Moved => {
                let Some(tracer) = &outset.tracer else {
                    return Ok(false);
                };
                (self.on_comparing)(known.reached.max(known.offset));
                let source = self.source.as_ref();
                let proven = tracer.proven_to(source, self.pool, now.length).await;
                let proven = proven.map_err(UploadError::Source)?;
                // How much the server has is not known yet; what it confirmed is the least.
                outset.proven_to = Some(proven);
                Ok(known.offset <= proven)
            }
        }
    }

    /// Looks for an unfinished upload of the same bytes whose file is not where it was: it was moved here. Its record and its
    /// trail become ours; whether the bytes are the same is proven like that of any other file that looks different.
    async fn adopt(
        &self,
        journal: &Journal,
        ours: Fingerprint,
        fresh: &Record,
    ) -> Result<Option<Record>, UploadError> {
        let Some(evidence) = &fresh.evidence else {
            return Ok(None);
        };
        if evidence.length <= TRAIL_MIN_BYTES || self.is_one_time() {
            return Ok(None);
        }
        for (theirs, stray) in journal.strays().await.iter() {
            if !was_moved(stray, fresh, evidence) {
                continue;
            }
            // Somebody who has it is not to be disturbed.
            let Ok((old, Some(mut record))) = recall(journal, *theirs).await else {
                continue;
            };
            record.source_key.clone_from(&fresh.source_key);
            if journal.adopt(*theirs, ours, record.clone()).await.is_ok() {
                drop(old);
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// Looks at a source, if need be on a thread that may block: samples are read, and from a disk that sleeps that takes seconds.
pub(crate) async fn evidence(source: &Arc<dyn Source>) -> Result<Option<Evidence>, UploadError> {
    // What else is wrong with it, the thread meets as well.
    if let Ok(evidence) = source.evidence_at_once() {
        return Ok(evidence);
    }
    let source = Arc::clone(source);
    let evidence = tokio::task::spawn_blocking(move || source.evidence()).await;
    let evidence = evidence.map_err(io::Error::other).and_then(|found| found);
    evidence.map_err(UploadError::Source)
}

impl Outset {
    /// Gets the trail of a source that can be looked at twice; an empty one if nothing of the old one is to hold. A short one
    /// takes no store.
    async fn trace(&mut self, is_new: bool) {
        let Some(evidence) = &self.fresh.evidence else {
            return;
        };
        let length = self.fresh.length.unwrap_or(evidence.length);
        let trail = match &self.keeper {
            _ if length <= TRAIL_MIN_BYTES => Trail::in_memory(length),
            Some(keeper) => {
                let fingerprint = keeper.fingerprint;
                keeper.journal.trail(fingerprint, length, is_new).await
            }
            None => return,
        };
        self.tracer = Some(Arc::new(Tracer::new(trail, length, is_new)));
    }

    async fn commit(&self, record: &Record) {
        if let Some(keeper) = &self.keeper {
            // A hint that could not be written costs time, nothing else.
            let _ = keeper
                .journal
                .commit(keeper.fingerprint, Some(record.clone()))
                .await;
        }
    }
}

/// Takes the lease of `fingerprint`, and reads its record.
async fn recall(
    journal: &Journal,
    fingerprint: Fingerprint,
) -> Result<(Keeper, Option<Record>), UploadError> {
    let recalled = journal.recall(fingerprint).await;
    match recalled.ok_or(UploadError::TaskEnded)? {
        Ok((lease, record)) => {
            let keeper = Keeper {
                journal: journal.clone(),
                fingerprint,
                lease,
                visit: journal.visit(),
            };
            Ok((keeper, record))
        }
        Err(error @ StoreError::Busy { .. }) => Err(UploadError::Busy(error)),
        Err(error) => Err(UploadError::Store(error)),
    }
}

/// Writes into the record of a finished upload that it has the settings of `new`.
pub(crate) async fn confirm_settings(
    journal: &Journal,
    new: &NewUpload,
) -> Result<(), UploadError> {
    let (keeper, Some(mut record)) = recall(journal, new.fingerprint()).await? else {
        return Ok(());
    };
    record.settings = settings(new);
    // Not written, they are applied once more by the next run: nothing is lost.
    let _ = journal.commit(keeper.fingerprint, Some(record)).await;
    Ok(())
}

/// Whether `stray` is an upload of the same bytes to the same place whose file is gone from where it was.
fn was_moved(stray: &Record, fresh: &Record, evidence: &Evidence) -> bool {
    let (old, old_part) = split(&stray.source_key);
    let (new, new_part) = split(&fresh.source_key);
    let (old, new) = (Path::new(old), Path::new(new));
    let known = stray.evidence.as_ref();
    stray.state == State::Active
        && stray.destination == fresh.destination
        && stray.settings == fresh.settings
        && stray.length == fresh.length
        && known.is_some_and(|it| (it.length, it.samples) == (evidence.length, evidence.samples))
        && old_part == new_part
        // A key that a manifest gives is no path: who has another key is another upload.
        && old.is_absolute()
        && new.is_absolute()
        && !old.exists()
}

/// A source key, and which part of it is meant.
fn split(source_key: &str) -> (&str, Option<&str>) {
    match source_key.split_once('\0') {
        Some((key, part)) => (key, Some(part)),
        None => (source_key, None),
    }
}

/// The digest of what is fixed at creation.
fn settings(new: &NewUpload) -> [u8; 32] {
    let mut digest = Sha256::new();
    if let Some(settings) = &new.settings {
        digest.update(settings);
        return digest.finalize().into();
    }
    let Some(creation) = new.entry.creation() else {
        return digest.finalize().into();
    };
    digest.update(creation.metadata.to_string());
    let mut headers: Vec<_> = creation.headers.iter().collect();
    headers.sort_by(|a, b| (a.0.as_str(), a.1.as_bytes()).cmp(&(b.0.as_str(), b.1.as_bytes())));
    for (name, value) in headers {
        digest.update([0]);
        digest.update(name.as_str());
        digest.update([0]);
        digest.update(value.as_bytes());
    }
    digest.finalize().into()
}
