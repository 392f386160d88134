//! [`Metadata`]: the `Upload-Metadata` header (MD-01 … MD-15).

use std::fmt;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use http::HeaderValue;

/// What the text names Base64 and clients in the field send: the standard alphabet, with or without its padding (MD-04).
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Key and value pairs in the order in which they were added; keys are unique, values are bytes.
///
/// A key without value (Stream's `requiresignedurls`) and a key with an empty value are both written as the bare key
/// (MD-06).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    pairs: Vec<(String, Vec<u8>)>,
}

impl Metadata {
    /// No pairs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair, or replaces the value of a key that is there (MD-05).
    ///
    /// # Errors
    /// [`MetadataError::Key`] for a key that is empty or holds anything but visible ASCII without comma (MD-02, MD-03).
    pub fn insert(&mut self, key: &str, value: impl Into<Vec<u8>>) -> Result<(), MetadataError> {
        check_key(key)?;
        match self.pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value.into(),
            None => self.pairs.push((key.to_owned(), value.into())),
        }
        Ok(())
    }

    /// The value of a key, as bytes; empty for a key without value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.pairs
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_slice())
    }

    /// As [`get`](Self::get), whatever the case of the key: how Stream compares (MD-14).
    #[must_use]
    pub fn get_ignoring_case(&self, key: &str) -> Option<&[u8]> {
        self.pairs
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_slice())
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The header value, or `None` when there are no pairs: the header is then left out (MD-13).
    #[must_use]
    pub fn to_header(&self) -> Option<HeaderValue> {
        if self.is_empty() {
            return None;
        }
        Some(HeaderValue::try_from(self.to_string()).expect("keys and Base64 are visible ASCII"))
    }

    /// Reads a header value.
    ///
    /// Blanks around an element are taken (MD-10, Cloudflare's own example has them), and Base64 with or without padding.
    /// A repeated key, an empty element, a second blank and bad Base64 are errors: what cannot be read exactly is not read
    /// by half (MD-11, MD-12).
    ///
    /// # Errors
    /// [`MetadataError`] names what is wrong.
    pub fn parse(text: &str) -> Result<Self, MetadataError> {
        let mut metadata = Self::new();
        for element in text.split(',') {
            let element = element.trim_matches(' ');
            let (key, value) = element.split_once(' ').unwrap_or((element, ""));
            check_key(key)?;
            if metadata.get(key).is_some() {
                return Err(MetadataError::Repeated(key.to_owned()));
            }
            let value = LENIENT
                .decode(value)
                .map_err(|_| MetadataError::Value(key.to_owned()))?;
            metadata.pairs.push((key.to_owned(), value));
        }
        Ok(metadata)
    }
}

/// The header's text: pairs joined by a comma, no blanks but the one between key and value (MD-01).
impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{key}")?;
            if !value.is_empty() {
                write!(
                    f,
                    " {}",
                    base64::display::Base64Display::new(value, &STANDARD)
                )?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(key, value)| (key, String::from_utf8_lossy(value))),
            )
            .finish()
    }
}

fn check_key(key: &str) -> Result<(), MetadataError> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    if key.is_empty() || !key.bytes().all(allowed) {
        return Err(MetadataError::Key(key.to_owned()));
    }
    Ok(())
}

/// Standard Base64 with padding, as tus writes it everywhere.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Standard Base64, padding optional.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text).ok()
}

/// Why metadata cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// A key is empty, or holds something else than visible ASCII without comma.
    #[error("metadata key {0:?} must be visible ASCII without blanks and commas")]
    Key(String),
    /// A key is there twice.
    #[error("metadata key {0:?} is there more than once")]
    Repeated(String),
    /// A value is not Base64.
    #[error("the value of metadata key {0:?} is not Base64")]
    Value(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cloudflares_own_vector_is_read_and_written() {
        let text = "maxDurationSeconds NjAw,requiresignedurls,expiry MjAyNC0wMi0yN1QwNzoyMDo1MFo=";
        let metadata = Metadata::parse(text).unwrap();
        assert_eq!(metadata.get("maxDurationSeconds"), Some(&b"600"[..]));
        assert_eq!(metadata.get("requiresignedurls"), Some(&b""[..]));
        assert_eq!(
            metadata.get_ignoring_case("EXPIRY"),
            Some(&b"2024-02-27T07:20:50Z"[..])
        );
        assert_eq!(metadata.to_string(), text);
    }

    #[test]
    fn a_key_may_end_in_a_blank_and_elements_may_follow_one() {
        let metadata = Metadata::parse("a YQ==, b ,c").unwrap();
        assert_eq!(
            metadata.iter().collect::<Vec<_>>(),
            [("a", &b"a"[..]), ("b", b""), ("c", b"")]
        );
    }

    #[test]
    fn what_the_grammar_forbids_is_refused() {
        for bad in ["", ",", "a,,b", "a b c", "a *", "ü YQ==", "a YQ==,a Yg=="] {
            assert!(Metadata::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a b", "a,b", "ü", "a\r\nb"] {
            assert!(Metadata::new().insert(bad, "x").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_kept_once_with_its_last_value() {
        let mut metadata = Metadata::new();
        metadata.insert("name", "a").unwrap();
        metadata.insert("name", "b").unwrap();
        assert_eq!(metadata.to_string(), "name Yg==");
    }

    proptest! {
        #[test]
        fn every_metadata_survives_the_wire(pairs in prop::collection::btree_map("[!-+.-~]{1,12}", prop::collection::vec(any::<u8>(), 0..40), 1..8)) {
            let mut metadata = Metadata::new();
            for (key, value) in pairs {
                metadata.insert(&key, value).unwrap();
            }
            let header = metadata.to_header().unwrap();
            prop_assert_eq!(Metadata::parse(header.to_str().unwrap()).unwrap(), metadata);
        }

        #[test]
        fn no_text_makes_the_reader_panic_and_what_it_reads_it_writes_alike(text in "\\PC{0,60}") {
            if let Ok(metadata) = Metadata::parse(&text) {
                prop_assert_eq!(Metadata::parse(&metadata.to_string()).unwrap(), metadata);
            }
        }
    }
}
