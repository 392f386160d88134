//! [`AudioTrack`]: another sound for a video.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lenient::{self, Unknown};
use crate::op::edit::OutOfBounds;
use crate::secret::SourceUrl;
use crate::words::words;

/// An additional audio track of a video.
///
/// <https://developers.cloudflare.com/stream/edit-videos/adding-additional-audio-tracks/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct AudioTrack {
    /// Its id, opaque.
    #[serde(deserialize_with = "lenient::text")]
    pub uid: String,
    /// What players call it.
    #[serde(deserialize_with = "lenient::text")]
    pub label: String,
    /// Whether it is played unless another is chosen.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// Whether it can be played yet.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub status: Option<AudioStatus>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

words! {
    /// Whether an audio track can be played.
    pub enum AudioStatus {
        /// It waits to be encoded.
        Queued = "queued",
        /// It can.
        Ready = "ready",
        /// It could not be encoded.
        Error = "error",
    }
}

/// Both shapes of the listing that the descriptions have: `{"audio": […]}` and `[…]`.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Value")]
pub(crate) struct AudioTracks(pub(crate) Vec<AudioTrack>);

impl From<Value> for AudioTracks {
    fn from(mut listing: Value) -> Self {
        let tracks = match listing.get_mut("audio") {
            Some(named) => named.take(),
            None => listing,
        };
        Self(lenient::list(tracks).unwrap_or_default())
    }
}

/// An audio track that is fetched from a URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewAudioTrack {
    /// What players call it: not empty, and no other track of the video has it.
    pub label: String,
    /// Where the audio is.
    pub url: SourceUrl,
}

impl NewAudioTrack {
    /// A track of what `url` answers.
    ///
    /// # Errors
    /// [`OutOfBounds`] when the label is empty.
    pub fn new(label: impl Into<String>, url: SourceUrl) -> Result<Self, OutOfBounds> {
        let label = check_label(label.into())?;
        Ok(Self { label, url })
    }
}

/// What is to change about an audio track. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AudioEdit {
    /// `true` makes it the default, and no other track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// What players call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl AudioEdit {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`OutOfBounds`] when the label is empty.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        self.label
            .clone()
            .map_or(Ok(()), |label| check_label(label).map(drop))
    }
}

pub(crate) fn check_label(label: String) -> Result<String, OutOfBounds> {
    if label.trim().is_empty() {
        return Err(OutOfBounds("label must not be empty"));
    }
    Ok(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_the_listing_are_read() {
        for text in [
            r#"[{"uid":"a"}]"#,
            r#"{"audio":[{"uid":"a"}, 7]}"#,
            r#"[{"uid":"a"}, null]"#,
        ] {
            let listing: AudioTracks = serde_json::from_str(text).unwrap();
            assert_eq!(listing.0.len(), 1, "{text}");
            assert_eq!(listing.0[0].uid, "a");
        }
        let none: AudioTracks = serde_json::from_str(r#"{"audio":null}"#).unwrap();
        assert!(none.0.is_empty());
    }
}
