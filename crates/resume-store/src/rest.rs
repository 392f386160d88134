//! Any bytes as whatever lies at rest in a state folder: for fuzzing.

use std::collections::BTreeMap;

use crate::codec::Frame;
use crate::ledger::{Figures, NOTE, Note, SLOT};
use crate::mark::{MARK, Mark};
use crate::salvage;
use crate::wal::Content;

/// Reads bytes as each format at rest, and holds what must hold of what was read.
///
/// # Panics
/// When a value that was read is not written as it was read, or a frame is longer than its bytes.
pub fn read_anything(bytes: &[u8]) {
    if let Some((frame, length)) = Frame::decode(bytes) {
        assert!(length <= bytes.len(), "a frame ends within its bytes");
        same_again(&frame);
    }
    // A checksum keeps nearly all bytes out: as if theirs were right.
    let mut framed = bytes.to_vec();
    framed.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    if let Some((frame, _)) = Frame::decode(&framed) {
        same_again(&frame);
    }
    if let Some(bytes) = framed.get(..SLOT)
        && let Some(figures) = Figures::decode(bytes)
    {
        assert_eq!(figures.encode(), bytes);
    }
    if let Some(bytes) = framed.first_chunk::<NOTE>()
        && let Some(note) = Note::decode(bytes)
    {
        assert_eq!(note.encode(), *bytes);
    }
    if let Some(bytes) = framed.get(..MARK)
        && let Some(mark) = Mark::decode(bytes)
    {
        assert_eq!(mark.encode(), bytes);
    }
    for log in [bytes, &framed] {
        let content = Content::read(log);
        assert!(content.mark().is_some() || content.recent.is_empty());
    }
    let mut found = BTreeMap::new();
    salvage::scan_bytes(&framed, &mut found);
    for (fingerprint, frame) in &found {
        assert_eq!(*fingerprint, frame.fingerprint);
    }
}

fn same_again(frame: &Frame) {
    let written = frame.encode();
    let (again, length) = Frame::decode(&written).expect("what was written can be read");
    assert_eq!(length, written.len());
    assert_eq!(again.encode(), written);
}
