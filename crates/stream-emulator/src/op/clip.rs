//! The group `clip`: a part of a video as a video of its own.
//!
//! <https://developers.cloudflare.com/stream/edit-videos/video-clipping/>
//!
//! Where `ffmpeg` is installed the clip is a file of its own. Without it the new video has all bytes of its original:
//! its duration is that of the clip, and what plays is the whole. Its `meta` says so, as `emulator-clip`.

use serde_json::Value;
use stream_api::Op;
use stream_api::op::clip::NewClip;

use crate::entry::{Entry, Work};
use crate::fetch;
use crate::id;
use crate::op::call::{ok, undecodable, unsaved};
use crate::op::{Answered, Call, new_video, refuse};
use crate::upload::Place;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::ClipCreate => create(&call).await,
        _ => super::unknown(),
    }
}

async fn create(call: &Call<'_>) -> Answered {
    let wanted: Value = call.json().await?;
    for field in ["clippedFromVideoUID", "startTimeSeconds", "endTimeSeconds"] {
        if wanted.get(field).is_none_or(Value::is_null) {
            return refuse(format!("required field {field} is missing"));
        }
    }
    let wanted: NewClip =
        serde_json::from_value(wanted).map_err(|error| Box::new(undecodable(&error)))?;
    let now = call.now();
    if let Err(error) = wanted.check(now) {
        return refuse(error.to_string());
    }
    let original = call.shared.videos.entry(call.account(), &wanted.from);
    let Some(original) = original else {
        return Err(Box::new(crate::answer::not_found()));
    };
    if !original.is_ready(call.shared.videos.encoding, now) {
        return refuse("the video to clip from is not ready");
    }
    let duration = original
        .video
        .duration_seconds
        .filter(|seconds| *seconds > 0.0);
    if duration.is_some_and(|seconds| f64::from(wanted.start_seconds) >= seconds) {
        return refuse("startTimeSeconds must be before the end of the video");
    }
    // A video of 2.5 seconds can be clipped to its third.
    if duration.is_some_and(|seconds| f64::from(wanted.end_seconds) > seconds.ceil()) {
        return refuse("endTimeSeconds must not be behind the end of the video");
    }
    let uid = id::new().map_err(|_| Box::new(unsaved()))?;
    let mut video = new_video::blank(&uid, std::time::Duration::ZERO, now);
    video.upload_expiry = None;
    video.clipped_from = Some(wanted.from.clone());
    new_video::apply(wanted.video, &mut video, call.headers())?;
    let account = call.account().to_owned();
    let place = Place::Inner {
        account: account.clone(),
        uid: uid.clone(),
    };
    let work = Work::Clip {
        from: wanted.from,
        start_seconds: wanted.start_seconds,
        end_seconds: wanted.end_seconds,
    };
    new_video::add(call.shared, Entry::with_work(account, video, work), place).await?;
    let view = call
        .shared
        .videos
        .look(call.account(), &uid, call.base, now);
    fetch::begin(call.shared, &uid);
    ok(view)
}
