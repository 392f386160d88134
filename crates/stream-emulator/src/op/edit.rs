//! `POST …/stream/{uid}`: settings of a video are changed.

use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use http_transport::{Body, TUS_BODY_LIMIT};
use serde_json::Value;
use stream_api::bounds::SCHEDULED_DELETION;
use stream_api::{Envelope, Message, ScheduledDeletion, Video, VideoEdit, code};

use crate::answer::{self, Answer};
use crate::op::videos;
use crate::server::Shared;

/// Changes what the body names, and answers the whole video. Fields that are not known are dropped
/// silently, as measured on Stream; a `null` changes nothing, except that it calls a deletion off.
pub(crate) async fn edit(
    shared: &Arc<Shared>,
    account: &str,
    uid: &str,
    body: &mut Option<Body>,
    base: &str,
) -> Answer {
    if shared.videos.entry(account, uid).is_none() {
        return answer::not_found();
    }
    let body = body.take().unwrap_or_default();
    let Ok(bytes) = body.collect(TUS_BODY_LIMIT).await else {
        return answer::bad_request("the body did not come, or is too long");
    };
    let edit: VideoEdit = match serde_json::from_slice(&bytes) {
        Ok(edit) => edit,
        Err(error) => return undecodable(&error),
    };
    if let Err(error) = edit.check() {
        return answer::bad_request(error.to_string());
    }
    let (saver, id, now) = (Arc::clone(shared), uid.to_owned(), shared.clock.now());
    let change = move || {
        saver.videos.change(&id, saver.disk.as_ref(), |video| {
            apply(edit, video, now)?;
            video.modified = Some(now);
            Ok::<_, &'static str>(())
        })
    };
    match tokio::task::spawn_blocking(change).await {
        Ok(Ok(Ok(()))) => videos::get(shared, account, uid, base),
        Ok(Ok(Err(text))) => answer::bad_request(text),
        _ => answer::failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            code::BAD_REQUEST,
            "the video cannot be saved",
        ),
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

fn undecodable(error: &serde_json::Error) -> Answer {
    let mut envelope = Envelope::<Value>::error(code::DECODING, "Decoding Error");
    envelope
        .messages
        .push(Message::new(code::DECODING, error.to_string()));
    answer::json(StatusCode::BAD_REQUEST, &envelope)
}
