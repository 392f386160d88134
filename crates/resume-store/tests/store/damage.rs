//! Damage of every kind is survived, and no record goes missing without a word.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use resume_store::{Change, Filter, Fingerprint, Record, ResumeStore, SledStore, StoreNotice};
use tempfile::TempDir;

use crate::{copy, count, fingerprint, put, record};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

/// A store with a past: written, updated, partly removed, closed and opened again.
fn lived_in(folder: &Path) -> BTreeMap<Fingerprint, Record> {
    let store = SledStore::open(folder).expect("a store");
    for n in 0..100 {
        put(&store, n);
    }
    store.close();
    for n in 0..100 {
        if n % 3 == 0 {
            let mut changed = record(n);
            changed.offset = 1_000_000 + n;
            store
                .commit(&[Change::Put(fingerprint(n), changed)])
                .expect("a commit");
        }
        if n % 10 == 1 {
            store
                .commit(&[Change::Remove(fingerprint(n))])
                .expect("a commit");
        }
    }
    store
        .list(Filter::all())
        .expect("a store")
        .into_iter()
        .collect()
}

pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// One act of damage below `folder`; says what it did.
fn spoil(folder: &Path, dice: &mut Dice) -> String {
    let mut all = Vec::new();
    files(&folder.join("records.sled"), &mut all);
    all.sort();
    // The data file holds nearly everything, so it is hit most.
    let data = folder.join("records.sled/db");
    let ledger = folder.join("records.ledger");
    let path = match dice.roll(10) {
        0 => ledger,
        1 | 2 => all[dice.roll(all.len() as u64) as usize].clone(),
        _ => data,
    };
    let file = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .expect("a file");
    let length = file.metadata().expect("metadata").len();
    let name = path
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let at = dice.roll(length.max(1));
    match dice.roll(8) {
        0 => {
            file.set_len(at).expect("a cut");
            format!("{name} cut at {at} of {length}")
        }
        1 => {
            file.write_all_at(&[0; 4096], at / 4096 * 4096)
                .expect("zeros");
            format!("{name} zeroed around {at} of {length}")
        }
        2 => {
            drop(file);
            fs::remove_file(&path).expect("a removal");
            format!("{name} removed")
        }
        3 => {
            fs::write(folder.join("records.sled/snap.0000.generating"), "nonsense")
                .expect("a file");
            fs::write(folder.join("records.sled/blobs/foreign"), "nonsense").expect("a file");
            "foreign files".to_owned()
        }
        _ => {
            let mut byte = [0];
            let bit = dice.roll(8);
            if file.read_exact_at(&mut byte, at).is_ok() {
                file.write_all_at(&[byte[0] ^ (1 << bit)], at)
                    .expect("a flip");
            }
            format!("{name}: bit {bit} of byte {at} of {length}")
        }
    }
}

#[test]
fn no_damage_loses_a_record_silently() {
    let root = TempDir::new().expect("a folder");
    let sound = root.path().join("sound");
    let before = lived_in(&sound);
    let seeds = std::env::var("RESUME_STORE_SEEDS").map_or(50, |n| n.parse().expect("a number"));
    let (mut noticed, mut recovered) = (0, 0);
    for seed in 0..seeds {
        let folder = root.path().join(format!("seed-{seed}"));
        copy(&sound, &folder);
        let what = spoil(&folder, &mut Dice(seed));
        let what = format!("seed {seed}: {what}");

        let store = SledStore::open(&folder).unwrap_or_else(|error| panic!("{what}: {error}"));
        let listed = store
            .list(Filter::all())
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let after: BTreeMap<_, _> = listed.into_iter().collect();
        let notices = store.take_notices();
        let told = notices.as_slice();
        match told {
            [] => assert!(after == before, "{what}: silent"),
            [
                StoreNotice::Damaged {
                    complete,
                    expected,
                    kept,
                    ..
                },
            ] => {
                assert_eq!(*complete, after == before, "{what}: {told:?}");
                assert_eq!(*kept, after.len() as u64, "{what}: {told:?}");
                assert_eq!(*expected, Some(before.len() as u64), "{what}: {told:?}");
            }
            [StoreNotice::Unverified { found, .. }] => {
                assert!(
                    after == before && *found == after.len() as u64,
                    "{what}: {told:?}"
                );
            }
            _ => panic!("{what}: {told:?}"),
        }
        noticed += usize::from(!told.is_empty());
        recovered += usize::from(after == before);
        // After the repair it is a store like any other.
        put(&store, 1 << 32);
        drop(store);
        let store = SledStore::open(&folder).expect("a store");
        assert_eq!(count(&store), after.len() + 1, "{what}");
        assert_eq!(store.take_notices(), [], "{what}");
        drop(store);
        fs::remove_dir_all(&folder).expect("a removal");
    }
    println!("{seeds} damages, {noticed} noticed, {recovered} without any loss");
}

