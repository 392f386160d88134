//! [`Blob`]: the bytes of one upload, wherever they are kept. Blocking.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::id;
use crate::writing::Writing;

/// Where the bytes of uploads go.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Blobs {
    /// Into memory; gone with the server. The default.
    #[default]
    Memory,
    /// Into files below this directory, which is made if need be (0700, files 0600). Bytes lie at
    /// `blobs/<media id>` for a video and at `blobs/<upload id>` for a generic upload, from the
    /// first byte on and never moved; the state lies beside as JSON. One server at a time.
    Dir(PathBuf),
    /// Nowhere: only length and SHA-256 are kept, so that a 10 GB test needs no disk. Partial
    /// uploads cannot be joined then, and `concatenation` is not offered.
    Digest,
}

/// The bytes of one upload. At any time it knows how many there are ([`len`](Self::len)).
#[derive(Debug)]
pub(crate) enum Blob {
    Memory(Vec<u8>),
    Digest {
        len: u64,
        state: Sha256,
    },
    /// Open only while something is written: a server with many uploads has few descriptors.
    File {
        path: PathBuf,
        len: u64,
        open: Option<Writing>,
    },
}

/// What [`Blob::roll_back`] needs to undo.
#[derive(Debug)]
pub(crate) struct Mark {
    len: u64,
    digest: Option<Sha256>,
}

impl Blob {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Digest { len, .. } | Self::File { len, .. } => *len,
        }
    }

    /// Whether writing costs so little that it is done on the spot.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// Whether only a digest is kept, which cannot forget.
    pub(crate) fn is_digest(&self) -> bool {
        matches!(self, Self::Digest { .. })
    }

    /// Forgets all but the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: u64) -> io::Result<()> {
        if self.is_digest() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.roll_back(Mark { len, digest: None })
    }

    pub(crate) fn mark(&self) -> Mark {
        let digest = match self {
            Self::Digest { state, .. } => Some(state.clone()),
            _ => None,
        };
        Mark {
            len: self.len(),
            digest,
        }
    }

    /// Removes everything after the mark.
    pub(crate) fn roll_back(&mut self, mark: Mark) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => bytes.truncate(usize::try_from(mark.len).unwrap_or(usize::MAX)),
            Self::Digest { len, state } => {
                *len = mark.len;
                if let Some(digest) = mark.digest {
                    *state = digest;
                }
            }
            Self::File { len, .. } => {
                *len = mark.len;
                let target = *len;
                self.file()?.cached.set_len(target)?;
                self.close();
            }
        }
        Ok(())
    }

    /// Appends. After an error nothing of it counts.
    pub(crate) fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                bytes.reserve(pieces.iter().map(Bytes::len).sum());
                pieces
                    .iter()
                    .for_each(|piece| bytes.extend_from_slice(piece));
            }
            Self::Digest { len, state } => {
                for piece in pieces {
                    state.update(piece);
                    *len += piece.len() as u64;
                }
            }
            Self::File { len, .. } => {
                let before = *len;
                let file = self.file()?;
                match file.append(before, pieces) {
                    Ok(()) => self.grow(pieces.iter().map(|piece| piece.len() as u64).sum()),
                    Err(error) => {
                        // A torn write would stay between what counts and what comes next.
                        let _ = file.cached.set_len(before);
                        self.close();
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes durable what was written. Without effect where nothing outlives the process.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if let Self::File {
            open: Some(file), ..
        } = self
        {
            file.cached.sync_data()?;
        }
        Ok(())
    }

    /// The file that is being written, to be synced by somebody else; `None` where nothing outlives the process.
    pub(crate) fn same_file(&self) -> io::Result<Option<File>> {
        match self {
            Self::File {
                open: Some(file), ..
            } => file.cached.try_clone().map(Some),
            _ => Ok(None),
        }
    }

    /// Gives the descriptor back until the next write.
    pub(crate) fn close(&mut self) {
        if let Self::File { open, .. } = self {
            *open = None;
        }
    }

    /// Appends all of `other`, which may be this kind of blob only.
    pub(crate) fn append_blob(&mut self, other: &Self) -> io::Result<()> {
        match (&mut *self, other) {
            (Self::Memory(bytes), Self::Memory(more)) => bytes.extend_from_slice(more),
            (Self::Digest { len: 0, .. }, Self::Digest { len, state }) => {
                *self = Self::Digest {
                    len: *len,
                    state: state.clone(),
                };
            }
            (Self::File { .. }, Self::File { path, len, .. }) => {
                let mut source = File::open(path)?.take(*len);
                // On Linux the kernel copies; nothing passes through here.
                let end = self.len();
                let copied = io::copy(&mut source, self.file()?.cached_at(end)?)?;
                self.grow(copied);
                if copied != *len {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        Ok(())
    }

    /// All bytes; `None` where only a digest is kept.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Memory(bytes) => Ok(Some(bytes.clone())),
            Self::Digest { .. } => Ok(None),
            Self::File { path, len, .. } => {
                let mut bytes = Vec::new();
                File::open(path)?.take(*len).read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
        }
    }

    /// Up to `wanted` bytes from `offset` on; none where only a digest is kept.
    pub(crate) fn piece(&self, offset: u64, wanted: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = wanted.min(left);
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let piece = bytes.get(start..).and_then(|rest| rest.get(..wanted));
                Ok(piece.unwrap_or_default().to_vec())
            }
            Self::Digest { .. } => Ok(Vec::new()),
            Self::File { path, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(offset))?;
                let mut piece = vec![0; wanted];
                file.read_exact(&mut piece)?;
                Ok(piece)
            }
        }
    }

    /// The SHA-256 of all bytes, in lower-case hexadecimal digits.
    pub(crate) fn sha256(&self) -> io::Result<String> {
        let state = match self {
            Self::Memory(bytes) => Sha256::new().chain_update(bytes),
            Self::Digest { state, .. } => state.clone(),
            Self::File { path, len, .. } => {
                let mut state = Sha256::new();
                let mut source = File::open(path)?.take(*len);
                let mut buffer = vec![0; 256 * 1024];
                loop {
                    match source.read(&mut buffer)? {
                        0 => break state,
                        read => state.update(&buffer[..read]),
                    }
                }
            }
        };
        Ok(id::hex(&state.finalize()))
    }

    fn grow(&mut self, by: u64) {
        if let Self::File { len, .. } = self {
            *len += by;
        }
    }

    /// The open file.
    fn file(&mut self) -> io::Result<&mut Writing> {
        let Self::File { path, open, .. } = self else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        if open.is_none() {
            *open = Some(Writing::open(path)?);
        }
        open.as_mut().ok_or_else(|| io::ErrorKind::Other.into())
    }
}
