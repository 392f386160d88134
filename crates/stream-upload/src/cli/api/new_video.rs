//! The settings of a video that is made by a copy, a clip or somebody else's upload.

use std::time::SystemTime;

use clap::Args as ClapArgs;
use jiff::Timestamp;
use stream_api::op::new_video::{NewVideo, WatermarkUid};
use stream_ingest::{Deletion, VideoSettings};

use super::input;
use crate::cli::args::key_value;
use crate::cli::exit::CliError;
use crate::cli::plan::deletion;

#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "The video")]
pub(crate) struct NewVideoArgs {
    /// Its name
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Further metadata
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(super) meta: Vec<(String, String)>,
    /// Who made it
    #[arg(long)]
    creator: Option<String>,
    /// Play it with signed URLs only
    #[arg(long)]
    require_signed_urls: bool,
    /// A host that may play it, such as example.com or *.example.com
    #[arg(long = "allowed-origin", value_name = "HOST")]
    allowed_origins: Vec<String>,
    /// Where its thumbnail is taken: 0 is its beginning, 1 its end
    #[arg(long, value_name = "0..1")]
    thumbnail_pct: Option<f64>,
    /// The watermark profile to burn in
    #[arg(long, value_name = "UID")]
    watermark: Option<String>,
    /// When it is deleted: a time such as 2027-01-31T00:00:00Z, or +90d after creation
    #[arg(long, value_name = "TIME")]
    scheduled_deletion: Option<String>,
}

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

    /// The same, as an upload has them.
    pub(super) fn settings(self) -> Result<VideoSettings, CliError> {
        let mut settings = VideoSettings::default();
        settings.name = self.name;
        settings.meta = self.meta;
        settings.creator = self.creator;
        settings.require_signed_urls = self.require_signed_urls;
        settings.allowed_origins = self.allowed_origins;
        settings.thumbnail_pct = self.thumbnail_pct;
        settings.watermark = self.watermark;
        settings.scheduled_deletion = self
            .scheduled_deletion
            .as_deref()
            .map(deletion)
            .transpose()?;
        Ok(settings)
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
