//! The log: what a crash makes of it is put right, what damage makes of it is told.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use resume_store::{Change, Filter, Fingerprint, Record, ResumeStore, SledStore, StoreNotice};
use tempfile::TempDir;

use crate::damage::{FRAMES, into_the_database, log_end};
use crate::{CANARY, copy, fingerprint, put, record};

const SLOTS: [usize; 2] = [0, 4096];
const SLOT: usize = 60;

/// A state directory before and after the commit of upload 9, as a crash leaves both.
struct Story {
    root: TempDir,
    before: PathBuf,
    after: PathBuf,
}

impl Story {
    fn new() -> Self {
        let root = TempDir::new().expect("a folder");
        let [state, before, after] =
            ["state", "before", "after"].map(|name| root.path().join(name));
        let store = SledStore::open(&state).expect("a store");
        (0..5).for_each(|n| put(&store, n));
        copy(&state, &before);
        put(&store, 9);
        copy(&state, &after);
        Self {
            root,
            before,
            after,
        }
    }

    /// A directory in which `log` is the log, and everything else is as before or after.
    fn with_log(&self, rest: &Path, log: &[u8]) -> PathBuf {
        let folder = self.root.path().join("mixed");
        fs::remove_dir_all(&folder).ok();
        copy(rest, &folder);
        fs::write(log_file(&folder), log).expect("a log");
        folder
    }

