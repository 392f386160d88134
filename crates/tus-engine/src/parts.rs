//! One source as several partial uploads at once, and one final upload that joins them (CC-01 … CC-18).
//!
//! Each part is an upload like any other, with a record of its own: a crash costs none of them. The whole is created by the
//! final upload; until then its record only tells how the source was divided.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_transport::BoxFuture;
use resume_store::{Evidence, Record, Resemblance, State};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tus_core::client::Failure;
use tus_core::{Extension, UploadConcat, UploadLength, UploadUrl};

use crate::buffer::Buffer;
use crate::control::Wishes;
use crate::drive::Driver;
use crate::error::UploadError;
use crate::event::{Event, EventSink, UploadId};
use crate::new_upload::Report;
use crate::prove;
use crate::resume::Outset;
use crate::source::{Look, Source};
use crate::task::{Setup, Task};

/// No part is smaller: below it, a part costs more than it brings. 1 MiB.
const MIN_PART_BYTES: u64 = 1024 * 1024;

/// The tag of the whole's record that says into how many parts the source was divided.
const PARTS_TAG: &str = "parts";

impl Task {
    /// Into how many parts the source is divided; 1 for one upload after the other offset. What an earlier run began is gone
    /// on with.
    pub(crate) async fn parts(&self, outset: &Outset) -> u64 {
        let begun = outset
            .record
            .tags
            .get(PARTS_TAG)
            .and_then(|count| count.parse().ok());
        if outset.record.upload_url.is_some() || self.new.entry.creation().is_none() {
            return 1;
        }
        let wanted = begun.unwrap_or(self.shared.options.parts as u64);
        let divisible = self.source.window_bytes().is_none();
        let Some(length) = self.source.length().known().filter(|_| divisible) else {
            return 1;
        };
        let wanted = wanted.min(length / MIN_PART_BYTES);
        if wanted < 2 {
            return 1;
        }
        let offered = self.shared.capabilities(self.new.entry.url()).await;
        if offered.is_some_and(|offered| offered.extensions.has(Extension::Concatenation)) {
            return wanted;
        }
        self.shared.sink.event(self.id, &Event::PartsNotOffered);
        1
    }

