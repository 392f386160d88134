//! [`Event`]: what happens to an upload, and [`EventSink`]: who listens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use resume_store::StoreNotice;
use tus_core::client::RetryReason;

/// Names one upload of one [`Uploader`](crate::Uploader) in its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(u64);

impl UploadId {
    /// The next id of this process.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Something that happened to an upload.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The server confirmed all bytes below `offset`.
    Acked {
        /// Confirmed bytes.
        offset: u64,
    },
    /// The server takes smaller chunks only.
    ChunkShrunk {
        /// Bytes per PATCH from now on.
        to_bytes: u64,
    },
    /// The source looks different and may be the same, as after a move: it is read again and compared with what was sent.
    Comparing {
        /// What the source is called.
        label: String,
        /// Bytes that may have to be read.
        bytes: u64,
    },
    /// The upload exists on the server, and its record is written, or is with the next commit if the upload is whole already.
    Created {
        /// The kept headers of the answer, such as `stream-media-id`.
        tags: BTreeMap<String, String>,
    },
    /// The server will remove the upload then, if it stays unfinished.
    Expires {
        /// When.
        at: SystemTime,
    },
    /// It stopped; the error reaches whoever joins the handle.
    Failed,
    /// All bytes are confirmed.
    Finished {
        /// The kept headers.
        tags: BTreeMap<String, String>,
    },
    /// It was to be sent in parts, and the server does not join partial uploads: it is sent as one.
    PartsNotOffered,
    /// It was paused by its owner.
    Paused,
    /// A creation may have left an upload behind that nobody will finish.
    PossibleOrphan,
    /// The source could not be read; it is tried once more.
    ReadFailed {
        /// What the reading brought.
        error: String,
    },
    /// A remembered upload is given up and a new one is created.
    Restarted {
        /// Why.
        reason: RestartReason,
        /// The kept headers of the one that is given up, such as `stream-media-id`.
        lost: BTreeMap<String, String>,
    },
    /// A remembered upload goes on.
    Resumed {
        /// Confirmed bytes.
        offset: u64,
    },
    /// Something went wrong and is tried again.
    Retry {
        /// What went wrong.
        reason: RetryReason,
        /// What the transport said, if it was the transport.
        detail: Option<String>,
        /// How long it waits first.
        wait: Duration,
        /// Waits since the last progress, this one included.
        attempt: u32,
    },
    /// The server lost confirmed bytes; they are sent again.
    Rewound {
        /// Confirmed before.
        from: u64,
        /// Confirmed now.
        to: u64,
    },
    /// Body bytes left. Progress, and a guess: only [`Acked`](Self::Acked) is the truth.
    Sent {
        /// Bytes of this piece.
        bytes: u64,
        /// The position in the source behind them.
        position: u64,
    },
    /// It has begun.
    Started {
        /// What the source is called.
        label: String,
        /// Total bytes, if they are known.
        length: Option<u64>,
    },
    /// The record could not be written. The upload goes on; a crash now costs the resume. Told once.
    StateNotSaved {
        /// Why.
        error: String,
    },
    /// It goes on after a pause.
    Unpaused,
    /// The server leaves out `Tus-Resumable`; otherwise harmless.
    VersionMissing,
    /// It is held back before its next request.
    Waiting {
        /// What for.
        reason: WaitReason,
        /// How long, if that is known.
        wait: Option<Duration>,
    },
}

/// Why a remembered upload is not continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestartReason {
    /// The caller asked to begin anew.
    Asked,
    /// The server does not know it any more.
    Gone,
    /// The settings that are fixed at creation are others now.
    SettingsChanged,
    /// The source is not what it was.
    SourceChanged,
}

/// What an upload waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// As many bytes leave as may. Told once for each upload.
    Bandwidth,
    /// The service asked for fewer requests, from this or another upload.
    RateLimit,
    /// The service works on as many videos as it takes.
    EncodeSlots,
}

/// Listens to events. Called from the tasks that move bytes, [`Event::Sent`] once per buffer: it must not block.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn event(&self, upload: UploadId, event: &Event);

    /// Takes what the resume store has to say to people, such as that it repaired itself.
    fn store_notice(&self, notice: &StoreNotice) {
        let _ = notice;
    }

    /// Takes, once, why the end of an upload could not be written down. It is tried again as long as the uploader lives; if that
    /// fails, too, the next run asks the server about it. What fails before the end is [`Event::StateNotSaved`].
    fn end_not_saved(&self, error: &str) {
        let _ = error;
    }
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl EventSink for Silent {
    fn event(&self, _: UploadId, _: &Event) {}
}
