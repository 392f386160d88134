//! [`ReadAt`]: the seam to whatever holds the bytes.

use std::fs::File;
use std::io;

/// Positioned reads of something whose length is known. `&self`: nothing has a cursor.
pub trait ReadAt {
    /// Bytes in all.
    ///
    /// # Errors
    /// What asking for it came back with.
    fn size(&self) -> io::Result<u64>;

    /// Reads from `offset` into `buffer`, as much as is at hand; 0 at the end only.
    ///
    /// # Errors
    /// What reading came back with. [`io::ErrorKind::Interrupted`] is tried again by the caller.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.get(offset..))
            .unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buffer, offset)
    }
}
