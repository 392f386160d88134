//! [`UploadHandle`]: an upload that is under way.

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::control::Wish;
use crate::error::UploadError;
use crate::event::UploadId;
use crate::new_upload::Report;

/// An upload that is under way, or waits for its turn.
///
/// # Cancellation
///
/// What each way to stop leaves behind:
///
/// | | the request under way | the upload on the server | the record | the lease | its turn |
/// |---|---|---|---|---|---|
/// | [`pause`](Self::pause) | dropped, its connection closed | kept | kept | kept | given back |
/// | [`cancel`](Self::cancel) | dropped, its connection closed | kept | kept | freed | given back |
/// | dropping the handle, or the future of [`join`](Self::join) | dropped, its connection closed | kept | kept | freed | given back |
/// | [`terminate`](Self::terminate) | dropped, its connection closed | **removed** | **removed** | freed | given back |
///
/// After a pause, [`unpause`](Self::unpause) asks the server where it stands and goes on. After a cancel or a drop the same
/// upload, started again, does that, in this process or another. Confirmed offsets that were not written yet are written
/// within the commit interval; [`Uploader::flush`](crate::Uploader::flush) waits for that.
///
/// A creation under way is seen through by a pause and a termination: dropped, it would leave a doubt whether there is an
/// upload. Cancelling and dropping do not wait for it; the doubt is in the record, and settled by the next run.
///
/// Bytes that the kernel had taken when a request was dropped may still arrive; the server counts them, and is asked.
#[derive(Debug)]
pub struct UploadHandle {
    id: UploadId,
    cancel: CancellationToken,
    wish: watch::Sender<Wish>,
    landed: CancellationToken,
    task: JoinHandle<Result<Report, UploadError>>,
}

/// How an upload ended that was to be terminated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Termination {
    /// It had finished before, and stays.
    CameTooLate(Report),
    /// It is gone.
    Terminated,
}

impl UploadHandle {
    pub(crate) fn new(
        id: UploadId,
        cancel: CancellationToken,
        wish: watch::Sender<Wish>,
        landed: CancellationToken,
        task: JoinHandle<Result<Report, UploadError>>,
    ) -> Self {
        Self {
            id,
            cancel,
            wish,
            landed,
            task,
        }
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

    /// Stops it until [`unpause`](Self::unpause). Its patience does not run meanwhile; the server's expiry does.
    pub fn pause(&self) {
        self.want(Wish::Pause);
    }

    /// Lets a paused upload go on.
    pub fn unpause(&self) {
        self.want(Wish::Run);
    }

    /// Stops it, and removes it from the server and from the store (TM-02).
    ///
    /// # Errors
    /// Why it could not be removed, such as a server without the extension. It is then stopped all the same, and kept.
    pub async fn terminate(self) -> Result<Termination, UploadError> {
        self.want(Wish::Terminate);
        match self.join().await {
            Ok(report) => Ok(Termination::CameTooLate(report)),
            Err(UploadError::Terminated) => Ok(Termination::Terminated),
            Err(error) => Err(error),
        }
    }

    /// A wish that is in force already must not interrupt the request under way.
    fn want(&self, wish: Wish) {
        self.wish
            .send_if_modified(|old| std::mem::replace(old, wish) != wish);
    }

    /// Waits until the server has all of it and its turn is another's, while its end is still being written down; for ever if it
    /// does not come to that. Whoever feeds many files need not wait longer before the next one.
    pub fn landed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.landed.clone().cancelled_owned()
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
