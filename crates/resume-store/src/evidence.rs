//! [`Evidence`]: whether the bytes behind a name are still the same.

use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::io::{ReadWriteFlags, preadv2};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use twox_hash::xxhash3_128::Hasher;

use crate::codec::hex32;

/// What a source looked like: where its file lies, when it was touched, and samples of its bytes.
///
/// Taken from one open file, so that a rename in between cannot mix two files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evidence {
    /// The device that holds the file.
    pub device: u64,
    /// The file's number on that device.
    pub inode: u64,
    /// Bytes.
    pub length: u64,
    /// When the content was last changed, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When content or metadata were last changed, in nanoseconds since 1970.
    pub ctime_ns: i64,
    /// XXH3-128 over the length and the first, the middle and the last 64 KiB, and then zeros. Of a source that is not a file,
    /// and in records of older versions, SHA-256: its end is not zero.
    #[serde(with = "hex32")]
    pub samples: [u8; 32],
}

impl Evidence {
    /// Looks at an open file. Reads at most 192 KiB, by position: the file's cursor stays.
    ///
    /// # Errors
    ///
    /// When the file's metadata or bytes cannot be read.
    pub fn of(file: &File) -> io::Result<Self> {
        Self::read(file, |sample, start| file.read_exact_at(sample, start))
    }

    /// The same without waiting for a disk: `None` when the bytes are not in memory, or cannot be had.
    pub fn cached(file: &File) -> Option<Self> {
        let read = |sample: &mut [u8], start| {
            let wanted = sample.len();
            let space = &mut [IoSliceMut::new(sample)];
            match preadv2(file, space, start, ReadWriteFlags::NOWAIT) {
                Ok(read) if read == wanted => Ok(()),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        };
        Self::read(file, read).ok()
    }

    fn read(
        file: &File,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<Self> {
        // Before the samples: if the file changes while they are read, the next look differs.
        let metadata = file.metadata()?;
        let length = metadata.len();
        let mut digest = Hasher::new();
        digest.write(&length.to_be_bytes());
        let last = length.saturating_sub(SAMPLE);
        let mut sampled = 0;
        SPACE.with_borrow_mut(|space| {
            space.resize(SAMPLE as usize, 0);
            for start in [0, last / 2, last] {
                // Samples of a short file overlap: no byte is read twice.
                let start = start.max(sampled);
                let end = length.min(start + SAMPLE).max(start);
                let sample = &mut space[..usize::try_from(end - start).unwrap_or(0)];
                if !sample.is_empty() {
                    read(sample, start)?;
                    digest.write(sample);
                }
                sampled = end;
            }
            io::Result::Ok(())
        })?;
        let mut samples = [0; 32];
        samples[..DIGEST].copy_from_slice(&digest.finish_128().to_be_bytes());
        let stamps = Stamps::of(&metadata);
        Ok(Self {
            device: stamps.device,
            inode: stamps.inode,
            length,
            mtime_ns: stamps.mtime_ns,
            ctime_ns: stamps.ctime_ns,
            samples,
        })
    }

    /// What a server says of a file that it answers: `validator` is what changes with the content, such as an `ETag`. Another
    /// one means other bytes.
    pub fn of_remote(length: u64, validator: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(length.to_be_bytes());
        digest.update(validator);
        Self {
            device: 0,
            inode: 0,
            length,
            mtime_ns: 0,
            ctime_ns: 0,
            samples: digest.finalize().into(),
        }
    }

    /// What `now` says about the bytes that this evidence was taken of.
    pub fn compare(&self, now: &Self) -> Resemblance {
        // Samples of two kinds say nothing of one another. Then the stamps must do: no edit leaves all of them as they were.
        let is_comparable = self.is_short() == now.is_short();
        let like_mine = Self {
            samples: self.samples,
            ..now.clone()
        };
        if self == now || (!is_comparable && *self == like_mine) {
            Resemblance::Same
        } else if self.length == now.length && (self.samples == now.samples || !is_comparable) {
            Resemblance::Moved
        } else {
            Resemblance::Changed
        }
    }

    /// Whether the samples are those of XXH3.
    fn is_short(&self) -> bool {
        self.samples[DIGEST..] == [0; 32 - DIGEST]
    }
}

/// The outcome of [`Evidence::compare`].
///
/// Exhaustive on purpose: a caller must decide on all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resemblance {
    /// Nothing differs that can be compared.
    Same,
    /// The metadata differ and the samples do not, or were taken by another version: moved, copied, restored or touched, or
    /// edited outside the samples. The bytes are to be proven before anything is resumed.
    Moved,
    /// Other bytes.
    Changed,
}

struct Stamps {
    device: u64,
    inode: u64,
    mtime_ns: i64,
    ctime_ns: i64,
}

impl Stamps {
    fn of(metadata: &Metadata) -> Self {
        let nanos =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            mtime_ns: nanos(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanos(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What is read at once.
const SAMPLE: u64 = 64 * 1024;

thread_local! {
    /// Room for one sample, kept: for each of many small files it would have to be asked for and cleared.
    static SPACE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of XXH3-128.
const DIGEST: usize = 16;
