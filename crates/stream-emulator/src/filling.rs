//! [`Filling`]: the bytes of a video that come by another way than tus: by a form, or from a URL.

use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedMutexGuard;

use crate::blob::Blob;

/// What is written at once.
const BATCH_BYTES: usize = 256 * 1024;

/// Collects what comes and writes it, off the async threads.
pub(crate) struct Filling {
    blob: Option<OwnedMutexGuard<Blob>>,
    batch: Vec<Bytes>,
    waiting: usize,
    len: u64,
}

impl Filling {
    /// Goes on where the blob ends.
    pub(crate) fn new(blob: OwnedMutexGuard<Blob>) -> Self {
        Self {
            len: blob.len(),
            blob: Some(blob),
            batch: Vec::new(),
            waiting: 0,
        }
    }

    /// Bytes in all, those that are not written yet among them.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Takes bytes, and writes when there are enough.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> io::Result<()> {
        self.len += bytes.len() as u64;
        self.waiting += bytes.len();
        self.batch.push(bytes);
        if self.waiting >= BATCH_BYTES {
            self.write(false).await?;
        }
        Ok(())
    }

    /// Writes what is left, durably.
    pub(crate) async fn sync(&mut self) -> io::Result<()> {
        self.write(true).await
    }

    /// Forgets everything.
    pub(crate) async fn empty(&mut self) -> io::Result<()> {
        self.batch.clear();
        (self.waiting, self.len) = (0, 0);
        self.with_blob(|blob| match blob {
            Blob::Digest { .. } => {
                *blob = Blob::Digest {
                    len: 0,
                    state: sha2::Digest::new(),
                };
                Ok(())
            }
            blob => blob.truncate(0),
        })
        .await
    }

    /// Takes all bytes of a file.
    pub(crate) async fn take_file(&mut self, file: &Path) -> io::Result<()> {
        let mut file = tokio::fs::File::open(file).await?;
        loop {
            let mut piece = BytesMut::with_capacity(BATCH_BYTES);
            if file.read_buf(&mut piece).await? == 0 {
                return Ok(());
            }
            self.push(piece.freeze()).await?;
        }
    }

    /// Takes all bytes of another blob of the same kind.
    pub(crate) async fn append(&mut self, other: OwnedMutexGuard<Blob>) -> io::Result<()> {
        self.write(false).await?;
        self.len += other.len();
        self.with_blob(move |blob| blob.append_blob(&other)).await
    }

    /// Gives the blob back, closed.
    pub(crate) fn finish(mut self) -> Option<OwnedMutexGuard<Blob>> {
        if let Some(blob) = &mut self.blob {
            blob.close();
        }
        self.blob
    }

    async fn write(&mut self, durably: bool) -> io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.waiting = 0;
        self.with_blob(move |blob| {
            blob.write(&batch)?;
            if durably { blob.sync() } else { Ok(()) }
        })
        .await
    }

    async fn with_blob<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Blob) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        // Taken by a write whose wait was dropped.
        let mut blob = self.blob.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let working = tokio::task::spawn_blocking(move || {
            let result = work(&mut blob);
            (blob, result)
        });
        let (blob, result) = working.await.map_err(io::Error::other)?;
        self.blob = Some(blob);
        result
    }
}
