//! A slot of the log: how much of it counts, and what there is with it.

use crate::ledger::{Figures, Note, SLOT};

/// What a slot says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Counts how often the log was begun anew.
    pub(crate) generation: u64,
    /// Bytes of frames.
    pub(crate) end: u64,
    /// Of those bytes.
    pub(crate) crc: u32,
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

    /// Whether a log that says this of itself now may once have said the same as `self`.
    pub(crate) fn is_begin_of(&self, later: &Self) -> bool {
        self.generation == later.generation
            && self.end <= later.end
            && self.figures.sequence <= later.figures.sequence
    }

    pub(crate) fn age(&self) -> (u64, u64) {
        (self.generation, self.figures.sequence)
    }
}

/// Bytes of a [`Mark`] with its checksum.
pub(crate) const MARK: usize = 8 + 8 + 4 + SLOT + 4;
