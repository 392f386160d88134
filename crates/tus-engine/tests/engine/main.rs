//! The engine against a null server on loopback: what is sent, what is remembered, what is never sent twice.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod answers;
mod connections;
mod far;
mod speed;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_transport::{
    Body, BoxFuture, Credentials, FaultKind, Loss, LossPlan, LossyTransport, Origin, Protocol,
    ReqwestTransport, Transport, TransportError,
};
use resume_store::{Filter, MemoryStore, ResumeStore as _};
use test_support::{NullSink, SinkUpload};
use tokio::sync::Notify;
use tus_engine::{
    Buffer, BytesSource, ChunkRule, Creation, Event, EventSink, Look, NewUpload, ReaderSource,
    Resume, Service, Source, Termination, UploadError, UploadId, UploadUrl, Uploader,
    UploaderBuilder, UploaderOptions,
};

const MIB: usize = 1024 * 1024;

/// Plain tus with chunks of 1 MiB and no larger ones, so that small sources have many.
struct SmallChunks;

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
struct Heard {
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
    async fn acked(&self, offset: u64) {
        loop {
            let more = self.more.notified();
            if self.acked.load(Ordering::SeqCst) >= offset {
                return;
            }
            more.await;
        }
    }

    async fn until(&self, wanted: impl Fn(&Event) -> bool) {
        loop {
            let more = self.more.notified();
            if self.has(&wanted) {
                return;
            }
            more.await;
        }
    }

    fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.lock().unwrap().iter().any(wanted)
    }
}

fn transport() -> ReqwestTransport {
    ReqwestTransport::new(Protocol::Http1).unwrap()
}

fn uploader(transport: impl Transport + 'static) -> UploaderBuilder {
    Uploader::builder(Arc::new(transport)).service(Arc::new(SmallChunks))
}

fn new(sink: &NullSink) -> NewUpload {
    let url = UploadUrl::parse(&sink.creation_url()).unwrap();
    NewUpload::new(Creation::new(url), "/footage/a.mov")
}

fn bytes(len: usize) -> Arc<BytesSource> {
    Arc::new(BytesSource::new(vec![7; len]))
}

#[tokio::test]
async fn a_source_is_created_once_and_sent_in_chunks() {
    let sink = NullSink::start().unwrap();
    let uploader = uploader(transport()).build().unwrap();
    let report = uploader
        .upload(bytes(3 * MIB + 5), new(&sink))
        .join()
        .await
        .unwrap();
    let counters = sink.counters();
    assert_eq!(
        (counters.posts, counters.patches, counters.heads),
        (1, 4, 0)
    );
    assert_eq!(counters.body_bytes, 3 * MIB as u64 + 5);
    assert_eq!(report.bytes_sent, counters.body_bytes);
    assert_eq!(report.requests, 6, "what the server offers is asked, too");
    assert_eq!(sink.uploads()[0].offset, report.length);
}

#[tokio::test]
async fn an_empty_source_needs_no_patch() {
    let sink = NullSink::start().unwrap();
    let uploader = uploader(transport()).build().unwrap();
    let report = uploader.upload(bytes(0), new(&sink)).join().await.unwrap();
    assert_eq!((report.length, sink.counters().patches), (0, 0));
}

#[tokio::test]
async fn a_cancelled_upload_goes_on_where_the_server_stands() {
    let sink = NullSink::start().unwrap();
    let (store, heard) = (MemoryStore::new(), Arc::new(Heard::default()));
    let first = uploader(transport())
        .store(store.clone())
        .events(heard.clone())
        .build()
        .unwrap();
    let gate = Arc::new(Gate::new(8 * MIB, 4 * MIB));
    let handle = first.upload(gate.clone(), new(&sink));
    heard.acked(4 * MIB as u64).await;
    handle.cancel();
    assert!(matches!(handle.join().await, Err(UploadError::Cancelled)));
    drop(first);

    gate.open.store(true, Ordering::SeqCst);
    let heard = Arc::new(Heard::default());
    let second = uploader(transport())
        .store(store)
        .events(heard.clone())
        .build()
        .unwrap();
    let report = second.upload(gate, new(&sink)).join().await.unwrap();
    assert!(
        heard.has(|event| matches!(event, Event::Resumed { offset } if *offset == 4 * MIB as u64))
    );
    assert_eq!(report.bytes_sent, 4 * MIB as u64);
    assert_eq!(sink.counters().posts, 1, "one upload was created in all");
}

