//! What tests of the engine share: small chunks, a listener that can be waited for, and a source that stops where it is told to.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_transport::{BoxFuture, Protocol, ReqwestTransport, Transport};
use test_support::NullSink;
use tokio::sync::Notify;
use tus_engine::{
    Buffer, BytesSource, ChunkRule, Creation, Event, EventSink, Look, NewUpload, Service, Source,
    UploadId, UploadUrl, Uploader, UploaderBuilder,
};

pub(crate) const MIB: usize = 1024 * 1024;

/// Plain tus with chunks of 1 MiB and no larger ones, so that small sources have many.
pub(crate) struct SmallChunks;

impl Service for SmallChunks {
    fn chunk_rule(&self) -> ChunkRule {
        ChunkRule {
            max_bytes: MIB as u64,
            preferred_bytes: MIB as u64,
            ..ChunkRule::FREE
        }
    }

    fn read_error(&self, _: &http::Response<()>, _: &[u8]) -> Option<tus_engine::Verdict> {
        None
    }

    fn reconcile<'a>(&'a self, _: &'a resume_store::Record) -> BoxFuture<'a, tus_engine::Finding> {
        Box::pin(std::future::ready(tus_engine::Reconciled::Unknown.into()))
    }
}

/// Keeps events, and tells when one that is waited for has come.
#[derive(Default)]
pub(crate) struct Heard {
    events: Mutex<Vec<Event>>,
    acked: AtomicU64,
    more: Notify,
}

impl EventSink for Heard {
    fn event(&self, _: UploadId, event: &Event) {
        if let Event::Acked { offset } = event {
            self.acked.store(*offset, Ordering::SeqCst);
        }
        self.events.lock().unwrap().push(event.clone());
        self.more.notify_waiters();
    }
}

impl Heard {
    pub(crate) async fn acked(&self, offset: u64) {
        loop {
            let more = self.more.notified();
            if self.acked.load(Ordering::SeqCst) >= offset {
                return;
            }
            more.await;
        }
    }

    pub(crate) async fn until(&self, wanted: impl Fn(&Event) -> bool) {
        loop {
            let more = self.more.notified();
            if self.has(&wanted) {
                return;
            }
            more.await;
        }
    }

    pub(crate) fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.lock().unwrap().iter().any(wanted)
    }
}

pub(crate) fn transport() -> ReqwestTransport {
    ReqwestTransport::new(Protocol::Http1).unwrap()
}

pub(crate) fn uploader(transport: impl Transport + 'static) -> UploaderBuilder {
    Uploader::builder(Arc::new(transport)).service(Arc::new(SmallChunks))
}

pub(crate) fn new(sink: &NullSink) -> NewUpload {
    let url = UploadUrl::parse(&sink.creation_url()).unwrap();
    NewUpload::new(Creation::new(url), "/footage/a.mov")
}

pub(crate) fn bytes(len: usize) -> Arc<BytesSource> {
    Arc::new(BytesSource::new(vec![7; len]))
}

/// A source that gives nothing beyond a position until it is opened, and that can claim to have changed.
pub(crate) struct Gate {
    length: u64,
    closed_at: u64,
    pub(crate) open: AtomicBool,
    opened: Notify,
    pub(crate) changed: AtomicBool,
}

impl Gate {
    pub(crate) fn new(length: usize, closed_at: usize) -> Self {
        let (length, closed_at) = (length as u64, closed_at as u64);
        Self {
            length,
            closed_at,
            open: AtomicBool::new(false),
            opened: Notify::new(),
            changed: AtomicBool::new(false),
        }
    }

    pub(crate) fn release(&self) {
        self.open.store(true, Ordering::SeqCst);
        self.opened.notify_waiters();
    }
}

impl Source for Gate {
    fn length(&self) -> tus_engine::UploadLength {
        self.length.into()
    }

    fn read_at(&self, offset: u64, _: Buffer) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            loop {
                let opened = self.opened.notified();
                if offset < self.closed_at || self.open.load(Ordering::SeqCst) {
                    let len = (self.length - offset).min(64 * 1024) as usize;
                    return Ok(Bytes::from(vec![7; len]));
                }
                opened.await;
            }
        })
    }

    fn look(&self) -> io::Result<Look> {
        let length = u64::from(self.changed.load(Ordering::SeqCst));
        Ok(Look {
            length,
            ..Look::default()
        })
    }
}
