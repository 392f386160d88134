//! The group `direct_upload`: one-time URLs for forms. Those for tus are minted by `POST …/stream?direct_user=true`.
//!
//! <https://developers.cloudflare.com/stream/uploading-videos/direct-creator-uploads/>

use std::time::SystemTime;

use serde_json::Value;
use stream_api::op::direct_upload::{DirectUpload, NewDirectUpload};
use stream_api::{Op, Secret};

use crate::entry::Entry;
use crate::id;
use crate::op::call::{ok, undecodable, unsaved};
use crate::op::{Answered, Call, new_video, refuse};
use crate::settings;
use crate::upload::Place;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::DirectUploadCreate => create(&call).await,
        _ => super::unknown(),
    }
}

/// What it allows is checked before the URL is made, and so are the account's limits: the duration is
/// reserved until the upload ends.
async fn create(call: &Call<'_>) -> Answered {
    let wanted: Value = call.json().await?;
    if wanted.get("maxDurationSeconds").is_none_or(Value::is_null) {
        return refuse("required field maxDurationSeconds is missing");
    }
    let wanted: NewDirectUpload =
        serde_json::from_value(wanted).map_err(|error| Box::new(undecodable(&error)))?;
    let now = call.now();
    if let Err(error) = wanted.check(now) {
        return refuse(error.to_string());
    }
    let (Ok(uid), Ok(secret)) = (id::new(), id::new()) else {
        return Err(Box::new(unsaved()));
    };
    let mut video = new_video::blank(&uid, settings::DEFAULT_DIRECT_EXPIRY, now);
    if let Some(expiry) = wanted.expiry {
        video.upload_expiry = Some(to_the_microsecond(expiry));
    }
    video.max_duration_seconds = Some(wanted.max_duration_seconds.into());
    new_video::apply(wanted.video, &mut video, call.headers())?;
    let held = &call.shared.account;
    held.choose_watermark(call.account(), &mut video);

    let mut made = DirectUpload::default();
    made.uid.clone_from(&uid);
    made.upload_url = Some(Secret::new(format!("{}/upload/{secret}", call.base)));
    made.scheduled_deletion = video.scheduled_deletion;
    made.watermark.clone_from(&video.watermark);
    let account = call.account().to_owned();
    let place = Place::Form {
        account: account.clone(),
        uid,
    };
    new_video::add(call.shared, Entry::new(account, secret, video), place).await?;
    ok(made)
}

/// As the API writes times.
fn to_the_microsecond(time: SystemTime) -> SystemTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let whole = std::time::Duration::new(since.as_secs(), since.subsec_micros() * 1000);
    SystemTime::UNIX_EPOCH + whole
}
