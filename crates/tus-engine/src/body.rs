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

/// The body of one PATCH: reads ahead by one pooled buffer, tells its exact length, and counts what leaves.
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

    /// Gets the next buffer under way, so that it is read while the last one is sent.
    fn read_ahead(&mut self) {
        if self.reading.is_some() || self.read_from >= self.end {
            return;
        }
        let (source, pool, offset) = (
            Arc::clone(&self.source),
            Arc::clone(&self.pool),
            self.read_from,
        );
        let (tracer, reads) = (self.tracer.clone(), self.reads.clone());
        self.reading = Some(Box::pin(async move {
            let buffer = pool.take().await;
            let begin = tracer.as_ref().map_or(offset, |_| Tracer::begin_at(offset));
            let mut bytes = source.read_at(begin, buffer).await?;
            if let Some(reads) = reads {
                reads.leave(begin, &bytes).await;
            }
            let Some(tracer) = tracer else {
                return Ok(bytes);
            };
            tracer.read(begin, &bytes)?;
            let before = usize::try_from(offset - begin).unwrap_or(usize::MAX);
            bytes.advance(before.min(bytes.len()));
            Ok(bytes)
        }));
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        self.read_ahead();
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(Ok(Bytes::new()));
        };
        let mut bytes = ready!(reading.as_mut().poll(cx))?;
        self.reading = None;
        if bytes.is_empty() {
            let kind = io::ErrorKind::UnexpectedEof;
            return Poll::Ready(Err(io::Error::new(
                kind,
                "the source ends before its announced length",
            )));
        }
        // A source in memory hands out more than was asked for.
        let wanted = usize::try_from(self.end - self.read_from).unwrap_or(usize::MAX);
        bytes.truncate(wanted);
        self.read_from += bytes.len() as u64;
        Poll::Ready(Ok(bytes))
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
        if this.ready.is_empty() {
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
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
}
