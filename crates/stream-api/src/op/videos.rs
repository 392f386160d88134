//! Videos: what the API says of one.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::lenient;
use crate::op::watermarks::Watermark;

/// A video. Every field may be absent from an answer; what is not known here is kept in
/// [`other`](Self::other).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Video {
    /// Its id, opaque.
    #[serde(deserialize_with = "lenient::text")]
    pub uid: String,
    /// Where it is in its life.
    #[serde(
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub status: Option<VideoStatus>,
    /// Whether one quality can be played. The best one can at `ready` with 100 %.
    #[serde(
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ready_to_stream: Option<bool>,
    /// Since when.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub ready_to_stream_at: Option<SystemTime>,
    /// The user's own entries, the name among them.
    #[serde(
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub meta: Option<Map<String, Value>>,
    /// Whoever it belongs to, in the user's own terms; up to 64 characters.
    #[serde(
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub creator: Option<String>,
    /// When it was created.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub created: Option<SystemTime>,
    /// When it was changed last.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub modified: Option<SystemTime>,
    /// When its upload was completed.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<SystemTime>,
    /// Until when it can be uploaded.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub upload_expiry: Option<SystemTime>,
    /// When it will be deleted, if it will.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub scheduled_deletion: Option<SystemTime>,
    /// Bytes.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub size: Option<f64>,
    /// Seconds; -1 while unknown. See [`Video::duration`].
    #[serde(
        rename = "duration",
        with = "lenient::number",
        skip_serializing_if = "Option::is_none"
    )]
    pub duration_seconds: Option<f64>,
    /// Size of the picture.
    #[serde(
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub input: Option<VideoInput>,
    /// The longest duration that it may have, which is reserved until it is uploaded; seconds, or
    /// -1, 0 or nothing for none.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub max_duration_seconds: Option<f64>,
    /// Whether playback needs a signed token.
    #[serde(
        rename = "requireSignedURLs",
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub require_signed_urls: Option<bool>,
    /// Hosts that may embed it; empty for all.
    #[serde(deserialize_with = "lenient::list")]
    pub allowed_origins: Vec<String>,
    /// Where the thumbnail is taken, 0 to 1.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub thumbnail_timestamp_pct: Option<f64>,
    /// The thumbnail.
    #[serde(
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub thumbnail: Option<String>,
    /// A page that plays it.
    #[serde(
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub preview: Option<String>,
    /// What the page that plays it shows.
    #[serde(
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub public_details: Option<PublicDetails>,
    /// Where the manifests are.
    #[serde(
        deserialize_with = "lenient::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub playback: Option<Playback>,
    /// The watermark profile.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
    /// The video that it was clipped from.
    #[serde(
        alias = "clippedFromVideoUID",
        with = "lenient::any",
        skip_serializing_if = "Option::is_none"
    )]
    pub clipped_from: Option<String>,
    /// The live input that it was recorded from.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub live_input: Option<String>,
    /// The most bytes that it may have; 0 or nothing for no such bound.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub max_size_bytes: Option<f64>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Video {
    /// `meta.name`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.meta.as_ref()?.get("name")?.as_str()
    }

    /// The state; [`VideoState::Unknown`] with an empty name when the answer had none.
    #[must_use]
    pub fn state(&self) -> VideoState {
        self.status
            .as_ref()
            .map_or_else(Default::default, |status| status.state.clone())
    }

    /// The duration, once it is known.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.duration_seconds?).ok()
    }
}

/// Where a video is in its life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StatusOnTheWire", rename_all = "camelCase")]
#[non_exhaustive]
pub struct VideoStatus {
    /// The state.
    pub state: VideoState,
    /// `encoding` or `manifest`, while in progress or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Encoded so far, 0 to 100. A text on the wire.
    #[serde(serialize_with = "percent", skip_serializing_if = "Option::is_none")]
    pub pct_complete: Option<f64>,
    /// Why it failed, such as `ERR_NON_VIDEO`; empty when it did not.
    pub error_reason_code: String,
    /// The same in words.
    pub error_reason_text: String,
}

/// Both spellings that the documentation has, and the bare state of the clip operation.
#[derive(Deserialize)]
#[serde(untagged)]
enum StatusOnTheWire {
    Bare(String),
    #[serde(rename_all = "camelCase")]
    Full {
        #[serde(default, deserialize_with = "lenient::text")]
        state: String,
        #[serde(default, deserialize_with = "lenient::option")]
        step: Option<String>,
        #[serde(default, with = "lenient::number")]
        pct_complete: Option<f64>,
        #[serde(default, deserialize_with = "lenient::text")]
        error_reason_code: String,
        #[serde(default, deserialize_with = "lenient::text")]
        err_reason_code: String,
        #[serde(default, deserialize_with = "lenient::text")]
        error_reason_text: String,
        #[serde(default, deserialize_with = "lenient::text")]
        err_reason_text: String,
    },
}

