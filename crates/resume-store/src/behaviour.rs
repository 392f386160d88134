//! What every [`ResumeStore`] must do, one function per promise. [`all`] runs the whole list.
//!
//! A promise that is not kept panics, as a failed test does.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};

use tus_core::UploadUrl;

use crate::{
    BLOCK_BYTES, BlockDigest, Change, Evidence, Filter, Fingerprint, Record, ResumeStore, State,
    StoreError, TRAIL_MIN_BYTES,
};

/// Two handles on the same empty store, as two processes have them.
pub type Pair = [Box<dyn ResumeStore>; 2];

/// Runs every behaviour, each on a pair of its own.
///
/// # Panics
///
/// When a promise is not kept.
pub fn all(make: impl Fn() -> Pair) {
    for behaviour in LIST {
        behaviour(&make());
    }
}

/// Nothing is known that was not written.
///
/// # Panics
///
/// When the promise is not kept; so with all functions here.
pub fn an_unknown_upload_has_no_record([store, _]: &Pair) {
    assert_eq!(store.load(&fingerprint(1)).expect("a store"), None);
    assert_eq!(store.list(Filter::all()).expect("a store"), []);
    assert_eq!(store.take_notices(), []);
}

/// Every field survives.
pub fn a_record_comes_back_as_it_was([store, other]: &Pair) {
    let full = full_record();
    let bare = Record::intended("key", "destination");
    put(store, 1, &full);
    put(store, 2, &bare);
    for store in [store, other] {
        assert_eq!(load(store, 1), Some(full.clone()));
        assert_eq!(load(store, 2), Some(bare.clone()));
    }
}

/// A finished record answers a second run, and holds no more than that.
pub fn a_finished_record_is_kept_without_its_secret([store, other]: &Pair) {
    let mut record = full_record();
    record.finish(Some([3; 16]));
    let full = full_record();
    assert_eq!((record.state, record.reached), (State::Finished, 0));
    assert_eq!((record.content, record.expires_at), (Some([3; 16]), None));
    assert_eq!((&record.tags, &record.upload_url), (&full.tags, &None));
    assert_eq!(
        (record.settings, &record.evidence),
        (full.settings, &full.evidence)
    );
    put(store, 1, &record);
    assert_eq!(load(other, 1), Some(record));

    // Elsewhere than at Stream the URL is the only name.
    let mut nameless = full_record();
    nameless.tags.clear();
    nameless.finish(None);
    assert_eq!(nameless.upload_url, full.upload_url);
}

/// A second record of the same upload takes the place of the first.
pub fn a_later_record_replaces_an_earlier_one([store, other]: &Pair) {
    let mut record = full_record();
    put(store, 1, &record);
    record.offset = 99;
    record.state = State::Finished;
    put(other, 1, &record);
    for store in [store, other] {
        assert_eq!(load(store, 1), Some(record.clone()));
        assert_eq!(list(store, Filter::all()).len(), 1);
    }
}

/// Removing removes, and what is not there may be removed too.
pub fn a_removed_record_is_gone([store, other]: &Pair) {
    put(store, 1, &full_record());
    put(store, 2, &full_record());
    let changes = [
        Change::Remove(fingerprint(1)),
        Change::Remove(fingerprint(3)),
    ];
    store.commit(&changes).expect("a commit");
    for store in [store, other] {
        assert_eq!(load(store, 1), None);
        assert_eq!(list(store, Filter::all()).len(), 1);
    }
}

/// Changes take effect in their order.
pub fn the_last_change_in_a_commit_decides([store, other]: &Pair) {
    let mut last = full_record();
    last.offset = 7;
    let changes = [
        Change::Put(fingerprint(1), full_record()),
        Change::Remove(fingerprint(1)),
        Change::Put(fingerprint(1), last.clone()),
        Change::Put(fingerprint(2), last.clone()),
        Change::Remove(fingerprint(2)),
    ];
    store.commit(&changes).expect("a commit");
    for store in [store, other] {
        assert_eq!(load(store, 1), Some(last.clone()));
        assert_eq!(load(store, 2), None);
    }
}

/// Many are found as each is found alone.
pub fn many_are_loaded_in_the_order_asked_for([store, other]: &Pair) {
    put(store, 1, &full_record());
    let wanted = [3, 1, 1].map(fingerprint);
    for store in [store, other] {
        let found = store.load_many(&wanted).expect("a store");
        assert_eq!(found, [None, load(store, 1), load(store, 1)]);
        assert_eq!(store.load_many(&[]).expect("a store"), []);
    }
}

/// A commit of nothing is none.
pub fn an_empty_commit_is_accepted([store, _]: &Pair) {
    store.commit(&[]).expect("a commit");
    assert_eq!(list(store, Filter::all()), []);
}

/// Upload URLs of 8 KiB are legal.
pub fn a_large_record_is_kept([store, other]: &Pair) {
    let mut record = full_record();
    let long = format!("https://tus.example/files/{}", "x".repeat(8000));
    record.upload_url = Some(UploadUrl::parse(&long).expect("a URL"));
    record.tags.insert("tag".to_owned(), "y".repeat(50_000));
    for n in 0..5 {
        put(store, n, &record);
    }
    for n in 0..5 {
        assert_eq!(load(other, n), Some(record.clone()));
    }
}

