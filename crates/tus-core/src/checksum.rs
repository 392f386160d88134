//! [`Checksum`]: the `Upload-Checksum` header and the digests behind it (CK-01 … CK-12).

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use sha2::Digest;

use crate::metadata::{from_base64, to_base64};

/// A digest that can protect the body of one PATCH. `sha1` is the one that every server with the extension has (CK-03).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChecksumAlgorithm {
    /// CRC-32 (IEEE), four bytes big-endian: against accidents only.
    Crc32,
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ChecksumAlgorithm {
    /// All of them, the best first: the order in which a server lists them and a client picks.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Sha1, Self::Md5, Self::Crc32];

    /// The name on the wire: ASCII without upper case (CK-04).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// An incremental digest.
    #[must_use]
    pub fn digester(self) -> Digester {
        Digester(match self {
            Self::Crc32 => State::Crc32(crc32fast::Hasher::new()),
            Self::Md5 => State::Md5(md5::Md5::new()),
            Self::Sha1 => State::Sha1(sha1::Sha1::new()),
            Self::Sha256 => State::Sha256(sha2::Sha256::new()),
        })
    }
}

impl fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ChecksumAlgorithm {
    type Err = ChecksumError;

    fn from_str(name: &str) -> Result<Self, ChecksumError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or(ChecksumError::UnknownAlgorithm)
    }
}

/// A digest that is fed piece by piece.
#[derive(Debug, Clone)]
pub struct Digester(State);

#[derive(Debug, Clone)]
enum State {
    Crc32(crc32fast::Hasher),
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Digester {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc32(hasher) => hasher.update(bytes),
            State::Md5(hasher) => hasher.update(bytes),
            State::Sha1(hasher) => hasher.update(bytes),
            State::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The checksum of all bytes so far.
    #[must_use]
    pub fn finish(self) -> Checksum {
        match self.0 {
            State::Crc32(hasher) => Checksum::new(
                ChecksumAlgorithm::Crc32,
                hasher.finalize().to_be_bytes().to_vec(),
            ),
            State::Md5(hasher) => Checksum::new(ChecksumAlgorithm::Md5, hasher.finalize().to_vec()),
            State::Sha1(hasher) => {
                Checksum::new(ChecksumAlgorithm::Sha1, hasher.finalize().to_vec())
            }
            State::Sha256(hasher) => {
                Checksum::new(ChecksumAlgorithm::Sha256, hasher.finalize().to_vec())
            }
        }
    }
}

/// The digest of the body of one PATCH (CK-05).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// How it was made.
    pub algorithm: ChecksumAlgorithm,
    digest: Vec<u8>,
}

impl Checksum {
    fn new(algorithm: ChecksumAlgorithm, digest: Vec<u8>) -> Self {
        Self { algorithm, digest }
    }

    /// The raw digest.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Reads `<algorithm> <base64>`.
    ///
    /// # Errors
    /// [`ChecksumError`]: an unknown algorithm is told apart from a bad value, since a server answers them differently
    /// (CK-07).
    pub fn parse(text: &str) -> Result<Self, ChecksumError> {
        let (name, value) = text.split_once(' ').ok_or(ChecksumError::Malformed)?;
        let algorithm = name.parse()?;
        let digest = from_base64(value).ok_or(ChecksumError::Malformed)?;
        Ok(Self { algorithm, digest })
    }

    /// The header value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("a name and Base64 are visible ASCII")
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, to_base64(&self.digest))
    }
}

/// Why an `Upload-Checksum` cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChecksumError {
    /// Not `<algorithm> <base64>`.
    #[error("the checksum is not an algorithm, a blank and Base64")]
    Malformed,
    /// An algorithm that is not known here.
    #[error("the checksum algorithm is not supported")]
    UnknownAlgorithm,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specs_own_sha1_vector_holds() {
        let mut digester = ChecksumAlgorithm::Sha1.digester();
        digester.update(b"hello ");
        digester.update(b"world");
        assert_eq!(
            digester.finish().to_string(),
            "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="
        );
    }

    #[test]
    fn each_algorithm_reads_what_it_writes() {
        for algorithm in ChecksumAlgorithm::ALL {
            let mut digester = algorithm.digester();
            digester.update(b"footage");
            let checksum = digester.finish();
            assert_eq!(Checksum::parse(&checksum.to_string()), Ok(checksum));
        }
    }

    #[test]
    fn an_unknown_algorithm_is_told_apart_from_a_bad_value() {
        assert_eq!(
            Checksum::parse("sha512 YQ=="),
            Err(ChecksumError::UnknownAlgorithm)
        );
        assert_eq!(
            Checksum::parse("SHA1 YQ=="),
            Err(ChecksumError::UnknownAlgorithm)
        );
        assert_eq!(Checksum::parse("sha1"), Err(ChecksumError::Malformed));
        assert_eq!(Checksum::parse("sha1 *"), Err(ChecksumError::Malformed));
    }
}