#[test]
fn records_that_sled_loses_are_counted_as_lost() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let before = lived_in(&folder).len() as u64;
    // The whole database, and with it all that could be salvaged.
    fs::remove_dir_all(folder.join("records.sled")).expect("a removal");
    let store = SledStore::open(&folder).expect("a store");
    assert_eq!(count(&store), 0);
    let notices = store.take_notices();
    let [
        notice @ StoreNotice::Damaged {
            aside: None,
            kept: 0,
            ..
        },
    ] = notices.as_slice()
    else {
        panic!("{notices:?}");
    };
    assert_eq!(notice.lost(), before);
    assert!(
        notice
            .to_string()
            .contains(&format!("{before} of {before} records are lost"))
    );
}

#[test]
fn a_database_put_back_from_an_older_copy_is_noticed() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    lived_in(&folder);
    let older = root.path().join("older");
    copy(&folder.join("records.sled"), &older);
    let store = SledStore::open(&folder).expect("a store");
    put(&store, 500);
    store.close();
    fs::remove_dir_all(folder.join("records.sled")).expect("a removal");
    copy(&older, &folder.join("records.sled"));
    // In the same process, which counted once already.
    assert_eq!(store.load(&fingerprint(500)).expect("a store"), None);
    let notices = store.take_notices();
    assert!(
        matches!(
            notices.as_slice(),
            [StoreNotice::Damaged {
                complete: false,
                ..
            }]
        ),
        "{notices:?}"
    );
    assert!(notices[0].lost() >= 1, "{notices:?}");
}

#[test]
fn a_crash_between_the_intent_and_the_commit_is_no_damage() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    lived_in(&folder);
    let older = root.path().join("older");
    copy(&folder, &older);
    let store = SledStore::open(&folder).expect("a store");
    put(&store, 500);
    let count_then = count(&store);
    drop(store);
    // As it was after the announcement: the ledger speaks of both, the database is the old one.
    let announced = fs::read(folder.join("records.ledger")).expect("a ledger");
    let ledger = File::options()
        .write(true)
        .open(folder.join("records.ledger"))
        .expect("a ledger");
    let before = fs::read(older.join("records.ledger")).expect("a ledger");
    ledger.write_all_at(&before[..36], 0).expect("a slot");
    assert_ne!(
        announced,
        fs::read(folder.join("records.ledger")).expect("a ledger")
    );
    fs::remove_dir_all(folder.join("records.sled")).expect("a removal");
    copy(&older.join("records.sled"), &folder.join("records.sled"));

    let store = SledStore::open(&folder).expect("a store");
    assert_eq!(count(&store), count_then - 1);
    assert_eq!(store.take_notices(), []);
}

#[test]
fn the_damaged_database_is_kept_aside() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let before = lived_in(&folder).len();
    fs::write(folder.join("records.sled/conf"), "segment_size: 1\n").expect("damage");
    let store = SledStore::open(&folder).expect("a store");
    // Nothing of the records themselves is hurt: all are found in the raw bytes.
    assert!(count(&store) >= before);
    let notices = store.take_notices();
    let [
        StoreNotice::Damaged {
            aside: Some(aside), ..
        },
    ] = notices.as_slice()
    else {
        panic!("{notices:?}");
    };
    assert!(aside.join("db").exists());
}