#[tokio::test]
async fn a_finished_upload_is_not_sent_again_unless_that_is_asked_for_by_name() {
    let sink = NullSink::start().unwrap();
    let uploader = uploader(transport())
        .store(MemoryStore::new())
        .build()
        .unwrap();
    let first = uploader
        .upload(bytes(MIB), new(&sink))
        .join()
        .await
        .unwrap();
    for resume in [Resume::Continue, Resume::Anew] {
        let again = uploader
            .upload(bytes(MIB), new(&sink).with_resume(resume))
            .join()
            .await
            .unwrap();
        assert!(again.already_uploaded);
        assert_eq!((again.bytes_sent, &again.upload_id), (0, &first.upload_id));
    }
    assert_eq!(
        sink.counters().requests(),
        3,
        "OPTIONS, POST and one PATCH in all"
    );
    let copy = new(&sink).with_resume(Resume::AnewEvenIfFinished);
    assert!(
        !uploader
            .upload(bytes(MIB), copy)
            .join()
            .await
            .unwrap()
            .already_uploaded
    );
    assert_eq!(sink.counters().posts, 2);
}

#[tokio::test]
async fn a_source_of_another_length_is_begun_anew() {
    let sink = NullSink::start().unwrap();
    let uploader = uploader(transport())
        .store(MemoryStore::new())
        .build()
        .unwrap();
    uploader
        .upload(bytes(MIB), new(&sink))
        .join()
        .await
        .unwrap();
    let report = uploader
        .upload(bytes(MIB + 1), new(&sink))
        .join()
        .await
        .unwrap();
    assert!(!report.already_uploaded);
    assert_eq!(report.bytes_sent, MIB as u64 + 1);
}

#[tokio::test]
async fn the_same_source_is_not_driven_twice_at_once() {
    let sink = NullSink::start().unwrap();
    let heard = Arc::new(Heard::default());
    let uploader = uploader(transport())
        .store(MemoryStore::new())
        .events(heard.clone())
        .build()
        .unwrap();
    let gate = Arc::new(Gate::new(4 * MIB, 2 * MIB));
    let first = uploader.upload(gate.clone(), new(&sink));
    heard.acked(2 * MIB as u64).await;
    let second = uploader.upload(gate.clone(), new(&sink)).join().await;
    assert!(matches!(second, Err(UploadError::Busy(_))), "{second:?}");
    gate.release();
    first.join().await.unwrap();
    assert_eq!(sink.counters().posts, 1);
}

#[tokio::test]
async fn every_broken_request_is_asked_about_and_no_chunk_is_lost() {
    let sink = NullSink::start().unwrap();
    // Requests 1 and 2 are OPTIONS and POST; the plan breaks PATCHes and HEADs after it in every way there is.
    let plan = LossPlan::default()
        .with(3, Loss::AfterBodyBytes(300_000))
        .with(4, Loss::BeforeSending)
        .with(6, Loss::Answer)
        .with(7, Loss::Answer)
        .with(9, Loss::AfterBodyBytes(1));
    let heard = Arc::new(Heard::default());
    let fast = tus_engine::RetryPolicy::DEFAULT.with_waits(
        std::time::Duration::from_millis(1),
        std::time::Duration::from_millis(5),
    );
    let uploader = uploader(LossyTransport::new(transport(), plan))
        .events(heard.clone())
        .options(UploaderOptions::default().with_retry(fast))
        .build()
        .unwrap();
    let report = uploader
        .upload(bytes(4 * MIB), new(&sink))
        .join()
        .await
        .unwrap();
    assert_eq!(sink.uploads()[0].offset, 4 * MIB as u64);
    assert_eq!(sink.counters().posts, 1);
    assert!(report.requests > 6 && heard.has(|event| matches!(event, Event::Retry { .. })));
}

