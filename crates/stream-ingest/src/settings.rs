//! [`VideoSettings`]: what is told about a video when it is created.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use stream_api::op::direct_upload::NewDirectUpload;
use stream_api::op::new_video::NewVideo;
use stream_api::op::tus_upload::NewTusUpload;
use tus_core::Metadata;

use crate::limits::{MAX_CREATOR_CHARS, MAX_DURATION_SECONDS, SCHEDULED_DELETION_DAYS};

/// Stream's header for the creator.
const UPLOAD_CREATOR: HeaderName = HeaderName::from_static("upload-creator");

/// When a video is deleted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deletion {
    /// At this time.
    At(Timestamp),
    /// So long after its creation. Counted when the upload is created, so a later run of the same command does not change it.
    After(SignedDuration),
}

/// Settings of a video, fixed when its upload is created.
///
/// Keys and formats: <https://developers.cloudflare.com/stream/uploading-videos/upload-video-file/#supported-options-in-upload-metadata>
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct VideoSettings {
    /// Its name. Default: the file's.
    pub name: Option<String>,
    /// Further metadata, in order.
    pub meta: Vec<(String, String)>,
    /// Who made it: at most 64 characters.
    pub creator: Option<String>,
    /// Whether playing it needs a signed URL. Default `false`.
    pub require_signed_urls: bool,
    /// Hosts that may play it. Default: all.
    pub allowed_origins: Vec<String>,
    /// Where its thumbnail is taken, as a fraction of its duration, `0.0 ..= 1.0`.
    pub thumbnail_pct: Option<f64>,
    /// The watermark profile to burn in.
    pub watermark: Option<String>,
    /// When it is deleted.
    pub scheduled_deletion: Option<Deletion>,
    /// The longest duration that is accepted: 1 s to 10 h. Reserves that much of the account's storage.
    pub max_duration: Option<Duration>,
    /// When the upload URL expires.
    pub expiry: Option<Timestamp>,
}

impl VideoSettings {
    /// Checks every bound that Stream documents.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting and the bound.
    pub fn check(&self, now: Timestamp) -> Result<(), SettingsError> {
        if self
            .creator
            .as_ref()
            .is_some_and(|creator| creator.chars().count() > MAX_CREATOR_CHARS)
        {
            return Err(SettingsError::Creator);
        }
        if self
            .thumbnail_pct
            .is_some_and(|pct| !(0.0..=1.0).contains(&pct))
        {
            return Err(SettingsError::ThumbnailPct);
        }
        if self
            .max_duration
            .is_some_and(|limit| !(1..=MAX_DURATION_SECONDS).contains(&limit.as_secs()))
        {
            return Err(SettingsError::MaxDuration);
        }
        if self
            .allowed_origins
            .iter()
            .any(|origin| !is_host_pattern(origin))
        {
            return Err(SettingsError::AllowedOrigin);
        }
        if let Some(deletion) = self.scheduled_deletion {
            let after = deletion.at(now)?.duration_since(now);
            let days = after.as_secs() / (24 * 60 * 60);
            if !SCHEDULED_DELETION_DAYS.contains(&days) {
                return Err(SettingsError::ScheduledDeletion);
            }
        }
        if self.expiry.is_some_and(|expiry| expiry <= now) {
            return Err(SettingsError::Expiry);
        }
        self.stream_metadata("", now).map(drop)
    }

    /// The metadata of a creation on Stream. `file_name` is the name of a video that was given none.
    ///
    /// # Errors
    /// [`SettingsError`] for a metadata key that tus cannot carry.
    pub fn stream_metadata(
        &self,
        file_name: &str,
        now: Timestamp,
    ) -> Result<Metadata, SettingsError> {
        let mut metadata = Metadata::new();
        let mut put = |key: &str, value: &str| {
            metadata
                .insert(key, value)
                .map_err(|_| SettingsError::Key(key.into()))
        };
        put("name", self.name.as_deref().unwrap_or(file_name))?;
        if let Some(limit) = self.max_duration {
            put("maxDurationSeconds", &limit.as_secs().to_string())?;
        }
        if self.require_signed_urls {
            put("requiresignedurls", "")?; // its presence is enough, and any value would switch it on
        }
        if !self.allowed_origins.is_empty() {
            put("allowedorigins", &self.allowed_origins.join(","))?;
        }
        if let Some(pct) = self.thumbnail_pct {
            put("thumbnailtimestamppct", &pct.to_string())?;
        }
        if let Some(deletion) = self.scheduled_deletion {
            put("scheduleddeletion", &deletion.at(now)?.to_string())?;
        }
        if let Some(expiry) = self.expiry {
            put("expiry", &expiry.to_string())?;
        }
        if let Some(watermark) = &self.watermark {
            put("watermark", watermark)?;
        }
        for (key, value) in &self.meta {
            put(key, value)?;
        }
        Ok(metadata)
    }

