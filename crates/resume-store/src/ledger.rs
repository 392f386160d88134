//! What there should be: count and digest of all records, kept beside the database.
//!
//! sled can open a damaged file without a word and with records missing. So each commit first
//! writes here what there will be, durably, then does it, then forgets what there was. The file has
//! two slots: after a crash in between, the database holds what one says or what the other says.
//! Anything else is damage, and so is an old state once the new one was acknowledged.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::StoreError;
use crate::files::private_file;

/// Count and digest of all records after one commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Number of the commit.
    pub(crate) sequence: u64,
    /// Number of records.
    pub(crate) count: u64,
    /// Exclusive or of the records' own digests: the order does not matter, and a change costs
    /// one record and not all of them.
    pub(crate) digest: [u8; 16],
}

impl Figures {
    /// Counts a stored value in.
    pub(crate) fn add(&mut self, value: &[u8]) {
        self.count += 1;
        self.toggle(value);
    }

    /// Counts a stored value out.
    pub(crate) fn subtract(&mut self, value: &[u8]) {
        self.count = self.count.saturating_sub(1);
        self.toggle(value);
    }

    /// Whether both speak of the same records.
    pub(crate) fn same_records(&self, other: &Self) -> bool {
        self.count == other.count && self.digest == other.digest
    }

    pub(crate) fn encode(&self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.digest);
        let crc = crc32fast::hash(&bytes[..32]).to_le_bytes();
        bytes[32..].copy_from_slice(&crc);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (sequence, rest) = bytes.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (digest, crc) = rest.split_first_chunk::<16>()?;
        let whole = crc == crc32fast::hash(&bytes[..32]).to_le_bytes();
        whole.then(|| Self {
            sequence: u64::from_le_bytes(*sequence),
            count: u64::from_le_bytes(*count),
            digest: *digest,
        })
    }

    fn toggle(&mut self, value: &[u8]) {
        for (mine, theirs) in self.digest.iter_mut().zip(Sha256::digest(value)) {
            *mine ^= theirs;
        }
    }
}

/// The file `records.ledger`.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    path: PathBuf,
    slots: [Option<Figures>; 2],
}

impl Ledger {
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("records.ledger");
        let file = private_file(&path)?;
        let mut slots = [None; 2];
        for (slot, offset) in slots.iter_mut().zip(OFFSETS) {
            let mut bytes = [0; SLOT];
            // Short or damaged: as good as empty.
            if file.read_exact_at(&mut bytes, offset).is_ok() {
                *slot = Figures::decode(&bytes);
            }
        }
        Ok(Self { file, path, slots })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The slot that speaks of exactly these records.
    pub(crate) fn confirm(&self, found: &Figures) -> Option<Figures> {
        let mut slots = self.slots.into_iter().flatten();
        slots.find(|slot| slot.same_records(found))
    }

    /// Whether one slot is exactly this commit's.
    pub(crate) fn knows(&self, figures: &Figures) -> bool {
        self.slots.contains(&Some(*figures))
    }

    /// Whether a slot that cannot be read may have spoken of this commit: it is newer than all
    /// that can be read.
    pub(crate) fn may_have_known(&self, figures: &Figures) -> bool {
        match self.slots {
            [None, None] => true,
            [Some(slot), None] | [None, Some(slot)] => figures.sequence > slot.sequence,
            [Some(_), Some(_)] => false,
        }
    }

    /// How many records there should be: the larger of both answers, `None` without any.
    pub(crate) fn expected(&self) -> Option<u64> {
        self.slots
            .into_iter()
            .flatten()
            .map(|slot| slot.count)
            .max()
    }

    /// The number of the newest commit that was intended.
    pub(crate) fn sequence(&self) -> u64 {
        let sequences = self.slots.into_iter().flatten().map(|slot| slot.sequence);
        sequences.max().unwrap_or(0)
    }

    /// Announces a commit, durably. The slot that holds `current` stays.
    pub(crate) fn intend(&mut self, current: &Figures, next: Figures) -> Result<(), StoreError> {
        let free = usize::from(self.slots[0] == Some(*current));
        self.write(free, next)?;
        self.sync()
    }

    /// The announced commit is done: what was before is no longer accepted.
    pub(crate) fn settle(&mut self, done: Figures) -> Result<(), StoreError> {
        // Not synced: after a power failure the old state would be accepted, which is no worse
        // than without this. The next commit's sync takes it along.
        let other = usize::from(self.slots[0] == Some(done));
        self.write(other, done)
    }

    /// Makes `figures` the only truth.
    pub(crate) fn reset(&mut self, figures: Figures) -> Result<(), StoreError> {
        self.write(0, figures)?;
        self.write(1, figures)?;
        self.sync()
    }

    fn write(&mut self, slot: usize, figures: Figures) -> Result<(), StoreError> {
        self.slots[slot] = None;
        self.file
            .write_all_at(&figures.encode(), OFFSETS[slot])
            .map_err(StoreError::io(&self.path))?;
        self.slots[slot] = Some(figures);
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::io(&self.path))
    }
}

/// Bytes of [`Figures`] with their checksum.
pub(crate) const SLOT: usize = 36;
/// In two blocks, so that a torn write spoils one slot only.
const OFFSETS: [u64; 2] = [0, 4096];
