//! [`ChunkBody`]: the bytes of one PATCH on their way out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_transport::BoxFuture;
use tus_core::checksum::Digester;
use tus_core::{ChecksumAlgorithm, Chunk, header};

use crate::bandwidth::Gate;
use crate::buffer::{BUFFER_BYTES, BufferPool};
use crate::digest::Reads;
use crate::prove::Tracer;
use crate::source::{Look, Source};

/// Smallest piece that is handed out on a slow connection. A stall is noticed by pieces that do not leave, so a piece must be
/// one that even a very slow link takes within the stall timeout.
const MIN_PIECE_BYTES: usize = 16 * 1024;

/// The body of one PATCH: tells its exact length and counts what leaves.
///
/// What the page cache has is read when it is wanted, into the one buffer that the processor's cache still has; a disk that
/// has to be waited for is read ahead by one buffer.
pub(crate) struct ChunkBody {
    source: Arc<dyn Source>,
    pool: Arc<BufferPool>,
    on_sent: Box<dyn FnMut(u64) + Send>,
    /// Where the next read begins.
    read_from: u64,
    /// Bytes that were not handed out yet.
    remaining: u64,
    end: u64,
    /// What the source has to look like when the last piece leaves.
    look: Look,
    reading: Option<BoxFuture<'static, io::Result<Bytes>>>,
    /// The last read had to be waited for.
    is_slow: bool,
    /// What was read and not handed out yet.
    ready: Bytes,
    started: Option<Instant>,
    sent: u64,
    /// Digests what leaves, for the trailer behind it.
    digester: Option<Digester>,
    /// Follows what is read.
    tracer: Option<Arc<Tracer>>,
    /// Has the whole source digested.
    reads: Option<Reads>,
    /// Holds pieces back that would be too fast.
    gate: Option<Gate>,
}

impl ChunkBody {
    /// The body of `chunk`. `on_sent` is told of the bytes of each piece that leaves; it must not block.
    pub(crate) fn new(
        source: Arc<dyn Source>,
        pool: Arc<BufferPool>,
        chunk: Chunk,
        on_sent: impl FnMut(u64) + Send + 'static,
    ) -> Self {
        Self {
            source,
            pool,
            on_sent: Box::new(on_sent),
            read_from: chunk.start,
            remaining: chunk.len,
            end: chunk.end(),
            look: Look::default(),
            reading: None,
            is_slow: false,
            ready: Bytes::new(),
            started: None,
            sent: 0,
            digester: None,
            tracer: None,
            reads: None,
            gate: None,
        }
    }

    /// Leaves what it reads with whoever digests the whole source.
    pub(crate) fn with_reads(self, reads: Option<Reads>) -> Self {
        Self { reads, ..self }
    }

    /// Lets every piece wait at `gate` before it leaves.
    pub(crate) fn with_gate(self, gate: Gate) -> Self {
        Self {
            gate: Some(gate),
            ..self
        }
    }

    /// Ends in an error instead of its last piece if the source does not look like this by then.
    pub(crate) fn with_look(self, look: Look) -> Self {
        Self { look, ..self }
    }

    /// Has every block that is read traced before it leaves.
    pub(crate) fn with_tracer(self, tracer: Option<Arc<Tracer>>) -> Self {
        Self { tracer, ..self }
    }

    /// Ends the body with its digest as a trailer (CT-02). Its length is then not announced: trailers follow chunked bodies
    /// only.
    pub(crate) fn with_trailer(self, algorithm: Option<ChecksumAlgorithm>) -> Self {
        Self {
            digester: algorithm.map(ChecksumAlgorithm::digester),
            ..self
        }
    }

    /// Where the next read begins: with a block, if blocks are traced.
    fn begin(&self) -> u64 {
        let traced = self.tracer.is_some();
        if traced {
            Tracer::begin_at(self.read_from)
        } else {
            self.read_from
        }
    }

