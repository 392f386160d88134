//! [`Hypotheses`]: what is not public of Stream, one switch each.

use std::time::Duration;

use http::StatusCode;

/// How Stream behaves where its documentation says nothing. The defaults are what most speaks for, or
/// what is hardest on a client; a client that is to be relied on has to work with any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hypotheses {
    /// What the chunk rule wants of a chunk that begins at an odd place. Default
    /// [`Alignment::Length`].
    pub alignment: Alignment,
    /// The answer to HEAD and PATCH of a complete upload that was created with a token. Default 200:
    /// the offset is told, as tus has it. Else 403 or 404, for instance.
    pub completed_status: StatusCode,
    /// Whether the bytes of a broken PATCH are thrown away instead of kept (tus G-17), on generic
    /// uploads as well. Default false: kept.
    pub drop_partial_chunks: bool,
    /// The answer to HEAD and PATCH at a one-time URL whose time is over. Default 403; 200 for a URL
    /// that goes on working.
    pub expired_one_time_status: StatusCode,
    /// The answer to HEAD and PATCH of an upload that was created with a token and whose time is
    /// over. Default 410; 200 for one that goes on working.
    pub expired_status: StatusCode,
    /// What becomes of a video whose upload expired. Default: deleted after an hour.
    pub expired_video: ExpiredVideo,
    /// A new video appears in listings only after so long; it can be read by its id at once. Default
    /// zero.
    pub listing_lag: Duration,
    /// How long the recording of a live input waits for its broadcaster to come back before it becomes an ordinary
    /// video, where the input has no `timeoutSeconds`. Default zero: it does not wait.
    pub recording_timeout: Duration,
    /// Whether answers about unfinished uploads say `Upload-Expires`. Default false.
    pub tells_expiry: bool,
    /// Whether requests to upload URLs count against [`Limits::request_rate`](crate::Limits) and its `burst`.
    /// Default false.
    pub uploads_are_rated: bool,
    /// The answer to HEAD and PATCH at a one-time URL whose upload is complete. Default 403; 200 for
    /// a URL that goes on telling the offset.
    pub used_one_time_status: StatusCode,
    /// How long after a webhook was not reached it is told again. Each further time it is twice as long. Default
    /// one minute.
    pub webhook_first_retry: Duration,
    /// How often a webhook is told again that was not reached. Default 5.
    pub webhook_retries: u32,
}

impl Default for Hypotheses {
    fn default() -> Self {
        Self {
            alignment: Alignment::Length,
            completed_status: StatusCode::OK,
            drop_partial_chunks: false,
            expired_one_time_status: StatusCode::FORBIDDEN,
            expired_status: StatusCode::GONE,
            expired_video: ExpiredVideo::DeletedAfter(Duration::from_secs(60 * 60)),
            listing_lag: Duration::ZERO,
            recording_timeout: Duration::ZERO,
            tells_expiry: false,
            uploads_are_rated: false,
            used_one_time_status: StatusCode::FORBIDDEN,
            webhook_first_retry: Duration::from_secs(60),
            webhook_retries: 5,
        }
    }
}

/// What has to be a multiple of 256 KiB. An upload gets to an odd offset when the bytes of a broken
/// PATCH are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alignment {
    /// The place where a chunk ends, unless it is the last one; so at an even start the length, too.
    End,
    /// The length of a chunk, unless it is the last one, wherever it begins.
    #[default]
    Length,
    /// The length, unless it is the last one, and the place where a chunk begins, even of the last
    /// one: from an odd offset there is no way on.
    Start,
}

/// What becomes of a video whose upload expired. It is never anything else than `pendingupload` before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpiredVideo {
    /// It is deleted, so long after its upload expired. Its upload URL goes on saying that it expired.
    DeletedAfter(Duration),
    /// It stays, and stays `pendingupload`.
    Stays,
}
