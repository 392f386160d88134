//! Stores as processes meet them: shared, killed, damaged, and on directories of all kinds.

mod behaviours;
mod damage;
mod directory;
mod evidence;
mod locks;
mod log;
mod migration;
mod processes;
mod prune;
mod secrets;
mod threads;
mod trails;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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

/// Copies a state directory; the copy is private whatever the original is.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("chmod");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).expect("a copy");
        }
    }
}

/// Part of every upload URL here.
const CANARY: &str = "canary-7d793037";
