//! [`Watermark`]: a picture that is burnt into videos.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::bounds::WATERMARK_PART;
use crate::lenient::{self, Unknown};
use crate::op::edit::OutOfBounds;
use crate::secret::{Secret, SourceUrl};
use crate::words::words;

/// A watermark profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Watermark {
    /// Its id, opaque.
    #[serde(deserialize_with = "lenient::text")]
    pub uid: String,
    /// What it is for, in the user's words.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub created: Option<SystemTime>,
    /// Where the picture was fetched; `None` when it was uploaded.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub downloaded_from: Option<Secret>,
    /// Bytes of the picture.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub size: Option<f64>,
    /// Pixels.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub width: Option<f64>,
    /// Pixels.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub height: Option<f64>,
    /// 0 for transparent, 1 for opaque.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub opacity: Option<f64>,
    /// Between picture and edge, as a part of the video's width or height.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub padding: Option<f64>,
    /// The picture's size as a part of the video's; 0 for its own size.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Where it is placed.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

words! {
    /// Where a watermark is placed.
    pub enum Position {
        /// Top right: the default.
        UpperRight = "upperRight",
        /// Top left.
        UpperLeft = "upperLeft",
        /// Bottom left.
        LowerLeft = "lowerLeft",
        /// Bottom right.
        LowerRight = "lowerRight",
        /// In the middle; the padding does not count.
        Center = "center",
    }
}

/// How a watermark's picture is laid over a video. What is `None` is left at Stream's default.
///
/// <https://developers.cloudflare.com/stream/edit-videos/applying-watermarks/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct WatermarkSettings {
    /// What it is for. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// 0 for transparent, 1 for opaque. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opacity: Option<f64>,
    /// Between picture and edge, 0 to 1 of the video's width or height. Default 0.05.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padding: Option<f64>,
    /// The picture's size, 0 to 1 of the video's; 0 for its own size. Default 0.15.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Where it is placed. Default: top right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

impl WatermarkSettings {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let is_part = |part: Option<f64>| part.is_none_or(|part| WATERMARK_PART.contains(&part));
        if !is_part(self.opacity) {
            return Err(OutOfBounds("opacity must be 0.0 to 1.0"));
        }
        if !is_part(self.padding) {
            return Err(OutOfBounds("padding must be 0.0 to 1.0"));
        }
        if !is_part(self.scale) {
            return Err(OutOfBounds("scale must be 0.0 to 1.0"));
        }
        if let Some(Position::Unknown(_)) = self.position {
            return Err(OutOfBounds(
                "position must be upperRight, upperLeft, lowerLeft, lowerRight or center",
            ));
        }
        Ok(())
    }

    /// The fields as a form has them.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let number = |number: Option<f64>| number.map(|number| number.to_string());
        let fields = [
            ("name", self.name.clone()),
            ("opacity", number(self.opacity)),
            ("padding", number(self.padding)),
            ("scale", number(self.scale)),
            ("position", self.position.as_ref().map(ToString::to_string)),
        ];
        let set = |(name, value): (_, Option<String>)| value.map(|value| (name, value));
        fields.into_iter().filter_map(set).collect()
    }
}

/// A watermark profile whose picture is fetched from a URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewWatermark {
    /// Where the picture is.
    pub url: SourceUrl,
    /// How it is laid over a video.
    #[serde(flatten)]
    pub settings: WatermarkSettings,
}

impl NewWatermark {
    /// A profile of the picture at `url`.
    #[must_use]
    pub fn new(url: SourceUrl, settings: WatermarkSettings) -> Self {
        Self { url, settings }
    }
}
