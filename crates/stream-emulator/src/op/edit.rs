//! `POST …/stream/{uid}`: settings of a video are changed.

use std::time::SystemTime;

use stream_api::bounds::SCHEDULED_DELETION;
use stream_api::{ScheduledDeletion, Video, VideoEdit};

use crate::op::{Answered, Call, refuse, videos};
use crate::server::Shared;

/// Changes what the body names, and answers the whole video. Fields that are not known are dropped
/// silently, as measured on Stream; a `null` changes nothing, except that it calls a deletion off.
pub(crate) async fn edit(call: &Call<'_>) -> Answered {
    let uid = call.video()?.video.uid;
    let edit: VideoEdit = call.json().await?;
    if let Err(error) = edit.check() {
        return refuse(error.to_string());
    }
    let (id, now) = (uid.clone(), call.now());
    let change = move |shared: &Shared| {
        shared.videos.change(&id, shared.disk.as_ref(), |video| {
            apply(edit, video, now)?;
            video.modified = Some(now);
            Ok::<_, &'static str>(())
        })
    };
    match call.blocking(change).await? {
        Ok(()) => Ok(videos::get(call.shared, call.account(), &uid, call.base)),
        Err(text) => refuse(text),
    }
}

/// Writes the wishes into the video, once all of them are known to be fine.
fn apply(edit: VideoEdit, video: &mut Video, now: SystemTime) -> Result<(), &'static str> {
    let uploaded = video.uploaded.or(video.created).unwrap_or(now);
    if let Some(ScheduledDeletion::At(at)) = edit.scheduled_deletion {
        let after = at.duration_since(uploaded).unwrap_or_default();
        if !SCHEDULED_DELETION.contains(&after) {
            return Err("scheduledDeletion must be 30 to 1096 days after the upload");
        }
    }
    if edit.upload_expiry.is_some_and(|at| at <= now) {
        return Err("uploadExpiry must be still to come");
    }
    match edit.scheduled_deletion {
        None => {}
        Some(ScheduledDeletion::Never) => video.scheduled_deletion = None,
        Some(ScheduledDeletion::At(at)) => video.scheduled_deletion = Some(at),
    }
    if let Some(hosts) = edit.allowed_origins {
        video.allowed_origins = hosts;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 36,000")]
    let longest = edit.max_duration_seconds.map(|seconds| seconds as f64);
    replace(&mut video.max_duration_seconds, longest);
    replace(&mut video.creator, edit.creator);
    replace(&mut video.meta, edit.meta);
    replace(&mut video.public_details, edit.public_details);
    replace(&mut video.require_signed_urls, edit.require_signed_urls);
    replace(
        &mut video.thumbnail_timestamp_pct,
        edit.thumbnail_timestamp_pct,
    );
    replace(&mut video.upload_expiry, edit.upload_expiry);
    Ok(())
}

fn replace<T>(field: &mut Option<T>, wish: Option<T>) {
    if wish.is_some() {
        *field = wish;
    }
}
