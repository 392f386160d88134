//! [`Source`]: where the bytes come from.

use std::fs::{File, Metadata};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_transport::BoxFuture;
use resume_store::{Evidence, Resemblance};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, ReadWriteFlags};
use tus_core::UploadLength;

use crate::buffer::Buffer;

/// Bytes that can be read at any offset, as often as a broken connection asks for them.
pub trait Source: Send + Sync + 'static {
    /// Total bytes, or that they are not known yet. Does not change.
    fn length(&self) -> UploadLength;

    /// Bytes from `offset` on: at most what the buffer holds, at least one unless `offset` is the end. The buffer is there to
    /// be filled; a source that has the bytes in memory may drop it and hand out its own. A source that can be looked at
    /// twice (see [`evidence`](Self::evidence)) fills the buffer unless it ends.
    ///
    /// # Errors
    /// What the reading brings. Nothing is read again by itself.
    fn read_at(&self, offset: u64, buffer: Buffer) -> BoxFuture<'_, io::Result<Bytes>>;

    /// The same, if it can be had at once: how many bytes of the buffer were filled. `None` where [`read_at`](Self::read_at)
    /// has to be asked, as always unless a source says otherwise.
    fn read_at_once(&self, offset: u64, buffer: &mut Buffer) -> Option<usize> {
        let _ = (offset, buffer);
        None
    }

    /// What proves later that the bytes are still the same; `None` where nothing can.
    ///
    /// # Errors
    /// What the reading brings.
    fn evidence(&self) -> io::Result<Option<Evidence>> {
        Ok(None)
    }

    /// The same, if it can be had at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where a thread has to wait for it.
    fn evidence_at_once(&self) -> io::Result<Option<Evidence>> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// What it looked like when it was opened.
    fn opened_as(&self) -> Look {
        Look::default()
    }

    /// What it looks like now, without reading it. Asked before the last piece of every chunk: where times differ and nothing
    /// else does, all bytes that were read are compared before the piece leaves.
    ///
    /// # Errors
    /// What asking brings.
    fn look(&self) -> io::Result<Look> {
        Ok(self.opened_as())
    }

    /// The first byte that can still be read: 0 unless bytes pass only once.
    fn available_from(&self) -> u64 {
        0
    }

    /// How many bytes behind the last confirmed one can be read again; no chunk is larger. `None`: all of them.
    fn window_bytes(&self) -> Option<u64> {
        None
    }

    /// The server has all bytes below `offset`: they will not be asked for again.
    fn confirmed(&self, offset: u64) {
        let _ = offset;
    }

    /// Reads ahead until the bytes below `until` are there, or the source ends. Only asked of a source whose length is not
    /// known.
    ///
    /// # Errors
    /// What the reading brings.
    fn make_ready(&self, until: u64) -> BoxFuture<'_, io::Result<Ready>> {
        let end = self.length().known();
        Box::pin(async move {
            Ok(Ready {
                end: end.unwrap_or(until),
                is_end: end.is_some(),
            })
        })
    }
}

/// How far a source of unknown length has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The byte behind the last one that is there.
    pub end: u64,
    /// Nothing follows.
    pub is_end: bool,
}

/// A regular file.
///
/// Bytes that the page cache has are read without leaving the thread; others on a blocking thread. The file is never mapped:
/// a truncated map kills the process.
#[derive(Debug)]
pub struct FileSource {
    file: Arc<File>,
    opened: Look,
    /// Cleared when the file system does not know reads that never block.
    try_cached: AtomicBool,
}

/// What shows that a source was written to. The default is that of one that cannot be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// Bytes.
    pub length: u64,
    /// When its content was changed: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
    /// When its content, name or mode were changed: the only trace of an edit whose time was set back.
    pub changed: (i64, i64),
}

impl Look {
    /// What an open file looks like.
    ///
    /// # Errors
    /// When its metadata cannot be read.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }

