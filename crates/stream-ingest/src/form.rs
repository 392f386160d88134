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
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use http_transport::{Body, BoxError, BoxFuture, Certainty, Transport};
use stream_api::bounds::FORM_FILE_BYTES;
use stream_api::{FormFile, Secret, StreamClient, UploadUrl, VideoState};
use tus_engine::{BUFFER_BYTES, BufferPool, FileSource, Source};

/// Requests that never reached the server, at most, before it is given up.
const ATTEMPTS: u32 = 4;

/// Looks at the account after a doubt, and the time before each.
const LOOKS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

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
}

impl FormUpload {
    /// The file at `path`, to `url`.
    #[must_use]
    pub fn new(url: Secret, path: impl Into<PathBuf>) -> Self {
        Self {
            url,
            media_id: None,
            path: path.into(),
        }
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
    /// It broke, and the account says that nothing arrived. The URL may be used up.
    #[error("the file did not arrive ({0}): ask for another one-time URL")]
    NotArrived(#[source] stream_api::Error),
    /// The URL is used up, has expired, or the file is not what it was made for.
    #[error("the one-time URL refused the file: {0}")]
    Refused(#[source] stream_api::Error),
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
}

/// Uploads a file. `account` is asked after a doubt, if it is there and the video's id is known. `progress` hears of the bytes
/// that were handed to the connection; when a request is begun anew it begins at zero.
///
/// # Cancellation
///
/// Dropping the future breaks the form off; it cannot be gone on with.
///
/// # Errors
/// [`FormError`].
pub async fn upload_form(
    transport: Arc<dyn Transport>,
    upload: &FormUpload,
    account: Option<&StreamClient>,
    progress: impl FnMut(u64) + Send + Clone + 'static,
) -> Result<(), FormError> {
    let url = UploadUrl::new(transport, &upload.url).map_err(FormError::Refused)?;
    let mut pause = Duration::from_secs(1);
    let mut attempt = 1;
    loop {
        let file = file(&upload.path).await?.with_progress(progress.clone());
        let Err(error) = url.upload_form(file).await else {
            return Ok(());
        };
        match &error {
            stream_api::Error::Transport(fault) => match fault.certainty() {
                Certainty::NotSent if attempt < ATTEMPTS => {}
                Certainty::NotSent => return Err(FormError::Unreachable(error)),
                Certainty::MaybeSent | Certainty::Permanent => {
                    return settle(upload, account, error).await;
                }
            },
            stream_api::Error::Api { status, .. }
                if status.is_server_error() || *status == StatusCode::REQUEST_TIMEOUT =>
            {
                return settle(upload, account, error).await;
            }
            _ => return Err(FormError::Refused(error)),
        }
        tracing::debug!(%error, "the one-time URL was not reached");
        tokio::time::sleep(pause).await;
        pause *= 2;
        attempt += 1;
    }
}

/// Asks the account what became of a form that broke.
async fn settle(
    upload: &FormUpload,
    account: Option<&StreamClient>,
    error: stream_api::Error,
) -> Result<(), FormError> {
    let (Some(account), Some(uid)) = (account, &upload.media_id) else {
        return Err(FormError::Doubt(error));
    };
    let mut told = false;
    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        match account.video(uid).await {
            Ok(video) if video.state() == VideoState::PendingUpload => told = true,
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => told = true,
            Err(error) => {
                tracing::debug!(%error, "the account does not say whether a form arrived");
            }
        }
    }
    Err(if told {
        FormError::NotArrived(error)
    } else {
        FormError::Doubt(error)
    })
}

/// The file as a form takes it.
async fn file(path: &Path) -> Result<FormFile, FormError> {
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
