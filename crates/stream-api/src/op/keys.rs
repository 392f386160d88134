//! [`SigningKey`]: what tokens for playback are signed with.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::lenient::{self, Unknown};
use crate::secret::Secret;

/// A signing key, as a listing shows it.
///
/// <https://developers.cloudflare.com/stream/viewing-videos/securing-your-stream/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SigningKey {
    /// Its id, which tokens name as `kid`.
    #[serde(deserialize_with = "lenient::text")]
    pub id: String,
    /// The id once more, in newer answers.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// When it was made.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub created: Option<SystemTime>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

/// A new signing key, up to 1,000 of an account. Its secrets are never shown again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewSigningKey {
    /// Its id, which tokens name as `kid`.
    #[serde(deserialize_with = "lenient::text")]
    pub id: String,
    /// When it was made.
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub created: Option<SystemTime>,
    /// The private key as Base64 of a JSON Web Key.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub jwk: Option<Secret>,
    /// The private key as Base64 of a PEM file (PKCS #1).
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub pem: Option<Secret>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}