    /// What `now` says about the bytes: [`Resemblance::Moved`] where only comparing them can tell.
    #[must_use]
    pub fn compare(&self, now: &Self) -> Resemblance {
        if self == now {
            Resemblance::Same
        } else if (self.length, self.modified) == (now.length, now.modified) {
            Resemblance::Moved
        } else {
            Resemblance::Changed
        }
    }
}

impl From<&Metadata> for Look {
    fn from(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl FileSource {
    /// Opens the file at `path`, following a symbolic link. Blocks; a FIFO or a device is refused, never waited for.
    ///
    /// # Errors
    /// What opening brings; [`io::ErrorKind::InvalidInput`] for anything but a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, OFlags::empty())
    }

    /// As [`open`](Self::open), but refuses a symbolic link: for a path that was found to be a file, and may have become a link
    /// to something else since.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_no_follow(path: &Path) -> io::Result<Self> {
        match Self::open_with(path, OFlags::NOFOLLOW) {
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Err(
                io::Error::new(io::ErrorKind::InvalidInput, "it has become a symbolic link"),
            ),
            other => other,
        }
    }

    /// As one of these, where the system has in memory what it takes: `None` where [`open`](Self::open) or
    /// [`open_no_follow`](Self::open_no_follow) may have to wait for a disk, and for all that they would refuse.
    #[must_use]
    pub fn open_at_once(path: &Path, follow: bool) -> Option<Self> {
        let follow = if follow {
            OFlags::empty()
        } else {
            OFlags::NOFOLLOW
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | follow;
        let cached = ResolveFlags::CACHED;
        let file = rustix::fs::openat2(CWD, path, flags, Mode::empty(), cached).ok()?;
        Self::new(file.into()).ok()
    }

    fn open_with(path: &Path, flags: OFlags) -> io::Result<Self> {
        // Without NONBLOCK, opening a FIFO would wait for its writer.
        let flags = i32::try_from((flags | OFlags::NONBLOCK).bits()).unwrap_or(0);
        Self::new(File::options().read(true).custom_flags(flags).open(path)?)
    }

    /// Takes an open file.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for anything but a regular file.
    pub fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        let opened = Look::from(&metadata);
        Ok(Self {
            file: Arc::new(file),
            opened,
            try_cached: AtomicBool::new(true),
        })
    }
}

impl Source for FileSource {
    fn length(&self) -> UploadLength {
        UploadLength::Known(self.opened.length)
    }

    fn read_at(&self, offset: u64, mut buffer: Buffer) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            if let Some(read) = self.read_at_once(offset, &mut buffer) {
                return Ok(buffer.freeze(read));
            }
            let file = Arc::clone(&self.file);
            let read = move || {
                let read = read_full_at(&file, buffer.space(), offset)?;
                Ok(buffer.freeze(read))
            };
            tokio::task::spawn_blocking(read)
                .await
                .map_err(io::Error::other)?
        })
    }

    /// What is in memory already: `None` when the disk would have to be asked.
    fn read_at_once(&self, offset: u64, buffer: &mut Buffer) -> Option<usize> {
        if !self.try_cached.load(Ordering::Relaxed) {
            return None;
        }
        let space = &mut [IoSliceMut::new(buffer.space())];
        match rustix::io::preadv2(&*self.file, space, offset, ReadWriteFlags::NOWAIT) {
            // At the end of the file, zero is an answer; the blocking read says so too, with certainty.
            Ok(0) | Err(Errno::AGAIN | Errno::INTR) => None,
            // Where the cache ends, the disk goes on.
            Ok(read) => {
                let all = offset + buffer.space().len() as u64;
                let whole = offset + read as u64 >= all.min(self.opened.length);
                whole.then_some(read)
            }
            Err(_) => {
                self.try_cached.store(false, Ordering::Relaxed);
                None
            }
        }
    }

    fn evidence(&self) -> io::Result<Option<Evidence>> {
        Evidence::of(&self.file).map(Some)
    }

    fn evidence_at_once(&self) -> io::Result<Option<Evidence>> {
        let try_cached = self.try_cached.load(Ordering::Relaxed);
        let cached = try_cached.then(|| Evidence::cached(&self.file)).flatten();
        cached.map(Some).ok_or(io::ErrorKind::WouldBlock.into())
    }

    fn opened_as(&self) -> Look {
        self.opened
    }

    fn look(&self) -> io::Result<Look> {
        Look::of(&self.file)
    }
}

