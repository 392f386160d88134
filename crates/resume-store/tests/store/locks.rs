//! One owner at a time, whatever becomes of the lock files.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use resume_store::{Lease, PruneOptions, ResumeStore, SledStore, StoreError};
use tempfile::TempDir;

use crate::processes::{lines, start};
use crate::{count, fingerprint, put};

fn lock_path(folder: &Path) -> PathBuf {
    let name = format!("{}.lock", fingerprint(1));
    folder.join("leases").join(name)
}

fn unlink(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => other.expect("a removal"),
    }
}

fn patiently(store: &SledStore) -> Lease {
    loop {
        match store.lease(&fingerprint(1)) {
            Ok(lease) => return lease,
            Err(StoreError::Busy { .. }) => thread::yield_now(),
            // Its file was removed each time between opening and locking.
            Err(StoreError::Io { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Takes the lease again and again, and is then the only one who has made a certain file.
pub(crate) fn write_alone(store: &SledStore, times: u64) {
    let mark = store.folder().join("mark");
    for n in 0..times {
        let _lease = patiently(store);
        File::create_new(&mark).expect("nobody else has the lease");
        put(store, u64::from(std::process::id()) * 1000 + n);
        fs::remove_file(&mark).expect("nobody else has the lease");
    }
}

#[test]
fn a_lock_file_that_was_removed_still_has_its_owner() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    let lease = store.lease(&fingerprint(1)).expect("a lease");
    unlink(&lock_path(&folder));
    assert!(store.holder(&fingerprint(1)).is_some());
    let error = store.lease(&fingerprint(1)).expect_err("a taken lease");
    assert!(matches!(error, StoreError::Busy { .. }), "{error:?}");
    let _other = store.lease(&fingerprint(2)).expect("another lease");
    drop(lease);
    assert_eq!(store.holder(&fingerprint(1)), None);
    let _again = store.lease(&fingerprint(1)).expect("a free lease");
}

#[test]
fn removed_lock_files_let_no_second_writer_in() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    let mut children = [0; 3].map(|_| start("write alone 20 times", &folder, 0));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                unlink(&lock_path(&folder));
                unlink(&folder.join("gate.lock"));
                unlink(&folder.join("queue.lock"));
                thread::sleep(Duration::from_millis(1));
            }
        });
        let outcomes = children
            .each_mut()
            .map(|child| child.wait().expect("a child").success());
        done.store(true, Ordering::Relaxed);
        assert_eq!(outcomes, [true; 3]);
    });
    assert_eq!(count(&store), 60);
    assert_eq!(store.take_notices(), []);
}

#[test]
fn pruning_lease_files_lets_no_second_writer_in() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    let mut children = [0; 2].map(|_| start("write alone 20 times", &folder, 0));
    // Its lease file is spare whenever it is free: there is no record of it.
    while children
        .iter_mut()
        .any(|child| child.try_wait().expect("a child").is_none())
    {
        store
            .prune(&PruneOptions::default(), SystemTime::now())
            .expect("a store");
    }
    for child in &mut children {
        assert!(child.wait().expect("a child").success());
    }
    assert_eq!(count(&store), 40);
}

#[test]
fn a_gate_that_was_removed_lets_nobody_in_beside_its_holder() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let mut child = start("hold the database", &folder, 1);
    assert_eq!(lines(&mut child).next().as_deref(), Some("open"));
    unlink(&folder.join("gate.lock"));
    unlink(&folder.join("queue.lock"));
    let store = SledStore::open(&folder).expect("a store");
    put(&store, 2);
    assert_eq!(count(&store), 2);
    assert_eq!(store.take_notices(), []);
    child.kill().expect("SIGKILL");
    child.wait().expect("a child");
}
