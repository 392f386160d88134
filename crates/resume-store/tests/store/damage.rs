//! Damage of every kind is survived, and no record goes missing without a word.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use resume_store::{
    BlockDigest, Change, Filter, Fingerprint, PruneOptions, Record, ResumeStore, SledStore,
    StoreError, StoreNotice, TRAIL_MIN_BYTES,
};
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

/// Blocks that change places: parts of sled's segments.
const SEGMENT: usize = 8192;

/// Of a source that leaves a trail.
const LONG: u64 = TRAIL_MIN_BYTES + 1;

/// A store with a past: written, updated, partly removed, closed and opened again. Most is in the
/// database, the last changes are in the log.
fn lived_in(folder: &Path) -> BTreeMap<Fingerprint, Record> {
    let store = SledStore::open(folder).expect("a store");
    for n in 0..100 {
        put(&store, n);
    }
    into_the_database(&store);
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
        if n == 70 {
            fs::copy(folder.join("records.wal"), stale(folder)).expect("a copy");
        }
    }
    let trail = store.trail(&fingerprint(1), LONG);
    (0..33).for_each(|block| trail.note(block, &[BlockDigest::of(&block.to_le_bytes())]));
    store
        .list(Filter::all())
        .expect("a store")
        .into_iter()
        .collect()
}

/// What the log of a store that was [`lived_in`] was some commits before.
fn stale(folder: &Path) -> PathBuf {
    folder.with_extension("stale")
}

/// Has what was committed brought into the database.
pub(crate) fn into_the_database(store: &SledStore) {
    let everything_stays = PruneOptions::default();
    store
        .prune(&everything_stays, SystemTime::now())
        .expect("a store");
    let log = fs::read(store.folder().join("records.wal")).expect("a log");
    assert_eq!(log_end(&log), 0);
}

