//! [`Trail`]: digests of a source's blocks, kept while its upload is under way.
//!
//! When a file's metadata changed and its length and samples did not, only its bytes can tell
//! whether the upload may go on. The trail is what they are compared with.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use twox_hash::XxHash3_128;
use twox_hash::xxhash3_128::Hasher;

use crate::codec::hex;
use crate::files::{private_file, private_folder, sync_folder};
use crate::{Fingerprint, StoreError};

/// Bytes of a source that one digest stands for; the last block may be shorter. Block `n` begins
/// at `n * BLOCK_BYTES`, whatever the chunks of the upload.
pub const BLOCK_BYTES: u64 = 256 * 1024;

/// A source of at most this many bytes leaves no trail in a store: should its file be touched, it
/// is begun anew.
pub const TRAIL_MIN_BYTES: u64 = 8 * 1024 * 1024;

/// The digest of one block: XXH3, 128 bits, in canonical byte order. It guards against accidents,
/// not against malice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockDigest([u8; 16]);

impl BlockDigest {
    /// The digest of `block`.
    pub fn of(block: &[u8]) -> Self {
        Self(XxHash3_128::oneshot(block).to_be_bytes())
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for BlockDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockDigest({})", hex(&self.0))
    }
}

/// The digests of one source's blocks, as far as they are known.
///
/// Only the holder of the upload's [`Lease`](crate::Lease) may have one. Nothing here fails: what
/// cannot be kept is not known later, and the source is then begun anew instead of resumed. It is
/// written without a sync, since it only has to outlive the process; what a power failure makes
/// of it is not known or does not match. Clones are the same trail.
#[derive(Clone)]
pub struct Trail {
    blocks: u64,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Off,
    Memory(Kept),
    File(Arc<TrailFile>),
}

/// The digests that a trail in memory has; a store may keep them for the next one.
pub(crate) type Kept = Arc<Mutex<HashMap<u64, BlockDigest>>>;

impl Trail {
    /// A trail that keeps nothing.
    pub fn off() -> Self {
        Self {
            blocks: 0,
            place: Place::Off,
        }
    }

    /// A trail of a source of `length` bytes that ends with its last clone.
    pub fn in_memory(length: u64) -> Self {
        Self::kept(length, Kept::default())
    }

    pub(crate) fn kept(length: u64, kept: Kept) -> Self {
        Self {
            blocks: length.div_ceil(BLOCK_BYTES),
            place: Place::Memory(kept),
        }
    }

    /// Remembers the digests of consecutive blocks, the first of which is `block`. Those beyond the source's end are ignored.
    pub fn note(&self, block: u64, digests: &[BlockDigest]) {
        let known = usize::try_from(self.blocks.saturating_sub(block)).unwrap_or(usize::MAX);
        let digests = &digests[..digests.len().min(known)];
        if digests.is_empty() {
            return;
        }
        match &self.place {
            Place::Off => {}
            Place::Memory(kept) => lock(kept).extend((block..).zip(digests.iter().copied())),
            Place::File(file) => file.write(block, digests),
        }
    }

    /// The digest of a block, if it is known.
    pub fn get(&self, block: u64) -> Option<BlockDigest> {
        if block >= self.blocks {
            return None;
        }
        match &self.place {
            Place::Off => None,
            Place::Memory(kept) => lock(kept).get(&block).copied(),
            Place::File(file) => {
                let mut digest = [0; ENTRY];
                file.read(block, &mut digest)?;
                // A hole.
                (digest != [0; ENTRY]).then_some(BlockDigest(digest))
            }
        }
    }

    /// Forgets the digests from `block` on: of bytes that are no longer the source's.
    pub fn forget_from(&self, block: u64) {
        match &self.place {
            Place::Off => {}
            Place::Memory(kept) => lock(kept).retain(|known, _| *known < block),
            Place::File(file) => file.cut(block),
        }
    }

    /// A digest of all blocks in order and of `length`, the source's bytes; `None` unless every
    /// block is known.
    ///
    /// Stable for all versions: it is kept in [`Record::content`](crate::Record::content).
    pub fn content(&self, length: u64) -> Option<[u8; 16]> {
        let mut all = Hasher::new();
        let end = length.div_ceil(BLOCK_BYTES);
        if let Place::File(file) = &self.place {
            file.each(end.min(self.blocks), |digest| all.write(digest))?;
            (end <= self.blocks).then_some(())?;
        } else {
            for block in 0..end {
                all.write(&self.get(block)?.0);
            }
        }
        all.write(&length.to_be_bytes());
        Some(all.finish_128().to_be_bytes())
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail")
            .field("blocks", &self.blocks)
            .finish_non_exhaustive()
    }
}

