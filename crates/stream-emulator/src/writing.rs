//! [`Writing`]: a file that grows. Blocking.
//!
//! Large even pieces go past the page cache, where the system offers that: the bytes of an upload are written once and
//! seldom read soon, and a page of the cache costs more than the disk does. What goes through the cache is the beginning
//! of a file, which is looked into as soon as all of it is there, and every odd end.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;

/// What has to be even where the cache is passed by: place, length and memory. No disk wants more.
#[cfg(target_os = "linux")]
const BLOCK: usize = 4096;

/// The beginning, which goes through the cache.
#[cfg(target_os = "linux")]
const CACHED_BYTES: u64 = 4 * 1024 * 1024;

/// A piece that is worth it.
#[cfg(target_os = "linux")]
const LARGE: usize = 256 * 1024;

/// An open file, and a way past the cache.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) cached: File,
    #[cfg(target_os = "linux")]
    direct: Direct,
}

impl Writing {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            cached: OpenOptions::new().write(true).open(path)?,
            #[cfg(target_os = "linux")]
            direct: Direct::Untried(path.to_owned()),
        })
    }

    /// Writes the pieces, as if they were one, at `offset`, where the file ends.
    pub(crate) fn append(&mut self, offset: u64, pieces: &[Bytes]) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            let len: usize = pieces.iter().map(Bytes::len).sum();
            let is_even = offset.is_multiple_of(BLOCK as u64) && len.is_multiple_of(BLOCK);
            if is_even && len >= LARGE && offset >= CACHED_BYTES {
                match self.direct.append(offset, pieces, len) {
                    // Not here: nothing was written.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                        self.direct = Direct::Impossible;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                    written => return written,
                }
            }
        }
        write_all(self.cached_at(offset)?, pieces)
    }

    /// The file, to be written through the cache from `offset` on.
    pub(crate) fn cached_at(&mut self, offset: u64) -> io::Result<&mut File> {
        self.cached.seek(SeekFrom::Start(offset))?;
        Ok(&mut self.cached)
    }
}

fn write_all(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut slices = &mut slices[..];
    // An empty one at the beginning would look like the end of the file.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The way past the cache.
#[cfg(target_os = "linux")]
#[derive(Debug)]
enum Direct {
    Untried(std::path::PathBuf),
    Open {
        file: File,
        /// With a block to spare, so that it holds an even piece wherever it begins.
        buffer: Vec<u8>,
    },
    /// This file system has none.
    Impossible,
}

#[cfg(target_os = "linux")]
impl Direct {
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] or [`io::ErrorKind::Unsupported`] where there is no such way; else the disk's.
    fn append(&mut self, offset: u64, pieces: &[Bytes], len: usize) -> io::Result<()> {
        use std::os::unix::fs::FileExt;

        use rustix::fs::{Mode, OFlags, open};

        if let Self::Untried(path) = self {
            let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
            let file = open(&*path, flags, Mode::empty())?.into();
            let buffer = Vec::new();
            *self = Self::Open { file, buffer };
        }
        let Self::Open { file, buffer } = self else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        // What began alone may go on as one of many.
        if buffer.len() < len + BLOCK || buffer.len() > 2 * (len + BLOCK) {
            *buffer = vec![0; len + BLOCK];
        }
        let start = buffer.as_ptr().align_offset(BLOCK);
        let even = buffer.get_mut(start..).and_then(|it| it.get_mut(..len));
        let even = even.ok_or(io::ErrorKind::Unsupported)?;
        let mut rest = &mut *even;
        for piece in pieces {
            let (place, after) = rest.split_at_mut(piece.len());
            place.copy_from_slice(piece);
            rest = after;
        }
        file.write_all_at(even, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    /// Pieces of these lengths, one after the other, are in the file as they were written.
    fn assert_written(lengths: &[usize]) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        File::create(&path).unwrap();
        let mut file = Writing::open(&path).unwrap();
        let total: usize = lengths.iter().sum();
        let all: Vec<u8> = (0..total).map(|at| (at * 7 / 3) as u8).collect();
        let all = Bytes::from(all);
        let mut at = 0;
        for length in lengths {
            let piece = all.slice(at..at + length);
            // As a body comes: in parts that are even nowhere.
            let (one, other) = (piece.slice(..length / 3), piece.slice(length / 3..));
            file.append(at as u64, &[one, Bytes::new(), other]).unwrap();
            at += length;
        }
        assert!(std::fs::read(&path).unwrap() == all, "{lengths:?}");
    }

    #[test]
    fn even_and_odd_pieces_lie_one_after_the_other() {
        assert_written(&[MIB; 8]);
        assert_written(&[5 * MIB, MIB, MIB / 4, 1, MIB - 1, MIB, 100]);
        assert_written(&[1, 2, 3]);
        assert_written(&[0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn where_there_is_no_way_past_the_cache_the_other_one_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        File::create(&path).unwrap();
        let mut file = Writing::open(&path).unwrap();
        file.direct = Direct::Impossible;
        let piece = Bytes::from(vec![7; MIB]);
        file.append(8 * MIB as u64, &[piece]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 9 * MIB as u64);
    }
}