/// Bytes of frames that the log has, as its slots say.
pub(crate) fn log_end(log: &[u8]) -> usize {
    let newest = [0, 4096].map(|slot| {
        let number = |at: usize| {
            let bytes = log[slot + at..][..8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        // Generation, sequence, end.
        (number(0), number(20), number(8))
    });
    let (_, _, end) = newest.into_iter().max().expect("two slots");
    end as usize
}

/// Where the frames begin.
pub(crate) const FRAMES: usize = 8192;

/// One act of damage to the log; says what it did. `stale` is what it was some commits before.
fn spoil_log(path: &Path, stale: &Path, dice: &mut Dice) -> String {
    let mut bytes = fs::read(path).expect("a log");
    let used = FRAMES + log_end(&bytes);
    let at = match dice.roll(4) {
        // The slots, as often as would be if the file had nothing else.
        0 => [0, 4096][dice.roll(2) as usize] + dice.roll(60) as usize,
        _ => FRAMES + dice.roll((used - FRAMES) as u64) as usize,
    };
    let what = match dice.roll(10) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            bytes.truncate(used + dice.roll(1000) as usize);
            "spare space cut off".to_owned()
        }
        2 => {
            fs::remove_file(path).expect("a removal");
            return "the log removed".to_owned();
        }
        3 => {
            bytes[at..].fill(0);
            format!("zeroed from {at}")
        }
        4 => {
            let from = at / 512 * 512;
            bytes[from..]
                .iter_mut()
                .take(512)
                .for_each(|byte| *byte = 0);
            format!("sector at {from} zeroed")
        }
        5 => {
            let sectors = (used / 512) as u64;
            let [one, other] = [(); 2].map(|()| dice.roll(sectors) as usize);
            for byte in 0..512 {
                bytes.swap(one * 512 + byte, other * 512 + byte);
            }
            format!("sectors {one} and {other} swapped")
        }
        6 => {
            bytes = fs::read(stale).expect("a log");
            "an older copy".to_owned()
        }
        7 => {
            bytes[..FRAMES].fill(0);
            "both slots zeroed".to_owned()
        }
        _ => {
            let bit = dice.roll(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
    };
    fs::write(path, bytes).expect("damage");
    format!("the log: {what}, of {used} in use")
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
fn spoil(folder: &Path, stale: &Path, dice: &mut Dice) -> String {
    if dice.roll(3) == 0 {
        return spoil_log(&folder.join("records.wal"), stale, dice);
    }
    let mut database = Vec::new();
    files(&folder.join("records.sled"), &mut database);
    database.sort();
    let one_of_them = database[dice.roll(database.len() as u64) as usize].clone();
    // The data file holds nearly everything, so it is hit most.
    let path = match dice.roll(12) {
        0 => folder.join("records.ledger"),
        1 => folder.join("VERSION"),
        2 => folder.join("trails").join(fingerprint(1).to_string()),
        3..=5 => one_of_them,
        _ => folder.join("records.sled/db"),
    };
    let mut bytes = fs::read(&path).expect("a file");
    let length = bytes.len();
    let at = dice.roll(length.max(1) as u64) as usize;
    let what = match dice.roll(12) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            bytes.clear();
            "emptied".to_owned()
        }
        2 => {
            fs::remove_file(&path).expect("a removal");
            return format!("{} removed", path.display());
        }
        3 => {
            let page = at / 4096 * 4096;
            bytes[page..]
                .iter_mut()
                .take(4096)
                .for_each(|byte| *byte = 0);
            format!("page at {page} zeroed")
        }
        4 if length >= 2 * SEGMENT => {
            let segments = (length / SEGMENT) as u64;
            let [one, other] = [(); 2].map(|()| dice.roll(segments) as usize);
            for byte in 0..SEGMENT {
                bytes.swap(one * SEGMENT + byte, other * SEGMENT + byte);
            }
            format!("segments {one} and {other} swapped")
        }
        5 => {
            for stray in [
                "snap.0000000000000001",
                "snap.00.generating",
                "blobs/foreign",
            ] {
                let stray = folder.join("records.sled").join(stray);
                fs::write(stray, "nonsense").expect("a file");
            }
            return "stray snapshots and a foreign file".to_owned();
        }
        _ => {
            let bit = dice.roll(8);
            bytes
                .get_mut(at)
                .into_iter()
                .for_each(|byte| *byte ^= 1 << bit);
            format!("bit {bit} of byte {at} flipped")
        }
    };
    fs::write(&path, bytes).expect("damage");
    format!("{}: {what} of {length}", path.display())
}

/// A store that refuses a damaged `VERSION` has told of it; its owner puts that right.
fn open(folder: &Path, what: &str) -> SledStore {
    match SledStore::open(folder) {
        Ok(store) => store,
        Err(
            StoreError::Damaged { path, .. }
            | StoreError::Newer { path, .. }
            | StoreError::Older { path, .. },
        ) => {
            assert!(path.ends_with("VERSION"), "{what}: {}", path.display());
            fs::write(path, "3\n").expect("a version");
            SledStore::open(folder).unwrap_or_else(|error| panic!("{what}: {error}"))
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Spoils a copy of `sound`, opens it, and sees that what is missing was told.
fn survive(
    root: &Path,
    sound: &Path,
    before: &BTreeMap<Fingerprint, Record>,
    seed: u64,
) -> Survived {
    let folder = root.join(format!("seed-{seed}"));
    copy(sound, &folder);
    let what = spoil(&folder, &stale(sound), &mut Dice(seed));
    let what = format!("seed {seed}: {what}");

    let store = open(&folder, &what);
    let listed = store
        .list(Filter::all())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let after: BTreeMap<_, _> = listed.into_iter().collect();
    let notices = store.take_notices();
    let told = notices.as_slice();
    match told {
        [] => assert!(after == *before, "{what}: silent"),
        [
            StoreNotice::Damaged {
                complete,
                expected,
                kept,
                ..
            },
        ] => {
            assert_eq!(*complete, after == *before, "{what}: {told:?}");
            assert_eq!(*kept, after.len() as u64, "{what}: {told:?}");
            assert_eq!(*expected, Some(before.len() as u64), "{what}: {told:?}");
        }
        [StoreNotice::Unverified { found, .. }] => {
            let is_whole = after == *before && *found == after.len() as u64;
            assert!(is_whole, "{what}: {told:?}");
        }
        _ => panic!("{what}: {told:?}"),
    }
    // What a trail says is compared with the source, so it may say anything.
    store.trail(&fingerprint(1), LONG).content(LONG);
    let survived = Survived {
        is_noticed: !told.is_empty(),
        is_whole: after == *before,
    };
    // After the repair it is a store like any other.
    put(&store, 1 << 32);
    drop(store);
    let store = open(&folder, &what);
    assert_eq!(count(&store), after.len() + 1, "{what}");
    assert_eq!(store.take_notices(), [], "{what}");
    drop(store);
    fs::remove_dir_all(&folder).expect("a removal");
    survived
}

struct Survived {
    is_noticed: bool,
    is_whole: bool,
}

#[test]
fn no_damage_loses_a_record_silently() {
    // In memory where there is such a folder: what is tested is not what a sync does.
    let memory = Path::new("/dev/shm");
    let root = match TempDir::new_in(memory) {
        Ok(root) => root,
        Err(_) => TempDir::new().expect("a folder"),
    };
    let sound = root.path().join("sound");
    let before = lived_in(&sound);
    let seeds = std::env::var("RESUME_STORE_SEEDS").map_or(500, |n| n.parse().expect("a number"));
    let next = AtomicU64::new(0);
    let survive_some = || {
        let mut survived = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return survived;
            }
            survived.push(survive(root.path(), &sound, &before, seed));
        }
    };
    let survived: Vec<_> = thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(survive_some));
        let done = workers.map(|worker| worker.join().expect("no panic"));
        done.into_iter().flatten().collect()
    });
    let noticed = survived.iter().filter(|one| one.is_noticed).count();
    let whole = survived.iter().filter(|one| one.is_whole).count();
    println!("{seeds} damages, {noticed} noticed, {whole} without any loss, none silent");
}

