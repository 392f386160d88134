//! What is sent, in how many requests, and what is never sent twice.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_transport::{BoxFuture, Loss, LossPlan, LossyTransport};
use resume_store::Evidence;
use test_support::NullSink;
use tus_engine::{
    Buffer, Creation, Event, Look, NewUpload, ReaderSource, RetryPolicy, Source, UploadError,
    UploadLength, UploadUrl, UploaderOptions,
};

use crate::support::{Gate, Heard, MIB, bytes, new, transport, uploader};

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
    let fast = RetryPolicy::DEFAULT.with_waits(Duration::from_millis(1), Duration::from_millis(5));
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

/// A short source that is edited while it is read, and set back before it is looked at again.
#[derive(Default)]
struct SetBack(AtomicUsize);

impl SetBack {
    const LENGTH: usize = 100_000;
}

impl Source for SetBack {
    fn length(&self) -> UploadLength {
        (Self::LENGTH as u64).into()
    }

    fn read_at(&self, offset: u64, _: Buffer) -> BoxFuture<'_, io::Result<Bytes>> {
        let is_edited = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        let left = Self::LENGTH - offset as usize;
        Box::pin(async move { Ok(vec![u8::from(is_edited); left].into()) })
    }

    fn evidence(&self) -> io::Result<Option<Evidence>> {
        Ok(Some(Evidence::of_remote(Self::LENGTH as u64, "the same")))
    }

    fn look(&self) -> io::Result<Look> {
        let was_read = self.0.load(Ordering::SeqCst) > 0;
        Ok(Look {
            changed: (i64::from(was_read), 0),
            ..Look::default()
        })
    }
}

#[tokio::test]
async fn a_short_source_that_is_edited_and_set_back_on_the_way_is_found_out_without_a_store() {
    let sink = NullSink::start().unwrap();
    let uploader = uploader(transport()).build().unwrap();
    let source = Arc::new(SetBack::default());
    let result = uploader.upload(source, new(&sink)).join().await;
    assert!(
        matches!(result, Err(UploadError::SourceChanged)),
        "{result:?}"
    );
    assert!(sink.uploads()[0].offset < SetBack::LENGTH as u64);
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