/// Fills `space` unless the file ends.
fn read_full_at(file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < space.len() {
        match file.read_at(&mut space[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What was read is good; the next read meets the error again.
            Err(_) if read > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Bytes in memory.
#[derive(Debug, Clone)]
pub struct BytesSource(Bytes);

impl BytesSource {
    /// Takes bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }
}

impl Source for BytesSource {
    fn length(&self) -> UploadLength {
        UploadLength::Known(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, _: Buffer) -> BoxFuture<'_, io::Result<Bytes>> {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.0.len());
        let bytes = self.0.slice(start..);
        Box::pin(async move { Ok(bytes) })
    }

    fn evidence_at_once(&self) -> io::Result<Option<Evidence>> {
        self.evidence()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::buffer::{BUFFER_BYTES, BufferPool};

    async fn read(source: &dyn Source, offset: u64) -> Bytes {
        source
            .read_at(offset, BufferPool::new(BUFFER_BYTES).take().await)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_file_is_read_at_any_offset_and_ends_with_nothing() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; BUFFER_BYTES + 5]).unwrap();
        let source = FileSource::new(file).unwrap();
        assert_eq!(
            source.length(),
            UploadLength::Known(BUFFER_BYTES as u64 + 5)
        );
        assert_eq!(read(&source, 0).await.len(), BUFFER_BYTES);
        assert_eq!(read(&source, BUFFER_BYTES as u64).await.len(), 5);
        assert_eq!(read(&source, BUFFER_BYTES as u64 + 5).await.len(), 0);
    }

    #[test]
    fn a_file_that_is_written_to_is_noticed() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"first").unwrap();
        let source = FileSource::new(file.try_clone().unwrap()).unwrap();
        let resembles = || source.opened_as().compare(&source.look().unwrap());
        assert_eq!(resembles(), Resemblance::Same);
        file.set_permissions(std::fs::Permissions::from_mode(0o400))
            .unwrap();
        assert_eq!(resembles(), Resemblance::Moved);
        (&file).write_all(b" and more").unwrap();
        assert_eq!(resembles(), Resemblance::Changed);
    }

    #[test]
    fn a_directory_and_a_fifo_are_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        assert!(FileSource::open(dir.path()).is_err());
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(CWD, &fifo, Mode::RWXU).unwrap();
        assert_eq!(
            FileSource::open(&fifo).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        for path in [dir.path(), &fifo, &dir.path().join("none")] {
            assert!(FileSource::open_at_once(path, true).is_none());
        }
    }

    #[test]
    fn a_link_is_followed_only_when_it_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a.mov"), dir.path().join("b.mov"));
        std::fs::write(&file, "footage").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(FileSource::open(&link).is_ok());
        assert!(FileSource::open_no_follow(&file).is_ok());
        let refused = FileSource::open_no_follow(&link).unwrap_err();
        assert_eq!(refused.to_string(), "it has become a symbolic link");
        assert!(FileSource::open_at_once(&link, false).is_none());
    }

    #[test]
    fn a_file_that_was_just_written_is_opened_at_once_where_the_system_can() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.mov");
        std::fs::write(&file, "footage").unwrap();
        // Linux before 5.12 cannot.
        let cached = ResolveFlags::CACHED;
        if rustix::fs::openat2(CWD, &file, OFlags::RDONLY, Mode::empty(), cached).is_ok() {
            let source = FileSource::open_at_once(&file, false).unwrap();
            assert_eq!(source.length(), UploadLength::Known(7));
        }
    }

    #[tokio::test]
    async fn bytes_in_memory_are_handed_out_without_copying() {
        let bytes = Bytes::from_static(b"footage");
        let source = BytesSource::new(bytes.clone());
        let tail = read(&source, 4).await;
        assert_eq!(tail.as_ptr(), bytes[4..].as_ptr());
        assert!(read(&source, 99).await.is_empty());
    }
}
