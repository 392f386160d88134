//! Why an upload did not finish.

use std::io;

use http_transport::TransportError;
use resume_store::StoreError;
use tus_core::client::Failure;

/// Why an upload did not finish. [`is_resumable`](Self::is_resumable) tells whether running it again helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// Another process, or another upload of this one, works on the same source for the same destination.
    #[error("{0}")]
    Busy(#[source] StoreError),
    /// It was cancelled; upload and record are kept.
    #[error("cancelled")]
    Cancelled,
    /// The protocol came to its end.
    #[error("{failure}{}", detail(.last_fault.as_ref()))]
    GaveUp {
        /// Why.
        failure: Failure,
        /// What the transport said last.
        last_fault: Option<TransportError>,
    },
    /// The source could not be read.
    #[error("cannot read the source: {0}")]
    Source(#[source] io::Error),
    /// The source changed while it was being sent: nothing was finished.
    #[error("the source changed while it was being sent")]
    SourceChanged,
    /// The resume state could not be read.
    #[error("{0}")]
    Store(#[source] StoreError),
    /// It was removed from the server, as asked.
    #[error("terminated")]
    Terminated,
    /// The task that ran the upload ended without a result.
    #[error("the upload's task ended without a result")]
    TaskEnded,
}

fn detail(fault: Option<&TransportError>) -> String {
    fault.map(|fault| format!(": {fault}")).unwrap_or_default()
}

impl UploadError {
    /// Whether the same upload, run again later, can go on where it stands.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        match self {
            Self::Busy(_)
            | Self::Cancelled
            | Self::Source(_)
            | Self::Store(_)
            | Self::TaskEnded => true,
            Self::GaveUp { failure, .. } => failure.is_resumable(),
            Self::SourceChanged | Self::Terminated => false,
        }
    }
}
