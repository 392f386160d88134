//! [`ServerCapabilities`]: what a server says of itself in its answer to OPTIONS (O-01 … O-07).

use std::fmt;

use http::{HeaderMap, HeaderValue};

use crate::checksum::ChecksumAlgorithm;
use crate::header;

/// One extension of tus 1.0.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extension {
    /// `creation` (CR-02).
    Creation,
    /// `creation-with-upload` (CW-01).
    CreationWithUpload,
    /// `creation-defer-length` (DL-01).
    CreationDeferLength,
    /// `expiration` (EX-01).
    Expiration,
    /// `checksum` (CK-01).
    Checksum,
    /// `checksum-trailer` (CT-01).
    ChecksumTrailer,
    /// `termination` (TM-01).
    Termination,
    /// `concatenation` (CC-01).
    Concatenation,
    /// `concatenation-unfinished` (CC-08).
    ConcatenationUnfinished,
}

impl Extension {
    /// All of them, in the order of the text.
    pub const ALL: [Self; 9] = [
        Self::Creation,
        Self::CreationWithUpload,
        Self::CreationDeferLength,
        Self::Expiration,
        Self::Checksum,
        Self::ChecksumTrailer,
        Self::Termination,
        Self::Concatenation,
        Self::ConcatenationUnfinished,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Creation => "creation",
            Self::CreationWithUpload => "creation-with-upload",
            Self::CreationDeferLength => "creation-defer-length",
            Self::Expiration => "expiration",
            Self::Checksum => "checksum",
            Self::ChecksumTrailer => "checksum-trailer",
            Self::Termination => "termination",
            Self::Concatenation => "concatenation",
            Self::ConcatenationUnfinished => "concatenation-unfinished",
        }
    }
}

/// A set of extensions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions(u16);

impl Extensions {
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether `extension` is in the set.
    #[must_use]
    pub fn has(self, extension: Extension) -> bool {
        self.0 & (1 << extension as u16) != 0
    }

    /// The set with `extension`.
    #[must_use]
    pub fn with(self, extension: Extension) -> Self {
        Self(self.0 | (1 << extension as u16))
    }

    /// The set without `extension`.
    #[must_use]
    pub fn without(self, extension: Extension) -> Self {
        Self(self.0 & !(1 << extension as u16))
    }

    /// The members in the order of the text.
    pub fn iter(self) -> impl Iterator<Item = Extension> {
        Extension::ALL
            .into_iter()
            .filter(move |extension| self.has(*extension))
    }
}

impl FromIterator<Extension> for Extensions {
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> Self {
        extensions.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What a server offers. The default is a server that says nothing: tus core, nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerCapabilities {
    /// Extensions; unknown names are left out.
    pub extensions: Extensions,
    /// The largest upload in bytes, if there is a limit (G-09).
    pub max_size_bytes: Option<u64>,
    /// Algorithms for `Upload-Checksum`, in the server's order; unknown ones are left out (CK-02).
    pub checksum_algorithms: Vec<ChecksumAlgorithm>,
}

impl ServerCapabilities {
    /// Reads the headers of an answer to OPTIONS. `None` when the answer is not a tus server's: no `Tus-Version` with a
    /// version that is spoken here (O-02).
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let versions = header::text(headers, &header::TUS_VERSION).ok()??;
        if !header::list(versions).any(|version| version == "1.0.0") {
            return None;
        }
        let names = header::text(headers, &header::TUS_EXTENSION)
            .ok()
            .flatten()
            .unwrap_or("");
        let extensions = header::list(names)
            .filter_map(|name| {
                Extension::ALL
                    .into_iter()
                    .find(|extension| extension.name() == name)
            })
            .collect();
        let algorithms = header::text(headers, &header::TUS_CHECKSUM_ALGORITHM)
            .ok()
            .flatten()
            .unwrap_or("");
        Some(Self {
            extensions,
            max_size_bytes: header::integer(headers, &header::TUS_MAX_SIZE)
                .ok()
                .flatten(),
            checksum_algorithms: header::list(algorithms)
                .filter_map(|name| name.parse().ok())
                .collect(),
        })
    }

    /// Writes the headers of an answer to OPTIONS (O-02, O-03, G-08).
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(header::TUS_VERSION, header::VERSION);
        insert_list(
            headers,
            header::TUS_EXTENSION,
            self.extensions.iter().map(Extension::name),
        );
        if let Some(max) = self.max_size_bytes {
            headers.insert(header::TUS_MAX_SIZE, header::from_integer(max));
        }
        if self.extensions.has(Extension::Checksum) {
            let names = self
                .checksum_algorithms
                .iter()
                .map(|algorithm| algorithm.name());
            insert_list(headers, header::TUS_CHECKSUM_ALGORITHM, names);
        }
    }
}

fn insert_list<'a>(
    headers: &mut HeaderMap,
    name: http::HeaderName,
    elements: impl Iterator<Item = &'a str>,
) {
    let list = elements.collect::<Vec<_>>().join(",");
    if !list.is_empty() {
        headers.insert(
            name,
            HeaderValue::try_from(list).expect("names are visible ASCII"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_read_back() {
        let said = ServerCapabilities {
            extensions: [Extension::Creation, Extension::Checksum]
                .into_iter()
                .collect(),
            max_size_bytes: Some(30),
            checksum_algorithms: vec![ChecksumAlgorithm::Sha1],
        };
        let mut headers = HeaderMap::new();
        said.write(&mut headers);
        assert_eq!(headers[header::TUS_EXTENSION], "creation,checksum");
        assert_eq!(ServerCapabilities::from_headers(&headers), Some(said));
    }

    #[test]
    fn a_server_without_extensions_omits_the_list() {
        let mut headers = HeaderMap::new();
        ServerCapabilities::default().write(&mut headers);
        assert!(!headers.contains_key(header::TUS_EXTENSION));
    }

    #[test]
    fn an_answer_without_version_is_no_tus_servers() {
        assert_eq!(ServerCapabilities::from_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn unknown_extensions_are_left_out() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::TUS_VERSION,
            HeaderValue::from_static("2.0.0, 1.0.0"),
        );
        headers.insert(
            header::TUS_EXTENSION,
            HeaderValue::from_static("creation , getting"),
        );
        let read = ServerCapabilities::from_headers(&headers).unwrap();
        assert_eq!(
            read.extensions.iter().collect::<Vec<_>>(),
            [Extension::Creation]
        );
    }
}
