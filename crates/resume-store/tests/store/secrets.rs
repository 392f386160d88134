//! The upload URL is in the store's files and nowhere else.

use std::fs;

use resume_store::{Change, Filter, ResumeStore, SledStore};
use tempfile::TempDir;

use crate::{CANARY, fingerprint, put, record};

#[test]
fn debug_shows_no_upload_url_and_no_tag() {
    let mut secret = record(1);
    secret.tags.insert("tag".to_owned(), CANARY.to_owned());
    let change = Change::Put(fingerprint(1), secret.clone());
    for shown in [
        format!("{secret:?} {secret:#?}"),
        format!("{change:?} {change:#?}"),
    ] {
        assert!(!shown.contains(CANARY), "{shown}");
        assert!(shown.contains("/media/1.mp4"), "{shown}");
    }
}

#[test]
fn neither_the_store_nor_its_errors_and_notices_show_an_upload_url() {
    let folder = TempDir::new().expect("a folder");
    let store = SledStore::open(folder.path().join("state")).expect("a store");
    put(&store, 1);
    let _lease = store.lease(&fingerprint(1)).expect("a lease");
    let busy = store.lease(&fingerprint(1)).expect_err("busy");
    store.close();
    let records = store.folder().join("records.sled");
    fs::write(records.join("db"), CANARY.repeat(1000)).expect("damage");
    fs::write(records.join("conf"), CANARY.repeat(10)).expect("damage");
    fs::write(store.folder().join("records.wal"), CANARY.repeat(1000)).expect("damage");
    let listed = store.list(Filter::all()).expect("a store begun anew");
    assert_eq!(listed, []);
    let notices = store.take_notices();
    assert_eq!(notices.len(), 1);
    fs::write(store.folder().join("VERSION"), CANARY).expect("damage");
    let damaged = SledStore::open(store.folder()).expect_err("no version");
    let shown = format!(
        "{store:?} {busy} {busy:?} {damaged} {damaged:?} {notices:?} {}",
        notices[0]
    );
    assert!(!shown.contains(CANARY), "{shown}");
}
