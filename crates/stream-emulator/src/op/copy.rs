//! The group `copy`: videos that this server fetches from a URL.
//!
//! <https://developers.cloudflare.com/stream/uploading-videos/upload-via-link/>

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use stream_api::op::copy::NewCopy;
use stream_api::{Op, SourceUrl, code};

use crate::answer;
use crate::entry::{Entry, Work};
use crate::fetch;
use crate::id;
use crate::op::call::{ok, undecodable, unsaved};
use crate::op::{Answered, Call, new_video, refuse};
use crate::outbound::INVALID_URL;
use crate::upload::Place;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::CopyCreate => create(&call).await,
        _ => super::unknown(),
    }
}

/// Asks the source how much there is, and answers; the bytes are fetched afterwards. A source that does not
/// answer HEAD or ranges makes a video that fails with `ERR_FETCH_ORIGIN_ERROR`.
async fn create(call: &Call<'_>) -> Answered {
    let mut wanted: Value = call.json().await?;
    // Both names may be there, and the newer one counts.
    let fields = wanted.as_object_mut();
    let Some(fields) = fields else {
        return refuse("the body must be an object");
    };
    let older = fields.remove("url");
    let Some(input) = fields.remove("input").or(older) else {
        return refuse("required field input is missing");
    };
    let url = input.as_str().map(SourceUrl::parse);
    let Some(Ok(url)) = url else {
        return Err(Box::new(answer::failure(
            StatusCode::BAD_REQUEST,
            INVALID_URL,
            "Invalid URL",
        )));
    };
    let name = fields.remove("name");
    fields.insert("input".to_owned(), input);
    let wanted: NewCopy =
        serde_json::from_value(wanted).map_err(|error| Box::new(undecodable(&error)))?;
    let now = call.now();
    if let Err(error) = wanted.check(now) {
        return refuse(error.to_string());
    }
    if call.shared.options.outbound.transport().is_none() {
        return refuse("this emulator has no way out, so it cannot fetch anything");
    }
    let size = fetch::size(call.shared, &url).await;
    if size.is_some_and(|size| size > call.shared.options.max_bytes) {
        return Err(Box::new(answer::failure(
            StatusCode::PAYLOAD_TOO_LARGE,
            code::BAD_REQUEST,
            "the file is larger than the largest video",
        )));
    }
    let uid = id::new().map_err(|_| Box::new(unsaved()))?;
    let mut video = new_video::blank(&uid, std::time::Duration::ZERO, now);
    video.upload_expiry = None;
    video.max_duration_seconds = Some(0.0);
    video.max_size_bytes = Some(0.0);
    #[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^53")]
    let known = size.map(|size| size as f64);
    video.size = known;
    new_video::apply(wanted.video, &mut video, call.headers())?;
    let meta = video.meta.get_or_insert_default();
    if let Some(name) = name.filter(|_| !meta.contains_key("name")) {
        meta.insert("name".to_owned(), name);
    }
    meta.insert("downloaded-from".to_owned(), url.expose().into());
    let account = call.account().to_owned();
    let place = Place::Inner {
        account: account.clone(),
        uid: uid.clone(),
    };
    let entry = Entry::with_work(account, video, Work::Fetch { url });
    new_video::add(call.shared, entry, place).await?;
    let view = call
        .shared
        .videos
        .look(call.account(), &uid, call.base, now);
    fetch::begin(call.shared, &uid);
    ok(view)
}

/// Takes up what a server that was stopped has left to do.
pub(crate) fn resume(shared: &Arc<crate::server::Shared>) {
    for entry in shared.videos.entries() {
        if entry.work.is_some() && entry.failure.is_none() {
            fetch::begin(shared, &entry.video.uid);
        }
    }
}
