//! What a creation says of its video: `Upload-Metadata` and `Upload-Creator`.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use serde_json::{Map, Value};
use stream_api::Video;
use stream_api::bounds::{
    CREATOR_CHARACTERS, MAX_DURATION_SECONDS, SCHEDULED_DELETION, THUMBNAIL_TIMESTAMP_PCT,
};
use stream_api::op::videos::VideoInput;
use stream_api::op::watermarks::Watermark;
use tus_core::{Metadata, header};

const UPLOAD_CREATOR: HeaderName = HeaderName::from_static("upload-creator");
/// Without `expiry`, a day, as in the documentation's webhook sample.
pub(crate) const DEFAULT_EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);
/// And half an hour where a one-time URL is handed out.
pub(crate) const DEFAULT_DIRECT_EXPIRY: Duration = Duration::from_secs(30 * 60);

/// Reads the settings of a creation into a video without a byte. `direct` is whether a one-time URL
/// was asked for.
///
/// Keys are compared whatever their case; those that Stream does not know
/// become entries of `meta`.
///
/// # Errors
/// A text that says which value is wrong.
pub(crate) fn read(
    uid: &str,
    length: u64,
    headers: &HeaderMap,
    direct: bool,
    now: SystemTime,
) -> Result<Video, String> {
    let mut video = Video::default();
    video.uid = uid.to_owned();
    video.created = Some(now);
    video.modified = Some(now);
    video.upload_expiry = now.checked_add(if direct {
        DEFAULT_DIRECT_EXPIRY
    } else {
        DEFAULT_EXPIRY
    });
    #[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^53")]
    let size = length as f64;
    video.size = Some(size);
    video.duration_seconds = Some(-1.0);
    video.input = Some(VideoInput {
        width: Some(-1.0),
        height: Some(-1.0),
    });
    video.require_signed_urls = Some(false);
    video.thumbnail_timestamp_pct = Some(0.0);
    video.creator = creator(headers)?;

    let text =
        header::text(headers, &header::UPLOAD_METADATA).map_err(|error| error.to_string())?;
    let metadata = text
        .map(Metadata::parse)
        .transpose()
        .map_err(|error| error.to_string())?;
    let mut meta = Map::new();
    for (key, value) in metadata.iter().flat_map(Metadata::iter) {
        let value = String::from_utf8_lossy(value);
        match key.to_ascii_lowercase().as_str() {
            "requiresignedurls" => video.require_signed_urls = Some(true),
            "allowedorigins" => {
                let hosts = value
                    .split(',')
                    .map(str::trim)
                    .filter(|host| !host.is_empty());
                video.allowed_origins = hosts.map(str::to_owned).collect();
            }
            "thumbnailtimestamppct" => {
                let at = value
                    .parse()
                    .ok()
                    .filter(|at| THUMBNAIL_TIMESTAMP_PCT.contains(at));
                video.thumbnail_timestamp_pct = Some(at.ok_or_else(|| bad(key, "0.0 to 1.0"))?);
            }
            "scheduleddeletion" => {
                let at = time(&value).filter(|at| {
                    let ahead = at.duration_since(now).unwrap_or_default();
                    SCHEDULED_DELETION.contains(&ahead)
                });
                let wanted = "an RFC 3339 time 30 to 1096 days ahead";
                video.scheduled_deletion = Some(at.ok_or_else(|| bad(key, wanted))?);
            }
            "maxdurationseconds" => {
                let longest = value
                    .parse()
                    .ok()
                    .filter(|longest| MAX_DURATION_SECONDS.contains(longest));
                let longest = longest.ok_or_else(|| bad(key, "1 to 36000"))?;
                #[expect(clippy::cast_precision_loss, reason = "at most 36,000")]
                let longest = longest as f64;
                video.max_duration_seconds = Some(longest);
            }
            "expiry" => {
                let at = time(&value).filter(|at| *at > now);
                let wanted = "an RFC 3339 time that is still to come";
                video.upload_expiry = Some(at.ok_or_else(|| bad(key, wanted))?);
            }
            "watermark" => {
                let mut profile = Watermark::default();
                profile.uid = value.into_owned();
                video.watermark = Some(profile);
            }
            "name" => {
                meta.insert("name".to_owned(), Value::from(value));
            }
            _ => {
                meta.insert(key.to_owned(), Value::from(value));
            }
        }
    }
    // The documentation asks for it with one-time URLs: it is what gets reserved.
    if direct && video.max_duration_seconds.is_none() {
        return Err("required field maxDurationSeconds is missing".to_owned());
    }
    video.meta = Some(meta);
    Ok(video)
}

pub(crate) fn creator(headers: &HeaderMap) -> Result<Option<String>, String> {
    let Some(value) = headers.get(UPLOAD_CREATOR) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| "Upload-Creator is no text")?;
    if text.chars().count() > CREATOR_CHARACTERS {
        return Err(format!(
            "Upload-Creator has more than {CREATOR_CHARACTERS} characters"
        ));
    }
    Ok(Some(text.to_owned()))
}

fn time(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().map(SystemTime::from)
}

fn bad(key: &str, wanted: &str) -> String {
    format!("{key} must be {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(metadata: &str, creator: &str) -> Result<Video, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPLOAD_METADATA, metadata.parse().unwrap());
        headers.insert(UPLOAD_CREATOR, creator.parse().unwrap());
        read("u", 1, &headers, false, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn cloudflares_own_vector_is_understood() {
        let text = "maxDurationSeconds NjAw,requiresignedurls,expiry MjAyNC0wMi0yN1QwNzoyMDo1MFo=";
        let video = with(text, "me").unwrap();
        assert_eq!(video.max_duration_seconds, Some(600.0));
        assert_eq!(video.require_signed_urls, Some(true));
        let expiry = video.upload_expiry.unwrap();
        assert_eq!(
            Timestamp::try_from(expiry).unwrap().to_string(),
            "2024-02-27T07:20:50Z"
        );
        assert_eq!(video.creator.as_deref(), Some("me"));
    }

    #[test]
    fn keys_are_read_whatever_their_case_and_strangers_become_meta() {
        let video = with(
            "NAME YQ==,AllowedOrigins YS5jb20sIGIuY29t,fileType Yg==",
            "",
        )
        .unwrap();
        assert_eq!(video.name(), Some("a"));
        assert_eq!(video.allowed_origins, ["a.com", "b.com"]);
        assert_eq!(video.meta.unwrap()["fileType"], "b");
    }

    #[test]
    fn values_outside_of_streams_bounds_are_refused_by_name() {
        // 1.5, 0, 2020-01-01T00:00:00Z (50 years ahead of the test's clock)
        for bad in [
            "thumbnailtimestamppct MS41",
            "maxdurationseconds MA==",
            "scheduleddeletion MjAyMC0wMS0wMVQwMDowMDowMFo=",
            "expiry bm93",
        ] {
            let key = bad.split(' ').next().unwrap();
            assert!(with(bad, "").unwrap_err().contains(key), "{bad}");
        }
        assert!(with("a", &"x".repeat(65)).is_err());
    }

    #[test]
    fn a_one_time_url_needs_a_duration() {
        let headers = HeaderMap::new();
        assert!(read("u", 1, &headers, true, SystemTime::UNIX_EPOCH).is_err());
    }
}
