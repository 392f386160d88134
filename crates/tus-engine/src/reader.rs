//! [`ReaderSource`]: bytes that pass only once, such as a pipe's.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use http_transport::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Mutex;
use tus_core::UploadLength;

use crate::buffer::Buffer;
use crate::source::{Ready, Source};

/// What is kept of a reader for a broken connection to ask for again: 8 MiB, which is above the smallest chunk of every
/// service known.
pub const WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// How much is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A reader that cannot go back. What was read and is not confirmed yet is kept in memory, at most
/// [`WINDOW_BYTES`] of it, so that a broken connection costs nothing; a server that loses confirmed bytes ends the upload.
pub struct ReaderSource {
    length: UploadLength,
    /// The server has all bytes below it.
    floor: AtomicU64,
    tape: Mutex<Tape>,
}

struct Tape {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    /// Where the first kept piece begins.
    start: u64,
    pieces: VecDeque<Bytes>,
    /// Where the next byte of the reader belongs.
    end: u64,
    is_end: bool,
}

impl ReaderSource {
    /// Takes a reader. With a known length, a reader that has fewer or more bytes is an error before the last one is sent;
    /// for that it must come to its end.
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        length: impl Into<UploadLength>,
    ) -> Self {
        let tape = Tape {
            reader: Box::new(reader),
            start: 0,
            pieces: VecDeque::new(),
            end: 0,
            is_end: false,
        };
        Self {
            length: length.into(),
            floor: AtomicU64::new(0),
            tape: Mutex::new(tape),
        }
    }
}

impl Tape {
    fn forget_below(&mut self, floor: u64) {
        while let Some(first) = self.pieces.front() {
            let next = self.start + first.len() as u64;
            if next > floor {
                return;
            }
            self.start = next;
            self.pieces.pop_front();
        }
    }

    /// Reads one piece more, or notices the end.
    async fn advance(&mut self) -> io::Result<()> {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        if self.reader.read_buf(&mut piece).await? == 0 {
            self.is_end = true;
            return Ok(());
        }
        self.end += piece.len() as u64;
        self.pieces.push_back(piece.freeze());
        Ok(())
    }

    fn at(&self, offset: u64) -> Option<Bytes> {
        let mut start = self.start;
        for piece in &self.pieces {
            let end = start + piece.len() as u64;
            if (start..end).contains(&offset) {
                return Some(piece.slice(usize::try_from(offset - start).ok()?..));
            }
            start = end;
        }
        None
    }
}

impl Source for ReaderSource {
    fn length(&self) -> UploadLength {
        self.length
    }

    fn read_at(&self, offset: u64, _: Buffer) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let mut tape = self.tape.lock().await;
            tape.forget_below(self.floor.load(Ordering::Relaxed));
            while tape.end <= offset && !tape.is_end {
                tape.advance().await?;
            }
            if let UploadLength::Known(length) = self.length {
                while tape.end == length && !tape.is_end {
                    tape.advance().await?;
                }
                if tape.end > length {
                    let message = format!("there are more than the {length} bytes announced");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
            }
            Ok(tape.at(offset).unwrap_or_default())
        })
    }

    fn available_from(&self) -> u64 {
        self.floor.load(Ordering::Relaxed)
    }

    fn window_bytes(&self) -> Option<u64> {
        Some(WINDOW_BYTES)
    }

    fn confirmed(&self, offset: u64) {
        self.floor.fetch_max(offset, Ordering::Relaxed);
    }

    fn make_ready(&self, until: u64) -> BoxFuture<'_, io::Result<Ready>> {
        Box::pin(async move {
            let mut tape = self.tape.lock().await;
            tape.forget_below(self.floor.load(Ordering::Relaxed));
            while tape.end < until && !tape.is_end {
                tape.advance().await?;
            }
            Ok(Ready {
                end: tape.end,
                is_end: tape.is_end,
            })
        })
    }
}

impl fmt::Debug for ReaderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderSource")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::BufferPool;

    async fn read(source: &ReaderSource, offset: u64) -> io::Result<Bytes> {
        source
            .read_at(offset, BufferPool::new(0).take().await)
            .await
    }

    #[tokio::test]
    async fn what_is_not_confirmed_can_be_read_again_and_what_is_cannot() {
        let source = ReaderSource::new(io::Cursor::new(vec![1; 200_000]), UploadLength::Deferred);
        let ready = source.make_ready(150_000).await.unwrap();
        assert!(ready.end >= 150_000 && !ready.is_end);
        assert_eq!(
            read(&source, 10).await.unwrap(),
            read(&source, 10).await.unwrap()
        );
        source.confirmed(140_000);
        assert_eq!(source.available_from(), 140_000);
        assert!(!read(&source, 140_000).await.unwrap().is_empty());
        assert!(read(&source, 0).await.unwrap().is_empty());
        let ready = source.make_ready(1_000_000).await.unwrap();
        assert_eq!(
            ready,
            Ready {
                end: 200_000,
                is_end: true
            }
        );
    }

    #[tokio::test]
    async fn a_reader_with_more_bytes_than_announced_is_an_error_and_not_a_truncated_video() {
        let source = ReaderSource::new(io::Cursor::new(vec![1; 11]), 10_u64);
        assert_eq!(
            read(&source, 0).await.unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        let exact = ReaderSource::new(io::Cursor::new(vec![1; 10]), 10_u64);
        assert_eq!(read(&exact, 0).await.unwrap().len(), 10);
    }
}
