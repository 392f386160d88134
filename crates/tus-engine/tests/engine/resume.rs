//! What is remembered: where an upload goes on, and when there is nothing left to do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use resume_store::MemoryStore;
use test_support::NullSink;
use tus_engine::{Event, Resume, UploadError};

use crate::support::{Gate, Heard, MIB, bytes, new, transport, uploader};

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
