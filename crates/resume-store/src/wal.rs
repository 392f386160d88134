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
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use crate::codec::Sealed;
use crate::database::{Trouble, spoiled};
use crate::files::{private_file, sync_folder};
use crate::ledger::{Figures, Note};
use crate::mark::{MARK, Mark};
use crate::recent::{Place, Recent};
use crate::{Fingerprint, StoreError};

/// What was found in a log.
#[derive(Default)]
pub(crate) struct Content {
    /// The newest slot that counts, and which of both it is.
    counts: Option<(usize, Mark)>,
    /// The newest slot, also if its frames are damaged.
    newest: Mark,
    /// The frames of the slot that counts.
    pub(crate) recent: Recent,
}

impl Content {
    /// Reads the bytes of a log.
    #[cfg(feature = "testing")]
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let found = Self::find(bytes, Left::default(), |from| {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            Ok(bytes.get(from..).unwrap_or_default())
        });
        // Bytes in memory can be read.
        found.unwrap_or_default()
    }

    /// Looks for the newest slot in `head` whose frames are what it says. `from` reads the log from
    /// an offset on. What was `left` by this process is not read again.
    fn find<R: Read>(
        head: &[u8],
        mut left: Left,
        from: impl Fn(u64) -> io::Result<R>,
    ) -> io::Result<Self> {
        let mut slots: Vec<_> = slots(head).collect();
        slots.sort_by_key(|(_, mark)| mark.age());
        let newest = slots.last().map(|(_, mark)| *mark).unwrap_or_default();
        while let Some((slot, mark)) = slots.pop() {
            let mut known = std::mem::take(&mut left);
            if known.mark.end > 0 && known.mark.is_begin_of(&mark) {
                // What is wrong with it may be that it is not what was left.
                slots.push((slot, mark));
            } else {
                known = Left::default();
            }
            let source = from(FRAMES.saturating_add(known.mark.end))?;
            if let Some(recent) = frames(source, known, &mark)? {
                return Ok(Self {
                    counts: Some((slot, mark)),
                    newest,
                    recent,
                });
            }
        }
        Ok(Self {
            newest,
            ..Self::default()
        })
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

/// A log as this process left it: what comes after that is all that has to be read of it.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) mark: Mark,
    pub(crate) recent: Recent,
}

fn slots(bytes: &[u8]) -> impl Iterator<Item = (usize, Mark)> + '_ {
    let slot = |(slot, offset): (usize, u64)| {
        let bytes = bytes.get(usize::try_from(offset).ok()?..)?;
        Some((slot, Mark::decode(bytes.get(..MARK)?)?))
    };
    OFFSETS.into_iter().enumerate().filter_map(slot)
}

/// The frames that a slot speaks of, if they are all there. `source` begins where those end that
/// are known.
fn frames(source: impl Read, known: Left, mark: &Mark) -> io::Result<Option<Recent>> {
    let (mut at, mut recent) = (known.mark.end, known.recent);
    let mut source = source.take(mark.end - at);
    let mut crc = Hasher::new_with_initial(known.mark.crc);
    let mut bytes = Vec::new();
    while at < mark.end {
        bytes.clear();
        Sealed::copy(&mut source, &mut bytes)?;
        crc.update(&bytes);
        let Some((frame, length)) = Sealed::read(&bytes) else {
            return Ok(None);
        };
        recent.insert(frame.fingerprint, Place::new(at, &frame));
        at += length as u64;
    }
    Ok((crc.finalize() == mark.crc).then_some(recent))
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
    /// What this process `left` of it counts if it is still there, and is not read again. `again`
    /// writes what is there once more: after a failure of the disk nobody knows whether it is
    /// durable.
    pub(crate) fn open(
        folder: &Path,
        left: Left,
        again: bool,
    ) -> Result<(Self, Content), StoreError> {
        let path = folder.join(LOG_FILE);
        let is_new = !path.exists();
        let file = private_file(&path)?;
        if is_new {
            sync_folder(folder)?;
        }
        let space = file.metadata().map_err(StoreError::io(&path))?.len();
        if again {
            write_again(&file).map_err(StoreError::io(&path))?;
        }
        let mut head = Vec::new();
        let content = from(&file, 0)
            .and_then(|file| file.take(FRAMES).read_to_end(&mut head))
            .and_then(|_| Content::find(&head, left, |offset| from(&file, offset)))
            .map_err(StoreError::io(&path))?;
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

    /// The frame at `place`, which is the newest of `fingerprint`.
    pub(crate) fn frame(
        &self,
        fingerprint: &Fingerprint,
        place: &Place,
    ) -> Result<Sealed, Trouble> {
        let mut bytes = vec![0; place.length as usize];
        match self.file.read_exact_at(&mut bytes, FRAMES + place.at) {
            // Somebody cut the file.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(spoiled()),
            other => other.map_err(StoreError::io(&self.path))?,
        }
        match Sealed::read(&bytes) {
            Some((frame, _)) if frame.fingerprint == *fingerprint => Ok(frame),
            _ => Err(spoiled()),
        }
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

/// Reads a log from `offset` on.
fn from(file: &File, offset: u64) -> io::Result<BufReader<&File>> {
    let mut file = BufReader::with_capacity(PIECE, file);
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

/// Writes everything that is in a log where it is.
fn write_again(file: &File) -> io::Result<()> {
    let mut bytes = vec![0; PIECE];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut bytes, at)?;
        if read == 0 {
            return Ok(());
        }
        file.write_all_at(&bytes[..read], at)?;
        at += read as u64;
    }
}

pub(crate) const LOG_FILE: &str = "records.wal";
/// In two blocks, so that a torn write spoils one slot only.
const OFFSETS: [u64; 2] = [0, 4096];
/// Where the frames begin.
pub(crate) const FRAMES: u64 = 8192;
/// By how much the file grows.
const STEP: u64 = 256 * 1024;
/// What a log may keep of the disk when there is nothing in it.
const KEPT: u64 = 10 * 1024 * 1024;
/// By how much it is read.
const PIECE: usize = 64 * 1024;
