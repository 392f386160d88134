//! One owner at a time, whatever becomes of the lock files.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use resume_store::{Holder, Lease, PruneOptions, ResumeStore, SledStore, StoreError};
use tempfile::TempDir;

use crate::processes::{lines, start};
use crate::{count, fingerprint, put};

/// Both files in which a byte is locked for each lease.
pub(crate) fn guards(folder: &Path) -> [PathBuf; 2] {
    [folder.join("guard.lock"), folder.join("leases/guard.lock")]
}

/// What lies in the folder of the leases, in order.
pub(crate) fn lease_folder(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    crate::damage::files(&folder.join("leases"), &mut found);
    found.sort();
    found
}

/// The files that name holders.
pub(crate) fn names(folder: &Path) -> Vec<PathBuf> {
    let mut found = lease_folder(folder);
    found.retain(|path| path.extension().is_some_and(|it| it == "names"));
    found
}

/// Who has lease `n`, according to the error that keeps `store` from it.
fn busy(store: &SledStore, n: u64) -> Holder {
    match store.lease(&fingerprint(n)) {
        Err(StoreError::Busy { holder, .. }) => holder,
        other => panic!("not busy but {other:?}"),
    }
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
    for which in 0..2 {
        let root = TempDir::new().expect("a folder");
        let folder = root.path().join("state");
        let stores = [(); 2].map(|()| SledStore::open(&folder).expect("a store"));
        let lease = stores[0].lease(&fingerprint(1)).expect("a lease");
        unlink(&guards(&folder)[which]);
        let late = SledStore::open(&folder).expect("a store");
        for store in stores.iter().chain([&late]) {
            assert!(store.holder(&fingerprint(1)).is_some());
            assert_eq!(busy(store, 1).pid, Some(std::process::id()));
            drop(store.lease(&fingerprint(2)).expect("another lease"));
        }
        drop(lease);
        for store in stores.iter().chain([&late]) {
            assert_eq!(store.holder(&fingerprint(1)), None);
            drop(store.lease(&fingerprint(1)).expect("a free lease"));
        }
    }
}

#[test]
fn both_lock_files_may_be_removed_in_turn_where_a_lease_is_taken_in_between() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    let _lease = store.lease(&fingerprint(1)).expect("a lease");
    for guard in guards(&folder).into_iter().cycle().take(6) {
        unlink(&guard);
        drop(store.lease(&fingerprint(2)).expect("another lease"));
        assert!(guard.exists());
        let newcomer = SledStore::open(&folder).expect("a store");
        assert_eq!(busy(&newcomer, 1).pid, Some(std::process::id()));
    }
}

#[test]
fn both_lock_files_may_be_removed_in_turn_where_something_is_committed_in_between() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    let _lease = store.lease(&fingerprint(1)).expect("a lease");
    for guard in guards(&folder).into_iter().cycle().take(4) {
        unlink(&guard);
        put(&store, 1);
        let newcomer = SledStore::open(&folder).expect("a store");
        assert_eq!(busy(&newcomer, 1).pid, Some(std::process::id()));
    }
}

#[test]
fn without_the_file_of_names_a_lease_holds_and_its_holder_is_unknown_until_the_next_commit() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let [store, other] = [(); 2].map(|()| SledStore::open(&folder).expect("a store"));
    let _lease = store.lease(&fingerprint(1)).expect("a lease");
    let since = busy(&other, 1).since_ms;
    assert!(since.is_some());
    names(&folder).iter().for_each(|path| unlink(path));
    assert_eq!(busy(&other, 1), Holder::default());
    assert_eq!(store.holder(&fingerprint(1)), Some(Holder::default()));
    put(&store, 1);
    let holder = busy(&other, 1);
    assert_eq!(holder.pid, Some(std::process::id()));
    assert_eq!(holder.since_ms, since);
}

#[test]
fn two_stores_of_one_process_exclude_each_other() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let [one, other] = [(); 2].map(|()| SledStore::open(&folder).expect("a store"));
    let mine = one.lease(&fingerprint(1)).expect("a lease");
    let others = other.lease(&fingerprint(2)).expect("a lease");
    busy(&one, 1);
    busy(&one, 2);
    busy(&other, 1);
    busy(&other, 2);
    drop(mine);
    // What one store opens and closes takes nothing from the other.
    drop(one);
    let third = SledStore::open(&folder).expect("a store");
    busy(&third, 2);
    drop(others);
    let _lease = third.lease(&fingerprint(2)).expect("a free lease");
}

