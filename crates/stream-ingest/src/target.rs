//! [`Target`]: where videos go.

use std::path::Path;

use http::HeaderMap;
use jiff::Timestamp;
use tus_core::UploadUrl;
use tus_core::client::Creation;
use tus_engine::NewUpload;

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
    /// A one-time URL that somebody else made: Stream's, or any tus server's. It takes one source, without credentials.
    UploadUrl {
        /// The URL. A secret.
        upload_url: UploadUrl,
        /// Stream's id of the video that it belongs to, if it was told along with it.
        media_id: Option<String>,
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

    /// The one-time URL that somebody made for one source.
    ///
    /// # Errors
    /// [`TargetError`] when it is no URL, or one of a form upload, which does not speak tus.
    pub fn upload_url(url: &str, media_id: Option<String>) -> Result<Self, TargetError> {
        let upload_url = UploadUrl::parse(url).map_err(TargetError::Url)?;
        if is_basic_form(&upload_url) {
            return Err(TargetError::BasicForm);
        }
        Ok(Self::UploadUrl {
            upload_url,
            media_id,
        })
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
            other => other,
        }
    }

    /// Where the first request goes.
    #[must_use]
    pub fn url(&self) -> &UploadUrl {
        match self {
            Self::Account { creation_url, .. } | Self::Tus { creation_url } => creation_url,
            Self::UploadUrl { upload_url, .. } => upload_url,
        }
    }

    /// Whether it is a Stream account, so that videos have settings and ids.
    #[must_use]
    pub fn is_account(&self) -> bool {
        matches!(self, Self::Account { .. })
    }

    /// Whether Stream's rules are kept. They are for one-time URLs too: most are Stream's, and any tus server takes what Stream
    /// takes.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        !matches!(self, Self::Tus { .. })
    }

    /// The largest file that it takes, in bytes, if that is known.
    #[must_use]
    pub fn max_bytes(&self) -> Option<u64> {
        self.is_account().then_some(MAX_VIDEO_BYTES)
    }

    pub(crate) fn identity(&self) -> Option<&str> {
        match self {
            Self::Account { identity, .. } => identity.as_deref(),
            Self::Tus { .. } | Self::UploadUrl { .. } => None,
        }
    }

    /// The upload of the file at `path`, known as `key`.
    pub(crate) fn upload(
        &self,
        path: &Path,
        key: String,
        settings: &VideoSettings,
    ) -> Result<NewUpload, SettingsError> {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let (url, metadata, headers) = match self {
            Self::Account { creation_url, .. } => (
                creation_url,
                // Text is all that Stream's API can show.
                settings.stream_metadata(&name.to_string_lossy(), Timestamp::now())?,
                settings.stream_headers()?,
            ),
            Self::Tus { creation_url } => (
                creation_url,
                settings.tus_metadata(name.as_encoded_bytes(), file_type(path))?,
                HeaderMap::new(),
            ),
            // Its settings are whoever's who made it.
            Self::UploadUrl { upload_url, .. } => {
                return Ok(NewUpload::to_upload_url(upload_url.clone(), key));
            }
        };
        let mut creation = Creation::new(url.clone()).with_metadata(metadata);
        creation.headers = headers;
        let new = NewUpload::new(creation, key).with_settings(settings.key());
        Ok(match self.identity() {
            Some(identity) => new.with_destination(identity).with_server_moves(true),
            None => new,
        })
    }
}

/// Whether it is one of Stream's URLs for a form upload: the host of one-time URLs, and an id without `/tus/` before it.
/// <https://developers.cloudflare.com/stream/uploading-videos/direct-creator-uploads/>
fn is_basic_form(url: &UploadUrl) -> bool {
    let host = url.uri().host().unwrap_or_default();
    let known = ["upload.videodelivery.net", "upload.cloudflarestream.com"];
    known.contains(&host) && !url.uri().path().starts_with("/tus/")
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
    /// It is a one-time URL for a form upload.
    #[error(
        "this one-time URL takes a form upload and does not speak tus: ask for one that was made for tus"
    )]
    BasicForm,
    /// It is not a URL that can be used.
    #[error("{0}")]
    Url(tus_core::UrlError),
}

#[cfg(test)]
mod tests {
    use tus_engine::Entry;

    use super::*;

    #[test]
    fn a_one_time_url_for_a_form_is_told_from_one_for_tus() {
        let id = "0123456789abcdef0123456789abcdef";
        let form = format!("https://upload.videodelivery.net/{id}");
        let error = Target::upload_url(&form, None).unwrap_err();
        assert_eq!(error, TargetError::BasicForm);
        let tus = format!("https://upload.videodelivery.net/tus/{id}?tusv2=true");
        assert!(Target::upload_url(&tus, None).unwrap().is_stream());
        assert!(Target::upload_url("http://127.0.0.1:8787/tus/x", None).is_ok());
    }

    #[test]
    fn an_account_is_reached_below_its_api() {
        let target = Target::account("https://api.cloudflare.com/client/v4/", "abc123").unwrap();
        let url = "https://api.cloudflare.com/client/v4/accounts/abc123/stream";
        assert_eq!(target.url().expose(), url);
        assert_eq!(
            Target::account("https://x", "../y").unwrap_err(),
            TargetError::AccountId
        );
        assert!(Target::tus("not a url").is_err());
    }

    #[test]
    fn a_plain_server_gets_the_name_and_the_type_that_many_of_them_want() {
        let target = Target::tus("http://127.0.0.1:1080/files/").unwrap();
        let path = Path::new("/x/a.mov");
        let new = target.upload(path, "a".into(), &VideoSettings::default());
        let Entry::Creation(creation) = new.unwrap().entry else {
            panic!("a tus server creates");
        };
        assert_eq!(creation.metadata.get("filename"), Some(&b"a.mov"[..]));
        assert_eq!(
            creation.metadata.get("filetype"),
            Some(&b"video/quicktime"[..])
        );
    }
}
