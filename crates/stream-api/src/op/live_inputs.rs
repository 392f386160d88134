//! [`LiveInput`]: where a broadcast is sent to.

use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::bounds::{DELETE_RECORDING_AFTER_DAYS, RECORDING_TIMEOUT_SECONDS};
use crate::lenient::{self, Unknown};
use crate::op::edit::{OutOfBounds, check_hosts};
use crate::op::new_video::is_false;
use crate::op::videos::Playback;
use crate::secret::Secret;
use crate::words::words;

/// A live input. Only the answers about one input have its secrets, a listing has not.
///
/// <https://developers.cloudflare.com/api/resources/stream/subresources/live_inputs/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct LiveInput {
    /// Its id, opaque. It plays what is being broadcast.
    #[serde(deserialize_with = "lenient::text")]
    pub uid: String,
    /// Whether it takes broadcasts.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What its connection does; `None` until the first one.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub status: Option<LiveStatus>,
    /// The user's own entries, the name among them.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Map<String, Value>>,
    /// When it was made.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub created: Option<SystemTime>,
    /// When it was changed last.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub modified: Option<SystemTime>,
    /// When it was given new secrets last.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub keys_rotated_at: Option<SystemTime>,
    /// The creator that its recordings get.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub default_creator: Option<String>,
    /// After how many days a recording is deleted; `None` for never.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub delete_recording_after_days: Option<f64>,
    /// Whether it is broadcast with a low latency.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub prefer_low_latency: Option<bool>,
    /// How it is recorded.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// Where to send RTMPS.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub rtmps: Option<Rtmps>,
    /// Where to play RTMPS.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub rtmps_playback: Option<Rtmps>,
    /// Where to send SRT.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub srt: Option<Srt>,
    /// Where to play SRT.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub srt_playback: Option<Srt>,
    /// Where to send WebRTC, by WHIP.
    #[serde(
        rename = "webRTC",
        with = "lenient::any",
        skip_serializing_if = "Option::is_none"
    )]
    pub web_rtc: Option<WebRtc>,
    /// Where to play WebRTC, by WHEP.
    #[serde(
        rename = "webRTCPlayback",
        with = "lenient::any",
        skip_serializing_if = "Option::is_none"
    )]
    pub web_rtc_playback: Option<WebRtc>,
    /// Where the manifests are.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub playback: Option<Playback>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

impl LiveInput {
    /// `meta.name`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.meta.as_ref()?.get("name")?.as_str()
    }
}

words! {
    /// What a live input's connection does.
    pub enum LiveState {
        /// The broadcaster has hung up.
        ClientDisconnect = "client_disconnect",
        /// A broadcast arrives.
        Connected = "connected",
        /// No connection came about.
        FailedToConnect = "failed_to_connect",
        /// The connection broke and did not come back.
        FailedToReconnect = "failed_to_reconnect",
        /// The settings have changed under it.
        NewConfigurationAccepted = "new_configuration_accepted",
        /// A broadcast arrives again.
        Reconnected = "reconnected",
        /// The connection broke, and is expected back.
        Reconnecting = "reconnecting",
        /// It lasted for as long as it may.
        TtlExceeded = "ttl_exceeded",
    }
}

/// The state of a live input's connection: the descriptions have a word, the service answers an object
/// (`current.state`) once there was a connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum LiveStatus {
    /// The word alone.
    Word(LiveState),
    /// What the service answers, and the state in it.
    Object(Unknown),
}

impl LiveStatus {
    /// The state.
    #[must_use]
    pub fn state(&self) -> LiveState {
        match self {
            Self::Word(state) => state.clone(),
            Self::Object(object) => object
                .get("current")
                .unwrap_or(&Value::Null)
                .get("state")
                .or_else(|| object.get("state"))
                .and_then(Value::as_str)
                .map_or_else(LiveState::default, LiveState::from),
        }
    }
}

