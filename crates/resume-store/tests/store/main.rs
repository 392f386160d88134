//! Stores as processes meet them: shared, killed, damaged, and on directories of all kinds.

mod behaviours;
mod damage;
mod directory;
mod evidence;
mod processes;
mod secrets;

use resume_store::{Change, Filter, Fingerprint, Record, ResumeStore, SledStore, State};
use tus_core::UploadUrl;

fn fingerprint(n: u64) -> Fingerprint {
    Fingerprint::new("destination", n.to_string())
}

/// An ordinary record, different for each `n`.
fn record(n: u64) -> Record {
    let mut record = Record::intended(format!("/media/{n}.mp4"), "https://tus.example");
    let url = format!("https://tus.example/files/{n}?token={CANARY}");
    record.upload_url = Some(UploadUrl::parse(&url).expect("a URL"));
    record.state = State::Active;
    record.length = Some(1 << 30);
    record.offset = n;
    record
}

fn put(store: &SledStore, n: u64) {
    store
        .commit(&[Change::Put(fingerprint(n), record(n))])
        .expect("a commit");
}

fn count(store: &SledStore) -> usize {
    store.list(Filter::all()).expect("a store").len()
}

/// Part of every upload URL here.
const CANARY: &str = "canary-7d793037";
