//! What makes the engine fast, or slow on purpose, against a null server on loopback.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_transport::{Deadlines, Loss, LossPlan, LossyTransport, Protocol, ReqwestTransport};
use sha2::{Digest as _, Sha256};
use test_support::NullSink;
use tus_engine::{
    BytesSource, Creation, Event, EventSink, NewUpload, Parallel, ReaderSource, RetryPolicy,
    UploadId, UploadUrl, Uploader, UploaderBuilder, UploaderOptions, WaitReason,
};

const MIB: usize = 1024 * 1024;

/// Keeps events, and counts the uploads that are under way.
#[derive(Default)]
struct Heard {
    events: Mutex<Vec<Event>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl EventSink for Heard {
    fn event(&self, _: UploadId, event: &Event) {
        match event {
            Event::Started { .. } => {
                let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(running, Ordering::SeqCst);
            }
            Event::Finished { .. } => {
                self.running.fetch_sub(1, Ordering::SeqCst);
            }
            _ => {}
        }
        self.events.lock().unwrap().push(event.clone());
    }
}

impl Heard {
    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| wanted(event)).count()
    }
}

fn uploader(options: UploaderOptions) -> UploaderBuilder {
    let transport = ReqwestTransport::new(Protocol::Http1).unwrap();
    Uploader::builder(Arc::new(transport)).options(options)
}

fn new(sink: &NullSink, key: &str) -> NewUpload {
    let url = UploadUrl::parse(&sink.creation_url()).unwrap();
    NewUpload::new(Creation::new(url), key)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    Some(Sha256::digest(bytes).into())
}

#[tokio::test]
async fn a_body_that_is_held_back_is_no_stall_and_one_upload_tells_once_that_it_waits() {
    let sink = NullSink::start().unwrap();
    let heard = Arc::new(Heard::default());
    let deadlines = Deadlines::default().with_stall(Duration::from_millis(100));
    let options = UploaderOptions::default()
        .with_bandwidth(NonZeroU64::new(10 * 1024))
        .with_deadlines(deadlines);
    let uploader = uploader(options)
        .events(Arc::clone(&heard) as Arc<dyn EventSink>)
        .build()
        .unwrap();
    let source = Arc::new(BytesSource::new(bytes(16 * 1024)));
    let handle = uploader.upload(source, new(&sink, "a"));
    let report = handle.join().await.unwrap();
    assert_eq!(report.bytes_sent, 16 * 1024);
    assert!(report.elapsed > Duration::from_secs(1), "{report:?}");
    let is_wait = |event: &Event| {
        let reason = WaitReason::Bandwidth;
        matches!(event, Event::Waiting { reason: found, .. } if *found == reason)
    };
    assert_eq!(heard.count(is_wait), 1);
    assert_eq!(heard.count(|event| matches!(event, Event::Retry { .. })), 0);
}

#[tokio::test]
async fn the_digest_of_the_whole_comes_with_the_report() {
    let sink = NullSink::start().unwrap();
    let options = UploaderOptions::default()
        .with_content_sha256(true)
        .with_chunk_bytes(Some(MIB as u64));
    let uploader = uploader(options).build().unwrap();
    let content = bytes(3 * MIB + 7);
    let source = Arc::new(BytesSource::new(content.clone()));
    let handle = uploader.upload(source, new(&sink, "a"));
    let report = handle.join().await.unwrap();
    assert_eq!(report.content_sha256, sha256(&content));

    // A pipe passes once: there is no second reading.
    let reader = std::io::Cursor::new(content.clone());
    let source = Arc::new(ReaderSource::new(reader, content.len() as u64));
    let handle = uploader.upload(source, new(&sink, "b").with_remember(false));
    let report = handle.join().await.unwrap();
    assert_eq!(report.content_sha256, sha256(&content));
}

#[tokio::test]
async fn the_digest_of_the_whole_is_right_whatever_was_sent_twice() {
    let sink = NullSink::start().unwrap();
    let content = bytes(6 * MIB);
    let plan = LossPlan::default()
        .with(3, Loss::AfterBodyBytes(500_000))
        .with(6, Loss::Answer);
    let transport = ReqwestTransport::new(Protocol::Http1).unwrap();
    let transport = Arc::new(LossyTransport::new(transport, plan));
    let waits = (Duration::from_millis(1), Duration::from_millis(5));
    let options = UploaderOptions::default()
        .with_content_sha256(true)
        .with_retry(RetryPolicy::DEFAULT.with_waits(waits.0, waits.1))
        .with_chunk_bytes(Some(MIB as u64));
    let uploader = Uploader::builder(transport).options(options).build();
    let source = Arc::new(BytesSource::new(content.clone()));
    let handle = uploader.unwrap().upload(source, new(&sink, "a"));
    let report = handle.join().await.unwrap();
    assert_eq!(report.content_sha256, sha256(&content));
}

#[tokio::test]
async fn without_a_number_no_more_begin_at_once_than_the_limit_says() {
    let sink = NullSink::start().unwrap();
    let heard = Arc::new(Heard::default());
    let options = UploaderOptions::default().with_most_parallel(3);
    assert_eq!(options.parallel, Parallel::Auto);
    let uploader = uploader(options)
        .events(Arc::clone(&heard) as Arc<dyn EventSink>)
        .build()
        .unwrap();
    let handles: Vec<_> = (0..40)
        .map(|index| {
            let source = Arc::new(BytesSource::new(bytes(10_000)));
            uploader.upload(source, new(&sink, &index.to_string()))
        })
        .collect();
    for handle in handles {
        handle.join().await.unwrap();
    }
    assert!(heard.most.load(Ordering::SeqCst) <= 3);
    assert_eq!(sink.uploads().len(), 40);
}
