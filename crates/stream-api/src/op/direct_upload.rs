//! [`NewDirectUpload`]: a URL by which somebody without a token uploads one video, once.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::bounds::MAX_DURATION_SECONDS;
use crate::lenient::{self, Unknown};
use crate::op::edit::OutOfBounds;
use crate::op::new_video::NewVideo;
use crate::op::watermarks::Watermark;
use crate::secret::Secret;

/// What the one-time URL allows, and how its video is set.
///
/// <https://developers.cloudflare.com/stream/uploading-videos/direct-creator-uploads/>
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NewDirectUpload {
    /// The longest duration that the video may have, 1 to 36,000 seconds. It is taken off the
    /// account's storage until the upload ends or expires.
    pub max_duration_seconds: u32,
    /// Until when the URL works. Default: for 30 minutes.
    #[serde(
        default,
        serialize_with = "lenient::time::serialize",
        deserialize_with = "lenient::time::strict",
        skip_serializing_if = "Option::is_none"
    )]
    pub expiry: Option<SystemTime>,
    /// The settings of the new video.
    #[serde(flatten)]
    pub video: NewVideo,
}

impl NewDirectUpload {
    /// A URL for a video of at most so many seconds.
    #[must_use]
    pub fn new(max_duration_seconds: u32) -> Self {
        Self {
            max_duration_seconds,
            expiry: None,
            video: NewVideo::default(),
        }
    }

    /// Checks the bounds that can be checked here.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self, now: SystemTime) -> Result<(), OutOfBounds> {
        if !MAX_DURATION_SECONDS.contains(&i64::from(self.max_duration_seconds)) {
            return Err(OutOfBounds("maxDurationSeconds must be 1 to 36000"));
        }
        if self.expiry.is_some_and(|expiry| expiry <= now) {
            return Err(OutOfBounds("expiry must be in the future"));
        }
        self.video.check(now)
    }
}

/// A one-time URL.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct DirectUpload {
    /// The id of the video to come.
    #[serde(deserialize_with = "lenient::text")]
    pub uid: String,
    /// Where to upload: whoever has it may.
    #[serde(
        rename = "uploadURL",
        with = "lenient::any",
        skip_serializing_if = "Option::is_none"
    )]
    pub upload_url: Option<Secret>,
    /// When the video will be deleted, if it will.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub scheduled_deletion: Option<SystemTime>,
    /// The watermark profile.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}