impl From<StatusOnTheWire> for VideoStatus {
    fn from(wire: StatusOnTheWire) -> Self {
        let first = |one: String, other: String| if one.is_empty() { other } else { one };
        match wire {
            StatusOnTheWire::Bare(state) => Self {
                state: state.into(),
                ..Self::default()
            },
            StatusOnTheWire::Full {
                state,
                step,
                pct_complete,
                error_reason_code,
                err_reason_code,
                error_reason_text,
                err_reason_text,
            } => Self {
                state: state.into(),
                step,
                pct_complete,
                error_reason_code: first(error_reason_code, err_reason_code),
                error_reason_text: first(error_reason_text, err_reason_text),
            },
        }
    }
}

#[expect(
    clippy::ref_option,
    reason = "serde hands out a reference to the field"
)]
fn percent<S: Serializer>(percent: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    percent
        .map(|percent| format!("{percent:.6}"))
        .serialize(serializer)
}

/// The states of a video.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum VideoState {
    /// Created, not a byte processed.
    PendingUpload,
    /// Being fetched from a URL.
    Downloading,
    /// Uploaded, waiting for an encoder.
    Queued,
    /// Being encoded.
    InProgress,
    /// Playable.
    Ready,
    /// Failed; the status says why.
    Error,
    /// A broadcast that is running.
    LiveInProgress,
    /// A state that is not known here, verbatim.
    Unknown(String),
}

const STATES: [(VideoState, &str); 7] = [
    (VideoState::PendingUpload, "pendingupload"),
    (VideoState::Downloading, "downloading"),
    (VideoState::Queued, "queued"),
    (VideoState::InProgress, "inprogress"),
    (VideoState::Ready, "ready"),
    (VideoState::Error, "error"),
    (VideoState::LiveInProgress, "live-inprogress"),
];

impl VideoState {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown(word) => word,
            known => STATES
                .iter()
                .find(|(state, _)| state == known)
                .map_or("", |(_, word)| word),
        }
    }

    /// Whether processing has ended, well or not.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Ready | Self::Error)
    }
}

impl Default for VideoState {
    fn default() -> Self {
        Self::Unknown(String::new())
    }
}

impl fmt::Display for VideoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<String> for VideoState {
    fn from(word: String) -> Self {
        let known = STATES.into_iter().find(|(_, known)| *known == word);
        known.map_or_else(|| Self::Unknown(word), |(state, _)| state)
    }
}

impl From<VideoState> for String {
    fn from(state: VideoState) -> Self {
        state.as_str().to_owned()
    }
}

/// The size of the picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VideoInput {
    /// Pixels; -1 while unknown.
    #[serde(with = "lenient::number")]
    pub width: Option<f64>,
    /// Pixels; -1 while unknown.
    #[serde(with = "lenient::number")]
    pub height: Option<f64>,
}

/// Where the manifests are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Playback {
    /// HLS.
    #[serde(deserialize_with = "lenient::text")]
    pub hls: String,
    /// MPEG-DASH.
    #[serde(deserialize_with = "lenient::text")]
    pub dash: String,
}

/// What the page that plays a video shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PublicDetails {
    /// Where the channel is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_link: Option<String>,
    /// The URL of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    /// What is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_link: Option<String>,
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Video {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn progress_is_read_as_text_or_number_and_written_as_text() {
        for text in [r#""51""#, "51", "51.0", r#""51.000000""#] {
            let video = read(&format!(
                r#"{{"status":{{"state":"inprogress","pctComplete":{text}}}}}"#
            ));
            assert_eq!(video.status.as_ref().unwrap().pct_complete, Some(51.0));
            let written = serde_json::to_value(&video).unwrap();
            assert_eq!(written["status"]["pctComplete"], "51.000000");
        }
    }

    #[test]
    fn both_spellings_of_the_reason_are_read() {
        for key in ["errorReasonCode", "errReasonCode"] {
            let video = read(&format!(
                r#"{{"status":{{"state":"error","{key}":"ERR_NON_VIDEO"}}}}"#
            ));
            assert_eq!(video.status.unwrap().error_reason_code, "ERR_NON_VIDEO");
        }
        assert_eq!(read(r#"{"status":"queued"}"#).state(), VideoState::Queued);
    }

    #[test]
    fn what_is_unknown_is_kept_and_what_is_odd_counts_as_absent() {
        let text = r#"{"uid":"a","duration":-1,"size":null,"meta":"?","creator":7,
            "created":"2024-05-01T10:00:00.123456789Z","modified":"yesterday",
            "status":{"state":"dreaming"},"clippedFrom":"b","mood":"blue","allowedOrigins":null}"#;
        let video = read(text);
        assert_eq!(video.duration(), None);
        assert_eq!(
            (video.size, video.meta.as_ref(), video.creator.as_ref()),
            (None, None, None)
        );
        assert!(video.created.is_some() && video.modified.is_none());
        assert_eq!(video.state(), VideoState::Unknown("dreaming".into()));
        assert_eq!(video.clipped_from.as_deref(), Some("b"));
        assert_eq!(video.other["mood"], "blue");
    }
}
