//! [`Output`]: another service that a live input is sent on to.

use serde::{Deserialize, Serialize};

use crate::lenient::{self, Unknown};
use crate::op::edit::OutOfBounds;
use crate::secret::Secret;

/// Where a live input is sent on to.
///
/// <https://developers.cloudflare.com/stream/stream-live/simulcasting/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Output {
    /// Its id, opaque.
    #[serde(deserialize_with = "lenient::text")]
    pub uid: String,
    /// The other service: `rtmp`, `rtmps` or `srt`.
    #[serde(deserialize_with = "lenient::text")]
    pub url: String,
    /// Whoever has it may broadcast there.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub stream_key: Option<Secret>,
    /// Whether it is sent on now.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Another service to send a live input on to; up to 50 at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NewOutput {
    /// The other service: `rtmp`, `rtmps` or `srt`.
    pub url: String,
    /// What the other service asks for.
    pub stream_key: Secret,
    /// Whether it is sent on at once. Default: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl NewOutput {
    /// Sends on to `url`.
    #[must_use]
    pub fn new(url: impl Into<String>, stream_key: impl Into<Secret>) -> Self {
        Self {
            url: url.into(),
            stream_key: stream_key.into(),
            enabled: None,
        }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", ""));
        if !["rtmp", "rtmps", "srt"].contains(&scheme.to_ascii_lowercase().as_str())
            || rest.is_empty()
        {
            return Err(OutOfBounds("url must be an rtmp, rtmps or srt URL"));
        }
        if self.stream_key.is_empty() {
            return Err(OutOfBounds("streamKey must not be empty"));
        }
        Ok(())
    }
}

/// Whether an output is sent on to. Nothing else of it can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputEdit {
    /// Whether it is.
    pub enabled: bool,
}
