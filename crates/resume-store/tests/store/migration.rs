//! Directories of other formats.

use std::fs;
use std::path::{Path, PathBuf};

use resume_store::{Filter, Record, ResumeStore, SledStore, State, StoreError};
use tempfile::TempDir;

use crate::{CANARY, copy, fingerprint, put};

/// A directory as version 1 left it: upload 0 is being created, 1 under way, 2 finished at Stream,
/// 3 finished elsewhere, 4 failed, and 5 removed.
fn version_1(root: &TempDir) -> PathBuf {
    fixture(root, "version-1")
}

/// The same of version 2, which also knows how far 1 and 4 reached, and the content of 2 and 3.
fn version_2(root: &TempDir) -> PathBuf {
    fixture(root, "version-2")
}

fn fixture(root: &TempDir, name: &str) -> PathBuf {
    let folder = root.path().join("state");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    copy(&fixtures.join(name), &folder);
    folder
}

fn records(store: &SledStore) -> Vec<Record> {
    (0..5)
        .map(|n| store.load(&fingerprint(n)).expect("a store"))
        .map(|record| record.expect("a record"))
        .collect()
}

fn assert_migrated(folder: &Path) {
    for (n, record) in assert_current(folder).iter().enumerate() {
        assert_eq!((record.reached, record.content), (0, None), "{n}");
    }
}

fn assert_current(folder: &Path) -> Vec<Record> {
    let store = SledStore::open(folder).expect("a store");
    let found = records(&store);
    assert_eq!(store.take_notices(), []);
    assert_eq!(store.list(Filter::all()).expect("a store").len(), 5);
    let states: Vec<State> = found.iter().map(|record| record.state).collect();
    use State::{Active, Creating, Failed, Finished};
    assert_eq!(states, [Creating, Active, Finished, Finished, Failed]);
    for (n, record) in found.iter().enumerate() {
        assert_eq!(record.source_key, format!("/media/{n}.mp4"));
        assert_eq!(record.idempotency_key, format!("{n:032x}"));
        assert_eq!(record.settings, [n as u8; 32]);
        assert_eq!(record.evidence.is_some(), n < 4);
        assert_eq!(record.expires_at.is_none(), record.state == Finished);
    }
    let has_url: Vec<bool> = found.iter().map(|r| r.upload_url.is_some()).collect();
    assert_eq!(has_url, [false, true, false, true, true]);
    let version = fs::read_to_string(folder.join("VERSION")).expect("a version");
    assert_eq!(version, "3\n");
    drop(store);
    let secret = format!("files/2?token={CANARY}");
    let mut files = Vec::new();
    crate::damage::files(folder, &mut files);
    // What was set aside is as it was.
    let is_aside = |file: &PathBuf| file.to_string_lossy().contains("damaged-");
    for file in files.iter().filter(|file| !is_aside(file)) {
        let bytes = fs::read(file).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&secret), "{}", file.display());
    }
    let settings = fs::read_to_string(folder.join("records.sled/conf"));
    assert!(!settings.is_ok_and(|text| text.contains("8192")));
    found
}

#[test]
fn a_directory_of_version_2_is_brought_up_to_date() {
    let root = TempDir::new().expect("a folder");
    let folder = version_2(&root);
    for _ in 0..2 {
        let found = assert_current(&folder);
        let reached: Vec<u64> = found.iter().map(|record| record.reached).collect();
        assert_eq!(reached, [0, 8192, 0, 0, 8192]);
        let contents: Vec<_> = found.iter().map(|record| record.content).collect();
        assert_eq!(contents, [None, None, Some([2; 16]), Some([3; 16]), None]);
    }
    let store = SledStore::open(&folder).expect("a store");
    put(&store, 6);
    assert_eq!(store.list(Filter::all()).expect("a store").len(), 6);
}

#[test]
fn a_directory_of_version_1_is_brought_up_to_date() {
    let root = TempDir::new().expect("a folder");
    let folder = version_1(&root);
    assert_migrated(&folder);
    // Once more changes nothing.
    assert_migrated(&folder);
    let store = SledStore::open(&folder).expect("a store");
    put(&store, 6);
    assert_eq!(store.list(Filter::all()).expect("a store").len(), 6);
}

/// The ledger as it is when it speaks of the new database, and not yet of the log.
fn ledger_before_the_log(folder: &Path, done: &Path) {
    let ledger = fs::read(done.join("records.ledger")).expect("a ledger");
    fs::write(folder.join("records.ledger"), &ledger[..4096 + 36]).expect("a ledger");
}

#[test]
fn a_crash_anywhere_in_the_migration_is_made_good_by_the_next_run() {
    let root = TempDir::new().expect("a folder");
    let done = version_1(&root);
    assert_migrated(&done);
    let interruptions: [fn(&Path, &Path); 5] = [
        // The draft was begun.
        |folder, _| {
            fs::create_dir(folder.join("records.sled.new")).expect("a folder");
            fs::write(folder.join("records.sled.new/db"), "half").expect("a file");
        },
        // The draft is whole and the ledger speaks of it; nothing was renamed yet.
        |folder, done| {
            copy(&done.join("records.sled"), &folder.join("records.sled.new"));
        },
        // The old one is aside, the new one not yet in its place.
        |folder, done| {
            let records = folder.join("records.sled");
            fs::rename(&records, folder.join("records.sled.old")).expect("a rename");
            copy(&done.join("records.sled"), &folder.join("records.sled.new"));
            ledger_before_the_log(folder, done);
        },
        // The new one is in its place, the log not yet begun.
        |folder, done| {
            fs::remove_dir_all(folder.join("records.sled")).expect("a removal");
            copy(&done.join("records.sled"), &folder.join("records.sled"));
            ledger_before_the_log(folder, done);
        },
        // All but the version is done.
        |folder, done| {
            fs::rename(folder.join("records.sled"), folder.join("records.sled.old"))
                .expect("a rename");
            copy(&done.join("records.sled"), &folder.join("records.sled"));
            for file in ["records.ledger", "records.wal"] {
                fs::copy(done.join(file), folder.join(file)).expect("a copy");
            }
        },
    ];
    for interrupt in interruptions {
        let root = TempDir::new().expect("a folder");
        let folder = version_1(&root);
        interrupt(&folder, &done);
        assert_migrated(&folder);
        for left in ["records.sled.old", "records.sled.new"] {
            assert!(!folder.join(left).exists(), "{left}");
        }
    }
}

#[test]
fn a_version_before_the_first_is_refused_by_name_and_nothing_is_touched() {
    let root = TempDir::new().expect("a folder");
    let folder = version_1(&root);
    fs::write(folder.join("VERSION"), "0\n").expect("a version");
    let before = fs::read(folder.join("records.sled/db")).expect("a database");
    let error = SledStore::open(&folder).expect_err("older");
    let StoreError::Older {
        found, supported, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((*found, *supported), (0, 1));
    assert!(error.to_string().contains("format 0"), "{error}");
    let after = fs::read(folder.join("records.sled/db")).expect("a database");
    assert!(before == after);
}

#[test]
fn a_damaged_directory_of_version_1_is_repaired_and_told_before_it_is_brought_up_to_date() {
    let root = TempDir::new().expect("a folder");
    let folder = version_1(&root);
    fs::write(folder.join("records.sled/conf"), "segment_size: 1\n").expect("damage");
    let store = SledStore::open(&folder).expect("a store");
    assert_eq!(store.list(Filter::all()).expect("a store").len(), 5);
    assert_eq!(store.take_notices().len(), 1);
    drop(store);
    assert_migrated(&folder);
}
