//! Records out of the raw bytes of a damaged database.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::Fingerprint;
use crate::codec::{Frame, MAGIC};

/// Records by whose they are: the newest of each.
pub(crate) type Found = BTreeMap<Fingerprint, Frame>;

/// Keeps `frame` unless a newer one of the same upload is there.
pub(crate) fn keep(found: &mut Found, frame: Frame) {
    match found.get(&frame.fingerprint) {
        Some(known) if known.sequence >= frame.sequence => {}
        _ => {
            found.insert(frame.fingerprint, frame);
        }
    }
}

/// Looks for whole frames in every file below `folder`, wherever they lie.
///
/// sled stores values as they are, so what it cannot find any more may well be there. Outdated
/// values lie around too; the newest of an upload decides, be it a record or the mark of its
/// removal.
pub(crate) fn scan(folder: &Path, found: &mut Found) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            scan(&path, found);
        } else if let Ok(bytes) = fs::read(&path) {
            scan_bytes(&bytes, found);
        }
    }
}

/// The same within one file.
pub(crate) fn scan_bytes(mut bytes: &[u8], found: &mut Found) {
    while let Some(start) = bytes
        .windows(MAGIC.len())
        .position(|window| window == MAGIC)
    {
        bytes = &bytes[start..];
        let length = match Frame::decode(bytes) {
            Some((frame, length)) => {
                keep(found, frame);
                length
            }
            None => MAGIC.len(),
        };
        bytes = &bytes[length..];
    }
}
