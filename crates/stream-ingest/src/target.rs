//! [`Target`]: where videos go.

use std::path::Path;

use http::HeaderMap;
use jiff::Timestamp;
use tus_core::UploadUrl;
use tus_core::client::Creation;

use crate::limits::MAX_VIDEO_BYTES;
use crate::settings::{SettingsError, VideoSettings};

/// Where videos go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Target {
    /// A Stream account, or an emulator of one.
    Account {
        /// Where creations go: `…/accounts/{account}/stream`.
        creation_url: UploadUrl,
        /// What the account is known as from run to run. Default: the creation URL.
        identity: Option<String>,
    },
    /// Any tus server.
    Tus {
        /// Where creations go.
        creation_url: UploadUrl,
    },
}

impl Target {
    /// The account at an API base such as `https://api.cloudflare.com/client/v4`.
    ///
    /// # Errors
    /// [`TargetError`] when base or account make no URL.
    pub fn account(api_base: &str, account_id: &str) -> Result<Self, TargetError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if account_id.is_empty() || !account_id.chars().all(plain) {
            return Err(TargetError::AccountId);
        }
        let url = format!(
            "{}/accounts/{account_id}/stream",
            api_base.trim_end_matches('/')
        );
        let creation_url = UploadUrl::parse(&url).map_err(TargetError::Url)?;
        Ok(Self::Account {
            creation_url,
            identity: None,
        })
    }

    /// The tus server whose creation URL this is.
    ///
    /// # Errors
    /// [`TargetError`] when it is no URL.
    pub fn tus(endpoint: &str) -> Result<Self, TargetError> {
        UploadUrl::parse(endpoint)
            .map(|creation_url| Self::Tus { creation_url })
            .map_err(TargetError::Url)
    }

    /// Gives the account an identity that holds wherever it is reached, such as the folder that an embedded emulator keeps
    /// its data in. Remembered uploads are then looked for at the current address.
    #[must_use]
    pub fn with_identity(self, known_as: impl Into<String>) -> Self {
        match self {
            Self::Account { creation_url, .. } => Self::Account {
                creation_url,
                identity: Some(known_as.into()),
            },
            other @ Self::Tus { .. } => other,
        }
    }

    /// Where creations go.
    #[must_use]
    pub fn creation_url(&self) -> &UploadUrl {
        match self {
            Self::Account { creation_url, .. } | Self::Tus { creation_url } => creation_url,
        }
    }

    /// Whether it is Stream, so that its rules hold and its results have media ids.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Account { .. })
    }

    /// The largest file that it takes, in bytes, if that is known.
    #[must_use]
    pub fn max_bytes(&self) -> Option<u64> {
        self.is_stream().then_some(MAX_VIDEO_BYTES)
    }

    pub(crate) fn identity(&self) -> Option<&str> {
        match self {
            Self::Account { identity, .. } => identity.as_deref(),
            Self::Tus { .. } => None,
        }
    }

    pub(crate) fn creation(
        &self,
        path: &Path,
        settings: &VideoSettings,
    ) -> Result<Creation, SettingsError> {
        let name = file_name(path);
        let (metadata, headers) = if self.is_stream() {
            (
                settings.stream_metadata(&name, Timestamp::now())?,
                settings.stream_headers()?,
            )
        } else {
            (
                settings.tus_metadata(&name, file_type(path))?,
                HeaderMap::new(),
            )
        };
        let mut creation = Creation::new(self.creation_url().clone()).with_metadata(metadata);
        creation.headers = headers;
        Ok(creation)
    }
}

/// The name of a file as text; bytes that are not UTF-8 are shown as such.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// The media type that a file's name suggests.
fn file_type(path: &Path) -> &'static str {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("")
        .to_ascii_lowercase();
    match extension.as_str() {
        "avi" => "video/x-msvideo",
        "mkv" => "video/x-matroska",
        "mov" | "qt" => "video/quicktime",
        "m4v" | "mp4" => "video/mp4",
        "mpeg" | "mpg" => "video/mpeg",
        "m2ts" | "mts" | "ts" => "video/mp2t",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}

/// Why a target cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The account id is empty, or not made of letters, digits, `-` and `_`.
    #[error("the account id must be made of letters and digits")]
    AccountId,
    /// It is not a URL that can be used.
    #[error("{0}")]
    Url(tus_core::UrlError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_reached_below_its_api() {
        let target = Target::account("https://api.cloudflare.com/client/v4/", "abc123").unwrap();
        let url = "https://api.cloudflare.com/client/v4/accounts/abc123/stream";
        assert_eq!(target.creation_url().expose(), url);
        assert_eq!(
            Target::account("https://x", "../y").unwrap_err(),
            TargetError::AccountId
        );
        assert!(Target::tus("not a url").is_err());
    }

    #[test]
    fn a_plain_server_gets_the_name_and_the_type_that_many_of_them_want() {
        let target = Target::tus("http://127.0.0.1:1080/files/").unwrap();
        let creation = target
            .creation(Path::new("/x/a.mov"), &VideoSettings::default())
            .unwrap();
        assert_eq!(creation.metadata.get("filename"), Some(&b"a.mov"[..]));
        assert_eq!(
            creation.metadata.get("filetype"),
            Some(&b"video/quicktime"[..])
        );
    }
}
