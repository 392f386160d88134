//! Whether the bytes behind a name are still those that were sent.
//!
//! A file's length, times and samples are evidence, not proof: a file that was only moved looks different, and one that was
//! edited with care looks the same. So every block that is read on its way to the network leaves its digest in the upload's
//! [`Trail`], before its first byte leaves. Whatever the server has can then be compared with what the source holds now.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use resume_store::{BLOCK_BYTES, BlockDigest, Trail};
use smallvec::SmallVec;

use crate::buffer::{BUFFER_BYTES, BufferPool};
use crate::source::Source;

const _: () = assert!(
    (BUFFER_BYTES as u64 / 2).is_multiple_of(BLOCK_BYTES),
    "a read that begins with a block ends with one"
);

/// Of the blocks of one buffer, without an allocation.
type Digests = SmallVec<[BlockDigest; BUFFER_BYTES / BLOCK_BYTES as usize]>;

/// Follows the reads of one source, from run to run.
#[derive(Debug)]
pub(crate) struct Tracer {
    trail: Trail,
    length: u64,
    /// Blocks from here on were never read; below, a digest may be known.
    new_from: AtomicU64,
    /// A block was read twice and was not the same.
    changed: AtomicBool,
}

impl Tracer {
    /// Goes on with `trail`, of a source of `length` bytes.
    pub(crate) fn new(trail: Trail, length: u64, is_new: bool) -> Self {
        let new_from = if is_new { 0 } else { u64::MAX };
        Self {
            trail,
            length,
            new_from: new_from.into(),
            changed: AtomicBool::new(false),
        }
    }

    /// Where a read has to begin so that its blocks are whole: at or before `offset`.
    pub(crate) fn begin_at(offset: u64) -> u64 {
        offset - offset % BLOCK_BYTES
    }

    /// Takes what was read at `offset`, where a block begins.
    ///
    /// # Errors
    /// When a block is not what it was when it was read before.
    pub(crate) fn read(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let first = offset / BLOCK_BYTES;
        let block_bytes = usize::try_from(BLOCK_BYTES).unwrap_or(usize::MAX);
        let (mut new_first, mut new) = (first, Digests::new());
        for (number, block) in (first..).zip(bytes.chunks(block_bytes)) {
            let end = number * BLOCK_BYTES + block.len() as u64;
            if block.len() < block_bytes && end != self.length {
                break;
            }
            let digest = BlockDigest::of(block);
            if number < self.new_from.load(Ordering::Relaxed)
                && let Some(before) = self.trail.get(number)
            {
                if before != digest {
                    self.changed.store(true, Ordering::Relaxed);
                    return Err(io::Error::other("the source changed"));
                }
                // What is known stands before what is new, but for what was forgotten in between.
                self.trail.note(new_first, &new);
                (new_first, new) = (number + 1, Digests::new());
            } else {
                new.push(digest);
            }
        }
        if !new.is_empty() {
            self.trail.note(new_first, &new);
            let end = new_first + new.len() as u64;
            self.new_from.fetch_max(end, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether a block was found changed.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Reads the source up to `end` and says how far it is what it was: the first byte that is unknown or different.
    pub(crate) async fn proven_to(
        &self,
        source: &dyn Source,
        pool: &Arc<BufferPool>,
        end: u64,
    ) -> io::Result<u64> {
        let mut proven = 0;
        while proven < end.min(self.length) && self.trail.get(proven / BLOCK_BYTES).is_some() {
            let bytes = source.read_at(proven, pool.take().await).await?;
            let same = self.same_blocks(proven / BLOCK_BYTES, &bytes);
            proven = (proven + same * BLOCK_BYTES).min(self.length);
            if same == 0 {
                break;
            }
        }
        Ok(proven)
    }

    /// How many blocks from `first` on are what they were.
    fn same_blocks(&self, first: u64, bytes: &Bytes) -> u64 {
        let block_bytes = usize::try_from(BLOCK_BYTES).unwrap_or(usize::MAX);
        let blocks = (first..).zip(bytes.chunks(block_bytes));
        blocks
            .take_while(|(number, block)| self.trail.get(*number) == Some(BlockDigest::of(block)))
            .count() as u64
    }

    /// Forgets what was read from `offset` on, for it was another content's.
    pub(crate) fn forget_from(&self, offset: u64) {
        self.trail.forget_from(offset.div_ceil(BLOCK_BYTES));
    }

    /// The digest of the whole content, once all of it was read.
    pub(crate) fn content(&self) -> Option<[u8; 16]> {
        self.trail.content(self.length)
    }
}

/// Reads a whole source for the digest of its content.
pub(crate) async fn content(
    source: &dyn Source,
    length: u64,
    pool: &Arc<BufferPool>,
) -> io::Result<Option<[u8; 16]>> {
    let tracer = Tracer::new(Trail::in_memory(length), length, true);
    let mut at = 0;
    while at < length {
        let bytes = source.read_at(at, pool.take().await).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        tracer.read(at, &bytes)?;
        at += bytes.len() as u64;
    }
    Ok(tracer.content())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::BytesSource;

    const LENGTH: u64 = 3 * BLOCK_BYTES + 5;

    fn bytes() -> Vec<u8> {
        (0..LENGTH).map(|i| (i % 251) as u8).collect()
    }

    fn traced(bytes: &[u8]) -> Tracer {
        let tracer = Tracer::new(Trail::in_memory(LENGTH), LENGTH, true);
        tracer.read(0, bytes).unwrap();
        tracer
    }

    async fn proven(tracer: &Tracer, bytes: Vec<u8>) -> u64 {
        let pool = BufferPool::new(BUFFER_BYTES);
        tracer
            .proven_to(&BytesSource::new(bytes), &pool, LENGTH)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_source_is_proven_up_to_its_first_other_byte() {
        let tracer = traced(&bytes());
        assert_eq!(proven(&tracer, bytes()).await, LENGTH);
        let mut edited = bytes();
        edited[2 * BLOCK_BYTES as usize + 1] ^= 1;
        assert_eq!(proven(&tracer, edited).await, 2 * BLOCK_BYTES);
        tracer.forget_from(BLOCK_BYTES);
        assert_eq!(proven(&tracer, bytes()).await, BLOCK_BYTES);
    }

    #[tokio::test]
    async fn bytes_that_were_never_read_are_not_proven() {
        let tracer = Tracer::new(Trail::in_memory(LENGTH), LENGTH, true);
        assert_eq!(proven(&tracer, bytes()).await, 0);
        assert_eq!(tracer.content(), None);
    }

    #[test]
    fn a_block_that_differs_when_it_is_read_again_is_noticed() {
        let tracer = traced(&bytes());
        assert!(tracer.read(0, &bytes()).is_ok());
        assert!(!tracer.has_changed());
        let mut edited = bytes();
        edited[0] ^= 1;
        assert!(tracer.read(0, &edited).is_err());
        assert!(tracer.has_changed());
    }

    #[tokio::test]
    async fn the_content_of_a_source_is_the_same_however_it_was_read() {
        let pool = BufferPool::new(BUFFER_BYTES);
        let read = content(&BytesSource::new(bytes()), LENGTH, &pool).await;
        assert_eq!(read.unwrap(), traced(&bytes()).content());
        assert!(traced(&bytes()).content().is_some());
    }
}