impl<'de> Deserialize<'de> for LiveStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(word) => Ok(Self::Word(word.into())),
            Value::Object(object) => Ok(Self::Object(Unknown(object))),
            _ => Err(serde::de::Error::custom("neither a word nor an object")),
        }
    }
}

/// How a live input is recorded. Every field may be absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Recording {
    /// Whether it is.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub mode: Option<RecordingMode>,
    /// Hosts that may embed the recordings; empty for all.
    #[serde(deserialize_with = "lenient::list")]
    pub allowed_origins: Vec<String>,
    /// Whether playback needs a signed token.
    #[serde(
        rename = "requireSignedURLs",
        with = "lenient::any",
        skip_serializing_if = "Option::is_none"
    )]
    pub require_signed_urls: Option<bool>,
    /// Whether the number of viewers is hidden.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub hide_live_viewer_count: Option<bool>,
    /// After how many seconds without a broadcast the recording ends; 0 or `None` for Stream's own.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

words! {
    /// Whether a live input is recorded.
    pub enum RecordingMode {
        /// It is, and the recording can be played.
        Automatic = "automatic",
        /// It is not: the default.
        Off = "off",
    }
}

/// Where RTMPS goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Rtmps {
    /// The server.
    #[serde(deserialize_with = "lenient::text")]
    pub url: String,
    /// Whoever has it may broadcast, or play.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub stream_key: Option<Secret>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Where SRT goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Srt {
    /// The server.
    #[serde(deserialize_with = "lenient::text")]
    pub url: String,
    /// Which input.
    #[serde(deserialize_with = "lenient::text")]
    pub stream_id: String,
    /// Whoever has it may broadcast, or play.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Secret>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Where WebRTC goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct WebRtc {
    /// The address; whoever has it may broadcast, or play.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Live inputs, without their secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct LiveInputs {
    /// The inputs.
    #[serde(deserialize_with = "lenient::list")]
    pub live_inputs: Vec<LiveInput>,
    /// How many this answer could hold.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub range: Option<f64>,
    /// How many there are, if it was asked for.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
}

/// Settings of a live input, new or old. What is `None` is left as it is, or at Stream's default.
///
/// <https://developers.cloudflare.com/api/resources/stream/subresources/live_inputs/methods/create/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct LiveInputSettings {
    /// The creator that its recordings get.
    #[serde(skip_serializing_if = "Option::is_none", alias = "DefaultCreator")]
    pub default_creator: Option<String>,
    /// When a recording is deleted. Default: never.
    #[serde(
        deserialize_with = "even_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub delete_recording_after_days: Option<DeleteRecording>,
    /// Whether it takes broadcasts; switching it off hangs up. Default: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The user's own entries, the name among them. They replace all that were there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Map<String, Value>>,
    /// Whether it is broadcast with a low latency. Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer_low_latency: Option<bool>,
    /// How it is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingSettings>,
}

/// When a recording is deleted. Exhaustive: there is no third wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<u32>", into = "Option<u32>")]
pub enum DeleteRecording {
    /// After so many days, 30 to 1,096.
    AfterDays(u32),
    /// Never.
    Never,
}

impl From<Option<u32>> for DeleteRecording {
    fn from(days: Option<u32>) -> Self {
        days.map_or(Self::Never, Self::AfterDays)
    }
}

impl From<DeleteRecording> for Option<u32> {
    fn from(wish: DeleteRecording) -> Self {
        match wish {
            DeleteRecording::AfterDays(days) => Some(days),
            DeleteRecording::Never => None,
        }
    }
}

/// `null` is a wish of its own here: without a field nothing changes.
fn even_null<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DeleteRecording>, D::Error> {
    DeleteRecording::deserialize(deserializer).map(Some)
}