/// Lists come in order of fingerprint and hold what the filter admits.
pub fn a_list_is_ordered_and_filtered([store, other]: &Pair) {
    let mut changes = Vec::new();
    for n in 0..200 {
        let mut record = full_record();
        record.offset = n;
        record.destination = if n % 2 == 0 { "even" } else { "odd" }.to_owned();
        record.state = if n % 5 == 0 {
            State::Finished
        } else {
            State::Active
        };
        if n == 77 {
            record.length = Some(1);
        }
        changes.push(Change::Put(fingerprint(n), record));
    }
    store.commit(&changes).expect("a commit");

    let everything = list(other, Filter::all());
    assert_eq!(everything.len(), 200);
    assert!(everything.is_sorted_by(|a, b| a.0 < b.0));
    let finished = Filter::all().with_state(State::Finished);
    assert_eq!(list(other, finished.clone()).len(), 40);
    assert_eq!(
        list(other, finished.clone().with_state(State::Active)).len(),
        200
    );
    let both = finished.with_destination("even");
    let offsets: Vec<u64> = list(other, both)
        .iter()
        .map(|(_, record)| record.offset)
        .collect();
    assert_eq!(offsets.len(), 20);
    assert!(offsets.iter().all(|offset| offset % 10 == 0));
    let evidence = full_record().evidence.expect("evidence");
    assert_eq!(
        list(other, Filter::all().with_bytes_like(&evidence)).len(),
        199
    );
}

/// What may be had without waiting is never had of an upload that has a record or an owner, whoever gave it either.
pub fn a_lease_of_the_new_is_of_no_other([store, other]: &Pair) {
    assert_eq!(load(store, 0), None);
    put(store, 1, &full_record());
    for store in [store, other] {
        assert!(store.lease_new(&fingerprint(1)).is_none());
    }
    let lease = other.lease(&fingerprint(2)).expect("a free lease");
    for store in [store, other] {
        assert!(store.lease_new(&fingerprint(2)).is_none());
    }
    drop(lease);
    put(other, 2, &full_record());
    for (store, other) in [(store, other), (other, store)] {
        assert!(store.lease_new(&fingerprint(2)).is_none());
        if let Some(lease) = store.lease_new(&fingerprint(3)) {
            assert_eq!(lease.fingerprint(), &fingerprint(3));
            assert!(matches!(
                other.lease(&fingerprint(3)),
                Err(StoreError::Busy { .. })
            ));
        }
    }
}

/// One owner at a time, and another one's lease is no matter.
pub fn a_lease_has_one_owner([store, other]: &Pair) {
    let lease = store.lease(&fingerprint(1)).expect("a free lease");
    assert_eq!(lease.fingerprint(), &fingerprint(1));
    for store in [store, other] {
        let error = store.lease(&fingerprint(1)).expect_err("a taken lease");
        let StoreError::Busy { holder, .. } = &error else {
            panic!("not busy but {error:?}");
        };
        assert_eq!(holder.pid, Some(std::process::id()));
        let named = format!("process {}", std::process::id());
        assert!(error.to_string().contains(&named), "{error}");
    }
    let _unrelated = other.lease(&fingerprint(2)).expect("a free lease");
    drop(lease);
    let _again = other.lease(&fingerprint(1)).expect("a lease given back");
}

/// A lease does not keep others from reading and writing records.
pub fn a_lease_does_not_lock_the_store([store, other]: &Pair) {
    let _lease = store.lease(&fingerprint(1)).expect("a free lease");
    put(other, 1, &full_record());
    assert!(load(store, 1).is_some());
}

/// Both handles write in turn, many times, and nothing is lost.
pub fn two_handles_may_write_in_turn(pair: &Pair) {
    for n in 0..40 {
        put(&pair[n as usize % 2], n, &full_record());
    }
    for store in pair {
        assert_eq!(list(store, Filter::all()).len(), 40);
    }
}

/// What one run noted the next one finds, and what was not noted is not known.
pub fn a_trail_is_found_again([store, other]: &Pair) {
    let trail = store.trail(&fingerprint(1), LONG);
    assert_eq!(trail.get(0), None);
    trail.note(0, &[digest(0)]);
    trail.note(3, &[digest(3)]);
    trail.note(LONG.div_ceil(BLOCK_BYTES), &[digest(9)]);
    drop(trail);
    let trail = other.trail(&fingerprint(1), LONG);
    let known: Vec<_> = (0..LONG.div_ceil(BLOCK_BYTES) + 1)
        .filter_map(|block| trail.get(block))
        .collect();
    assert_eq!(known, [digest(0), digest(3)]);
    assert_eq!(store.trails(), [fingerprint(1)]);
    assert_eq!(store.trail(&fingerprint(2), LONG).get(0), None);
}