    /// The metadata of a creation on any other tus server: `filename` and `filetype`, which many servers want, and what was
    /// given as metadata. A name need not be text, for metadata is bytes.
    ///
    /// # Errors
    /// As [`stream_metadata`](Self::stream_metadata).
    pub fn tus_metadata(
        &self,
        file_name: &[u8],
        file_type: &str,
    ) -> Result<Metadata, SettingsError> {
        let mut metadata = Metadata::new();
        let mut put = |key: &str, value: &[u8]| {
            metadata
                .insert(key, value)
                .map_err(|_| SettingsError::Key(key.into()))
        };
        let name = self.name.as_deref().map(str::as_bytes);
        put("filename", name.unwrap_or(file_name))?;
        put("filetype", file_type.as_bytes())?;
        for (key, value) in &self.meta {
            put(key, value.as_bytes())?;
        }
        Ok(metadata)
    }

    /// The headers of a creation on Stream.
    ///
    /// # Errors
    /// [`SettingsError::Creator`] for a creator that a header cannot carry.
    pub fn stream_headers(&self) -> Result<HeaderMap, SettingsError> {
        let mut headers = HeaderMap::new();
        if let Some(creator) = &self.creator {
            let value = HeaderValue::from_str(creator).map_err(|_| SettingsError::Creator)?;
            headers.insert(UPLOAD_CREATOR, value);
        }
        Ok(headers)
    }

    /// The settings of a copy. `file_name` is the name of a video that was given none.
    ///
    /// # Errors
    /// [`SettingsError::NotOfCopy`] for what a copy does not take, and whatever [`check`](Self::check) finds.
    pub fn copy_settings(
        &self,
        file_name: &str,
        now: Timestamp,
    ) -> Result<NewVideo, SettingsError> {
        if self.max_duration.is_some() {
            return Err(SettingsError::NotOfCopy("maximum duration"));
        }
        if self.expiry.is_some() {
            return Err(SettingsError::NotOfCopy("expiry"));
        }
        self.new_video(Some(file_name), now)
    }

    /// A one-time URL for a form, below 200 MB: [`StreamClient::create_direct_upload`](stream_api::StreamClient::create_direct_upload)
    /// makes it.
    ///
    /// # Errors
    /// [`SettingsError::NoMaxDuration`] without a longest duration, and whatever [`check`](Self::check) finds.
    pub fn direct_upload(&self, now: Timestamp) -> Result<NewDirectUpload, SettingsError> {
        let limit = self.max_duration.ok_or(SettingsError::NoMaxDuration)?;
        let seconds = u32::try_from(limit.as_secs()).map_err(|_| SettingsError::MaxDuration)?;
        let mut new = NewDirectUpload::new(seconds);
        new.expiry = self.expiry.map(SystemTime::from);
        new.video = self.new_video(None, now)?;
        Ok(new)
    }

    /// A one-time URL for tus, for a file of `length` bytes that somebody without a token uploads:
    /// [`StreamClient::create_tus_upload`](stream_api::StreamClient::create_tus_upload) makes it. Without a longest duration it
    /// reserves four hours.
    ///
    /// # Errors
    /// Whatever [`check`](Self::check) finds.
    pub fn direct_tus_upload(
        &self,
        length: u64,
        now: Timestamp,
    ) -> Result<NewTusUpload, SettingsError> {
        let mut new = NewTusUpload::new(length);
        new.direct_user = true;
        if let Some(limit) = self.max_duration {
            let seconds = u32::try_from(limit.as_secs()).map_err(|_| SettingsError::MaxDuration)?;
            new.max_duration_seconds = Some(seconds);
        }
        new.expiry = self.expiry.map(SystemTime::from);
        new.video = self.new_video(None, now)?;
        Ok(new)
    }

    fn new_video(
        &self,
        file_name: Option<&str>,
        now: Timestamp,
    ) -> Result<NewVideo, SettingsError> {
        self.check(now)?;
        let mut video = NewVideo::default();
        if let Some(name) = self.name.as_deref().or(file_name) {
            video = video.with_name(name);
        }
        for (key, value) in &self.meta {
            video.meta.insert(key.clone(), value.clone().into());
        }
        video.creator.clone_from(&self.creator);
        video.require_signed_urls = self.require_signed_urls;
        video.allowed_origins.clone_from(&self.allowed_origins);
        video.thumbnail_timestamp_pct = self.thumbnail_pct;
        if let Some(deletion) = self.scheduled_deletion {
            video.scheduled_deletion = Some(deletion.at(now)?.into());
        }
        if let Some(watermark) = &self.watermark {
            video = video.with_watermark(watermark);
        }
        Ok(video)
    }

    /// What the settings are known as from run to run: the same for the same command, whatever the time, and wherever the file
    /// was moved.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{self:?}")
    }
}

