//! What the owner of a handle can have: a pause, and an end.

use std::sync::Arc;

use resume_store::{Filter, MemoryStore, ResumeStore as _};
use test_support::{NullSink, SinkUpload};
use tus_engine::{Creation, Event, NewUpload, Termination, UploadUrl};

use crate::support::{Gate, Heard, MIB, bytes, new, transport, uploader};

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
