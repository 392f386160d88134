//! The log: what was committed lately, before it goes into the database.
//!
//! A durable commit in sled costs many syncs, one in a log costs one. So commits are appended to
//! `records.wal`, and what is in it goes into the database now and then, in one large batch; after
//! that the log is begun anew, in the same space.
//!
//! ```text
//! slot 60 | … | at 4096: slot 60 | … | at 8192: frames, one after the other | zeros
//! slot: generation 8 | bytes of frames 8 | CRC-32 of those 4 | figures 36 | CRC-32 of all before 4
//! ```
//!
//! A commit writes its frames, then the slot that is not in use, then syncs once. Nothing orders
//! those two writes, so a slot counts only if the frames that it speaks of are what it says; else
//! the other one does, whose frames were durable before. That the newest slot is spoiled by damage
//! and not by a crash is told by the ledger's [`Note`]. The file grows ahead of what is written,
//! since a sync that only has bytes to write, and no new length, is cheaper. Integers are
//! little-endian.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use crate::StoreError;
use crate::codec::Sealed;
use crate::files::{private_file, sync_folder};
use crate::ledger::{Figures, Note, SLOT};

/// What a slot says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Counts how often the log was begun anew.
    pub(crate) generation: u64,
    /// Bytes of frames.
    pub(crate) end: u64,
    /// Of those bytes.
    crc: u32,
    /// Of all records, those in the database included.
    pub(crate) figures: Figures,
}

impl Mark {
    pub(crate) fn encode(&self) -> [u8; MARK] {
        let mut bytes = [0; MARK];
        bytes[..8].copy_from_slice(&self.generation.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.end.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.crc.to_le_bytes());
        bytes[20..MARK - 4].copy_from_slice(&self.figures.encode());
        let crc = crc32fast::hash(&bytes[..MARK - 4]).to_le_bytes();
        bytes[MARK - 4..].copy_from_slice(&crc);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (generation, rest) = bytes.split_first_chunk::<8>()?;
        let (end, rest) = rest.split_first_chunk::<8>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let (figures, rest) = rest.split_first_chunk::<SLOT>()?;
        let whole = *rest.first_chunk::<4>()? == crc32fast::hash(&bytes[..MARK - 4]).to_le_bytes();
        Some(Self {
            generation: u64::from_le_bytes(*generation),
            end: u64::from_le_bytes(*end),
            crc: u32::from_le_bytes(*crc),
            figures: Figures::decode(figures).filter(|_| whole)?,
        })
    }

    /// What the ledger is to know of it.
    pub(crate) fn note(&self) -> Note {
        Note {
            generation: self.generation,
            figures: self.figures,
        }
    }

    /// Whether something that was written down is not in this log.
    pub(crate) fn is_behind(&self, note: &Note) -> bool {
        self.generation < note.generation || self.figures.sequence < note.figures.sequence
    }

    fn age(&self) -> (u64, u64) {
        (self.generation, self.figures.sequence)
    }
}

/// What was found in a log.
#[derive(Default)]
pub(crate) struct Content {
    /// The newest slot that counts, and which of both it is.
    counts: Option<(usize, Mark)>,
    /// The newest slot, also if its frames are damaged.
    newest: Mark,
    /// The frames of the slot that counts, in their order.
    pub(crate) frames: Vec<Sealed>,
}

impl Content {
    /// Reads the bytes of a log.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut slots: Vec<_> = slots(bytes).collect();
        slots.sort_by_key(|(_, mark)| mark.age());
        let newest = slots.last().map(|(_, mark)| *mark).unwrap_or_default();
        while let Some((slot, mark)) = slots.pop() {
            if let Some(frames) = frames(bytes, &mark) {
                return Self {
                    counts: Some((slot, mark)),
                    newest,
                    frames,
                };
            }
        }
        Self {
            newest,
            ..Self::default()
        }
    }

    /// What the log says of itself; `None` if it is damaged, or new.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.counts.map(|(_, mark)| mark)
    }

    /// The newest figures that can still be read of it.
    pub(crate) fn figures(&self) -> Option<Figures> {
        let mark = self.mark().unwrap_or(self.newest);
        (mark != Mark::default()).then_some(mark.figures)
    }
}

fn slots(bytes: &[u8]) -> impl Iterator<Item = (usize, Mark)> + '_ {
    let slot = |(slot, offset): (usize, u64)| {
        let bytes = bytes.get(usize::try_from(offset).ok()?..)?;
        Some((slot, Mark::decode(bytes.get(..MARK)?)?))
    };
    OFFSETS.into_iter().enumerate().filter_map(slot)
}

/// The frames that a slot speaks of, if they are all there.
fn frames(bytes: &[u8], mark: &Mark) -> Option<Vec<Sealed>> {
    let end = usize::try_from(mark.end.checked_add(FRAMES)?).ok()?;
    let mut rest = bytes.get(usize::try_from(FRAMES).ok()?..end)?;
    if crc32fast::hash(rest) != mark.crc {
        return None;
    }
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (frame, length) = Sealed::read(rest)?;
        rest = &rest[length..];
        frames.push(frame);
    }
    Some(frames)
}

