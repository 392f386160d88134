//! Trails on the disk: private, and never in the way.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use resume_store::{BlockDigest, ResumeStore, SledStore, TRAIL_MIN_BYTES};
use tempfile::TempDir;

use crate::fingerprint;

const LONG: u64 = TRAIL_MIN_BYTES + 1;

fn digest(n: u8) -> BlockDigest {
    BlockDigest::of(&[n])
}

#[test]
fn a_trail_is_a_private_file_of_16_bytes_a_block() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    let trail = store.trail(&fingerprint(1), LONG);
    trail.note(0, &[digest(0)]);
    trail.note(32, &[digest(1)]);
    let folder = store.folder().join("trails");
    let file = folder.join(fingerprint(1).to_string());
    let mode = |path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    assert_eq!(fs::metadata(&file).expect("metadata").len(), 34 * 16);
}

#[test]
fn a_trail_that_cannot_be_made_is_off() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    fs::write(store.folder().join("trails"), "in the way").expect("a file");
    let trail = store.trail(&fingerprint(1), LONG);
    trail.note(0, &[digest(0)]);
    assert_eq!(trail.get(0), None);
    assert_eq!(store.trails(), []);
    store.move_trail(&fingerprint(1), &fingerprint(2));
    store.remove_trail(&fingerprint(1));
}

#[test]
fn a_damaged_trail_proves_nothing_and_is_begun_anew() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    let file = store
        .folder()
        .join("trails")
        .join(fingerprint(1).to_string());
    let spoil: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(20),
        |bytes| bytes[3] ^= 1,
        |bytes| bytes.fill(0),
    ];
    for spoil in spoil {
        store.remove_trail(&fingerprint(1));
        store.trail(&fingerprint(1), LONG).note(0, &[digest(0)]);
        let mut bytes = fs::read(&file).expect("a trail");
        spoil(&mut bytes);
        fs::write(&file, bytes).expect("damage");
        let trail = store.trail(&fingerprint(1), LONG);
        assert_eq!(trail.get(0), None);
        trail.note(0, &[digest(7)]);
        assert_eq!(trail.get(0), Some(digest(7)));
    }
}
