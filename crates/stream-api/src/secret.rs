//! [`Secret`]: a text that must not be shown by accident. [`SourceUrl`]: a URL that may hold one.

use std::fmt;

use http_transport::Origin;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::op::edit::OutOfBounds;

/// A text that opens something: a key, a token, an upload URL. `Debug` hides it, there is no
/// `Display`, and memory is wiped when it is dropped. Writing it as JSON writes the text itself: a
/// request, and whoever asks for machine-readable answers, needs it.
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether there is no text at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// An absolute `http` or `https` URL that Stream, or whoever stands in for it, is to fetch. A
/// presigned one is a secret: `Debug` shows the origin alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    text: Secret,
    origin: Origin,
}

impl SourceUrl {
    /// Takes a URL.
    ///
    /// # Errors
    /// [`OutOfBounds`] when it is no absolute `http` or `https` URL with a host, or holds blanks.
    /// The error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, OutOfBounds> {
        let text = text.trim();
        let bad = OutOfBounds("the URL must be an absolute http or https URL with a host");
        if text.contains(|it: char| it.is_whitespace() || it.is_control()) {
            return Err(bad);
        }
        Ok(Self {
            origin: Origin::parse(text).map_err(|_| bad)?,
            text: Secret::new(text),
        })
    }

    /// The URL.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Scheme, host and port: safe to show.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({}/…)", self.origin)
    }
}

impl Serialize for SourceUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SourceUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_secret_is_shown() {
        let secret = Secret::new("hush");
        let url = SourceUrl::parse("https://bucket.example/a.mp4?X-Amz-Signature=hush").unwrap();
        let shown = format!("{secret:?} {url:?}");
        assert_eq!(shown, "Secret(…) SourceUrl(https://bucket.example/…)");
        assert_eq!(serde_json::to_value(&secret).unwrap(), "hush");
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_repeated() {
        for text in [
            "",
            "a.mp4",
            "ftp://host/a",
            "https://",
            "http://h/a b",
            "file:///etc/passwd",
        ] {
            let error = SourceUrl::parse(text).unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }
}