/// How a live input is to be recorded. The default is what Stream does by itself: not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RecordingSettings {
    /// Hosts that may embed the recordings; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    /// Whether the number of viewers is hidden. Default: no.
    #[serde(skip_serializing_if = "is_false")]
    pub hide_live_viewer_count: bool,
    /// Whether it is recorded. Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<RecordingMode>,
    /// Whether playback needs a signed token. Default: no.
    #[serde(rename = "requireSignedURLs", skip_serializing_if = "is_false")]
    pub require_signed_urls: bool,
    /// After how many seconds without a broadcast the recording ends, up to 86,400; 0 for Stream's
    /// own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

impl LiveInputSettings {
    /// Sets `meta.name`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        let meta = self.meta.get_or_insert_default();
        meta.insert("name".into(), Value::String(name.into()));
        self
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        if let Some(DeleteRecording::AfterDays(days)) = self.delete_recording_after_days
            && !DELETE_RECORDING_AFTER_DAYS.contains(&days)
        {
            return Err(OutOfBounds(
                "deleteRecordingAfterDays must be between 30 and 1096 days",
            ));
        }
        let Some(recording) = &self.recording else {
            return Ok(());
        };
        check_hosts(&recording.allowed_origins)?;
        if let Some(RecordingMode::Unknown(_)) = recording.mode {
            return Err(OutOfBounds("recording.mode must be off or automatic"));
        }
        let timeout = recording.timeout_seconds;
        if timeout.is_some_and(|it| !RECORDING_TIMEOUT_SECONDS.contains(&it)) {
            return Err(OutOfBounds(
                "recording.timeoutSeconds must be 0, or 1 to 86400",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_is_read_as_nothing_a_word_or_an_object() {
        let state = |status: Value| {
            let input: LiveInput = serde_json::from_value(json!({"status": status})).unwrap();
            input.status.map(|status| status.state())
        };
        assert_eq!(state(Value::Null), None);
        assert_eq!(state(json!(7)), None);
        assert_eq!(state(json!("connected")), Some(LiveState::Connected));
        let object =
            json!({"current": {"state": "client_disconnect", "reason": "x"}, "history": []});
        assert_eq!(state(object.clone()), Some(LiveState::ClientDisconnect));
        let input: LiveInput = serde_json::from_value(json!({"status": object})).unwrap();
        assert_eq!(serde_json::to_value(&input).unwrap()["status"], object);
    }

    #[test]
    fn what_the_service_echoes_oddly_is_read() {
        let input: LiveInput = serde_json::from_value(json!({
            "uid": "u", "recording": {"allowedOrigins": null, "timeoutSeconds": null, "mode": "off"},
            "deleteRecordingAfterDays": null, "playback": {"hls": "h", "dash": "d"},
            "rtmps": {"url": "rtmps://x", "streamKey": "hush"}, "rist": {"key": "hush"},
        }))
        .unwrap();
        let recording = input.recording.as_ref().unwrap();
        assert!(recording.allowed_origins.is_empty() && recording.timeout_seconds.is_none());
        assert_eq!(input.other["rist"]["key"], "hush");
        assert!(!format!("{input:?}").contains("hush"));
    }

    #[test]
    fn wishes_out_of_bounds_are_refused_by_name() {
        for (field, text) in [
            (
                "deleteRecordingAfterDays",
                json!({"deleteRecordingAfterDays": 29}),
            ),
            (
                "timeoutSeconds",
                json!({"recording": {"timeoutSeconds": 86_401}}),
            ),
            ("mode", json!({"recording": {"mode": "sometimes"}})),
            (
                "allowedOrigins",
                json!({"recording": {"allowedOrigins": ["https://a"]}}),
            ),
        ] {
            let settings: LiveInputSettings = serde_json::from_value(text).unwrap();
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        let never: LiveInputSettings =
            serde_json::from_value(json!({"deleteRecordingAfterDays": null})).unwrap();
        assert_eq!(
            never.delete_recording_after_days,
            Some(DeleteRecording::Never)
        );
        assert_eq!(
            serde_json::to_value(&never).unwrap(),
            json!({"deleteRecordingAfterDays": null})
        );
    }
}
