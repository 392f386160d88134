//! The settings of a video, in whatever way it is made.

use clap::Args as ClapArgs;
use jiff::SignedDuration;
use stream_ingest::{Deletion, VideoSettings};

use super::key_value;
use crate::cli::exit::CliError;

#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "The video")]
pub(crate) struct NewVideoArgs {
    /// Its name; what is uploaded or copied has its file's by default
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Further metadata
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) meta: Vec<(String, String)>,
    /// Who made it
    #[arg(long)]
    pub(crate) creator: Option<String>,
    /// Play it with signed URLs only
    #[arg(long)]
    pub(crate) require_signed_urls: bool,
    /// A host that may play it, such as example.com or *.example.com
    #[arg(long = "allowed-origin", value_name = "HOST")]
    pub(crate) allowed_origins: Vec<String>,
    /// Where its thumbnail is taken: 0 is its beginning, 1 its end
    #[arg(long, value_name = "0..1")]
    pub(crate) thumbnail_pct: Option<f64>,
    /// The watermark profile to burn in
    #[arg(long, value_name = "UID")]
    pub(crate) watermark: Option<String>,
    /// When it is deleted: a time such as 2027-01-31T00:00:00Z, or +90d after creation
    #[arg(long, value_name = "TIME")]
    pub(crate) scheduled_deletion: Option<String>,
}

impl NewVideoArgs {
    /// As an upload or a copy has them. What only an upload has is left as it is by default.
    pub(crate) fn settings(self) -> Result<VideoSettings, CliError> {
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

/// A time, or so long after creation.
pub(crate) fn deletion(text: &str) -> Result<Deletion, CliError> {
    let bad = || {
        CliError::usage(format!(
            "--scheduled-deletion {text}: a time such as 2027-01-31T00:00:00Z, or +90d, is wanted"
        ))
    };
    match text.strip_prefix('+') {
        Some(after) => {
            let after = humantime::parse_duration(after).map_err(|_| bad())?;
            SignedDuration::try_from(after)
                .map(Deletion::After)
                .map_err(|_| bad())
        }
        None => text.parse().map(Deletion::At).map_err(|_| bad()),
    }
}
