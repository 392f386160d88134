//! [`BufferPool`]: the memory that upload bytes pass through.
//!
//! The buffer policy decides the speed of the whole engine: large buffers that are used again reach the speed of a bare
//! read-and-write loop; fresh ones of that size are mapped and page-faulted each time (half the speed), small ones cost a
//! system call each (a fifth), and a whole chunk in memory costs `chunk × uploads`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of one buffer: 512 KiB. Half of it would cost twice the system calls; where many are in use at once, only half of each
/// is, for then memory counts and not the calls of one upload.
pub const BUFFER_BYTES: usize = 512 * 1024;

/// Every buffer begins at a multiple of this. An allocation of this size begins 16 bytes into a page, and to that address the
/// kernel of a machine with fast string moves copies at less than half the speed.
const ALIGNMENT: usize = 64;

/// With so many buffers in use, further ones are filled to the half: more than two uploads take.
const FEW: usize = 8;

/// A bounded set of buffers, shared by all uploads. Buffers are made when first needed and kept.
pub struct BufferPool {
    free: Mutex<Vec<Box<[u8]>>>,
    permits: Arc<Semaphore>,
    buffers: usize,
}

impl BufferPool {
    /// A pool of at most `total_bytes`, at least one buffer.
    #[must_use]
    pub fn new(total_bytes: usize) -> Arc<Self> {
        let buffers = (total_bytes / BUFFER_BYTES).max(1);
        Arc::new(Self {
            free: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(buffers)),
            buffers,
        })
    }

    /// A buffer, as soon as one is free.
    pub async fn take(self: &Arc<Self>) -> Buffer {
        self.with(Arc::clone(&self.permits).acquire_owned().await.ok())
    }

    /// A buffer, if one is free.
    pub fn try_take(self: &Arc<Self>) -> Option<Buffer> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(self.with(Some(permit)))
    }

    fn with(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Buffer {
        let kept = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let data = kept.unwrap_or_else(|| vec![0; BUFFER_BYTES + ALIGNMENT].into_boxed_slice());
        let in_use = self.buffers - self.permits.available_permits().min(self.buffers);
        let room = if in_use > FEW {
            BUFFER_BYTES / 2
        } else {
            BUFFER_BYTES
        };
        // What cannot be aligned is only slower.
        let start = data.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Buffer {
            data,
            start,
            room,
            len: 0,
            pool: Arc::clone(self),
            _permit: permit,
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("free", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}

/// One buffer of a pool, to be filled by a [`Source`](crate::Source). It goes back when it, or the last [`Bytes`] made of it, is
/// dropped.
pub struct Buffer {
    data: Box<[u8]>,
    /// Where it begins in `data`.
    start: usize,
    room: usize,
    len: usize,
    pool: Arc<BufferPool>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Buffer {
    /// The room for bytes. What it holds at first is left over from earlier use.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.data[self.start..self.start + self.room]
    }

    /// The first `len` bytes, without copying them.
    #[must_use]
    pub fn freeze(mut self, len: usize) -> Bytes {
        self.len = len.min(self.room);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.data[self.start..self.start + self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        self.pool
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(data);
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_at_once_are_filled_to_the_half() {
        let pool = BufferPool::new(16 * BUFFER_BYTES);
        let mut taken = Vec::new();
        for _ in 0..=FEW {
            taken.push(pool.take().await);
        }
        assert_eq!(taken[0].space().len(), BUFFER_BYTES);
        assert_eq!(taken[FEW].space().len(), BUFFER_BYTES / 2);
        taken.clear();
        assert_eq!(pool.take().await.space().len(), BUFFER_BYTES);
    }

    #[tokio::test]
    async fn a_buffer_comes_back_when_the_last_view_of_it_goes() {
        let pool = BufferPool::new(BUFFER_BYTES);
        let mut buffer = pool.take().await;
        buffer.space()[..3].copy_from_slice(b"abc");
        let bytes = buffer.freeze(3);
        let view = bytes.slice(1..2);
        drop(bytes);
        assert_eq!(&view[..], b"b");
        assert!(pool.try_take().is_none(), "one view is left");
        drop(view);
        assert!(pool.try_take().is_some());
    }
}
