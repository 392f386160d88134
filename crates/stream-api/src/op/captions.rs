//! [`Caption`]: what is spoken in a video, as text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bounds::GENERATED_LANGUAGES;
use crate::lenient::{self, Unknown};
use crate::op::edit::OutOfBounds;
use crate::words::words;

/// What is known of a video's captions in one language.
///
/// <https://developers.cloudflare.com/stream/edit-videos/adding-captions/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Caption {
    /// The language: BCP 47.
    #[serde(deserialize_with = "lenient::text")]
    pub language: String,
    /// What players call it. Made of the language.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether Stream made them.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub generated: Option<bool>,
    /// Whether they can be read yet.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub status: Option<CaptionStatus>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

words! {
    /// Whether captions can be read.
    pub enum CaptionStatus {
        /// They can.
        Ready = "ready",
        /// Stream is making them.
        InProgress = "inprogress",
        /// Stream could not make them.
        Error = "error",
    }
}

/// A language tag such as `en` or `pt-BR`: what BCP 47 calls well-formed, up to 35 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Language(String);

impl Language {
    /// Takes a tag: a primary subtag of 2 to 8 letters, and subtags of 1 to 8 letters and digits.
    ///
    /// # Errors
    /// [`OutOfBounds`] when it is none.
    pub fn parse(tag: &str) -> Result<Self, OutOfBounds> {
        let mut subtags = tag.split('-');
        let primary = subtags.next().unwrap_or("");
        let is_fine = tag.len() <= 35
            && (2..=8).contains(&primary.len())
            && primary.bytes().all(|it| it.is_ascii_alphabetic())
            && subtags.all(|subtag| {
                (1..=8).contains(&subtag.len())
                    && subtag.bytes().all(|it| it.is_ascii_alphanumeric())
            });
        if is_fine {
            Ok(Self(tag.to_owned()))
        } else {
            Err(OutOfBounds(
                "the language must be a tag such as en or pt-BR",
            ))
        }
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether Stream can make captions in it.
    #[must_use]
    pub fn can_be_generated(&self) -> bool {
        GENERATED_LANGUAGES.contains(&self.as_str())
    }
}

impl FromStr for Language {
    type Err = OutOfBounds;

    fn from_str(tag: &str) -> Result<Self, OutOfBounds> {
        Self::parse(tag)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_tag_and_nothing_that_could_leave_its_segment() {
        for tag in ["en", "pt-BR", "zh-Hant-TW", "de-1996", "es-419"] {
            assert_eq!(Language::parse(tag).unwrap().to_string(), tag);
        }
        for tag in [
            "",
            "e",
            "..",
            "en/..",
            "en_US",
            "en-",
            "-en",
            "12",
            "en-toolongsubtag",
        ] {
            assert!(Language::parse(tag).is_err(), "{tag:?}");
        }
    }
}
