//! [`upload_form`]: a file below 200 MB, in a form, to a URL that works once.
//!
//! A form has no memory: when it breaks in the middle, nobody can tell from here whether it arrived. So it is never sent again
//! on a guess. Where a token is there the account is asked; else the doubt is told.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_transport::{Body, BoxError, BoxFuture, Transport};
use resume_store::StoreError;
use stream_api::bounds::FORM_FILE_BYTES;
use stream_api::{FormFile, Secret, StreamClient};
use tus_engine::{BUFFER_BYTES, BufferPool, FileSource, Source};

use crate::form_sender::FormSender;
use crate::job::Job;

/// A one-time URL and the file that goes there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FormUpload {
    /// The URL. Whoever has it may upload.
    pub url: Secret,
    /// The id of the video that it was made for, if it was told along with it.
    pub media_id: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// What it is known as. Default: its canonical path.
    pub key: Option<String>,
}

impl FormUpload {
    /// The file at `path`, to `url`.
    #[must_use]
    pub fn new(url: Secret, path: impl Into<PathBuf>) -> Self {
        Self {
            url,
            media_id: None,
            path: path.into(),
            key: None,
        }
    }

    /// Sets [`key`](Self::key).
    #[must_use]
    pub fn with_key(self, key: Option<String>) -> Self {
        Self { key, ..self }
    }

    /// What the file is known as in the store.
    #[must_use]
    pub fn source_key(&self) -> String {
        Job::new(&self.path).with_key(self.key.clone()).source_key()
    }

    /// Sets [`media_id`](Self::media_id).
    #[must_use]
    pub fn with_media_id(self, media_id: Option<String>) -> Self {
        Self { media_id, ..self }
    }
}

/// Why a form did not arrive, or may not have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// It broke, and nobody here can tell whether it arrived.
    #[error(
        "the connection broke, and it is not known whether the file arrived: look for the video before it is sent again ({0})"
    )]
    Doubt(#[source] stream_api::Error),
    /// The file cannot be opened or read.
    #[error("{0}")]
    File(#[source] io::Error),
    /// An earlier run sent a form to this URL and did not learn how that ended, because it was killed or the connection
    /// broke. Nothing was sent now.
    #[error(
        "an earlier run sent {sent} to this one-time URL and did not learn whether it arrived: look for the video before it is sent again"
    )]
    InDoubt {
        /// What it sent.
        sent: String,
    },
    /// It broke, and the account says that nothing arrived. The URL may be used up. Without an error when it was an earlier
    /// run that broke.
    #[error("the file did not arrive{}: ask for another one-time URL", .0.as_ref().map(|error| format!(" ({error})")).unwrap_or_default())]
    NotArrived(#[source] Option<stream_api::Error>),
    /// The URL is used up, has expired, or the file is not what it was made for.
    #[error("the one-time URL refused the file: {0}")]
    Refused(#[source] stream_api::Error),
    /// What was done cannot be kept, so nothing is begun; or another process uses the URL.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is too large for a form.
    #[error(
        "the file has {bytes} bytes, and a form takes less than {FORM_FILE_BYTES}: ask for a one-time URL for tus"
    )]
    TooLarge {
        /// The file's size.
        bytes: u64,
    },
    /// The server was not reached.
    #[error("the file was not sent: {0}")]
    Unreachable(#[source] stream_api::Error),
    /// An earlier run used the URL for another file, or for this one before it was changed.
    #[error("this one-time URL was used already, for {sent}: ask for another one")]
    UsedUp {
        /// What was sent.
        sent: String,
    },
}

/// Uploads a file, and remembers nothing: see [`FormSender`], which this is without a store.
///
/// # Errors
/// [`FormError`].
pub async fn upload_form(
    transport: Arc<dyn Transport>,
    upload: &FormUpload,
    account: Option<&StreamClient>,
    progress: impl FnMut(u64) + Send + Clone + 'static,
) -> Result<(), FormError> {
    let sender = FormSender::new(transport).with_account(account.cloned());
    sender.send(upload, progress).await.map(drop)
}

/// The file as a form takes it.
pub(crate) async fn file(path: &Path) -> Result<FormFile, FormError> {
    let at = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || FileSource::open(&at)).await;
    let source = opened
        .map_err(io::Error::other)
        .and_then(|opened| opened)
        .map_err(FormError::File)?;
    let bytes = source.length().known().unwrap_or(0);
    if bytes >= FORM_FILE_BYTES {
        return Err(FormError::TooLarge { bytes });
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok(FormFile::new(
        name.to_string_lossy(),
        source_body(Arc::new(source)),
    ))
}

/// A source of known length as a body, two buffers at a time.
#[must_use]
pub fn source_body(source: Arc<dyn Source>) -> Body {
    let length = source.length().known().unwrap_or(0);
    Body::wrap(SourceBody {
        source,
        pool: BufferPool::new(2 * BUFFER_BYTES),
        offset: 0,
        length,
        reading: None,
    })
}

struct SourceBody {
    source: Arc<dyn Source>,
    pool: Arc<BufferPool>,
    offset: u64,
    length: u64,
    reading: Option<BoxFuture<'static, io::Result<Bytes>>>,
}

impl http_body::Body for SourceBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.offset >= this.length {
            return Poll::Ready(None);
        }
        let offset = this.offset;
        let reading = this.reading.get_or_insert_with(|| {
            let (source, pool) = (Arc::clone(&this.source), Arc::clone(&this.pool));
            Box::pin(async move { source.read_at(offset, pool.take().await).await })
        });
        let read = ready!(reading.as_mut().poll(context));
        this.reading = None;
        Poll::Ready(match read {
            // Shorter than it was: the form notices.
            Ok(bytes) if bytes.is_empty() => None,
            Ok(bytes) => {
                this.offset += bytes.len() as u64;
                Some(Ok(Frame::data(bytes)))
            }
            Err(error) => Some(Err(error.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.offset >= self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.offset)
    }
}

impl fmt::Debug for SourceBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceBody")
            .field("offset", &self.offset)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
