//! What copies, clips, direct uploads and forms have in common: a new video, and its settings.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use stream_api::Video;
use stream_api::op::new_video::NewVideo;
use stream_api::op::videos::VideoInput;
use stream_api::op::watermarks::Watermark;
use tus_core::UploadLength;
use tus_core::server::UploadInfo;

use crate::answer::Answer;
use crate::entry::Entry;
use crate::op::refuse;
use crate::server::Shared;
use crate::settings;
use crate::tus;
use crate::upload::{Place, Upload};

/// A video without a byte, `valid` for so long.
pub(crate) fn blank(uid: &str, valid: Duration, now: SystemTime) -> Video {
    let mut video = Video::default();
    video.uid = uid.to_owned();
    video.created = Some(now);
    video.modified = Some(now);
    video.upload_expiry = now.checked_add(valid);
    video.duration_seconds = Some(-1.0);
    video.input = Some(VideoInput {
        width: Some(-1.0),
        height: Some(-1.0),
    });
    video.require_signed_urls = Some(false);
    video.thumbnail_timestamp_pct = Some(0.0);
    video.meta = Some(serde_json::Map::new());
    video
}

/// Writes the settings that a request gives its video.
///
/// # Errors
/// 400 / 10005 for a creator in the header that is none.
pub(crate) fn apply(
    settings: NewVideo,
    video: &mut Video,
    headers: &HeaderMap,
) -> Result<(), Box<Answer>> {
    let creator = settings::creator(headers).or_else(refuse)?;
    video.creator = settings.creator.or(creator);
    video.allowed_origins = settings.allowed_origins;
    video.require_signed_urls = Some(settings.require_signed_urls);
    video.scheduled_deletion = settings.scheduled_deletion;
    video.thumbnail_timestamp_pct = settings.thumbnail_timestamp_pct.or(Some(0.0));
    video.watermark = settings.watermark.map(|chosen| {
        let mut profile = Watermark::default();
        profile.uid = chosen.uid;
        profile
    });
    video.meta = Some(settings.meta);
    Ok(())
}

/// Adds the video, if the limits allow it, and a place for its bytes.
///
/// # Errors
/// The refusal of a full queue or a full store; 500 where it cannot be saved.
pub(crate) async fn add(
    shared: &Arc<Shared>,
    mut entry: Entry,
    place: Place,
) -> Result<Arc<Upload>, Box<Answer>> {
    let account = &shared.account;
    account.choose_watermark(&entry.account, &mut entry.video);
    let (uid, key) = (entry.video.uid.clone(), entry.upload.clone());
    let (limits, now) = (shared.limits(), shared.clock.now());
    let adding = shared.blocking(move |shared| {
        let videos = &shared.videos;
        videos.add(entry, shared.disk.as_ref(), &limits, now)
    });
    adding.await.map_err(|error| {
        tracing::warn!(%error, "a new video cannot be saved");
        Box::new(super::call::unsaved())
    })??;
    let info = UploadInfo::new(UploadLength::Deferred);
    match tus::make(shared, key, place, info).await {
        Ok(upload) => Ok(upload),
        Err(error) => {
            tracing::warn!(%error, "the place of a video's bytes cannot be made");
            shared.forget_video(&uid).await;
            Err(Box::new(super::call::unsaved()))
        }
    }
}
