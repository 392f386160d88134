//! [`NewCopy`]: a video made of what a URL answers.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::op::edit::OutOfBounds;
use crate::op::new_video::NewVideo;
use crate::secret::SourceUrl;

/// What Stream is to fetch, and how the video is set. The source must be public, and answer HEAD and
/// ranges; its file stays below 30 GB.
///
/// <https://developers.cloudflare.com/stream/uploading-videos/upload-via-link/>
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewCopy {
    /// What to fetch. The older name `url` is read as well, and never written.
    #[serde(alias = "url")]
    pub input: SourceUrl,
    /// The settings of the new video.
    #[serde(flatten)]
    pub video: NewVideo,
}

impl NewCopy {
    /// A copy of what `input` answers.
    #[must_use]
    pub fn new(input: SourceUrl) -> Self {
        Self {
            input,
            video: NewVideo::default(),
        }
    }

    /// Checks the bounds that can be checked here.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self, now: SystemTime) -> Result<(), OutOfBounds> {
        self.video.check(now)
    }
}
