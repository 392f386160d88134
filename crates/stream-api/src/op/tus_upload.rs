//! [`NewTusUpload`]: a video that is to be uploaded by tus, perhaps by somebody without a token.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::LOCATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use crate::bounds::MAX_DURATION_SECONDS;
use crate::error::Error;
use crate::op::edit::OutOfBounds;
use crate::op::new_video::NewVideo;
use crate::secret::Secret;

/// The header with the video's id.
pub const MEDIA_ID: HeaderName = HeaderName::from_static("stream-media-id");

/// What is to be uploaded, and how its video is set.
///
/// <https://developers.cloudflare.com/stream/uploading-videos/resumable-uploads/>
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewTusUpload {
    /// Bytes of the file.
    pub length: u64,
    /// Whether the URL works without a token, for somebody else. Default: no.
    pub direct_user: bool,
    /// The longest duration that the video may have, 1 to 36,000 seconds. It is taken off the
    /// account's storage until the upload ends or expires. Default: four hours.
    pub max_duration_seconds: Option<u32>,
    /// Until when it can be uploaded. Default: for a day.
    pub expiry: Option<SystemTime>,
    /// The settings of the new video. Entries of `meta` go as texts.
    pub video: NewVideo,
}

impl NewTusUpload {
    /// An upload of so many bytes.
    #[must_use]
    pub fn new(length: u64) -> Self {
        Self {
            length,
            direct_user: false,
            max_duration_seconds: None,
            expiry: None,
            video: NewVideo::default(),
        }
    }

    /// Checks the bounds that can be checked here.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self, now: SystemTime) -> Result<(), OutOfBounds> {
        let longest = self.max_duration_seconds;
        if longest.is_some_and(|it| !MAX_DURATION_SECONDS.contains(&i64::from(it))) {
            return Err(OutOfBounds("maxDurationSeconds must be 1 to 36000"));
        }
        if self.expiry.is_some_and(|expiry| expiry <= now) {
            return Err(OutOfBounds("expiry must be in the future"));
        }
        let is_key = |key: &String| {
            !key.is_empty() && key.bytes().all(|it| it.is_ascii_graphic() && it != b',')
        };
        if !self.video.meta.keys().all(is_key) {
            return Err(OutOfBounds(
                "meta must have keys of ASCII without blanks and commas",
            ));
        }
        self.video.check(now)
    }

    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let direct = ("direct_user", "true".to_owned());
        self.direct_user.then_some(direct).into_iter().collect()
    }

    pub(crate) fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: String| {
            let value = HeaderValue::try_from(value)
                .map_err(|_| Error::Request(format!("{name} holds what no header may hold")))?;
            headers.insert(name, value);
            Ok::<_, Error>(())
        };
        put("tus-resumable", "1.0.0".into())?;
        put("upload-length", self.length.to_string())?;
        if let Some(creator) = &self.video.creator {
            put("upload-creator", creator.clone())?;
        }
        let metadata = self.metadata();
        if !metadata.is_empty() {
            put("upload-metadata", metadata)?;
        }
        Ok(headers)
    }

    /// `Upload-Metadata`, the keys in the order in which Cloudflare's own library writes them.
    fn metadata(&self) -> String {
        let video = &self.video;
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let time = |time: Option<SystemTime>| {
            let time = Timestamp::try_from(time?).ok()?;
            Some(format!("{time:.0}"))
        };
        let hosts = &video.allowed_origins;
        let known = [
            ("name", video.meta.get("name").map(text)),
            (
                "maxDurationSeconds",
                self.max_duration_seconds.map(|it| it.to_string()),
            ),
            (
                "requiresignedurls",
                video.require_signed_urls.then(String::new),
            ),
            (
                "allowedorigins",
                (!hosts.is_empty()).then(|| hosts.join(",")),
            ),
            (
                "thumbnailtimestamppct",
                video.thumbnail_timestamp_pct.map(|it| it.to_string()),
            ),
            ("scheduledDeletion", time(video.scheduled_deletion)),
            ("expiry", time(self.expiry)),
            (
                "watermark",
                video.watermark.as_ref().map(|it| it.uid.clone()),
            ),
        ];
        let known = known
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let own = video.meta.iter().filter(|(key, _)| *key != "name");
        let own = own.map(|(key, value)| (key.clone(), text(value)));
        let pairs = known.chain(own).map(|(key, value)| {
            if value.is_empty() {
                key
            } else {
                format!("{key} {}", STANDARD.encode(value))
            }
        });
        pairs.collect::<Vec<_>>().join(",")
    }
}

/// An upload that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TusUpload {
    /// Where to upload, query included. With [`direct_user`](NewTusUpload::direct_user) whoever has it
    /// may; without, it wants the token.
    pub upload_url: Secret,
    /// The video's id; `None` if the answer did not have it.
    pub media_id: Option<String>,
}

impl TusUpload {
    pub(crate) fn of(creation_url: &str, headers: &HeaderMap) -> Option<Self> {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let location = headers.get(LOCATION).and_then(text)?;
        let url = Url::parse(creation_url).ok()?.join(&location).ok()?;
        Some(Self {
            upload_url: Secret::new(url.as_str()),
            media_id: headers.get(MEDIA_ID).and_then(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn cloudflares_own_vector_is_written() {
        let mut upload = NewTusUpload::new(1);
        upload.max_duration_seconds = Some(600);
        upload.video.require_signed_urls = true;
        upload.expiry = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_018_450));
        let wanted =
            "maxDurationSeconds NjAw,requiresignedurls,expiry MjAyNC0wMi0yN1QwNzoyMDo1MFo=";
        assert_eq!(upload.metadata(), wanted);
    }

    #[test]
    fn a_key_cannot_become_another_pair_and_a_creator_no_header() {
        let mut upload = NewTusUpload::new(1);
        upload.video.meta.insert("a,b c".into(), "d".into());
        upload.check(SystemTime::UNIX_EPOCH).unwrap_err();
        let mut upload = NewTusUpload::new(1);
        upload.video.creator = Some("a\r\nX: y".into());
        upload.headers().unwrap_err();
    }

    #[test]
    fn a_location_keeps_its_query_and_may_be_relative() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static("/tus/abc?tusv2=true"));
        headers.insert(MEDIA_ID, HeaderValue::from_static("m"));
        let made = TusUpload::of("https://api.example/v4/accounts/a/stream", &headers).unwrap();
        let wanted = "https://api.example/tus/abc?tusv2=true";
        assert_eq!(made.upload_url.expose(), wanted);
        assert_eq!(made.media_id.as_deref(), Some("m"));
    }
}