    /// The next buffer, if it can be had without waiting, and without a future made for it.
    fn read_at_once(&self) -> io::Result<Option<Bytes>> {
        // Whoever digests the whole source may have to be waited for.
        if self.reads.is_some() {
            return Ok(None);
        }
        let Some(mut buffer) = self.pool.try_take() else {
            return Ok(None);
        };
        let begin = self.begin();
        let Some(read) = self.source.read_at_once(begin, &mut buffer) else {
            return Ok(None);
        };
        trace(
            self.tracer.as_deref(),
            begin,
            self.read_from,
            buffer.freeze(read),
        )
        .map(Some)
    }

    /// The next buffer, in a future of its own.
    fn read(&self) -> BoxFuture<'static, io::Result<Bytes>> {
        let (source, pool) = (Arc::clone(&self.source), Arc::clone(&self.pool));
        let (tracer, reads) = (self.tracer.clone(), self.reads.clone());
        let (begin, offset) = (self.begin(), self.read_from);
        Box::pin(async move {
            let buffer = pool.take().await;
            let bytes = source.read_at(begin, buffer).await?;
            if let Some(reads) = reads {
                reads.leave(begin, &bytes).await;
            }
            trace(tracer.as_deref(), begin, offset, bytes)
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.read_from >= self.end {
            return Poll::Ready(Ok(Bytes::new()));
        }
        if self.reading.is_none()
            && !self.is_slow
            && let Some(bytes) = self.read_at_once()?
        {
            return Poll::Ready(self.take(bytes));
        }
        let is_new = self.reading.is_none();
        let mut reading = self.reading.take().unwrap_or_else(|| self.read());
        let Poll::Ready(bytes) = reading.as_mut().poll(cx) else {
            self.is_slow = true;
            self.reading = Some(reading);
            return Poll::Pending;
        };
        self.is_slow = !is_new;
        Poll::Ready(self.take(bytes?))
    }

    /// Takes what was read, as much of it as belongs to the chunk.
    fn take(&mut self, mut bytes: Bytes) -> io::Result<Bytes> {
        if bytes.is_empty() {
            let kind = io::ErrorKind::UnexpectedEof;
            return Err(io::Error::new(
                kind,
                "the source ends before its announced length",
            ));
        }
        // A source in memory hands out more than was asked for.
        let wanted = usize::try_from(self.end - self.read_from).unwrap_or(usize::MAX);
        bytes.truncate(wanted);
        self.read_from += bytes.len() as u64;
        Ok(bytes)
    }

    /// About what leaves in a quarter of a second, so that progress and stalls show on a slow link; a whole buffer on any
    /// other.
    fn piece_bytes(&self) -> usize {
        let elapsed = self
            .started
            .map_or(0.0, |started| started.elapsed().as_secs_f64());
        if elapsed < 1.0 {
            return BUFFER_BYTES;
        }
        let per_second = self.sent as f64 / elapsed;
        ((per_second / 4.0) as usize).clamp(MIN_PIECE_BYTES, BUFFER_BYTES)
    }
}

impl Body for ChunkBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.remaining == 0 {
            let trailer = this.digester.take().map(|digester| {
                let checksum = digester.finish().to_header();
                Frame::trailers(HeaderMap::from_iter([(header::UPLOAD_CHECKSUM, checksum)]))
            });
            return Poll::Ready(trailer.map(Ok));
        }
        this.started.get_or_insert_with(Instant::now);
        if this.ready.is_empty() {
            this.ready = ready!(this.poll_read(cx))?;
        }
        let mut most = this.ready.len().min(this.piece_bytes());
        if let Some(gate) = &mut this.gate {
            most = ready!(gate.poll_pass(cx, most));
        }
        let piece = this.ready.split_to(most);
        let len = piece.len() as u64;
        // Asked before the last piece leaves: a chunk of a source that changed must not arrive whole,
        // for it may be the one that completes the upload.
        if len == this.remaining && this.source.look()? != this.look {
            return Poll::Ready(Some(Err(io::Error::other("the source was touched"))));
        }
        if let Some(digester) = &mut this.digester {
            digester.update(&piece);
        }
        this.remaining -= len;
        this.sent += len;
        (this.on_sent)(len);
        if this.ready.is_empty() && this.is_slow {
            // A first poll starts the read; its waker is this task's, which is polled again for the next piece anyway.
            if let Poll::Ready(bytes) = this.poll_read(cx)
                && this.remaining > 0
            {
                this.ready = bytes?;
            }
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0 && self.digester.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.digester {
            None => SizeHint::with_exact(self.remaining),
            Some(_) => SizeHint::default(),
        }
    }
}