#[tokio::test]
async fn a_source_that_changes_on_the_way_is_never_finished() {
    let sink = NullSink::start().unwrap();
    let uploader = uploader(transport()).build().unwrap();
    let gate = Arc::new(Gate::new(2 * MIB, 2 * MIB));
    gate.changed.store(true, Ordering::SeqCst);
    let result = uploader.upload(gate, new(&sink)).join().await;
    assert!(
        matches!(result, Err(UploadError::SourceChanged)),
        "{result:?}"
    );
    assert!(
        sink.uploads()[0].offset < 2 * MIB as u64,
        "the last byte must not arrive"
    );
}

#[tokio::test]
async fn a_small_source_takes_one_request_and_the_server_is_asked_once_what_it_offers() {
    let sink = NullSink::builder()
        .extensions(["creation", "creation-with-upload"])
        .start()
        .unwrap();
    let uploader = uploader(transport()).build().unwrap();
    for index in 0..5 {
        let url = UploadUrl::parse(&sink.creation_url()).unwrap();
        let new = NewUpload::new(Creation::new(url), format!("/footage/{index}"));
        uploader.upload(bytes(1_000), new).join().await.unwrap();
    }
    let counters = sink.counters();
    assert_eq!(
        (counters.options, counters.posts, counters.patches),
        (1, 5, 0)
    );
    assert_eq!(counters.body_bytes, 5_000);
}

#[tokio::test]
async fn a_lost_question_for_extensions_holds_nobody_up() {
    let sink = NullSink::start().unwrap();
    let plan = LossPlan::default().with(1, Loss::Answer);
    let heard = Arc::new(Heard::default());
    let uploader = uploader(LossyTransport::new(transport(), plan))
        .events(heard.clone())
        .build()
        .unwrap();
    let gate = Arc::new(Gate::new(4 * MIB, 2 * MIB));
    let first = uploader.upload(gate.clone(), new(&sink));
    heard.acked(2 * MIB as u64).await;
    let url = UploadUrl::parse(&sink.creation_url()).unwrap();
    let second = NewUpload::new(Creation::new(url), "/footage/b");
    uploader.upload(bytes(MIB), second).join().await.unwrap();
    gate.release();
    first.join().await.unwrap();
}

#[tokio::test]
async fn each_origin_gets_its_own_credentials_whatever_their_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (origin, stranger) = (
        Origin::parse("http://127.0.0.1:1").unwrap(),
        Origin::parse("http://127.0.0.1:2").unwrap(),
    );
    let bearer = |token: &str, origin| Credentials::bearer(&token.into(), origin).unwrap();
    for credentials in [
        [
            bearer("ours", origin.clone()),
            bearer("theirs", stranger.clone()),
        ],
        [bearer("theirs", stranger), bearer("ours", origin)],
    ] {
        let uploader = credentials
            .into_iter()
            .fold(
                Uploader::builder(Arc::new(Seen(seen.clone()))),
                UploaderBuilder::credentials,
            )
            .build()
            .unwrap();
        uploader
            .capabilities(&UploadUrl::parse("http://127.0.0.1:1/files/").unwrap())
            .await;
    }
    assert_eq!(*seen.lock().unwrap(), ["Bearer ours", "Bearer ours"]);
}

/// Keeps the credentials that requests carry, and answers none.
struct Seen(Arc<Mutex<Vec<String>>>);

impl Transport for Seen {
    fn send(
        &self,
        request: http::Request<Body>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        let token = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        self.0.lock().unwrap().push(token);
        Box::pin(std::future::ready(Err(TransportError::new(
            FaultKind::Connect,
            "nobody there",
        ))))
    }
}