    /// Sends the parts, then joins them.
    pub(crate) async fn send_parts(
        self,
        mut outset: Outset,
        count: u64,
        wishes: Wishes,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<(Report, Record), UploadError> {
        let length = self.source.length().known().unwrap_or_default();
        if outset.record.state != State::Creating || !outset.record.tags.contains_key(PARTS_TAG) {
            outset.record.state = State::Active;
            outset
                .record
                .tags
                .insert(PARTS_TAG.into(), count.to_string());
            if let Some(keeper) = &outset.keeper {
                // Not told here when it fails: the parts' own records have the same trouble and tell it.
                let _ = keeper
                    .journal
                    .commit(keeper.fingerprint, Some(outset.record.clone()))
                    .await;
            }
        }
        let sink = Arc::new(Together::new(Arc::clone(&self.shared.sink), self.id, count));
        let mut running = JoinSet::new();
        for index in 0..count {
            running.spawn(self.part(index, count, length, Arc::clone(&sink), wishes.clone()));
        }
        let mut sent = Vec::new();
        let mut ended = Ok(());
        while let Some(part) = running.join_next().await {
            match part.unwrap_or(Err(UploadError::TaskEnded)) {
                Ok(part) => sent.push(part),
                // Terminated parts go one by one; any other end of one stops the rest, resumably.
                Err(error) => {
                    if !matches!(error, UploadError::Terminated) {
                        running.abort_all();
                    }
                    if ended.is_ok() {
                        ended = Err(error);
                    }
                }
            }
        }
        sent.sort_by_key(|part| part.index);
        if let Err(error) = ended {
            if matches!(error, UploadError::Terminated) {
                self.remove_parts(&sent, outset, turn).await;
            }
            return Err(error);
        }
        self.join(outset, sent, sink.as_ref(), wishes, turn).await
    }

    fn part(
        &self,
        index: u64,
        count: u64,
        length: u64,
        sink: Arc<Together>,
        wishes: Wishes,
    ) -> impl Future<Output = Result<Part, UploadError>> + use<> {
        let (start, end) = (length * index / count, length * (index + 1) / count);
        let source: Arc<dyn Source> = Arc::new(PartSource {
            whole: Arc::clone(&self.source),
            start,
            length: end - start,
        });
        let kept = Arc::clone(&source);
        let mut new = self.new.clone();
        let key = part_key(&self.new.source_key, index, count);
        new.source_key.clone_from(&key);
        let task = Self {
            shared: Arc::clone(&self.shared),
            id: self.id,
            source,
            new,
        };
        async move {
            let sink = Arc::new(PartSink {
                together: sink,
                index,
            });
            let setup = Setup {
                concat: Some(UploadConcat::Partial),
                sink,
                turn: None,
            };
            let (report, record) = task.run_now(wishes, setup).await?;
            Ok(Part {
                index,
                key,
                source: kept,
                report,
                url: record.upload_url,
                content: record.content,
            })
        }
    }

    /// The source is what all parts were read from. Each part has compared its own bytes while it was sent; what was touched
    /// after one had finished is compared here.
    async fn compare(&self, parts: &[Part]) -> Result<(), UploadError> {
        let now = self.source.look().map_err(UploadError::Source)?;
        match self.source.opened_as().compare(&now) {
            Resemblance::Same => return Ok(()),
            Resemblance::Changed => return Err(UploadError::SourceChanged),
            Resemblance::Moved => {}
        }
        let pool = &self.shared.permits.buffers;
        for part in parts {
            let found = prove::content(part.source.as_ref(), part.report.length, pool).await;
            if part.content.is_some() && found.map_err(UploadError::Source)? != part.content {
                return Err(UploadError::SourceChanged);
            }
        }
        Ok(())
    }

    /// Creates the final upload, and removes what it was made of.
    async fn join(
        self,
        outset: Outset,
        parts: Vec<Part>,
        sink: &Together,
        wishes: Wishes,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<(Report, Record), UploadError> {
        self.compare(&parts).await?;
        let urls = parts.iter().filter_map(|part| part.url.as_ref());
        let concat = UploadConcat::Final(urls.map(|url| url.expose().to_owned()).collect());
        let setup = Setup {
            concat: Some(concat),
            sink: Arc::new(FinalSink(Arc::clone(&self.shared.sink), sink.created())),
            turn,
        };
        let mut driver = Driver::new(&self, outset, setup).await;
        let joined = driver.drive(wishes).await;
        let refused = matches!(
            &joined,
            Err(UploadError::GaveUp {
                failure: Failure::Refused { .. },
                ..
            })
        );
        if joined.is_ok() || refused {
            // Joined, or not to be joined: the server may have lost a part that was remembered here as finished. Either way
            // nothing of them is of use any more.
            driver.remove_parts(&self.remains(&parts)).await;
        }
        if refused {
            driver.forget().await;
        }
        let mut report = joined?;
        for part in &parts {
            report.bytes_sent += part.report.bytes_sent;
            report.requests += part.report.requests;
        }
        report.tags.remove(PARTS_TAG);
        Ok((report, driver.record))
    }

    /// All parts were to be terminated: those that had finished before are removed, too.
    async fn remove_parts(
        self,
        finished: &[Part],
        outset: Outset,
        turn: Option<OwnedSemaphorePermit>,
    ) {
        let setup = Setup {
            concat: None,
            sink: Arc::clone(&self.shared.sink),
            turn,
        };
        let mut driver = Driver::new(&self, outset, setup).await;
        driver.remove_parts(&self.remains(finished)).await;
        driver.forget().await;
    }

    fn remains(&self, parts: &[Part]) -> Vec<(String, Option<UploadUrl>)> {
        parts
            .iter()
            .map(|part| (part.key.clone(), part.url.clone()))
            .collect()
    }
}

/// What a part of a source is known as.
fn part_key(source_key: &str, index: u64, count: u64) -> String {
    // NUL stands in no path, so no file is ever taken for a part.
    format!("{source_key}\0part {} of {count}", index + 1)
}

/// A part whose bytes are all confirmed.
struct Part {
    index: u64,
    /// What it is known as.
    key: String,
    source: Arc<dyn Source>,
    report: Report,
    url: Option<UploadUrl>,
    /// The digest of what was sent.
    content: Option<[u8; 16]>,
}

/// A range of another source.
struct PartSource {
    whole: Arc<dyn Source>,
    start: u64,
    length: u64,
}

impl Source for PartSource {
    fn length(&self) -> UploadLength {
        UploadLength::Known(self.length)
    }

    fn read_at(&self, offset: u64, buffer: Buffer) -> BoxFuture<'_, io::Result<Bytes>> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        Box::pin(async move {
            let mut bytes = self.whole.read_at(self.start + offset, buffer).await?;
            bytes.truncate(left);
            Ok(bytes)
        })
    }

    fn evidence(&self) -> io::Result<Option<Evidence>> {
        self.whole.evidence()
    }

    fn opened_as(&self) -> Look {
        self.whole.opened_as()
    }

    fn look(&self) -> io::Result<Look> {
        self.whole.look()
    }
}