    fn logs(&self) -> [Vec<u8>; 2] {
        [&self.before, &self.after].map(|folder| fs::read(log_file(folder)).expect("a log"))
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("records.wal")
}

fn some(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<Fingerprint> {
    numbers.into_iter().map(fingerprint).collect()
}

/// Whose records are there, and what was told.
fn look(folder: &Path) -> (BTreeSet<Fingerprint>, Vec<StoreNotice>) {
    let store = SledStore::open(folder).expect("a store");
    let records = store.list(Filter::all()).expect("a store");
    let found = records.into_iter().map(|(whose, _)| whose).collect();
    (found, store.take_notices())
}

/// The slot that the two logs differ in.
fn newest_slot([before, after]: &[Vec<u8>; 2]) -> usize {
    let differs = |slot: &usize| before[*slot..][..SLOT] != after[*slot..][..SLOT];
    let mut slots = SLOTS.into_iter().filter(differs);
    let newest = slots.next().expect("a slot was written");
    assert_eq!(slots.next(), None, "the other one still says what was");
    newest
}

#[test]
fn a_crash_within_a_commit_leaves_what_was_acknowledged_before_and_no_word() {
    let story = Story::new();
    let logs = story.logs();
    let [before, after] = &logs;
    let slot = newest_slot(&logs);
    let (old_end, end) = (FRAMES + log_end(before), FRAMES + log_end(after));
    assert!(end > old_end);
    // The frames and not the slot; the slot and not the frames; the slot and some of the frames.
    let mut frames = before.clone();
    frames[old_end..end].copy_from_slice(&after[old_end..end]);
    let mut slot_only = before.clone();
    slot_only[slot..][..SLOT].copy_from_slice(&after[slot..][..SLOT]);
    let mut torn = slot_only.clone();
    torn[old_end..][..100].copy_from_slice(&after[old_end..][..100]);
    let mut half_a_slot = frames.clone();
    half_a_slot[slot..][..30].copy_from_slice(&after[slot..][..30]);
    for log in [frames, slot_only, torn, half_a_slot] {
        let folder = story.with_log(&story.before, &log);
        assert_eq!(look(&folder), (some(0..5), vec![]));
        // And on it goes from there.
        put(&SledStore::open(&folder).expect("a store"), 10);
        assert_eq!(look(&folder), (some((0..5).chain([10])), vec![]));
    }
    // All of it, and the crash came before the ledger knew.
    let folder = story.with_log(&story.before, after);
    assert_eq!(look(&folder), (some((0..5).chain([9])), vec![]));
}

#[test]
fn damage_to_one_slot_or_both_or_a_frame_is_told_and_what_can_be_read_is_kept() {
    let story = Story::new();
    let logs = story.logs();
    let after = &logs[1];
    let mut one = after.clone();
    one[newest_slot(&logs) + 10] ^= 1;
    let mut both = after.clone();
    SLOTS.into_iter().for_each(|slot| both[slot + 50] ^= 1);
    for log in [one, both] {
        let folder = story.with_log(&story.after, &log);
        let (found, told) = look(&folder);
        assert_eq!(found, some((0..5).chain([9])));
        let [
            StoreNotice::Damaged {
                complete: true,
                expected: Some(6),
                kept: 6,
                aside: Some(aside),
            },
        ] = told.as_slice()
        else {
            panic!("{told:?}");
        };
        assert!(fs::read(log_file(aside)).expect("a log") == log);
        assert_eq!(look(&folder).1, []);
    }
    let mut frame = after.clone();
    frame[FRAMES + log_end(after) - 20] ^= 1;
    let folder = story.with_log(&story.after, &frame);
    let (found, told) = look(&folder);
    assert_eq!((found, told[0].lost()), (some(0..5), 1));
}

#[test]
fn a_log_that_is_gone_or_an_older_copy_is_told() {
    let story = Story::new();
    let [older, _] = story.logs();
    let folder = story.with_log(&story.after, &older);
    let (found, told) = look(&folder);
    assert_eq!((found, told[0].lost()), (some(0..5), 1));

    for empty in [false, true] {
        let folder = story.with_log(&story.after, &[]);
        if !empty {
            fs::remove_file(log_file(&folder)).expect("a removal");
        }
        let (found, told) = look(&folder);
        assert_eq!((found, told[0].lost()), (some([]), 6));
        assert_eq!(look(&folder), (some([]), vec![]));
    }
}

#[test]
fn a_crash_anywhere_between_the_database_and_a_new_log_loses_nothing() {
    let root = TempDir::new().expect("a folder");
    let [state, before, mixed] = ["state", "before", "mixed"].map(|name| root.path().join(name));
    let store = SledStore::open(&state).expect("a store");
    (0..300).for_each(|n| put(&store, n));
    let removals = [7, 8].map(|n| Change::Remove(fingerprint(n)));
    store.commit(&removals).expect("a commit");
    copy(&state, &before);
    into_the_database(&store);
    store.close();
    let expected = some((0..300).filter(|n| ![7, 8].contains(n)));
    let [old, new] = [&before, &state].map(|it| fs::read(log_file(it)).expect("a log"));
    assert!(log_end(&old) > 0 && log_end(&new) == 0);
    let slots = |from: &Path| {
        let ledger = fs::read(from.join("records.ledger")).expect("a ledger");
        [ledger[..8192].to_vec(), ledger[8192..].to_vec()]
    };
    let one_new = [&new[..SLOT], &old[SLOT..]].concat();
    // The log, and whether the ledger knows of the new one.
    for (log, is_noted) in [
        (&old, false),
        (&one_new, false),
        (&new, false),
        (&new, true),
    ] {
        fs::remove_dir_all(&mixed).ok();
        copy(&state, &mixed);
        fs::write(log_file(&mixed), log).expect("a log");
        let note = &slots(if is_noted { &state } else { &before })[1];
        let ledger = File::options()
            .write(true)
            .open(mixed.join("records.ledger"));
        ledger
            .and_then(|ledger| ledger.write_all_at(note, 8192))
            .expect("a ledger");
        assert_eq!(look(&mixed), (expected.clone(), vec![]));
        put(&SledStore::open(&mixed).expect("a store"), 7);
        let more = expected.iter().copied().chain([fingerprint(7)]).collect();
        assert_eq!(look(&mixed), (more, vec![]));
    }
}

#[test]
fn a_crash_while_the_log_goes_into_the_database_piece_by_piece_loses_nothing() {
    let root = TempDir::new().expect("a folder");
    let [state, other] = ["state", "other"].map(|name| root.path().join(name));
    let store = SledStore::open(&state).expect("a store");
    (0..50).for_each(|n| put(&store, n));
    drop(store);
    // What a first piece leaves: some of the log's records, and no figures that speak of them.
    let pieces = SledStore::open(&other).expect("a store");
    (0..20).for_each(|n| put(&pieces, n));
    into_the_database(&pieces);
    drop(pieces);
    fs::remove_dir_all(state.join("records.sled")).expect("a removal");
    copy(&other.join("records.sled"), &state.join("records.sled"));

    assert_eq!(look(&state), (some(0..50), vec![]));
    into_the_database(&SledStore::open(&state).expect("a store"));
    assert_eq!(look(&state), (some(0..50), vec![]));
}

#[test]
fn a_log_that_others_went_on_with_is_read_from_where_it_was_left() {
    let root = TempDir::new().expect("a folder");
    let open = || SledStore::open(root.path().join("state")).expect("a store");
    let (store, other) = (open(), open());
    (0..5).for_each(|n| put(&store, n));
    let of = |store: &SledStore, numbers: &[u64]| {
        let wanted: Vec<_> = numbers.iter().copied().map(fingerprint).collect();
        let found = store.load_many(&wanted).expect("a store");
        let offset = |it: Option<Record>| it.map(|it| it.offset);
        found.into_iter().map(offset).collect::<Vec<_>>()
    };
    // More in the same log, a newer one of what was there, and one less.
    put(&other, 5);
    let changes = [
        Change::Put(fingerprint(1), record(100)),
        Change::Remove(fingerprint(2)),
    ];
    other.commit(&changes).expect("a commit");
    let expected = [Some(0), Some(100), None, Some(5)];
    assert_eq!(of(&store, &[0, 1, 2, 5]), expected);
    // The same after a log begun anew, as long as the one that was left.
    into_the_database(&other);
    (0..9).for_each(|n| put(&other, 10 + n));
    assert_eq!(of(&store, &[0, 1, 2, 5]), expected);
    assert_eq!(of(&store, &[10, 18, 19]), [Some(10), Some(18), None]);
    assert_eq!(
        (store.take_notices(), other.take_notices()),
        (vec![], vec![])
    );
}

#[test]
fn a_log_that_was_cut_or_spoiled_behind_its_reader_is_told_and_begun_anew() {
    for spoil in [
        (|log| {
            File::options()
                .write(true)
                .open(log)?
                .set_len(FRAMES as u64 + 10)
        }) as fn(&Path) -> std::io::Result<()>,
        |log| {
            let log = File::options().write(true).open(log)?;
            log.write_all_at(&[0; 200], FRAMES as u64)
        },
    ] {
        let root = TempDir::new().expect("a folder");
        let store = SledStore::open(root.path().join("state")).expect("a store");
        (0..5).for_each(|n| put(&store, n));
        store.close();
        // What this process left of it is not read again, until a record is asked for.
        spoil(&log_file(store.folder())).expect("damage");
        let found = store.list(Filter::all()).expect("a store begun anew");
        let told = store.take_notices();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(found.len() as u64 + told[0].lost(), 5, "{told:?}");
    }
}

#[test]
fn clearing_up_leaves_no_url_of_a_removed_upload_in_the_log() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    put(&store, 1);
    let removal = Change::Remove(fingerprint(1));
    store.commit(&[removal]).expect("a commit");
    let has_url = || {
        let bytes = fs::read(log_file(store.folder())).expect("a log");
        let url = CANARY.as_bytes();
        bytes.windows(url.len()).any(|it| it == url)
    };
    assert!(has_url());
    into_the_database(&store);
    assert!(!has_url());
}

#[test]
fn a_long_log_goes_into_the_database_and_its_space_is_used_again() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    let log = log_file(store.folder());
    let mut sizes = BTreeSet::new();
    let mut was_begun_anew = 0;
    let mut end = 0;
    let long = |n| {
        let mut long = record(n);
        long.tags.insert("long".to_owned(), "x".repeat(4000));
        long
    };
    for round in 0..35 {
        let changes: Vec<_> = (0..200)
            .map(|n| Change::Put(fingerprint(round * 150 + n), long(n)))
            .collect();
        store.commit(&changes).expect("a commit");
        // What follows the commit is done before the next question is answered.
        store.load(&fingerprint(0)).expect("a store");
        let bytes = fs::read(&log).expect("a log");
        let now = log_end(&bytes);
        was_begun_anew += usize::from(now < end);
        end = now;
        sizes.insert(bytes.len());
    }
    assert!(was_begun_anew >= 3, "{was_begun_anew}");
    let most = sizes.last().expect("a size");
    assert!(*most < 10 << 20, "{sizes:?}");
    assert!(sizes.iter().all(|size| size % (256 * 1024) == 0));
    let all = 34 * 150 + 200;
    assert_eq!(store.list(Filter::all()).expect("a store").len(), all);
    drop(store);
    let (found, told) = look(log.parent().expect("a folder"));
    assert_eq!((found.len(), told), (all, vec![]));
}