/// A source of another length is another source.
pub fn a_trail_of_another_length_is_begun_anew([store, other]: &Pair) {
    store.trail(&fingerprint(1), LONG).note(0, &[digest(0)]);
    assert_eq!(other.trail(&fingerprint(1), LONG + 1).get(0), None);
    assert_eq!(store.trail(&fingerprint(1), LONG).get(0), None);
}

/// The digest of the whole is known once all blocks are, and differs by content and length.
pub fn a_content_needs_every_block([store, _]: &Pair) {
    let trail = store.trail(&fingerprint(1), LONG);
    let blocks = LONG.div_ceil(BLOCK_BYTES);
    for block in 1..blocks {
        trail.note(block, &[digest(block)]);
    }
    assert_eq!(trail.content(LONG), None);
    trail.note(0, &[digest(0)]);
    let content = trail.content(LONG).expect("every block");
    assert_eq!(trail.content(LONG), Some(content));
    assert_ne!(trail.content(LONG - 1), Some(content));
    trail.note(0, &[digest(1)]);
    assert_ne!(trail.content(LONG), Some(content));
}

/// A trail goes with its source, over the one that was there.
pub fn a_moved_trail_has_its_digests([store, other]: &Pair) {
    store.trail(&fingerprint(1), LONG).note(0, &[digest(1)]);
    store.trail(&fingerprint(2), LONG).note(0, &[digest(2)]);
    store.move_trail(&fingerprint(1), &fingerprint(2));
    store.move_trail(&fingerprint(3), &fingerprint(2));
    assert_eq!(other.trails(), [fingerprint(2)]);
    assert_eq!(other.trail(&fingerprint(2), LONG).get(0), Some(digest(1)));
}

/// Removing removes, and what is not there may be removed too.
pub fn a_removed_trail_is_gone([store, other]: &Pair) {
    store.trail(&fingerprint(1), LONG).note(0, &[digest(1)]);
    other.remove_trail(&fingerprint(1));
    other.remove_trail(&fingerprint(2));
    assert_eq!(store.trails(), []);
    assert_eq!(store.trail(&fingerprint(1), LONG).get(0), None);
}

/// A short source's trail serves its run and leaves nothing.
pub fn a_short_source_leaves_no_trail([store, _]: &Pair) {
    let trail = store.trail(&fingerprint(1), TRAIL_MIN_BYTES);
    trail.note(31, &[digest(1)]);
    assert_eq!(trail.get(31), Some(digest(1)));
    assert_eq!(store.trails(), []);
}

const LIST: &[fn(&Pair)] = &[
    an_unknown_upload_has_no_record,
    a_record_comes_back_as_it_was,
    a_finished_record_is_kept_without_its_secret,
    a_later_record_replaces_an_earlier_one,
    a_removed_record_is_gone,
    the_last_change_in_a_commit_decides,
    many_are_loaded_in_the_order_asked_for,
    an_empty_commit_is_accepted,
    a_large_record_is_kept,
    a_list_is_ordered_and_filtered,
    a_lease_of_the_new_is_of_no_other,
    a_lease_has_one_owner,
    a_lease_does_not_lock_the_store,
    two_handles_may_write_in_turn,
    a_trail_is_found_again,
    a_trail_of_another_length_is_begun_anew,
    a_content_needs_every_block,
    a_moved_trail_has_its_digests,
    a_removed_trail_is_gone,
    a_short_source_leaves_no_trail,
];

/// Of a source that leaves a trail; its last block is short.
const LONG: u64 = TRAIL_MIN_BYTES + 1000;

fn digest(block: u64) -> BlockDigest {
    BlockDigest::of(&block.to_le_bytes())
}

fn fingerprint(n: u64) -> Fingerprint {
    Fingerprint::new("destination", n.to_string())
}

fn put(store: &impl ResumeStore, n: u64, record: &Record) {
    store
        .commit(&[Change::Put(fingerprint(n), record.clone())])
        .expect("a commit");
}

fn load(store: &impl ResumeStore, n: u64) -> Option<Record> {
    store.load(&fingerprint(n)).expect("a store")
}

fn list(store: &impl ResumeStore, filter: Filter) -> Vec<(Fingerprint, Record)> {
    store.list(filter).expect("a store")
}

/// Every field filled.
fn full_record() -> Record {
    let mut record = Record::intended("/media/ä \n.mp4", "https://tus.example");
    record.state = State::Active;
    let url = "https://tus.example/files/1?tusv2=true";
    record.upload_url = Some(UploadUrl::parse(url).expect("a URL"));
    record.offset = 5 << 20;
    record.reached = 6 << 20;
    record.content = Some([9; 16]);
    record.settings = [7; 32];
    record.tags = BTreeMap::from([("stream-media-id".to_owned(), "abc".to_owned())]);
    let evidence = std::env::current_exe()
        .and_then(File::open)
        .and_then(|file| Evidence::of(&file));
    record.evidence = evidence.ok();
    record.length = record.evidence.as_ref().map(|evidence| evidence.length);
    record.created_at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    record.updated_at = UNIX_EPOCH + Duration::from_millis(1_800_000_000_456);
    record.expires_at = Some(UNIX_EPOCH - Duration::from_millis(1));
    record
}
