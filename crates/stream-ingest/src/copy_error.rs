//! [`CopyError`]: why a video was not made of a URL.

use http::StatusCode;
use resume_store::StoreError;

use crate::apply::ApplyError;
use crate::job::JobError;
use crate::preflight::SourceError;
use crate::settings::SettingsError;

/// Why a copy was not made, or is not ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// It was made, and its changed settings are not in force.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The run was ended. Running it again goes on where it stands.
    #[error("the copy was interrupted; run it again to go on")]
    Cancelled,
    /// The API was not reached, so nothing was made.
    #[error("the copy was not asked for: {0}")]
    NotAsked(#[source] stream_api::Error),
    /// It was made, and is not ready.
    #[error(transparent)]
    NotReady(#[from] JobError),
    /// Stream refused.
    #[error("the copy was refused: {0}")]
    Refused(#[source] stream_api::Error),
    /// The settings cannot be sent.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Stream could not fetch it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What was done cannot be kept, so nothing is begun; or another process does it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known whether Stream has taken it. The next run asks again, before anything is sent.
    #[error("it is not known yet whether the copy was made: {0}; run it again to ask")]
    Unknown(#[source] stream_api::Error),
}

impl CopyError {
    /// Whether running the job again can help as it is.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        match self {
            Self::Cancelled
            | Self::Unknown(_)
            | Self::NotAsked(_)
            | Self::Apply(_)
            | Self::Store(_) => true,
            Self::NotReady(error) => error.is_resumable(),
            Self::Source(error) => matches!(error, SourceError::Fault { .. }),
            Self::Refused(error) => error.status() == Some(StatusCode::TOO_MANY_REQUESTS),
            Self::Settings(_) => false,
        }
    }

    /// Whether credentials were refused, so that every other job would be refused too.
    #[must_use]
    pub fn is_about_credentials(&self) -> bool {
        let refused = match self {
            Self::Refused(error) | Self::Unknown(error) => error.status(),
            _ => None,
        };
        matches!(
            refused,
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        )
    }
}
