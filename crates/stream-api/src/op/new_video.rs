//! [`NewVideo`]: the settings that a video can be given when it is made.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bounds::SCHEDULED_DELETION;
use crate::lenient;
use crate::op::edit::{OutOfBounds, check_creator, check_hosts, check_thumbnail};

/// Settings that a copy, a clip or a direct upload gives its new video. The default sets nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct NewVideo {
    /// Hosts that may embed it, such as `example.com` or `*.example.com`, without scheme and path;
    /// empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    /// Whoever it belongs to, in the user's own terms; up to 64 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The user's own entries, the name among them.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
    /// Whether playback needs a signed token. Default: no.
    #[serde(rename = "requireSignedURLs", skip_serializing_if = "is_false")]
    pub require_signed_urls: bool,
    /// When it is to be deleted: 30 to 1,096 days after its upload.
    #[serde(
        serialize_with = "lenient::time::serialize",
        deserialize_with = "lenient::time::strict",
        skip_serializing_if = "Option::is_none"
    )]
    pub scheduled_deletion: Option<SystemTime>,
    /// Where the thumbnail is taken, 0 to 1. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_timestamp_pct: Option<f64>,
    /// The watermark profile to burn in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark: Option<WatermarkUid>,
}

/// Which watermark profile is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatermarkUid {
    /// The profile's id.
    pub uid: String,
}

impl NewVideo {
    /// Sets `meta.name`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.meta.insert("name".into(), Value::String(name.into()));
        self
    }

    /// Sets [`watermark`](Self::watermark).
    #[must_use]
    pub fn with_watermark(mut self, uid: impl Into<String>) -> Self {
        self.watermark = Some(WatermarkUid { uid: uid.into() });
        self
    }

    /// Checks the bounds that can be checked here. `now` is the time of the request; a day is
    /// allowed for clocks that differ.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self, now: SystemTime) -> Result<(), OutOfBounds> {
        check_creator(self.creator.as_deref())?;
        check_thumbnail(self.thumbnail_timestamp_pct)?;
        check_hosts(&self.allowed_origins)?;
        if let Some(watermark) = &self.watermark
            && watermark.uid.is_empty()
        {
            return Err(OutOfBounds("watermark must name a profile's id"));
        }
        let Some(deletion) = self.scheduled_deletion else {
            return Ok(());
        };
        const DAY: Duration = Duration::from_secs(86_400);
        let ahead = deletion.duration_since(now).unwrap_or_default();
        let (least, most) = (*SCHEDULED_DELETION.start(), *SCHEDULED_DELETION.end());
        if ahead + DAY < least || ahead > most + DAY {
            return Err(OutOfBounds(
                "scheduledDeletion must be 30 to 1,096 days after the upload",
            ));
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_set_is_named() {
        assert_eq!(
            serde_json::to_value(NewVideo::default()).unwrap(),
            json!({})
        );
        let mut video = NewVideo::default().with_name("a").with_watermark("w");
        video.require_signed_urls = true;
        let wanted = json!({"meta": {"name": "a"}, "requireSignedURLs": true,
            "watermark": {"uid": "w"}});
        assert_eq!(serde_json::to_value(&video).unwrap(), wanted);
    }

    #[test]
    fn a_deletion_outside_of_its_bounds_is_refused_before_it_is_asked_for() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let days = |days: u64| now + Duration::from_secs(days * 86_400);
        for (at, fine) in [
            (days(30), true),
            (days(1096), true),
            (days(20), false),
            (days(1100), false),
            (now, false),
        ] {
            let video = NewVideo {
                scheduled_deletion: Some(at),
                ..NewVideo::default()
            };
            assert_eq!(video.check(now).is_ok(), fine);
        }
    }
}
