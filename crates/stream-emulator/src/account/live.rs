//! [`LiveInput`]: a live input and its outputs, as they are kept and as they are shown.
//!
//! The URLs name this server's own host, so that no stream leaves the machine with keys that mean nothing elsewhere. It
//! takes broadcasts over HTTP alone: see [`live`](crate::live).

use std::fmt;
use std::io;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::id;
use crate::log::rfc3339;

/// A live input.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LiveInput {
    pub(crate) uid: String,
    pub(crate) created: SystemTime,
    pub(crate) modified: SystemTime,
    pub(crate) keys_rotated_at: Option<SystemTime>,
    pub(crate) wishes: Wishes,
    pub(crate) secrets: Secrets,
    /// The word for how its connection stands; none until somebody connects.
    pub(crate) status: Option<String>,
    /// The recording that is still going on, or could be gone on with.
    #[serde(default)]
    pub(crate) recorded: Option<String>,
    /// Oldest first.
    pub(crate) outputs: Vec<Output>,
}

impl fmt::Debug for LiveInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveInput({})", self.uid)
    }
}

/// What an account may wish of a live input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Wishes {
    pub(crate) default_creator: Option<String>,
    pub(crate) delete_recording_after_days: Option<f64>,
    pub(crate) enabled: bool,
    pub(crate) meta: Map<String, Value>,
    pub(crate) prefer_low_latency: bool,
    pub(crate) recording: Recording,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            default_creator: None,
            delete_recording_after_days: None,
            enabled: true,
            meta: Map::new(),
            prefer_low_latency: false,
            recording: Recording::default(),
        }
    }
}

/// What becomes of what is broadcast.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Recording {
    pub(crate) allowed_origins: Vec<String>,
    /// Mode `automatic`, else `off`.
    pub(crate) automatic: bool,
    pub(crate) hide_live_viewer_count: bool,
    pub(crate) require_signed_urls: bool,
    /// 0 for the platform's own.
    pub(crate) timeout_seconds: u64,
}

/// What has to be known to broadcast to an input, or to play it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secrets {
    stream_key: String,
    playback_key: String,
    passphrase: String,
    playback_passphrase: String,
    web_rtc: String,
    web_rtc_playback: String,
}

impl Secrets {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            stream_key: id::new()? + &id::new()?,
            playback_key: id::new()? + &id::new()?,
            passphrase: id::new()? + &id::new()?,
            playback_passphrase: id::new()? + &id::new()?,
            web_rtc: id::new()?,
            web_rtc_playback: id::new()?,
        })
    }
}

/// Where a live input is sent on to.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Output {
    pub(crate) uid: String,
    pub(crate) url: String,
    pub(crate) stream_key: String,
    pub(crate) enabled: bool,
}

impl Output {
    pub(crate) fn view(&self) -> Value {
        json!({
            "uid": self.uid,
            "url": self.url,
            "streamKey": self.stream_key,
            "enabled": self.enabled,
        })
    }
}

impl LiveInput {
    pub(crate) fn new(wishes: Wishes, now: SystemTime) -> io::Result<Self> {
        Ok(Self {
            uid: id::new()?,
            created: now,
            modified: now,
            keys_rotated_at: None,
            wishes,
            secrets: Secrets::new()?,
            status: None,
            recorded: None,
            outputs: Vec::new(),
        })
    }

    /// Whether that key is what a broadcast to it needs.
    pub(crate) fn is_broadcast_with(&self, key: &str) -> bool {
        self.secrets.stream_key == key
    }

    /// Whether somebody broadcasts, or is awaited back.
    pub(crate) fn is_on(&self) -> bool {
        let word = self.status.as_deref().unwrap_or_default();
        ["connected", "reconnected", "reconnecting"].contains(&word)
    }

    /// As a listing has it: without a secret.
    pub(crate) fn listed(&self) -> Value {
        json!({
            "uid": self.uid,
            "created": rfc3339(self.created),
            "modified": rfc3339(self.modified),
            "meta": self.wishes.meta,
            "enabled": self.wishes.enabled,
            "deleteRecordingAfterDays": self.wishes.delete_recording_after_days,
        })
    }

    /// All of it. `base` is where this server is, as the client calls it.
    pub(crate) fn view(&self, base: &str) -> Value {
        let authority = base.split_once("://").map_or(base, |(_, rest)| rest);
        let (wishes, secrets, uid) = (&self.wishes, &self.secrets, &self.uid);
        let recording = &wishes.recording;
        let rtmps = format!("rtmps://{authority}/live/");
        let srt = format!("srt://{authority}");
        let mut view = json!({
            "uid": uid,
            "created": rfc3339(self.created),
            "modified": rfc3339(self.modified),
            "meta": wishes.meta,
            "enabled": wishes.enabled,
            "preferLowLatency": wishes.prefer_low_latency,
            "status": self.status,
            "keysRotatedAt": self.keys_rotated_at.map(rfc3339),
            "deleteRecordingAfterDays": wishes.delete_recording_after_days,
            "recording": {
                "mode": if recording.automatic { "automatic" } else { "off" },
                "requireSignedURLs": recording.require_signed_urls,
                "allowedOrigins": recording.allowed_origins,
                "hideLiveViewerCount": recording.hide_live_viewer_count,
                "timeoutSeconds": recording.timeout_seconds,
            },
            "rtmps": { "url": rtmps, "streamKey": secrets.stream_key },
            "rtmpsPlayback": { "url": rtmps, "streamKey": secrets.playback_key },
            "srt": { "url": srt, "streamId": uid, "passphrase": secrets.passphrase },
            "srtPlayback": {
                "url": srt,
                "streamId": format!("play{uid}"),
                "passphrase": secrets.playback_passphrase,
            },
            "webRTC": { "url": format!("{base}/{}{uid}/webRTC/publish", secrets.web_rtc) },
            "webRTCPlayback": { "url": format!("{base}/{}{uid}/webRTC/play", secrets.web_rtc_playback) },
        });
        if let Some(creator) = &wishes.default_creator {
            view["defaultCreator"] = creator.as_str().into();
        }
        view
    }
}