/// Whether `store` knows of a holder of lease `n`.
fn is_held(store: &SledStore, n: u64) -> bool {
    store.holder(&fingerprint(n)).is_some()
}

#[test]
fn who_has_the_database_open_has_no_lease_that_it_did_not_take() {
    let root = TempDir::new().expect("a folder");
    let open = || SledStore::open(root.path().join("state")).expect("a store");
    let (one, other) = (open(), open());
    put(&one, 0);
    let new = one.lease_new(&fingerprint(1)).expect("a new upload");
    let known = one.lease(&fingerprint(0)).expect("a lease");
    put(&one, 0);
    assert!(is_held(&other, 0) && is_held(&other, 1) && !is_held(&other, 2));
    // Before and after the database was closed for it, and opened again.
    for n in [2, 3] {
        busy(&other, 0);
        busy(&other, 1);
        let others = other.lease(&fingerprint(n)).expect("a free lease");
        busy(&one, n);
        put(&one, 0);
        assert!(one.lease_new(&fingerprint(n)).is_none());
        busy(&one, n);
        drop(others);
        let lease = one.lease(&fingerprint(n)).expect("a free lease");
        busy(&other, n);
        drop(lease);
    }
    drop((new, known));
    let _all = [0, 1, 2, 3].map(|n| other.lease(&fingerprint(n)).expect("a free lease"));
}

#[test]
fn a_lease_outlives_the_database_that_was_open_when_it_was_taken() {
    let root = TempDir::new().expect("a folder");
    let open = || SledStore::open(root.path().join("state")).expect("a store");
    let (one, other) = (open(), open());
    put(&one, 0);
    let [mine, free] = [1, 2].map(|n| one.lease_new(&fingerprint(n)).expect("a new upload"));
    drop(free);
    one.close();
    busy(&other, 1);
    let _free = other.lease(&fingerprint(2)).expect("a free lease");
    guards(one.folder()).iter().for_each(|path| unlink(path));
    put(&one, 0);
    busy(&other, 1);
    drop(mine);
    let _free = other.lease(&fingerprint(1)).expect("a free lease");
}

#[test]
fn leases_leave_nothing_behind() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    for n in 0..1000 {
        drop(store.lease(&fingerprint(n)).expect("a lease"));
    }
    let named = names(&folder);
    let [named] = named.as_slice() else {
        panic!("{named:?}");
    };
    let size = fs::metadata(named).expect("metadata").len();
    assert!(size < 500, "{size} bytes");
    let last = store.lease(&fingerprint(1)).expect("a lease");
    drop(store);
    assert!(named.exists(), "the lease outlives its store");
    drop(last);
    assert_eq!(lease_folder(&folder), guards(&folder)[1..]);
}

/// Children that each must be alone with the lease, while somebody does harm.
fn write_alone_while(folder: &Path, harm: impl Fn() + Sync) {
    let store = SledStore::open(folder).expect("a store");
    let mut children = [0; 3].map(|_| start("write alone 20 times", folder, 0));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                harm();
                thread::sleep(Duration::from_millis(1)); // the vandal's pace, nothing is waited for
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
fn removed_lock_files_let_no_second_writer_in() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    write_alone_while(&folder, || {
        let leases = fs::read_dir(folder.join("leases")).expect("a folder");
        leases.flatten().for_each(|entry| unlink(&entry.path()));
        unlink(&folder.join("gate.lock"));
        unlink(&folder.join("queue.lock"));
    });
}

#[test]
fn a_removed_guard_lets_no_second_writer_in() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    write_alone_while(&folder, || unlink(&guards(&folder)[0]));
}

#[test]
fn pruning_lease_files_lets_no_second_writer_in() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    let old = folder.join(format!("leases/{}.lock", fingerprint(1)));
    let mut children = [0; 2].map(|_| start("write alone 20 times", &folder, 0));
    while children
        .iter_mut()
        .any(|child| child.try_wait().expect("a child").is_none())
    {
        // As an older version left it: removed whenever the lease is free.
        fs::write(&old, "").expect("a file");
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
