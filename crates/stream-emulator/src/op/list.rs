//! `GET …/stream`: the videos of an account.

use std::collections::HashMap;
use std::time::SystemTime;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use stream_api::bounds::LISTED_VIDEOS;
use stream_api::{Envelope, Video, VideoState};

use crate::answer::{self, Answer};
use crate::server::Shared;

/// Newest first, narrowed by the query. What is not known here is ignored, as Stream does.
pub(crate) fn list(shared: &Shared, account: &str, query: Option<&str>, base: &str) -> Answer {
    let query = match Query::parse(query.unwrap_or("")) {
        Ok(query) => query,
        Err(text) => return answer::bad_request(text),
    };
    let (now, lag) = (shared.clock.now(), shared.hypotheses().listing_lag);
    let mut videos: Vec<Video> = shared
        .videos
        .entries()
        .into_iter()
        .filter(|entry| entry.account == account)
        .filter(|entry| {
            let listed = entry.video.created.and_then(|at| at.checked_add(lag));
            listed.is_none_or(|at| at <= now)
        })
        .map(|entry| entry.view(shared.videos.encoding, base, now))
        .filter(|video| query.fits(video))
        .collect();
    videos.sort_by(|one, other| {
        let order = (one.created, &one.uid).cmp(&(other.created, &other.uid));
        if query.flag("asc") {
            order
        } else {
            order.reverse()
        }
    });
    let total = videos.len();
    videos.truncate(query.limit);
    let mut envelope = Envelope::ok(videos);
    // Measured: texts, and absent from an empty list.
    if query.flag("include_counts") && total > 0 {
        let mut count = |name: &str, count: usize| {
            envelope
                .other
                .insert(name.to_owned(), Value::from(count.to_string()));
        };
        count("total", total);
        count("range", query.limit);
    }
    answer::json(StatusCode::OK, &envelope)
}

struct Query {
    fields: HashMap<String, String>,
    after: Option<SystemTime>,
    before: Option<SystemTime>,
    limit: usize,
}

impl Query {
    /// # Errors
    /// A text that says which parameter is wrong.
    fn parse(query: &str) -> Result<Self, &'static str> {
        let fields = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let mut query = Self {
            fields,
            after: None,
            before: None,
            limit: LISTED_VIDEOS as usize,
        };
        if let Some(limit) = query.text("limit") {
            let limit = limit
                .parse()
                .ok()
                .filter(|limit| (1..=query.limit).contains(limit));
            query.limit = limit.ok_or("limit must be 1 to 1000")?;
        }
        let time = |names: [&str; 2]| {
            let text = names.into_iter().find_map(|name| query.text(name));
            text.map(|text| text.parse::<Timestamp>().map(SystemTime::from))
                .transpose()
                .map_err(|_| "after and before must be RFC 3339 times")
        };
        (query.after, query.before) = (time(["after", "start"])?, time(["before", "end"])?);
        if !matches!(query.text("type"), None | Some("live" | "vod")) {
            return Err("type must be live or vod");
        }
        if let Some(state) = query.text("status")
            && matches!(VideoState::from(state.to_owned()), VideoState::Unknown(_))
        {
            return Err("status must be one of the states of a video");
        }
        Ok(query)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    fn fits(&self, video: &Video) -> bool {
        let name = video.name().unwrap_or("");
        let is = |field: &str, it: &str| self.text(field).is_none_or(|wanted| wanted == it);
        let is_among = |field: &str, it: &str| {
            self.text(field)
                .is_none_or(|list| list.split(',').any(|one| one.trim() == it))
        };
        // All that is uploaded here was recorded before; a broadcast is not taken.
        is("type", "vod")
            && is("status", video.state().as_str())
            && is("video_name", name)
            && is("creator", video.creator.as_deref().unwrap_or(""))
            && is_among("name", name)
            && is_among("id", &video.uid)
            && self
                .text("search")
                .is_none_or(|part| name.to_lowercase().contains(&part.to_lowercase()))
            && self.after.is_none_or(|after| video.created >= Some(after))
            && self
                .before
                .is_none_or(|before| video.created < Some(before))
    }
}
