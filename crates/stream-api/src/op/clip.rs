//! [`NewClip`]: a part of a video that becomes a video of its own.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::op::edit::OutOfBounds;
use crate::op::new_video::NewVideo;

/// Which part of which video becomes a new one. The new video does not inherit a scheduled deletion.
///
/// <https://developers.cloudflare.com/stream/edit-videos/video-clipping/>
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewClip {
    /// The video to clip from.
    #[serde(rename = "clippedFromVideoUID")]
    pub from: String,
    /// Where the clip begins: seconds from the video's begin.
    #[serde(rename = "startTimeSeconds")]
    pub start_seconds: u32,
    /// Where it ends: seconds from the video's begin, above the start.
    #[serde(rename = "endTimeSeconds")]
    pub end_seconds: u32,
    /// The settings of the new video.
    #[serde(flatten)]
    pub video: NewVideo,
}

impl NewClip {
    /// A clip of the video `from`, between two times in seconds.
    #[must_use]
    pub fn new(from: impl Into<String>, start_seconds: u32, end_seconds: u32) -> Self {
        Self {
            from: from.into(),
            start_seconds,
            end_seconds,
            video: NewVideo::default(),
        }
    }

    /// Checks the bounds that can be checked without the video.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self, now: SystemTime) -> Result<(), OutOfBounds> {
        if self.from.is_empty() {
            return Err(OutOfBounds("clippedFromVideoUID must name a video"));
        }
        if self.start_seconds >= self.end_seconds {
            return Err(OutOfBounds("endTimeSeconds must be above startTimeSeconds"));
        }
        self.video.check(now)
    }
}
