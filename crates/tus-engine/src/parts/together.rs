//! [`Together`]: the events of parts, as those of one upload.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::event::{Event, EventSink, UploadId, WaitReason};

use super::portion::Flow;

/// Makes one upload of the events of its parts.
pub(super) struct Together {
    sink: Arc<dyn EventSink>,
    id: UploadId,
    length: u64,
    begun: Instant,
    sent: AtomicU64,
    state: Mutex<Progress>,
}

struct Progress {
    offsets: Vec<u64>,
    positions: Vec<u64>,
    /// Parts whose offset is known, or not worth waiting for.
    begun: BTreeSet<usize>,
    resumed: bool,
    /// Where the whole goes on: once, for a part that had to wait for its connection goes on later.
    resumed_told: bool,
    created: bool,
    /// That the bandwidth is limited.
    held_told: bool,
}

impl Together {
    /// `offsets` are those that the parts are remembered with. Only the parts that are `at_once` under way have to be asked for
    /// before it is told where the whole goes on.
    pub(super) fn new(
        sink: Arc<dyn EventSink>,
        id: UploadId,
        length: u64,
        offsets: Vec<u64>,
        at_once: usize,
    ) -> Self {
        let state = Progress {
            begun: (at_once..offsets.len()).collect(),
            positions: offsets.clone(),
            offsets,
            resumed: false,
            resumed_told: false,
            created: false,
            held_told: false,
        };
        Self {
            sink,
            id,
            length,
            begun: Instant::now(),
            sent: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// Whether a part was created.
    pub(super) fn created(&self) -> bool {
        self.state().created
    }

    /// Body bytes that have left.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes per second since it began.
    pub(super) fn rate(&self) -> f64 {
        self.sent() as f64 / self.begun.elapsed().as_secs_f64()
    }

    /// How the whole gets on, once that can be told.
    pub(super) fn flow(&self) -> Option<Flow> {
        let rate = self.rate();
        let there: u64 = self.state().positions.iter().sum();
        let left = self.length.saturating_sub(there);
        (rate > 0.0).then_some(Flow { left, rate })
    }

    fn state(&self) -> MutexGuard<'_, Progress> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, part: usize, event: &Event) {
        let mut state = self.state();
        let all = state.offsets.len();
        let told = match event {
            Event::Sent { bytes, position } => {
                self.sent.fetch_add(*bytes, Ordering::Relaxed);
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
                state.offsets[part] = 0;
                state.positions[part] = 0;
                let first = !std::mem::replace(&mut state.created, true);
                (first && !state.resumed).then(|| event.clone())
            }
            Event::Finished { .. } => {
                state.begun.insert(part);
                None
            }
            Event::Started { .. } | Event::Failed => None,
            // One limit holds them all.
            Event::Waiting {
                reason: WaitReason::Bandwidth,
                ..
            } if std::mem::replace(&mut state.held_told, true) => None,
            other => Some(other.clone()),
        };
        // Where it goes on is known when every part has been asked for.
        let resumed = state.begun.len() == all && state.resumed && !state.resumed_told;
        state.resumed_told |= resumed;
        let sum = state.offsets.iter().sum();
        drop(state);
        if let Some(told) = told {
            self.sink.event(self.id, &told);
        }
        if resumed {
            self.sink.event(self.id, &Event::Resumed { offset: sum });
        }
    }
}

pub(super) struct PartSink {
    pub(super) together: Arc<Together>,
    pub(super) index: u64,
}

impl EventSink for PartSink {
    fn event(&self, _: UploadId, event: &Event) {
        self.together
            .event(usize::try_from(self.index).unwrap_or_default(), event);
    }
}

/// The final upload's own events, less what the parts have told.
pub(super) struct FinalSink(pub(super) Arc<dyn EventSink>, pub(super) bool);

impl EventSink for FinalSink {
    fn event(&self, upload: UploadId, event: &Event) {
        if !(matches!(event, Event::Created { .. }) && self.1) {
            self.0.event(upload, event);
        }
    }
}
