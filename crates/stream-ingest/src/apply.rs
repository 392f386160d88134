//! Settings that are asked for after a video was uploaded: applied through the API, and read back.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::{Map, Value};
use stream_api::{ScheduledDeletion, StreamClient, Video, VideoEdit};

use crate::settings::{Deletion, VideoSettings};

/// How far a deletion that counts from the creation may be off: its creation was not timed to the second.
const SAME_DELETION: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of settings that changed after the upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Settings that were changed, and read back as asked for.
    pub changed: Vec<&'static str>,
    /// Restrictions that the video has and that were not asked for this time. They stay: a forgotten option must not make a
    /// private video public.
    pub kept: Vec<&'static str>,
}

/// Why changed settings are not in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The API refused, or did not answer.
    #[error("the changed settings of the finished video could not be applied: {0}")]
    Api(#[from] stream_api::Error),
    /// Read back, they are not what was asked for.
    #[error("the finished video does not have the changed settings: {}", .0.join(", "))]
    NotInForce(Vec<&'static str>),
}

/// Makes a finished video have `settings`.
pub(crate) async fn apply(
    client: &StreamClient,
    uid: &str,
    settings: &VideoSettings,
) -> Result<Applied, ApplyError> {
    let before = client.video(uid).await?;
    let wanted = Difference::between(&before, settings);
    let kept = restrictions(&before, settings);
    if wanted.fields.is_empty() {
        return Ok(Applied {
            changed: Vec::new(),
            kept,
        });
    }
    if !wanted.edit.is_empty() {
        client.edit_video(uid, &wanted.edit).await?;
    }
    // The API drops what it does not like without a word: only what can be read back is in force.
    let after = client.video(uid).await?;
    let left = Difference::between(&after, settings).fields;
    if left.is_empty() {
        let changed = wanted.fields;
        Ok(Applied { changed, kept })
    } else {
        Err(ApplyError::NotInForce(left))
    }
}

/// What a video lacks of its settings.
#[derive(Debug, Default)]
struct Difference {
    edit: VideoEdit,
    fields: Vec<&'static str>,
}

impl Difference {
    fn between(video: &Video, settings: &VideoSettings) -> Self {
        let mut it = Self::default();
        it.meta(video, settings);
        let creator = settings.creator.as_ref();
        if creator.is_some() && creator != video.creator.as_ref() {
            it.edit.creator = creator.cloned();
            it.fields.push("creator");
        }
        if settings.require_signed_urls && video.require_signed_urls != Some(true) {
            it.edit.require_signed_urls = Some(true);
            it.fields.push("signed URLs");
        }
        let origins = &settings.allowed_origins;
        if !origins.is_empty() && *origins != video.allowed_origins {
            it.edit.allowed_origins = Some(origins.clone());
            it.fields.push("allowed origins");
        }
        if let Some(pct) = settings.thumbnail_pct
            && video
                .thumbnail_timestamp_pct
                .is_none_or(|at| (at - pct).abs() > 1e-6)
        {
            it.edit.thumbnail_timestamp_pct = Some(pct);
            it.fields.push("thumbnail position");
        }
        it.deletion(video, settings);
        if let Some(profile) = &settings.watermark {
            let has = video.watermark.as_ref().map(|it| it.uid.as_str());
            if has != Some(profile) {
                // It is burnt in when the video is encoded: the video has to be uploaded anew.
                it.fields
                    .push("watermark (cannot be added to a finished video)");
            }
        }
        it
    }

    fn meta(&mut self, video: &Video, settings: &VideoSettings) {
        let name = settings.name.iter().map(|name| ("name", name.as_str()));
        let rest = settings.meta.iter();
        let wanted = name.chain(rest.map(|(key, value)| (key.as_str(), value.as_str())));
        // An edit replaces all entries: the others have to be sent along.
        let mut all: Map<String, Value> = video.meta.clone().unwrap_or_default();
        for (key, value) in wanted {
            if all.get(key).and_then(Value::as_str) != Some(value) {
                all.insert(key.to_owned(), value.into());
                let field = if key == "name" { "name" } else { "metadata" };
                if !self.fields.contains(&field) {
                    self.fields.push(field);
                }
            }
        }
        if !self.fields.is_empty() {
            self.edit.meta = Some(all);
        }
    }

    fn deletion(&mut self, video: &Video, settings: &VideoSettings) {
        let (at, slack) = match settings.scheduled_deletion {
            None => return,
            Some(Deletion::At(at)) => (SystemTime::from(at), Duration::from_secs(1)),
            Some(Deletion::After(after)) => {
                let created = video.created.unwrap_or_else(SystemTime::now);
                let at = Timestamp::try_from(created)
                    .ok()
                    .and_then(|created| created.checked_add(after).ok());
                match at {
                    Some(at) => (at.into(), SAME_DELETION),
                    None => return,
                }
            }
        };
        let apart = |one: SystemTime, other: SystemTime| {
            one.duration_since(other)
                .unwrap_or_else(|error| error.duration())
        };
        if video
            .scheduled_deletion
            .is_none_or(|known| apart(known, at) > slack)
        {
            self.edit.scheduled_deletion = Some(ScheduledDeletion::At(at));
            self.fields.push("scheduled deletion");
        }
    }
}

/// What the video has and the settings do not ask for.
fn restrictions(video: &Video, settings: &VideoSettings) -> Vec<&'static str> {
    let mut kept = Vec::new();
    if video.require_signed_urls == Some(true) && !settings.require_signed_urls {
        kept.push("signed URLs");
    }
    if !video.allowed_origins.is_empty() && settings.allowed_origins.is_empty() {
        kept.push("allowed origins");
    }
    kept
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn video() -> Video {
        let mut video = Video::default();
        video.created = Some(SystemTime::UNIX_EPOCH);
        video.meta = Some(Map::from_iter([
            ("name".to_owned(), "a.mp4".into()),
            ("show".to_owned(), "pilot".into()),
        ]));
        video
    }

    #[test]
    fn only_what_differs_is_edited_and_other_entries_of_meta_are_kept() {
        let settings = VideoSettings {
            name: Some("Pilot".into()),
            require_signed_urls: true,
            ..VideoSettings::default()
        };
        let difference = Difference::between(&video(), &settings);
        assert_eq!(difference.fields, ["name", "signed URLs"]);
        let meta = difference.edit.meta.unwrap();
        assert_eq!(meta["name"], "Pilot");
        assert_eq!(meta["show"], "pilot");
        assert!(difference.edit.allowed_origins.is_none());
        let same = Difference::between(&video(), &VideoSettings::default());
        assert!(same.fields.is_empty() && same.edit.is_empty());
    }

    #[test]
    fn a_deletion_that_counts_from_the_creation_is_the_same_the_day_after() {
        let settings = VideoSettings {
            scheduled_deletion: Some(Deletion::After(SignedDuration::from_hours(90 * 24))),
            ..VideoSettings::default()
        };
        let mut video = video();
        assert_eq!(
            Difference::between(&video, &settings).fields,
            ["scheduled deletion"]
        );
        let day = Duration::from_secs(24 * 60 * 60);
        video.scheduled_deletion = Some(SystemTime::UNIX_EPOCH + day * 90 + day / 2);
        assert!(Difference::between(&video, &settings).fields.is_empty());
    }

    #[test]
    fn a_restriction_that_is_not_asked_for_any_more_stays_and_is_told() {
        let mut video = video();
        video.require_signed_urls = Some(true);
        let settings = VideoSettings::default();
        assert!(Difference::between(&video, &settings).fields.is_empty());
        assert_eq!(restrictions(&video, &settings), ["signed URLs"]);
    }
}