/// Entry `n` of the file is the digest of block `n`; the head has the size of one.
struct TrailFile {
    file: File,
    ended: AtomicBool,
}

impl TrailFile {
    fn write(&self, block: u64, digests: &[BlockDigest]) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        let bytes: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
        if self.file.write_all_at(&bytes, place(block)).is_err() {
            self.ended.store(true, Ordering::Relaxed);
        }
    }

    fn cut(&self, block: u64) {
        let end = self.file.metadata().map_or(0, |metadata| metadata.len());
        // Never longer than it was: what lies beyond is unknown anyway.
        if self.file.set_len(end.min(place(block))).is_err() {
            self.ended.store(true, Ordering::Relaxed);
        }
    }

    fn read(&self, block: u64, digest: &mut [u8; ENTRY]) -> Option<()> {
        if self.ended.load(Ordering::Relaxed) {
            return None;
        }
        self.file.read_exact_at(digest, place(block)).ok()
    }

    /// Hands over the first `blocks` digests, many with each read; `None` at the first that is not known.
    fn each(&self, blocks: u64, mut visit: impl FnMut(&[u8; ENTRY])) -> Option<()> {
        let mut buffer = [0; 512 * ENTRY];
        let mut next = 0;
        while next < blocks {
            if self.ended.load(Ordering::Relaxed) {
                return None;
            }
            let wanted = usize::try_from(blocks - next).unwrap_or(usize::MAX);
            let some = wanted.min(buffer.len() / ENTRY);
            let buffer = &mut buffer[..some * ENTRY];
            self.file.read_exact_at(buffer, place(next)).ok()?;
            for digest in buffer.as_chunks().0 {
                // A hole.
                (*digest != [0; ENTRY]).then(|| visit(digest))?;
            }
            next += some as u64;
        }
        Some(())
    }
}

/// The trails of a state directory, one file per fingerprint.
#[derive(Debug)]
pub(crate) struct Trails {
    folder: PathBuf,
}

impl Trails {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            folder: state.join("trails"),
        }
    }

    /// See [`ResumeStore::trail`](crate::ResumeStore::trail).
    pub(crate) fn open(&self, fingerprint: &Fingerprint, length: u64) -> Trail {
        if length <= TRAIL_MIN_BYTES {
            return Trail::in_memory(length);
        }
        match self.file(fingerprint, length) {
            Ok(file) => Trail {
                blocks: length.div_ceil(BLOCK_BYTES),
                place: Place::File(Arc::new(TrailFile {
                    file,
                    ended: AtomicBool::new(false),
                })),
            },
            Err(_) => Trail::off(),
        }
    }

    fn file(&self, fingerprint: &Fingerprint, length: u64) -> Result<File, StoreError> {
        private_folder(&self.folder)?;
        let path = self.path(fingerprint);
        let file = private_file(&path)?;
        let wanted = head(length);
        let mut found = [0; ENTRY];
        // Cut short or of another source: as good as new.
        if file.read_exact_at(&mut found, 0).is_err() || found != wanted {
            file.set_len(0)
                .and_then(|()| file.write_all_at(&wanted, 0))
                .map_err(StoreError::io(&path))?;
        }
        Ok(file)
    }

    /// Forgets a trail for good: were it there again after a power failure, it could speak of
    /// bytes that the upload no longer consists of.
    pub(crate) fn remove(&self, fingerprint: &Fingerprint) {
        if fs::remove_file(self.path(fingerprint)).is_ok() {
            sync_folder(&self.folder).ok();
        }
    }

    pub(crate) fn rename(&self, from: &Fingerprint, to: &Fingerprint) {
        if fs::rename(self.path(from), self.path(to)).is_ok() {
            sync_folder(&self.folder).ok();
        }
    }

    /// Whose trails there are, in order.
    pub(crate) fn list(&self) -> Vec<Fingerprint> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut found: Vec<_> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        found.sort_unstable();
        found
    }

    fn path(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.folder.join(fingerprint.to_string())
    }
}

fn head(length: u64) -> [u8; ENTRY] {
    let mut head = [0; ENTRY];
    let (mark, rest) = head.split_at_mut(MARK.len());
    mark.copy_from_slice(MARK);
    rest.copy_from_slice(&length.to_le_bytes());
    head
}

fn place(block: u64) -> u64 {
    (block + 1) * ENTRY as u64
}

fn lock(kept: &Kept) -> MutexGuard<'_, HashMap<u64, BlockDigest>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

const ENTRY: usize = 16;
/// What a trail begins with: its name and its version.
const MARK: &[u8; 8] = b"trail\0\0\x01";