#[tokio::test]
async fn a_paused_upload_stands_still_and_goes_on_when_it_is_let() {
    let sink = NullSink::start().unwrap();
    let heard = Arc::new(Heard::default());
    let uploader = uploader(transport()).events(heard.clone()).build().unwrap();
    let gate = Arc::new(Gate::new(4 * MIB, 2 * MIB));
    let handle = uploader.upload(gate.clone(), new(&sink));
    heard.acked(2 * MIB as u64).await;
    handle.pause();
    heard.until(|event| matches!(event, Event::Paused)).await;
    gate.release();
    // A second upload takes the turn that was given back, and shows that time passed.
    let url = UploadUrl::parse(&sink.creation_url()).unwrap();
    let other = NewUpload::new(Creation::new(url), "/footage/b");
    uploader.upload(bytes(MIB), other).join().await.unwrap();
    let paused = |upload: &SinkUpload| upload.length == Some(4 * MIB as u64);
    let paused = sink.uploads().into_iter().find(paused).unwrap();
    assert_eq!(paused.offset, 2 * MIB as u64, "the paused one stands still");
    handle.unpause();
    let report = handle.join().await.unwrap();
    assert_eq!((report.length, sink.counters().posts), (4 * MIB as u64, 2));
}

#[tokio::test]
async fn a_terminated_upload_is_gone_from_the_server_and_from_the_store() {
    let sink = NullSink::builder()
        .extensions(["creation", "termination"])
        .start()
        .unwrap();
    let (store, heard) = (MemoryStore::new(), Arc::new(Heard::default()));
    let uploader = uploader(transport())
        .store(store.clone())
        .events(heard.clone())
        .build()
        .unwrap();
    let handle = uploader.upload(Arc::new(Gate::new(4 * MIB, 2 * MIB)), new(&sink));
    heard.acked(2 * MIB as u64).await;
    assert_eq!(handle.terminate().await.unwrap(), Termination::Terminated);
    assert!(sink.uploads().is_empty());
    uploader.flush().await.unwrap();
    assert!(store.list(Filter::all()).unwrap().is_empty());
}

#[tokio::test]
async fn a_pipe_of_known_length_survives_broken_connections() {
    let sink = NullSink::start().unwrap();
    let plan = LossPlan::default()
        .with(3, Loss::AfterBodyBytes(300_000))
        .with(6, Loss::Answer);
    let uploader = uploader(LossyTransport::new(transport(), plan))
        .build()
        .unwrap();
    let length = 3 * MIB as u64;
    let source = Arc::new(ReaderSource::new(io::Cursor::new(vec![7; 3 * MIB]), length));
    let report = uploader
        .upload(source, new(&sink).with_remember(false))
        .join()
        .await
        .unwrap();
    assert_eq!((report.length, sink.uploads()[0].offset), (length, length));
}

#[tokio::test]
async fn many_uploads_share_their_turns() {
    let sink = NullSink::start().unwrap();
    let uploader = uploader(transport())
        .options(UploaderOptions::default().with_parallel(8))
        .build()
        .unwrap();
    let handles: Vec<_> = (0..64)
        .map(|index| {
            let url = UploadUrl::parse(&sink.creation_url()).unwrap();
            uploader.upload(
                bytes(MIB),
                NewUpload::new(Creation::new(url), format!("/footage/{index}")),
            )
        })
        .collect();
    for handle in handles {
        handle.join().await.unwrap();
    }
    let counters = sink.counters();
    assert_eq!((counters.posts, counters.body_bytes), (64, 64 * MIB as u64));
    assert!(
        counters.handshakes <= 9,
        "connections are used again, there were {}",
        counters.handshakes
    );
}

/// A source that gives nothing beyond a position until it is opened, and that can claim to have changed.
struct Gate {
    length: u64,
    closed_at: u64,
    open: AtomicBool,
    opened: Notify,
    changed: AtomicBool,
}

impl Gate {
    fn new(length: usize, closed_at: usize) -> Self {
        let (length, closed_at) = (length as u64, closed_at as u64);
        Self {
            length,
            closed_at,
            open: AtomicBool::new(false),
            opened: Notify::new(),
            changed: AtomicBool::new(false),
        }
    }

    fn release(&self) {
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
