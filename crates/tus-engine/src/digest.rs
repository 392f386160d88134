//! Digests of what is sent, made off the threads that send it and without a pause of their own.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tus_core::checksum::Digester;
use tus_core::{Checksum, ChecksumAlgorithm, Chunk};

use crate::buffer::BufferPool;
use crate::source::Source;

/// Buffers that may wait for the digest of a whole source.
const WAITING_BUFFERS: usize = 4;

/// Takes digests of ranges of a source.
#[derive(Clone)]
pub(crate) struct ChunkDigests {
    source: Arc<dyn Source>,
    pool: Arc<BufferPool>,
}

/// The digest of a chunk that is to follow the one under way.
pub(crate) struct Ahead {
    chunk: Chunk,
    algorithm: ChecksumAlgorithm,
    task: AbortOnDropHandle<io::Result<Digester>>,
}

impl ChunkDigests {
    pub(crate) fn new(source: Arc<dyn Source>, pool: Arc<BufferPool>) -> Self {
        Self { source, pool }
    }

    /// The digest of `chunk`. What was done of it `ahead` is gone on with: the chunk may have grown meanwhile.
    pub(crate) async fn of(
        &self,
        chunk: Chunk,
        algorithm: ChecksumAlgorithm,
        ahead: Option<Ahead>,
    ) -> io::Result<Checksum> {
        let mut begun = (chunk.start, algorithm.digester());
        if let Some(ahead) = ahead
            && ahead.algorithm == algorithm
            && ahead.chunk.start == chunk.start
            && ahead.chunk.len <= chunk.len
        {
            // A failure is met again, by the reading that follows.
            if let Ok(Ok(digester)) = ahead.task.await {
                begun = (ahead.chunk.end(), digester);
            }
        }
        let (from, digester) = begun;
        Ok(self.go_on(digester, from, chunk.end()).await?.finish())
    }

    /// Begins with the chunk behind `chunk`, as long as that one, while that one is sent. Only of a source that can be read
    /// twice.
    pub(crate) fn ahead(&self, chunk: Chunk, algorithm: ChecksumAlgorithm) -> Option<Ahead> {
        let length = self.source.length().known()?;
        let left = length.saturating_sub(chunk.end());
        if left == 0 || self.source.window_bytes().is_some() {
            return None;
        }
        let next = Chunk {
            start: chunk.end(),
            len: chunk.len.min(left),
        };
        let digests = self.clone();
        let work = async move {
            let digester = algorithm.digester();
            digests.go_on(digester, next.start, next.end()).await
        };
        Some(Ahead {
            chunk: next,
            algorithm,
            task: AbortOnDropHandle::new(tokio::spawn(work)),
        })
    }

    /// Digesting takes longer than a task should hold its thread, so all of it is done on another: for each buffer, a wake-up
    /// there and one back would cost as much as the digest.
    async fn go_on(&self, mut digester: Digester, from: u64, to: u64) -> io::Result<Digester> {
        let (source, pool) = (Arc::clone(&self.source), Arc::clone(&self.pool));
        let (runtime, wanted) = (Handle::current(), CancellationToken::new());
        let _until_dropped = wanted.clone().drop_guard();
        let work = move || {
            let mut at = from;
            while at < to && !wanted.is_cancelled() {
                let read = async { source.read_at(at, pool.take().await).await };
                let mut bytes = runtime.block_on(read)?;
                if bytes.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                bytes.truncate(usize::try_from(to - at).unwrap_or(usize::MAX));
                at += bytes.len() as u64;
                digester.update(&bytes);
            }
            Ok(digester)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(io::Error::other)?
    }
}

/// SHA-256 of a whole source, from the reads of its chunks.
pub(crate) struct WholeDigest {
    reads: Reads,
    work: AbortOnDropHandle<(Sha256, u64)>,
}

/// Where the bodies of one upload leave what they read.
#[derive(Clone)]
pub(crate) struct Reads(mpsc::Sender<Read>);

enum Read {
    /// Bytes from an offset on.
    Bytes(u64, Bytes),
    /// Nothing more counts, whoever may still hold a way to send it.
    End,
}

impl Reads {
    /// Leaves what was read; waits while too much lies there.
    pub(crate) async fn leave(&self, offset: u64, bytes: &Bytes) {
        // Only one that is not wanted any more takes nothing.
        let _ = self.0.send(Read::Bytes(offset, bytes.clone())).await;
    }
}

impl WholeDigest {
    pub(crate) fn start() -> Self {
        let (reads, mut inbox) = mpsc::channel(WAITING_BUFFERS);
        let work = move || {
            let (mut digest, mut at) = (Sha256::new(), 0);
            while let Some(Read::Bytes(offset, mut bytes)) = inbox.blocking_recv() {
                // What was read before is known; what begins later leaves a gap that only another reading fills.
                let known = usize::try_from(at - offset.min(at)).unwrap_or(usize::MAX);
                if offset <= at && known < bytes.len() {
                    bytes.advance(known);
                    digest.update(&bytes);
                    at += bytes.len() as u64;
                }
            }
            (digest, at)
        };
        Self {
            reads: Reads(reads),
            work: AbortOnDropHandle::new(tokio::task::spawn_blocking(work)),
        }
    }