impl Deletion {
    fn at(self, now: Timestamp) -> Result<Timestamp, SettingsError> {
        match self {
            Self::At(at) => Ok(at),
            Self::After(after) => now
                .checked_add(after)
                .map_err(|_| SettingsError::ScheduledDeletion),
        }
    }
}

/// `example.com`, `*.example.com` or `localhost:8080`: a host with an optional port, no scheme and no path.
fn is_host_pattern(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_*:[]".contains(&byte))
}

/// A setting that Stream would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// An origin is not a host.
    #[error(
        "an allowed origin is a host such as example.com or *.example.com, without scheme and path"
    )]
    AllowedOrigin,
    /// The creator is too long, or holds what a header cannot carry.
    #[error("the creator may have at most {MAX_CREATOR_CHARS} printable ASCII characters")]
    Creator,
    /// The expiry lies in the past.
    #[error("the expiry lies in the past")]
    Expiry,
    /// A key of the metadata holds a blank, a comma or something that is not ASCII.
    #[error("metadata key {0:?} must be visible ASCII without blanks and commas")]
    Key(String),
    /// The longest duration is out of bounds.
    #[error("the longest video duration must lie between 1 s and {MAX_DURATION_SECONDS} s")]
    MaxDuration,
    /// A form upload wants a longest duration.
    #[error(
        "a one-time URL for a form needs a longest video duration: that much of the storage is reserved"
    )]
    NoMaxDuration,
    /// A copy does not take this setting.
    #[error("a copy takes no {0}")]
    NotOfCopy(&'static str),
    /// The deletion is too soon or too late.
    #[error("a scheduled deletion must lie 30 to 1096 days after creation")]
    ScheduledDeletion,
    /// The thumbnail's position is out of bounds.
    #[error("the thumbnail's position is a fraction between 0 and 1")]
    ThumbnailPct,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn streams_metadata_is_written_as_its_documentation_says() {
        let settings = VideoSettings {
            require_signed_urls: true,
            allowed_origins: vec!["example.com".into(), "test.com".into()],
            thumbnail_pct: Some(0.5),
            max_duration: Some(Duration::from_secs(600)),
            scheduled_deletion: Some(Deletion::After(SignedDuration::from_hours(90 * 24))),
            meta: vec![("show".into(), "pilot".into())],
            ..VideoSettings::default()
        };
        settings.check(now()).unwrap();
        let metadata = settings.stream_metadata("a.mp4", now()).unwrap();
        let read: Vec<_> = metadata
            .iter()
            .map(|(key, value)| (key, String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(
            read,
            [
                ("name", "a.mp4".into()),
                ("maxDurationSeconds", "600".into()),
                ("requiresignedurls", "".into()),
                ("allowedorigins", "example.com,test.com".into()),
                ("thumbnailtimestamppct", "0.5".into()),
                ("scheduleddeletion", "2026-04-01T00:00:00Z".into()),
                ("show", "pilot".into()),
            ]
        );
    }

    #[test]
    fn each_bound_is_checked_before_anything_is_sent() {
        let bad = |change: fn(&mut VideoSettings)| {
            let mut settings = VideoSettings::default();
            change(&mut settings);
            settings.check(now()).unwrap_err()
        };
        assert_eq!(
            bad(|s| s.creator = Some("x".repeat(65))),
            SettingsError::Creator
        );
        assert_eq!(
            bad(|s| s.thumbnail_pct = Some(1.1)),
            SettingsError::ThumbnailPct
        );
        assert_eq!(
            bad(|s| s.max_duration = Some(Duration::from_secs(36_001))),
            SettingsError::MaxDuration
        );
        assert_eq!(
            bad(|s| s.allowed_origins = vec!["https://a.com/".into()]),
            SettingsError::AllowedOrigin
        );
        assert_eq!(
            bad(|s| s.expiry = Some("2025-01-01T00:00:00Z".parse().unwrap())),
            SettingsError::Expiry
        );
        let soon = Deletion::After(SignedDuration::from_hours(24));
        let mut settings = VideoSettings {
            scheduled_deletion: Some(soon),
            ..VideoSettings::default()
        };
        assert_eq!(settings.check(now()), Err(SettingsError::ScheduledDeletion));
        settings.scheduled_deletion = None;
        settings.meta = vec![("a b".into(), String::new())];
        assert_eq!(settings.check(now()), Err(SettingsError::Key("a b".into())));
    }

    #[test]
    fn a_relative_deletion_is_the_same_setting_tomorrow() {
        let after = |days: i64| VideoSettings {
            scheduled_deletion: Some(Deletion::After(SignedDuration::from_hours(days * 24))),
            ..VideoSettings::default()
        };
        assert_eq!(after(90).key(), after(90).key());
        assert_ne!(after(90).key(), after(91).key());
        let today = after(90).stream_metadata("a", now()).unwrap();
        let tomorrow = now() + SignedDuration::from_hours(24);
        assert_ne!(today, after(90).stream_metadata("a", tomorrow).unwrap());
    }
}
