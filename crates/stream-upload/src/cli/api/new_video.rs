//! The settings of a video that is made by a clip or somebody else's upload, as the API takes them.

use std::time::SystemTime;

use jiff::Timestamp;
use stream_api::op::new_video::{NewVideo, WatermarkUid};
use stream_ingest::Deletion;

use super::input;
use crate::cli::args::{NewVideoArgs, deletion};
use crate::cli::exit::CliError;

impl NewVideoArgs {
    pub(super) fn video(self) -> Result<NewVideo, CliError> {
        let mut video = NewVideo::default();
        video.meta = input::meta(self.name, self.meta);
        video.creator = self.creator;
        video.require_signed_urls = self.require_signed_urls;
        video.allowed_origins = self.allowed_origins;
        video.thumbnail_timestamp_pct = self.thumbnail_pct;
        video.watermark = self.watermark.map(|uid| WatermarkUid { uid });
        video.scheduled_deletion = self
            .scheduled_deletion
            .as_deref()
            .map(deletion_time)
            .transpose()?;
        Ok(video)
    }
}

/// A time, or so long after now.
pub(super) fn deletion_time(text: &str) -> Result<SystemTime, CliError> {
    match deletion(text)? {
        Deletion::At(at) => Ok(input::time(at)),
        Deletion::After(after) => Timestamp::now()
            .checked_add(after)
            .map(input::time)
            .map_err(|error| CliError::usage(format!("--scheduled-deletion {text}: {error}"))),
        _ => Err(CliError::usage(format!(
            "--scheduled-deletion {text} is not understood here"
        ))),
    }
}
