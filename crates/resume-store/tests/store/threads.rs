//! Many threads, one store.

use std::sync::Arc;
use std::thread;

use resume_store::{Change, ResumeStore, SledStore};
use tempfile::TempDir;

use crate::processes::start;
use crate::{count, fingerprint, put, record};

#[test]
fn threads_share_a_store_and_each_finds_what_it_committed() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    // Another process takes the gate from them again and again.
    let mut other = start("write 100", &folder, 1_000_000);
    let store = Arc::new(SledStore::open(&folder).expect("a store"));
    thread::scope(|scope| {
        for writer in 0..16 {
            let store = Arc::clone(&store);
            scope.spawn(move || {
                for n in (writer * 100)..(writer * 100 + 20) {
                    put(&store, n);
                    let found = store.load(&fingerprint(n)).expect("a store");
                    assert_eq!(found.map(|record| record.offset), Some(n));
                }
            });
        }
    });
    assert!(other.wait().expect("a child").success());
    assert_eq!(count(&store), 16 * 20 + 100);
    assert_eq!(store.take_notices(), []);
}

#[test]
fn each_commit_of_a_group_is_whole_and_in_its_own_order() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    thread::scope(|scope| {
        for writer in 0..8_u64 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..10 {
                    let mut newer = record(writer);
                    newer.offset = round;
                    // All writers write the same two, and one of their own.
                    store
                        .commit(&[
                            Change::Put(fingerprint(writer), record(99)),
                            Change::Put(fingerprint(writer), newer),
                            Change::Put(fingerprint(1000), record(writer)),
                            Change::Put(fingerprint(1001), record(writer)),
                        ])
                        .expect("a commit");
                }
            });
        }
    });
    let offset = |n| {
        let found = store.load(&fingerprint(n)).expect("a store");
        found.expect("a record").offset
    };
    assert!((0..8).all(|writer| offset(writer) == 9));
    assert_eq!(offset(1000), offset(1001));
}
