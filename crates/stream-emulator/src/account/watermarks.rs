//! [`Watermark`]: a watermark profile, as it is kept and as it is shown.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::log::rfc3339;

/// The picture of a watermark, beside its profile: a listing reads none.
#[derive(Debug, Clone)]
pub(crate) struct Picture(pub(crate) Bytes);

impl Serialize for Picture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BASE64_STANDARD.encode(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Picture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

/// A watermark profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watermark {
    pub(crate) uid: String,
    pub(crate) created: SystemTime,
    /// The URL that the picture was fetched from, if it was.
    pub(crate) downloaded_from: Option<String>,
    /// Of the picture.
    pub(crate) size_bytes: u64,
    /// Pixels.
    pub(crate) width: u64,
    /// Pixels.
    pub(crate) height: u64,
    pub(crate) look: Look,
}

/// How a picture lies over a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Look {
    pub(crate) name: String,
    /// 0 to 1, as the three below.
    pub(crate) opacity: f64,
    pub(crate) padding: f64,
    pub(crate) scale: f64,
    pub(crate) position: String,
}

const POSITIONS: [&str; 5] = [
    "upperRight",
    "upperLeft",
    "lowerLeft",
    "lowerRight",
    "center",
];

impl Default for Look {
    /// <https://developers.cloudflare.com/stream/edit-videos/applying-watermarks/>
    fn default() -> Self {
        Self {
            name: String::new(),
            opacity: 1.0,
            padding: 0.05,
            scale: 0.15,
            position: "upperRight".to_owned(),
        }
    }
}

impl Look {
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn check(&self) -> Result<(), String> {
        let parts = [
            ("opacity", self.opacity),
            ("padding", self.padding),
            ("scale", self.scale),
        ];
        for (name, part) in parts {
            if !(0.0..=1.0).contains(&part) {
                return Err(format!("{name} must be 0.0 to 1.0"));
            }
        }
        if !POSITIONS.contains(&self.position.as_str()) {
            return Err(format!("position must be one of {}", POSITIONS.join(", ")));
        }
        Ok(())
    }
}

impl Watermark {
    pub(crate) fn view(&self) -> Map<String, Value> {
        let view = json!({
            "uid": self.uid,
            "created": rfc3339(self.created),
            "downloadedFrom": self.downloaded_from,
            "size": self.size_bytes,
            "width": self.width,
            "height": self.height,
            "name": self.look.name,
            "opacity": self.look.opacity,
            "padding": self.look.padding,
            "scale": self.look.scale,
            "position": self.look.position,
        });
        match view {
            Value::Object(view) => view,
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_out_of_bounds_is_refused_by_name() {
        Look::default().check().unwrap();
        for (name, look) in [
            (
                "opacity",
                Look {
                    opacity: 1.1,
                    ..Look::default()
                },
            ),
            (
                "padding",
                Look {
                    padding: -0.1,
                    ..Look::default()
                },
            ),
            (
                "scale",
                Look {
                    scale: f64::NAN,
                    ..Look::default()
                },
            ),
            (
                "position",
                Look {
                    position: "middle".to_owned(),
                    ..Look::default()
                },
            ),
        ] {
            assert!(look.check().unwrap_err().starts_with(name), "{name}");
        }
    }
}
