//! [`Fingerprint`]: which upload is meant.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::codec::{from_hex, hex};

/// The identity of an upload: where it goes and what its source is called. 32 bytes.
///
/// Prints as 64 hexadecimal digits. Not a secret: nothing can be read back from it.
///
/// ```
/// use resume_store::Fingerprint;
///
/// let here = Fingerprint::new("https://tus.example/files", "/media/a.mp4");
/// assert_eq!(here.to_string().parse(), Ok(here));
/// assert_ne!(here, Fingerprint::new("https://tus.example/files", "/media/b.mp4"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `source_key` (a canonical path, or the key that a manifest gives) at
    /// `destination` (creation URL and account, or a one-time upload URL).
    pub fn new(destination: impl AsRef<[u8]>, source_key: impl AsRef<[u8]>) -> Self {
        let mut digest = Sha256::new();
        for part in [destination.as_ref(), source_key.as_ref()] {
            // The length comes first, so that no two pairs run together to the same bytes.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// A fingerprint from its own bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        from_hex(text).map(Self).ok_or(FingerprintError)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits")]
pub struct FingerprintError;
