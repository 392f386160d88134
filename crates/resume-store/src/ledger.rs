//! What there should be: count and digest of all records, kept beside the database.
//!
//! sled can open a damaged file without a word and with records missing. So each change of the
//! database is first written here as what there will be, durably, then done, then what there was is
//! forgotten. The file has two slots for that: after a crash in between, the database holds what one
//! says or what the other says. Anything else is damage, and so is an old state once the new one was
//! acknowledged.
//!
//! A third slot is a note of what the log holds: nobody could tell otherwise that a log is gone, or
//! is an older copy of itself.

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
        self.add_digest(&digest(value));
    }

    /// Counts a stored value in, of which this is the [`digest`].
    pub(crate) fn add_digest(&mut self, digest: &[u8; 16]) {
        self.count += 1;
        self.toggle(digest);
    }

    /// Counts a stored value out, of which this is the [`digest`].
    pub(crate) fn subtract_digest(&mut self, digest: &[u8; 16]) {
        self.count = self.count.saturating_sub(1);
        self.toggle(digest);
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

    fn toggle(&mut self, digest: &[u8; 16]) {
        for (mine, theirs) in self.digest.iter_mut().zip(digest) {
            *mine ^= theirs;
        }
    }
}

/// What a stored value is counted as.
pub(crate) fn digest(value: &[u8]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(value)[..16]);
    digest
}

/// What the log holds at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) generation: u64,
    /// Of all records, those in the database included.
    pub(crate) figures: Figures,
}

impl Note {
    pub(crate) fn encode(&self) -> [u8; NOTE] {
        let mut bytes = [0; NOTE];
        bytes[..8].copy_from_slice(&self.generation.to_le_bytes());
        bytes[8..NOTE - 4].copy_from_slice(&self.figures.encode());
        let crc = crc32fast::hash(&bytes[..NOTE - 4]).to_le_bytes();
        bytes[NOTE - 4..].copy_from_slice(&crc);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; NOTE]) -> Option<Self> {
        let (generation, rest) = bytes.split_first_chunk::<8>()?;
        let (figures, crc) = rest.split_first_chunk::<SLOT>()?;
        let whole = crc == crc32fast::hash(&bytes[..NOTE - 4]).to_le_bytes();
        Some(Self {
            generation: u64::from_le_bytes(*generation),
            figures: Figures::decode(figures).filter(|_| whole)?,
        })
    }
}

/// The file `records.ledger`.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    path: PathBuf,
    slots: [Option<Figures>; 2],
    note: Option<Note>,
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
        let mut bytes = [0; NOTE];
        let note = file.read_exact_at(&mut bytes, NOTE_OFFSET);
        let note = note.ok().and_then(|()| Note::decode(&bytes));
        Ok(Self {
            file,
            path,
            slots,
            note,
        })
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

    /// The newest figures it has: of the log, or of a commit that was intended.
    pub(crate) fn newest(&self) -> Option<Figures> {
        let noted = self.note.map(|note| note.figures);
        let all = self.slots.into_iter().flatten().chain(noted);
        all.max_by_key(|figures| figures.sequence)
    }

    /// What is known of the log.
    pub(crate) fn note(&self) -> Option<Note> {
        self.note
    }

    /// Writes down what the log holds, durably: before a new generation is used.
    pub(crate) fn note_durably(&mut self, note: Note) -> Result<(), StoreError> {
        self.note_lightly(note)?;
        self.sync()
    }

    /// Writes down what the log holds by now, once that is durable.
    pub(crate) fn note_lightly(&mut self, note: Note) -> Result<(), StoreError> {
        // Not synced: it only has to show a log that somebody else exchanges for an older one. What
        // a power failure leaves of it promises less than the log holds.
        self.file
            .write_all_at(&note.encode(), NOTE_OFFSET)
            .map_err(StoreError::io(&self.path))?;
        self.note = Some(note);
        Ok(())
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
/// Bytes of a [`Note`] with its checksum.
pub(crate) const NOTE: usize = 8 + SLOT + 4;
/// Each in a block of its own, so that a torn write spoils one slot only.
const OFFSETS: [u64; 2] = [0, 4096];
const NOTE_OFFSET: u64 = 8192;
