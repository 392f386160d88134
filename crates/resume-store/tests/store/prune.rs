//! Clearing up takes what nobody needs, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use resume_store::{
    Change, Fingerprint, PruneOptions, ResumeStore, SledStore, State, TRAIL_MIN_BYTES,
};
use tempfile::TempDir;

use crate::{fingerprint, record};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY
}

/// Writes the record of upload `n`, last changed `age` before [`now`], and its trail.
fn keep(store: &SledStore, n: u64, state: State, age: Duration) {
    let mut record = record(n);
    record.state = state;
    record.updated_at = now() - age;
    store
        .commit(&[Change::Put(fingerprint(n), record)])
        .expect("a commit");
    leave_trail(store, n);
}

fn leave_trail(store: &SledStore, n: u64) {
    drop(store.trail(&fingerprint(n), TRAIL_MIN_BYTES + 1));
}

/// A lease file, as every run of an older version leaves one.
fn leave_lease(store: &SledStore, n: u64) {
    fs::write(lease_path(store, n), "").expect("a file");
}

fn lease_path(store: &SledStore, n: u64) -> PathBuf {
    let name = format!("{}.lock", fingerprint(n));
    store.folder().join("leases").join(name)
}

fn set_aside(store: &SledStore, age: Duration) -> PathBuf {
    let since = (now() - age).duration_since(UNIX_EPOCH).expect("a time");
    let name = format!("records.sled.damaged-{}", since.as_millis());
    let path = store.folder().join(name);
    fs::create_dir(&path).expect("a folder");
    fs::write(path.join("db"), "damaged").expect("a file");
    path
}

fn some(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<Fingerprint> {
    numbers.into_iter().map(fingerprint).collect()
}

fn left(store: &SledStore) -> BTreeSet<Fingerprint> {
    let records = store.list(resume_store::Filter::all()).expect("a store");
    records.into_iter().map(|(whose, _)| whose).collect()
}

/// 0 finished long ago, 1 under way, 2 abandoned long ago, 3 failed, 4 being created for long;
/// 5 and 6 are unknown: a trail and a lease file are left of them.
fn lived_in(root: &TempDir) -> SledStore {
    let store = SledStore::open(root.path().join("state")).expect("a store");
    keep(&store, 0, State::Finished, 400 * DAY);
    keep(&store, 1, State::Active, DAY);
    keep(&store, 2, State::Active, 100 * DAY);
    keep(&store, 3, State::Failed, DAY);
    keep(&store, 4, State::Creating, 100 * DAY);
    leave_trail(&store, 5);
    (0..5).chain([6]).for_each(|n| leave_lease(&store, n));
    store
}

#[test]
fn by_default_only_what_is_of_no_use_to_anybody_goes() {
    let root = TempDir::new().expect("a folder");
    let store = lived_in(&root);
    let (old, young) = (set_aside(&store, 31 * DAY), set_aside(&store, 29 * DAY));
    let report = store
        .prune(&PruneOptions::default(), now())
        .expect("a store");
    assert_eq!(left(&store), some([0, 1, 2, 4]));
    assert_eq!(store.trails(), Vec::from_iter(some([1, 2, 4])));
    let mut leases = [0, 1, 2, 3, 4, 6].map(|n| lease_path(&store, n));
    leases.sort();
    assert_eq!(report.leases, leases);
    assert!(leases.iter().all(|path| !path.exists()));
    assert!(!old.exists() && young.exists());
    let [(whose, failed)] = report.records.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!((*whose, failed.state), (fingerprint(3), State::Failed));
    assert_eq!(report.trails, Vec::from_iter(some([0, 3, 5])));
    assert_eq!(report.damaged, [old]);
    assert_eq!(report.busy, []);
    // And then there is nothing left to do.
    let again = store
        .prune(&PruneOptions::default(), now())
        .expect("a store");
    assert_eq!(again, Default::default());
}

#[test]
fn unfinished_uploads_go_by_age_and_finished_ones_only_by_name() {
    let root = TempDir::new().expect("a folder");
    let store = lived_in(&root);
    let by_age = PruneOptions::default().with_unfinished_after(30 * DAY);
    store.prune(&by_age, now()).expect("a store");
    assert_eq!(left(&store), some([0, 1]));
    let by_name = by_age.with_named(fingerprint(0));
    store.prune(&by_name, now()).expect("a store");
    assert_eq!(left(&store), some([1]));
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let root = TempDir::new().expect("a folder");
    let store = lived_in(&root);
    let aside = set_aside(&store, 31 * DAY);
    let options = PruneOptions::default().with_unfinished_after(30 * DAY);
    let files = || {
        let mut found = Vec::new();
        crate::damage::files(&store.folder().join("leases"), &mut found);
        crate::damage::files(&store.folder().join("trails"), &mut found);
        found.sort();
        found
    };
    let before = (left(&store), files());
    let foretold = store
        .prune(&options.clone().with_dry_run(), now())
        .expect("a store");
    assert_eq!((left(&store), files()), before);
    assert!(aside.exists());
    let done = store.prune(&options, now()).expect("a store");
    assert_eq!(foretold, done);
}

#[test]
fn what_somebody_drives_is_left_alone_and_named() {
    let root = TempDir::new().expect("a folder");
    let store = lived_in(&root);
    let leases = [2, 3, 5, 6].map(|n| store.lease(&fingerprint(n)).expect("a lease"));
    let options = PruneOptions::default().with_unfinished_after(30 * DAY);
    for options in [options.clone().with_dry_run(), options.clone()] {
        let report = store.prune(&options, now()).expect("a store");
        assert_eq!(report.busy, Vec::from_iter(some([2, 3, 5, 6])));
    }
    assert_eq!(left(&store), some([0, 1, 2, 3]));
    for (n, stays) in [(0, false), (2, true), (3, true), (6, true)] {
        assert_eq!(lease_path(&store, n).exists(), stays, "lease {n}");
    }
    drop(leases);
    let report = store.prune(&options, now()).expect("a store");
    assert_eq!(report.busy, []);
    assert_eq!(left(&store), some([0, 1]));
}

#[test]
fn a_holder_is_named_while_it_holds_and_is_not_disturbed() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    assert_eq!(store.holder(&fingerprint(1)), None);
    assert!(!lease_path(&store, 1).exists());
    let lease = store.lease(&fingerprint(1)).expect("a lease");
    let holder = store.holder(&fingerprint(1)).expect("a holder");
    assert_eq!(holder.pid, Some(std::process::id()));
    assert!(holder.to_string().contains(" since 2"), "{holder}");
    assert_eq!(store.holder(&fingerprint(2)), None);
    drop(lease);
    assert_eq!(store.holder(&fingerprint(1)), None);
}
