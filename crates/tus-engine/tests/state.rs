//! When the engine writes its state, and who waits for that.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use http_transport::{Protocol, ReqwestTransport};
use resume_store::{
    Change, Filter, Fingerprint, Lease, MemoryStore, Record, ResumeStore, State, StoreError,
    StoreNotice, Trail,
};
use test_support::NullSink;
use tus_engine::{
    BytesSource, Creation, NewUpload, Parallel, UploadUrl, Uploader, UploaderOptions,
};

/// A store in memory that counts the commits which say that an upload has finished, and can be held before one.
#[derive(Default)]
struct Watched {
    store: MemoryStore,
    ends: AtomicUsize,
    held: Mutex<bool>,
    let_go: Condvar,
}

impl Watched {
    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.let_go.notify_all();
    }
}

impl ResumeStore for Watched {
    fn load(&self, fingerprint: &Fingerprint) -> Result<Option<Record>, StoreError> {
        self.store.load(fingerprint)
    }

    fn list(&self, filter: Filter) -> Result<Vec<(Fingerprint, Record)>, StoreError> {
        self.store.list(filter)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let finishes = |change: &Change| match change {
            Change::Put(_, record) => record.state == State::Finished,
            Change::Remove(_) => false,
        };
        if changes.iter().any(finishes) {
            let held = self.held.lock().unwrap();
            drop(self.let_go.wait_while(held, |held| *held).unwrap());
            self.ends.fetch_add(1, Ordering::SeqCst);
        }
        self.store.commit(changes)
    }

    fn lease(&self, fingerprint: &Fingerprint) -> Result<Lease, StoreError> {
        self.store.lease(fingerprint)
    }

    fn trail(&self, fingerprint: &Fingerprint, length: u64) -> Trail {
        self.store.trail(fingerprint, length)
    }

    fn remove_trail(&self, fingerprint: &Fingerprint) {
        self.store.remove_trail(fingerprint);
    }

    fn move_trail(&self, from: &Fingerprint, to: &Fingerprint) {
        self.store.move_trail(from, to);
    }

    fn trails(&self) -> Vec<Fingerprint> {
        self.store.trails()
    }

    fn take_notices(&self) -> Vec<StoreNotice> {
        self.store.take_notices()
    }
}

fn uploader(store: &Arc<Watched>, parallel: usize) -> Uploader {
    let transport = ReqwestTransport::new(Protocol::Http1).unwrap();
    Uploader::builder(Arc::new(transport))
        .options(UploaderOptions::default().with_parallel(Parallel::Fixed(parallel)))
        .store(Arc::clone(store))
        .build()
        .unwrap()
}

fn new(sink: &NullSink, key: &str) -> NewUpload {
    let url = UploadUrl::parse(&sink.creation_url()).unwrap();
    NewUpload::new(Creation::new(url), key)
}

fn source() -> Arc<BytesSource> {
    Arc::new(BytesSource::new(vec![7; 1000]))
}

#[tokio::test]
async fn all_that_end_while_one_end_is_written_share_the_next_commit() {
    let sink = NullSink::builder().extensions(["creation", "creation-with-upload"]);
    let sink = sink.start().unwrap();
    let store = Arc::new(Watched::default());
    let uploader = uploader(&store, 64);
    store.hold(true);
    let upload = |index: usize| uploader.upload(source(), new(&sink, &index.to_string()));
    let handles: Vec<_> = (0..64).map(upload).collect();
    for handle in &handles {
        handle.landed().await;
    }
    store.hold(false);
    for handle in handles {
        handle.join().await.unwrap();
    }
    let finished = Filter::all().with_state(State::Finished);
    assert_eq!(store.list(finished).unwrap().len(), 64);
    let commits = store.ends.load(Ordering::SeqCst);
    assert!(commits <= 2, "{commits} commits for 64 ends");
}

#[tokio::test]
async fn the_next_file_has_the_turn_while_the_end_of_one_is_written() {
    let sink = NullSink::start().unwrap();
    let store = Arc::new(Watched::default());
    let uploader = uploader(&store, 1);
    store.hold(true);
    let first = uploader.upload(source(), new(&sink, "first"));
    first.landed().await;
    let second = uploader.upload(source(), new(&sink, "second"));
    let joined = tokio::spawn(first.join());
    assert!(!joined.is_finished(), "its end is not written");
    store.hold(false);
    second.landed().await;
    joined.await.unwrap().unwrap();
    second.join().await.unwrap();
}