    /// Where to leave what was read.
    pub(crate) fn reads(&self) -> Reads {
        self.reads.clone()
    }

    /// The digest of all `length` bytes. What was not read in order, as before a resume, is read now; `None` where that cannot
    /// be done any more.
    pub(crate) async fn finish(
        self,
        source: &Arc<dyn Source>,
        pool: &Arc<BufferPool>,
        length: u64,
    ) -> io::Result<Option<[u8; 32]>> {
        let _ = self.reads.0.send(Read::End).await;
        let (mut digest, mut at) = self.work.await.map_err(io::Error::other)?;
        if at < length && source.available_from() > at {
            return Ok(None);
        }
        while at < length {
            let mut bytes = source.read_at(at, pool.take().await).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.truncate(usize::try_from(length - at).unwrap_or(usize::MAX));
            at += bytes.len() as u64;
            let work = move || {
                digest.update(&bytes);
                digest
            };
            digest = tokio::task::spawn_blocking(work)
                .await
                .map_err(io::Error::other)?;
        }
        Ok(Some(digest.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::BUFFER_BYTES;
    use crate::source::BytesSource;

    const LENGTH: usize = 3 * BUFFER_BYTES + 7;

    fn bytes() -> Vec<u8> {
        (0..LENGTH).map(|i| (i % 251) as u8).collect()
    }

    fn pool() -> Arc<BufferPool> {
        BufferPool::new(4 * BUFFER_BYTES)
    }

    fn source() -> Arc<dyn Source> {
        Arc::new(BytesSource::new(bytes()))
    }

    fn chunk(start: usize, len: usize) -> Chunk {
        Chunk {
            start: start as u64,
            len: len as u64,
        }
    }

    fn sha1(bytes: &[u8]) -> Checksum {
        let mut digester = ChecksumAlgorithm::Sha1.digester();
        digester.update(bytes);
        digester.finish()
    }

    #[tokio::test]
    async fn a_digest_made_ahead_serves_the_chunk_that_it_was_made_for_and_a_longer_one() {
        let digests = ChunkDigests::new(source(), pool());
        let sha = ChecksumAlgorithm::Sha1;
        for len in [1000, 2000, 500] {
            let ahead = digests.ahead(chunk(0, 1000), sha);
            assert!(ahead.is_some());
            let digest = digests.of(chunk(1000, len), sha, ahead).await.unwrap();
            assert_eq!(digest, sha1(&bytes()[1000..1000 + len]));
        }
        let elsewhere = digests.ahead(chunk(0, 1000), sha);
        let digest = digests.of(chunk(5, 10), sha, elsewhere).await.unwrap();
        assert_eq!(digest, sha1(&bytes()[5..15]));
    }

    #[tokio::test]
    async fn nothing_is_made_ahead_behind_the_end() {
        let digests = ChunkDigests::new(source(), pool());
        let last = chunk(LENGTH - 10, 10);
        assert!(digests.ahead(last, ChecksumAlgorithm::Sha1).is_none());
    }

    /// The digest after these reads, and whether it is that of the whole.
    async fn is_right_after(reads: &[(usize, usize)]) -> bool {
        let whole = WholeDigest::start();
        for (start, len) in reads {
            let read = Bytes::from(bytes()).slice(*start..start + len);
            whole.reads().leave(*start as u64, &read).await;
        }
        let digest = whole.finish(&source(), &pool(), LENGTH as u64).await;
        digest.unwrap() == Some(Sha256::digest(bytes()).into())
    }

    #[tokio::test]
    async fn the_whole_has_one_digest_whatever_was_read_twice_or_not_at_all() {
        assert!(is_right_after(&[(0, 1000), (1000, LENGTH - 1000)]).await);
        assert!(is_right_after(&[(0, 1000), (500, 1000), (1500, LENGTH - 1500)]).await);
        assert!(is_right_after(&[(5000, 1000)]).await, "resumed");
        assert!(is_right_after(&[]).await);
    }
}
