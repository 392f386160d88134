//! [`VideoEdit`]: which settings of a video are to change.

use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::bounds::{CREATOR_CHARACTERS, MAX_DURATION_SECONDS, THUMBNAIL_TIMESTAMP_PCT};
use crate::error::Error;
use crate::lenient::{self, to_text};
use crate::op::videos::PublicDetails;

/// New settings of a video. What is `None` stays as it is; the default changes nothing.
///
/// <https://developers.cloudflare.com/api/resources/stream/methods/edit/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct VideoEdit {
    /// Hosts that may embed it, such as `example.com` or `*.example.com`, without scheme and path;
    /// an empty list for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    /// Whoever it belongs to, in the user's own terms; up to 64 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The longest duration that it may have: 1 to 36,000 seconds, or -1 for unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_seconds: Option<i64>,
    /// The user's own entries, the name among them. They replace all that were there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Map<String, Value>>,
    /// What the page that plays it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_details: Option<PublicDetails>,
    /// Whether playback needs a signed token.
    #[serde(rename = "requireSignedURLs", skip_serializing_if = "Option::is_none")]
    pub require_signed_urls: Option<bool>,
    /// When it is to be deleted: 30 to 1,096 days after its upload, which the service checks.
    #[serde(
        deserialize_with = "even_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub scheduled_deletion: Option<ScheduledDeletion>,
    /// Where the thumbnail is taken, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_timestamp_pct: Option<f64>,
    /// The id once more, for whoever wants it checked against the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Until when it can be uploaded.
    #[serde(
        serialize_with = "lenient::time::serialize",
        deserialize_with = "lenient::time::strict",
        skip_serializing_if = "Option::is_none"
    )]
    pub upload_expiry: Option<SystemTime>,
}

/// When a video is to be deleted. Exhaustive: there is no third wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]

pub enum ScheduledDeletion {
    /// Then.
    At(SystemTime),
    /// Not any more.
    Never,
}

impl VideoEdit {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the bounds that can be checked without the video.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        check_creator(self.creator.as_deref())?;
        let longest = self.max_duration_seconds;
        if longest.is_some_and(|it| it != -1 && !MAX_DURATION_SECONDS.contains(&it)) {
            return Err(OutOfBounds(
                "maxDurationSeconds must be 1 to 36000, or -1 for unknown",
            ));
        }
        check_thumbnail(self.thumbnail_timestamp_pct)?;
        check_hosts(self.allowed_origins.as_deref().unwrap_or_default())
    }
}

pub(crate) fn check_creator(creator: Option<&str>) -> Result<(), OutOfBounds> {
    if creator.unwrap_or("").chars().count() > CREATOR_CHARACTERS {
        return Err(OutOfBounds("creator must have at most 64 characters"));
    }
    Ok(())
}

pub(crate) fn check_thumbnail(at: Option<f64>) -> Result<(), OutOfBounds> {
    if at.is_some_and(|at| !THUMBNAIL_TIMESTAMP_PCT.contains(&at)) {
        return Err(OutOfBounds("thumbnailTimestampPct must be 0.0 to 1.0"));
    }
    Ok(())
}

pub(crate) fn check_hosts(hosts: &[String]) -> Result<(), OutOfBounds> {
    let is_host = |host: &String| {
        !host.is_empty() && !host.contains(|it: char| it == '/' || it.is_whitespace())
    };
    if !hosts.iter().all(is_host) {
        return Err(OutOfBounds(
            "allowedOrigins must be hosts without scheme and path",
        ));
    }
    Ok(())
}

/// A field that is out of its bounds, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutOfBounds(pub(crate) &'static str);

impl From<OutOfBounds> for Error {
    fn from(out: OutOfBounds) -> Self {
        Self::Request(out.to_string())
    }
}

impl Serialize for ScheduledDeletion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(time) => to_text(*time).serialize(serializer),
            Self::Never => serializer.serialize_none(),
        }
    }
}

/// `null` is a wish of its own here: without a field nothing changes.
fn even_null<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ScheduledDeletion>, D::Error> {
    let time = lenient::time::strict(deserializer)?;
    Ok(Some(
        time.map_or(ScheduledDeletion::Never, ScheduledDeletion::At),
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn an_edit_names_only_what_is_to_change() {
        let mut edit = VideoEdit::default();
        assert!(edit.is_empty());
        assert_eq!(serde_json::to_value(&edit).unwrap(), json!({}));
        edit.require_signed_urls = Some(false);
        edit.allowed_origins = Some(Vec::new());
        edit.max_duration_seconds = Some(600);
        edit.upload_expiry = Some(SystemTime::UNIX_EPOCH);
        let wanted = json!({"requireSignedURLs": false, "allowedOrigins": [],
            "maxDurationSeconds": 600, "uploadExpiry": "1970-01-01T00:00:00.000000Z"});
        assert_eq!(serde_json::to_value(&edit).unwrap(), wanted);
        assert_eq!(serde_json::from_value::<VideoEdit>(wanted).unwrap(), edit);
    }

    #[test]
    fn a_deletion_is_scheduled_called_off_or_left_alone() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        for (wish, text) in [
            (None, json!({})),
            (
                Some(ScheduledDeletion::Never),
                json!({"scheduledDeletion": null}),
            ),
            (
                Some(ScheduledDeletion::At(at)),
                json!({"scheduledDeletion": "1970-01-01T00:00:01.000000Z"}),
            ),
        ] {
            let edit = VideoEdit {
                scheduled_deletion: wish,
                ..VideoEdit::default()
            };
            assert_eq!(serde_json::to_value(&edit).unwrap(), text);
            assert_eq!(serde_json::from_value::<VideoEdit>(text).unwrap(), edit);
        }
    }

    #[test]
    fn values_out_of_bounds_are_refused_by_name() {
        for (field, value) in [
            ("creator", json!("x".repeat(65))),
            ("maxDurationSeconds", json!(0)),
            ("maxDurationSeconds", json!(36_001)),
            ("thumbnailTimestampPct", json!(1.01)),
            ("allowedOrigins", json!(["https://example.com"])),
        ] {
            let edit: VideoEdit = serde_json::from_value(json!({ field: value })).unwrap();
            let error = edit.check().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        let edit = json!({"maxDurationSeconds": -1, "creator": "x".repeat(64)});
        let edit: VideoEdit = serde_json::from_value(edit).unwrap();
        edit.check().unwrap();
    }

    #[test]
    fn a_value_of_another_type_is_no_edit() {
        for text in [
            json!({"meta": "a"}),
            json!({"uploadExpiry": "tomorrow"}),
            json!({"scheduledDeletion": 1}),
            json!({"requireSignedURLs": "true"}),
        ] {
            assert!(serde_json::from_value::<VideoEdit>(text).is_err());
        }
    }
}
