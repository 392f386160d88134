//! [`UploadHandle`]: an upload that is under way.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::UploadError;
use crate::event::UploadId;
use crate::uploader::Report;

/// An upload that is under way, or waits for its turn.
///
/// # Cancellation
///
/// | | the request under way | the upload on the server | the record | the lease |
/// |---|---|---|---|---|
/// | [`cancel`](Self::cancel) | dropped at the next await, its connection closed | kept | kept | freed |
/// | dropping the handle | the same | kept | kept | freed |
///
/// Either way the same upload, started again, goes on where the server stands. Confirmed offsets that were not written yet
/// are written within the commit interval; [`Uploader::flush`](crate::Uploader::flush) waits for that.
#[derive(Debug)]
pub struct UploadHandle {
    id: UploadId,
    cancel: CancellationToken,
    task: JoinHandle<Result<Report, UploadError>>,
}

impl UploadHandle {
    pub(crate) fn new(
        id: UploadId,
        cancel: CancellationToken,
        task: JoinHandle<Result<Report, UploadError>>,
    ) -> Self {
        Self { id, cancel, task }
    }

    /// Its name in events.
    #[must_use]
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// Stops it at the next await. [`join`](Self::join) then says [`UploadError::Cancelled`], unless it was over already.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for its end. Dropping this future cancels the upload.
    ///
    /// # Errors
    /// Why it did not finish.
    pub async fn join(mut self) -> Result<Report, UploadError> {
        (&mut self.task)
            .await
            .unwrap_or(Err(UploadError::TaskEnded))
    }
}

impl Drop for UploadHandle {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