/// The file `records.wal`.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    path: PathBuf,
    mark: Mark,
    /// The slot that holds `mark`.
    slot: usize,
    /// Bytes that the file has.
    space: u64,
}

impl Log {
    /// Opens or creates the log in `folder`, and reads it. A new or damaged one has to be
    /// [reset](Self::reset) before it is used.
    ///
    /// `again` writes what is there once more: after a failure of the disk nobody knows whether it
    /// is durable.
    pub(crate) fn open(folder: &Path, again: bool) -> Result<(Self, Content), StoreError> {
        let path = folder.join(LOG_FILE);
        let is_new = !path.exists();
        let file = private_file(&path)?;
        if is_new {
            sync_folder(folder)?;
        }
        let space = file.metadata().map_err(StoreError::io(&path))?.len();
        let read = |wanted: u64| {
            let wanted = usize::try_from(wanted.min(space)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; wanted];
            let done = file.read_exact_at(&mut bytes, 0);
            done.map(|()| bytes).map_err(StoreError::io(&path))
        };
        let head = read(FRAMES)?;
        let end = slots(&head).map(|(_, mark)| mark.end).max().unwrap_or(0);
        let bytes = read(FRAMES.saturating_add(end))?;
        if again {
            file.write_all_at(&bytes, 0)
                .map_err(StoreError::io(&path))?;
        }
        let content = Content::read(&bytes);
        let (slot, mark) = content.counts.unwrap_or((0, content.newest));
        let log = Self {
            file,
            path,
            mark,
            slot,
            space,
        };
        Ok((log, content))
    }

    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// Everything that is in the file, what is outdated included.
    pub(crate) fn raw(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap_or_default()
    }

    /// How much longer the file must become for `bytes` more of frames.
    pub(crate) fn growth(&self, bytes: u64) -> u64 {
        let needed = FRAMES + self.mark.end + bytes;
        if needed <= self.space {
            return 0;
        }
        needed.next_multiple_of(STEP) - self.space
    }

    /// Appends the frames of one commit, after which there are `figures`. Durable when it returns.
    pub(crate) fn append(&mut self, frames: &[u8], figures: Figures) -> Result<(), StoreError> {
        let growth = self.growth(frames.len() as u64);
        self.grow(growth)?;
        let mut crc = Hasher::new_with_initial(self.mark.crc);
        crc.update(frames);
        let next = Mark {
            generation: self.mark.generation,
            end: self.mark.end + frames.len() as u64,
            crc: crc.finalize(),
            figures,
        };
        let free = 1 - self.slot;
        self.write(frames, FRAMES + self.mark.end)?;
        self.write(&next.encode(), OFFSETS[free])?;
        self.sync()?;
        (self.mark, self.slot) = (next, free);
        Ok(())
    }

    /// Begins it anew, newer than `note`: there are `figures`, all of them in the database. Durable
    /// when it returns; until then the frames are not overwritten.
    pub(crate) fn reset(&mut self, note: Option<Note>, figures: Figures) -> Result<(), StoreError> {
        let noted = note.map_or(0, |note| note.generation);
        let next = Mark {
            generation: self.mark.generation.max(noted).saturating_add(1),
            end: 0,
            crc: crc32fast::hash(&[]),
            figures,
        };
        for offset in OFFSETS {
            self.write(&next.encode(), offset)?;
        }
        self.sync()?;
        (self.mark, self.slot) = (next, 0);
        if self.space > KEPT {
            self.clear()?;
        }
        Ok(())
    }

    /// Drops the frames of former generations, which still lie in the file.
    pub(crate) fn clear(&mut self) -> Result<(), StoreError> {
        debug_assert_eq!(self.mark.end, 0, "frames that are still wanted");
        self.file
            .set_len(FRAMES)
            .map_err(StoreError::io(&self.path))?;
        self.space = FRAMES;
        self.sync()
    }

    fn grow(&mut self, growth: u64) -> Result<(), StoreError> {
        let end = self.space + growth;
        let zeros = vec![0; usize::try_from(growth.min(STEP)).unwrap_or(0)];
        while self.space < end {
            let step = (end - self.space).min(STEP);
            self.write(&zeros[..usize::try_from(step).unwrap_or(0)], self.space)?;
            self.space += step;
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), StoreError> {
        self.file
            .write_all_at(bytes, at)
            .map_err(StoreError::io(&self.path))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::io(&self.path))
    }
}

pub(crate) const LOG_FILE: &str = "records.wal";
/// Bytes of a [`Mark`] with its checksum.
pub(crate) const MARK: usize = 8 + 8 + 4 + SLOT + 4;
/// In two blocks, so that a torn write spoils one slot only.
const OFFSETS: [u64; 2] = [0, 4096];
/// Where the frames begin.
pub(crate) const FRAMES: u64 = 8192;
/// By how much the file grows.
const STEP: u64 = 256 * 1024;
/// What a log may keep of the disk when there is nothing in it.
const KEPT: u64 = 2 * 1024 * 1024;
