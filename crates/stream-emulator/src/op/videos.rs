//! Videos: list, get, edit, delete.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use http_transport::{Body, TUS_BODY_LIMIT};
use jiff::Timestamp;
use serde_json::{Map, Value};
use stream_api::{Envelope, Video, code};

use crate::answer::{self, Answer};
use crate::server::Shared;
use crate::tus;

/// The most videos in one answer, and the default.
const LIST_LIMIT: usize = 1000;

pub(crate) fn get(shared: &Shared, account: &str, uid: &str, base: &str) -> Answer {
    match shared.videos.look(account, uid, base, SystemTime::now()) {
        Some(video) => answer::json(StatusCode::OK, &Envelope::ok(video)),
        None => answer::not_found(),
    }
}

/// Newest first, narrowed by the query. Filters that are not known here are ignored, as Stream does.
pub(crate) fn list(shared: &Shared, account: &str, query: Option<&str>, base: &str) -> Answer {
    let query: HashMap<_, _> =
        url::form_urlencoded::parse(query.unwrap_or("").as_bytes()).collect();
    let text = |name: &str| {
        query
            .get(name)
            .map(AsRef::as_ref)
            .filter(|text: &&str| !text.is_empty())
    };
    let flag = |name: &str| text(name) == Some("true");
    let time = |names: [&str; 2]| match names.into_iter().find_map(text) {
        None => Ok(None),
        Some(text) => text
            .parse::<Timestamp>()
            .map(|time| Some(SystemTime::from(time))),
    };
    let limit = match text("limit").map_or(Ok(LIST_LIMIT), str::parse) {
        Ok(limit) if (1..=LIST_LIMIT).contains(&limit) => limit,
        _ => return bad("limit must be 1 to 1000"),
    };
    let (Ok(after), Ok(before)) = (time(["after", "start"]), time(["before", "end"])) else {
        return bad("after and before must be RFC 3339 times");
    };
    let now = SystemTime::now();
    let mut videos: Vec<Video> = shared
        .videos
        .entries()
        .into_iter()
        .filter(|entry| entry.account == account)
        .map(|entry| entry.view(shared.videos.encoding, base, now))
        .filter(|video| {
            let name = video.name().unwrap_or("");
            let among = |list: &str, it: &str| list.split(',').any(|one| one.trim() == it);
            text("status").is_none_or(|state| video.state().as_str() == state)
                && text("search").is_none_or(|part| contains(name, part))
                && text("video_name").is_none_or(|whole| name == whole)
                && text("name").is_none_or(|names| among(names, name))
                && text("id").is_none_or(|ids| among(ids, &video.uid))
                && text("creator").is_none_or(|it| video.creator.as_deref() == Some(it))
                && after.is_none_or(|after| video.created >= Some(after))
                && before.is_none_or(|before| video.created < Some(before))
        })
        .collect();
    videos.sort_by(|one, other| {
        let order = (one.created, &one.uid).cmp(&(other.created, &other.uid));
        if flag("asc") { order } else { order.reverse() }
    });
    let total = videos.len();
    videos.truncate(limit);
    let mut envelope = Envelope::ok(videos);
    // Measured: texts, and absent from an empty list.
    if flag("include_counts") && total > 0 {
        envelope
            .other
            .insert("total".into(), Value::from(total.to_string()));
        envelope
            .other
            .insert("range".into(), Value::from(limit.to_string()));
    }
    answer::json(StatusCode::OK, &envelope)
}

/// Changes what the body names, and answers the whole video; unknown fields are dropped silently, as
/// measured on Stream.
pub(crate) async fn edit(
    shared: &Arc<Shared>,
    account: &str,
    uid: &str,
    body: &mut Option<Body>,
    base: &str,
) -> Answer {
    let Some(mut entry) = shared.videos.entry(account, uid) else {
        return answer::not_found();
    };
    let bytes = body
        .take()
        .unwrap_or_default()
        .collect(TUS_BODY_LIMIT)
        .await
        .unwrap_or_default();
    let Ok(changes) = serde_json::from_slice::<Map<String, Value>>(&bytes) else {
        return answer::failure(StatusCode::BAD_REQUEST, code::DECODING, "Decoding Error");
    };
    let Ok(Value::Object(mut fields)) = serde_json::to_value(&entry.video) else {
        return bad("the video cannot be edited");
    };
    for (name, value) in changes {
        if EDITABLE.contains(&name.as_str()) {
            fields.insert(name, value);
        }
    }
    let Ok(mut video) = serde_json::from_value::<Video>(Value::Object(fields)) else {
        return bad("the changes do not fit");
    };
    if video
        .creator
        .as_ref()
        .is_some_and(|creator| creator.chars().count() > 64)
    {
        return bad("creator has more than 64 characters");
    }
    if video
        .thumbnail_timestamp_pct
        .is_some_and(|at| !(0.0..=1.0).contains(&at))
    {
        return bad("thumbnailTimestampPct must be 0.0 to 1.0");
    }
    video.modified = Some(SystemTime::now());
    entry.video = video;
    let saver = Arc::clone(shared);
    let saved = tokio::task::spawn_blocking(move || saver.videos.put(entry, saver.disk.as_ref()));
    match saved.await {
        Ok(Ok(())) => get(shared, account, uid, base),
        _ => answer::failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            code::BAD_REQUEST,
            "not saved",
        ),
    }
}

/// Deletes a video, its upload and its bytes. 200 with an empty body.
pub(crate) async fn delete(shared: &Arc<Shared>, account: &str, uid: &str) -> Answer {
    let Some(entry) = shared.videos.entry(account, uid) else {
        return answer::not_found();
    };
    shared.forget_video(uid).await;
    if let Some(upload) = shared.uploads.get(&entry.upload) {
        // Whoever is still sending is stopped, so that its bytes do not come back.
        let _turn = upload.take().await;
        tus::remove(shared, &upload).await;
    }
    Answer::default()
}

const EDITABLE: [&str; 8] = [
    "allowedOrigins",
    "creator",
    "maxDurationSeconds",
    "meta",
    "requireSignedURLs",
    "scheduledDeletion",
    "thumbnailTimestampPct",
    "uploadExpiry",
];

fn contains(name: &str, part: &str) -> bool {
    name.to_lowercase().contains(&part.to_lowercase())
}

fn bad(text: &str) -> Answer {
    answer::failure(StatusCode::BAD_REQUEST, code::BAD_REQUEST, text)
}
