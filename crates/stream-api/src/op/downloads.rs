//! [`Downloads`]: a video as a file.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lenient::{self, Unknown};
use crate::words::words;

/// A video's downloads. Each is there once it was asked for.
///
/// <https://developers.cloudflare.com/stream/viewing-videos/download-videos/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "DownloadsOnTheWire")]
#[non_exhaustive]
pub struct Downloads {
    /// The video as MP4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Download>,
    /// Its sound alone, as M4A.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<Download>,
    /// Types and fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Keyed by type, or, in an older description, the default one alone.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct DownloadsOnTheWire {
    #[serde(deserialize_with = "lenient::option")]
    default: Option<Download>,
    #[serde(deserialize_with = "lenient::option")]
    audio: Option<Download>,
    #[serde(flatten)]
    other: Unknown,
}

impl From<DownloadsOnTheWire> for Downloads {
    fn from(mut wire: DownloadsOnTheWire) -> Self {
        if wire.default.is_none() && wire.other.contains_key("percentComplete") {
            let flat = std::mem::take(&mut *wire.other);
            wire.default = serde_json::from_value(flat.into()).ok();
        }
        Self {
            default: wire.default,
            audio: wire.audio,
            other: wire.other,
        }
    }
}

impl Downloads {
    /// The download of one type.
    #[must_use]
    pub fn of(&self, kind: DownloadType) -> Option<&Download> {
        match kind {
            DownloadType::Default => self.default.as_ref(),
            DownloadType::Audio => self.audio.as_ref(),
        }
    }
}

/// One download.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Download {
    /// How much of it is made, 0 to 100.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub percent_complete: Option<f64>,
    /// Whether it can be fetched.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub status: Option<DownloadStatus>,
    /// Where it is. `?filename=` names the file: see
    /// [`DOWNLOAD_NAME_CHARACTERS`](crate::bounds::DOWNLOAD_NAME_CHARACTERS).
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

words! {
    /// Whether a download can be fetched.
    pub enum DownloadStatus {
        /// It can.
        Ready = "ready",
        /// It is being made.
        InProgress = "inprogress",
        /// It could not be made.
        Error = "error",
    }
}

/// What kind of file. Exhaustive: Stream has no third.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DownloadType {
    /// The video as MP4.
    #[default]
    Default,
    /// Its sound alone, as M4A.
    Audio,
}

impl DownloadType {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Audio => "audio",
        }
    }
}

impl fmt::Display for DownloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_are_read_by_type_and_flat() {
        for text in [
            r#"{"default":{"status":"ready","percentComplete":"100","url":"u"}}"#,
            r#"{"status":"ready","percentComplete":100,"url":"u"}"#,
        ] {
            let downloads: Downloads = serde_json::from_str(text).unwrap();
            let default = downloads.of(DownloadType::Default).unwrap();
            assert_eq!(default.percent_complete, Some(100.0));
            assert_eq!(default.status, Some(DownloadStatus::Ready));
            assert!(downloads.audio.is_none());
        }
        let none: Downloads = serde_json::from_str(r#"{"default":null}"#).unwrap();
        assert_eq!(none, Downloads::default());
    }
}
