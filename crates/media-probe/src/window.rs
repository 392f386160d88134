//! [`Window`]: the piece of a file that is in memory, and the budget of pieces.

use std::io;

use crate::{ReadAt, Stop};

/// Most bytes in memory at once.
pub(crate) const PIECE: usize = 64 * 1024;

/// What is read where only a few bytes are wanted: their neighbours are wanted next.
const LEAST: usize = 4 * 1024;

/// So many pieces are read of one file at most. Real files want fewer than a hundred.
const MOST_PIECES: u32 = 512;

/// Reads a file piece by piece.
pub(crate) struct Window<'a, S: ?Sized> {
    source: &'a S,
    len: u64,
    start: u64,
    piece: Vec<u8>,
    pieces: u32,
}

impl<'a, S: ReadAt + ?Sized> Window<'a, S> {
    pub(crate) fn new(source: &'a S) -> io::Result<Self> {
        Ok(Self {
            source,
            len: source.size()?,
            start: 0,
            piece: Vec::new(),
            pieces: 0,
        })
    }

    /// Bytes of the whole file.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Up to `wanted` bytes from `offset` on, [`PIECE`] at most; fewer only at the end of the file.
    pub(crate) fn up_to(&mut self, offset: u64, wanted: usize) -> Result<&[u8], Stop> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = wanted.min(PIECE).min(left);
        if let Some(from) = self.place_of(offset, wanted) {
            return Ok(&self.piece[from..from + wanted]);
        }
        self.fill(offset, wanted.max(LEAST).min(left))?;
        let end = wanted.min(self.piece.len());
        Ok(&self.piece[..end])
    }

    /// Exactly `N` bytes from `offset` on; `None` where the file ends before.
    pub(crate) fn array<const N: usize>(&mut self, offset: u64) -> Result<Option<[u8; N]>, Stop> {
        Ok(self.up_to(offset, N)?.first_chunk().copied())
    }

    fn place_of(&self, offset: u64, wanted: usize) -> Option<usize> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        (from.checked_add(wanted)? <= self.piece.len()).then_some(from)
    }

    fn fill(&mut self, offset: u64, len: usize) -> Result<(), Stop> {
        if self.pieces >= MOST_PIECES {
            return Err(Stop::Malformed("its parts lie in too many places"));
        }
        self.pieces += 1;
        self.start = offset;
        self.piece.clear();
        self.piece.resize(len, 0);
        let mut filled = 0;
        while filled < len {
            match self
                .source
                .read_at(offset + filled as u64, &mut self.piece[filled..])
            {
                // The file became shorter than it said.
                Ok(0) => break,
                Ok(read) => filled += read.min(len - filled),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.piece.clear();
                    return Err(error.into());
                }
            }
        }
        self.piece.truncate(filled);
        Ok(())
    }
}