#[test]
fn records_that_sled_loses_are_counted_as_lost() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let before = lived_in(&folder).len() as u64;
    // The whole database, and the log: all that could be salvaged.
    fs::remove_dir_all(folder.join("records.sled")).expect("a removal");
    fs::remove_file(folder.join("records.wal")).expect("a removal");
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
    let store = SledStore::open(&folder).expect("a store");
    into_the_database(&store);
    store.close();
    let older = root.path().join("older");
    copy(&folder.join("records.sled"), &older);
    put(&store, 500);
    into_the_database(&store);
    store.close();
    // What the log had of it is outdated, and would be found all the same.
    let log = File::options().write(true).open(folder.join("records.wal"));
    log.and_then(|log| log.set_len(FRAMES as u64))
        .expect("a log");
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
    let before = lived_in(&folder);
    let older = root.path().join("older");
    copy(&folder, &older);
    let store = SledStore::open(&folder).expect("a store");
    into_the_database(&store);
    drop(store);
    // As it was after the announcement: the ledger speaks of both, the database is the old one, and
    // the log was not begun anew.
    let announced = fs::read(folder.join("records.ledger")).expect("a ledger");
    let ledger = File::options()
        .write(true)
        .open(older.join("records.ledger"))
        .expect("a ledger");
    let slot = |n: usize| &announced[n * 4096..][..36];
    assert_eq!(slot(0), slot(1));
    ledger.write_all_at(slot(0), 0).expect("a slot");

    let store = SledStore::open(&older).expect("a store");
    assert_eq!(store.take_notices(), []);
    let listed = store.list(Filter::all()).expect("a store");
    assert!(BTreeMap::from_iter(listed) == before);
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