#[test]
fn many_are_loaded_at_once_from_log_and_database() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    (0..300).for_each(|n| put(&store, n));
    store.close();
    put(&store, 300);
    let wanted = [300, 5, 1000, 5].map(fingerprint);
    let found = store.load_many(&wanted).expect("a store");
    let offsets: Vec<_> = found
        .iter()
        .map(|it| it.as_ref().map(|it| it.offset))
        .collect();
    assert_eq!(offsets, [Some(300), Some(5), None, Some(5)]);
}

#[test]
fn a_new_upload_is_known_to_be_new_as_long_as_nobody_else_can_write() {
    let root = TempDir::new().expect("a folder");
    let open = || SledStore::open(root.path().join("state")).expect("a store");
    let (store, other) = (open(), open());
    let is_new = |store: &SledStore, n| store.lease_new(&fingerprint(n)).is_some();
    assert!(!is_new(&store, 1), "the database is not open");
    put(&store, 0);
    assert!(is_new(&store, 1));
    put(&store, 1);
    assert!(!is_new(&store, 1));

    // Closed, others may write; opened again, it is known whether they did.
    store.close();
    assert!(!is_new(&store, 2));
    store.load(&fingerprint(9)).expect("a store");
    assert!(is_new(&store, 2) && !is_new(&store, 1));
    put(&other, 2);
    assert!(!is_new(&store, 2));
    store.load(&fingerprint(9)).expect("a store");
    assert!(!is_new(&store, 2));

    // Whoever opens it for the first time counts all there is.
    drop((store, other));
    let next = open();
    next.load(&fingerprint(9)).expect("a store");
    assert!(is_new(&next, 3) && !is_new(&next, 2) && !is_new(&next, 0));
}
