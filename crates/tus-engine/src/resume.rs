//! Where an upload begins: what is remembered of it, and whether that still holds.

use std::io;
use std::sync::Arc;

use resume_store::{Evidence, Fingerprint, Lease, Record, Resemblance, State, StoreError};
use sha2::{Digest, Sha256};
use tus_core::UploadUrl;
use tus_core::client::Start;

use crate::error::UploadError;
use crate::event::RestartReason;
use crate::journal::Journal;
use crate::source::Source;
use crate::uploader::{NewUpload, Resume};

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
    pub(crate) restarted: Option<RestartReason>,
    /// A remembered upload that is given up: to be terminated.
    pub(crate) abandoned: Option<UploadUrl>,
    pub(crate) keeper: Option<Keeper>,
}

/// The right to write an upload's record, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) journal: Journal,
    pub(crate) fingerprint: Fingerprint,
    _lease: Lease,
}

/// Takes the lease, loads the record and compares it with the source.
pub(crate) async fn look_back(
    new: &NewUpload,
    source: &Arc<dyn Source>,
    journal: Option<&Journal>,
) -> Result<Begin, UploadError> {
    let destination = new.destination_name();
    let looked_at = Arc::clone(source);
    // Samples are read: from a disk that sleeps, that takes seconds.
    let evidence = tokio::task::spawn_blocking(move || looked_at.evidence()).await;
    let evidence = evidence.map_err(io::Error::other).and_then(|found| found);
    let evidence = evidence.map_err(UploadError::Source)?;
    let mut fresh = Record::intended(&new.source_key, &destination);
    fresh.length = source.length().known();
    fresh.settings = settings(new);
    fresh.evidence = evidence;
    let mut outset = Outset {
        start: Start::Create,
        record: fresh,
        restarted: None,
        abandoned: None,
        keeper: None,
    };
    let Some(journal) = journal.filter(|_| new.remember) else {
        return Ok(Begin::Upload(Box::new(outset)));
    };

    let fingerprint = Fingerprint::new(&destination, &new.source_key);
    let lease = match journal
        .lease(fingerprint)
        .await
        .ok_or(UploadError::TaskEnded)?
    {
        Ok(lease) => lease,
        Err(error @ StoreError::Busy { .. }) => return Err(UploadError::Busy(error)),
        Err(error) => return Err(UploadError::Store(error)),
    };
    outset.keeper = Some(Keeper {
        journal: journal.clone(),
        fingerprint,
        _lease: lease,
    });
    let known = journal
        .load(fingerprint)
        .await
        .ok_or(UploadError::TaskEnded)?;
    match known.map_err(UploadError::Store)? {
        None => Ok(Begin::Upload(Box::new(outset))),
        Some(known) => Ok(weigh(new, known, outset)),
    }
}

/// Decides between what is remembered and a fresh start.
fn weigh(new: &NewUpload, known: Record, mut outset: Outset) -> Begin {
    let fresh = &outset.record;
    let same_source =
        known.length == fresh.length && same(known.evidence.as_ref(), fresh.evidence.as_ref());
    let same_settings = known.settings == fresh.settings;
    let anew = if new.resume != Resume::Continue {
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
        State::Finished if same_source && new.resume != Resume::AnewEvenIfFinished => {
            return Begin::Finished {
                record: Box::new(known),
                settings_differ: !same_settings,
            };
        }
        State::Finished => outset.restarted = anew,
        State::Creating => {
            outset.start = Start::Doubt;
            outset.record.idempotency_key = known.idempotency_key;
            outset.record.tags = known.tags;
        }
        State::Active => match (anew, known.upload_url.clone()) {
            (None, url) => {
                if let Some(url) = url {
                    outset.start = Start::Resume {
                        url: new.current(&url),
                        offset: known.offset,
                        reached: 0,
                    };
                }
                outset.record = known;
            }
            (anew, url) => {
                outset.restarted = anew;
                outset.abandoned = url.map(|url| new.current(&url));
            }
        },
        // Given up for good: nothing of it helps.
        _ => {}
    }
    Begin::Upload(Box::new(outset))
}

/// Whether the bytes are proven to be those that an earlier run began with. A source that can prove nothing is taken at its
/// length's word.
fn same(then: Option<&Evidence>, now: Option<&Evidence>) -> bool {
    match (then, now) {
        (Some(then), Some(now)) => then.compare(now) == Resemblance::Same,
        (None, None) => true,
        _ => false,
    }
}

/// The digest of what is fixed at creation.
fn settings(new: &NewUpload) -> [u8; 32] {
    let mut digest = Sha256::new();
    if let Some(settings) = &new.settings {
        digest.update(settings);
        return digest.finalize().into();
    }
    let creation = &new.creation;
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