/// Has what was read from `begin` on traced, and hands out what lies at `offset` and behind.
fn trace(tracer: Option<&Tracer>, begin: u64, offset: u64, mut bytes: Bytes) -> io::Result<Bytes> {
    if let Some(tracer) = tracer {
        tracer.read(begin, &bytes)?;
    }
    let before = usize::try_from(offset - begin).unwrap_or(usize::MAX);
    bytes.advance(before.min(bytes.len()));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::buffer::Buffer;
    use crate::source::BytesSource;

    #[tokio::test]
    async fn a_chunk_is_sent_whole_and_counted_and_its_length_is_known() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| i as u8).collect();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let mut body = ChunkBody::new(
            Arc::new(BytesSource::new(bytes.clone())),
            BufferPool::new(0),
            Chunk {
                start: 10,
                len: 900_000,
            },
            move |bytes| {
                counter.fetch_add(bytes, Ordering::Relaxed);
            },
        );
        assert_eq!(body.size_hint().exact(), Some(900_000));
        let mut received = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            received.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        assert!(received == bytes[10..900_010]);
        assert!(body.is_end_stream());
        assert_eq!(sent.load(Ordering::Relaxed), 900_000);
    }

    #[tokio::test]
    async fn a_source_that_ends_early_is_an_error_and_never_a_short_body() {
        let source = Arc::new(BytesSource::new(vec![1; 10]));
        let chunk = Chunk { start: 0, len: 20 };
        let mut body = ChunkBody::new(source, BufferPool::new(0), chunk, |_| {});
        let mut error = None;
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if let Err(found) = frame {
                error = Some(found);
                break;
            }
        }
        assert_eq!(error.unwrap().kind(), io::ErrorKind::UnexpectedEof);
    }

    /// Zeros, at once or not.
    struct Zeros {
        at_once: bool,
        reads: AtomicU64,
    }

    impl Source for Zeros {
        fn length(&self) -> tus_core::UploadLength {
            tus_core::UploadLength::Known(4 * BUFFER_BYTES as u64)
        }

        fn read_at(&self, _: u64, buffer: Buffer) -> BoxFuture<'_, io::Result<Bytes>> {
            Box::pin(async move {
                self.reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(buffer.freeze(BUFFER_BYTES))
            })
        }

        fn read_at_once(&self, _: u64, _: &mut Buffer) -> Option<usize> {
            let read = self.at_once.then_some(BUFFER_BYTES)?;
            self.reads.fetch_add(1, Ordering::Relaxed);
            Some(read)
        }
    }

    /// How often such a source was read when the first of three buffers leaves.
    async fn reads_at_first_frame(at_once: bool) -> u64 {
        let source = Arc::new(Zeros {
            at_once,
            reads: AtomicU64::new(0),
        });
        let pool = BufferPool::new(2 * BUFFER_BYTES);
        let chunk = Chunk {
            start: 0,
            len: 3 * BUFFER_BYTES as u64,
        };
        let mut body = ChunkBody::new(Arc::clone(&source) as Arc<dyn Source>, pool, chunk, |_| {});
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let first = frame.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), BUFFER_BYTES);
        source.reads.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn only_a_source_that_has_to_be_waited_for_is_read_ahead() {
        assert_eq!(reads_at_first_frame(true).await, 1);
        assert_eq!(reads_at_first_frame(false).await, 2);
    }
}