/// Makes one upload of the events of its parts.
struct Together {
    sink: Arc<dyn EventSink>,
    id: UploadId,
    state: Mutex<Progress>,
}

struct Progress {
    offsets: Vec<u64>,
    positions: Vec<u64>,
    begun: BTreeSet<usize>,
    resumed: bool,
    created: bool,
}

impl Together {
    fn new(sink: Arc<dyn EventSink>, id: UploadId, count: u64) -> Self {
        let zeros = vec![0; usize::try_from(count).unwrap_or_default()];
        let state = Progress {
            offsets: zeros.clone(),
            positions: zeros,
            begun: BTreeSet::new(),
            resumed: false,
            created: false,
        };
        Self {
            sink,
            id,
            state: Mutex::new(state),
        }
    }

    fn created(&self) -> bool {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .created
    }

    fn event(&self, part: usize, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let all = state.offsets.len();
        let told = match event {
            Event::Sent { bytes, position } => {
                state.positions[part] = *position;
                Some(Event::Sent {
                    bytes: *bytes,
                    position: state.positions.iter().sum(),
                })
            }
            Event::Acked { offset }
            | Event::Resumed { offset }
            | Event::Rewound { to: offset, .. } => {
                let from = state.offsets.iter().sum();
                state.offsets[part] = *offset;
                state.positions[part] = *offset;
                let sum = state.offsets.iter().sum();
                match event {
                    Event::Acked { .. } => Some(Event::Acked { offset: sum }),
                    Event::Rewound { .. } => Some(Event::Rewound { from, to: sum }),
                    _ => {
                        state.begun.insert(part);
                        state.resumed = true;
                        None
                    }
                }
            }
            // For whoever listens the upload exists when its first part does.
            Event::Created { .. } => {
                state.begun.insert(part);
                let first = !std::mem::replace(&mut state.created, true);
                (first && !state.resumed).then(|| event.clone())
            }
            Event::Finished { .. } => {
                state.begun.insert(part);
                None
            }
            Event::Started { .. } | Event::Failed => None,
            other => Some(other.clone()),
        };
        // Where it goes on is known when every part has been asked for.
        let begun = std::mem::take(&mut state.begun);
        let resumed = begun.len() == all && state.resumed;
        if resumed {
            state.resumed = false;
        }
        let sum = state.offsets.iter().sum();
        state.begun = begun;
        drop(state);
        if let Some(told) = told {
            self.sink.event(self.id, &told);
        }
        if resumed {
            self.sink.event(self.id, &Event::Resumed { offset: sum });
        }
    }
}

struct PartSink {
    together: Arc<Together>,
    index: u64,
}

impl EventSink for PartSink {
    fn event(&self, _: UploadId, event: &Event) {
        self.together
            .event(usize::try_from(self.index).unwrap_or_default(), event);
    }
}

/// The final upload's own events, less what the parts have told.
struct FinalSink(Arc<dyn EventSink>, bool);

impl EventSink for FinalSink {
    fn event(&self, upload: UploadId, event: &Event) {
        if !(matches!(event, Event::Created { .. }) && self.1) {
            self.0.event(upload, event);
        }
    }
}
