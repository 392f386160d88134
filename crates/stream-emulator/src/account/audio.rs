//! [`AudioTrack`]: an additional audio track, as it is kept and as it is shown.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::builder::Encoding;

/// An additional audio track of a video. Its bytes are looked at and not kept: nothing here plays them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AudioTrack {
    pub(crate) uid: String,
    pub(crate) label: String,
    pub(crate) is_default: bool,
    pub(crate) source: Source,
    /// Whether somebody looked at it since it came.
    pub(crate) seen: bool,
}

/// Where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// On their way.
    Awaited,
    /// They came.
    Came(SystemTime),
    /// They could not be fetched, or are nothing that can be heard.
    Failed,
}

impl AudioTrack {
    pub(crate) fn view(&self, encoding: Encoding, now: SystemTime) -> Value {
        let is_done = |came: SystemTime| match encoding {
            Encoding::After(time) => came.checked_add(time).is_some_and(|done| done <= now),
            _ => self.seen,
        };
        let status = match self.source {
            Source::Came(at) if is_done(at) => "ready",
            Source::Came(_) | Source::Awaited => "queued",
            Source::Failed => "error",
        };
        json!({
            "uid": self.uid,
            "label": self.label,
            "default": self.is_default,
            "status": status,
        })
    }
}
