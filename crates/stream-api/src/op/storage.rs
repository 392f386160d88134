//! [`StorageUsage`]: how much is stored.

use serde::{Deserialize, Serialize};

use crate::lenient::{self, Unknown};

/// How many minutes are stored, and how many may be.
///
/// <https://developers.cloudflare.com/api/resources/stream/subresources/videos/methods/storage_usage/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct StorageUsage {
    /// Whose videos were counted, if not everybody's.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// Minutes stored; may have a fraction.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub total_storage_minutes: Option<f64>,
    /// Minutes that were bought.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub total_storage_minutes_limit: Option<f64>,
    /// Videos stored.
    #[serde(with = "lenient::number", skip_serializing_if = "Option::is_none")]
    pub video_count: Option<f64>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}
