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
        Err(Refusal::LimitIsNoNumber) if shared.quirks().broken_limit => {
            let mut answer = Answer::default();
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return answer;
        }
        Err(Refusal::LimitIsNoNumber) => return answer::bad_request(LIMIT),
        Err(Refusal::Because(text)) => return answer::bad_request(text),
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
    // Measured: absent from an empty list.
    if query.flag("include_counts") && total > 0 {
        let mut count = |name: &str, count: usize| {
            envelope.other.insert(name.to_owned(), Value::from(count));
        };
        count("total", total);
        count("range", query.limit);
    }
    answer::json(StatusCode::OK, &envelope)
}

const LIMIT: &str = "limit must be 1 to 1000";

/// What is wrong with a query.
enum Refusal {
    /// Stream was seen to stumble over it.
    LimitIsNoNumber,
    Because(&'static str),
}

struct Query {
    fields: HashMap<String, String>,
    after: Option<SystemTime>,
    before: Option<SystemTime>,
    limit: usize,
}

impl Query {
    /// # Errors
    /// What is wrong with a parameter.
    fn parse(query: &str) -> Result<Self, Refusal> {
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
            let limit: f64 = limit.parse().map_err(|_| Refusal::LimitIsNoNumber)?;
            let fits = limit.fract() == 0.0 && (1.0..=f64::from(LISTED_VIDEOS)).contains(&limit);
            if !fits {
                return Err(Refusal::Because(LIMIT));
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "1 to 1,000"
            )]
            let limit = limit as usize;
            query.limit = limit;
        }
        let time = |names: [&str; 2]| {
            let text = names.into_iter().find_map(|name| query.text(name));
            // A `+` of an offset that was not encoded arrives as a blank.
            let text = text.map(|text| text.replace(' ', "+"));
            text.map(|text| text.parse::<Timestamp>().map(SystemTime::from))
                .transpose()
                .map_err(|_| Refusal::Because("after and before must be RFC 3339 times"))
        };
        (query.after, query.before) = (time(["after", "start"])?, time(["before", "end"])?);
        if !matches!(query.text("type"), None | Some("live" | "vod")) {
            return Err(Refusal::Because("type must be live or vod"));
        }
        let is_known = |word: &str| {
            let state = VideoState::from(word.trim().to_owned());
            !matches!(state, VideoState::Unknown(_))
        };
        if let Some(states) = query.text("status")
            && !states.split(',').all(is_known)
        {
            return Err(Refusal::Because(
                "status must be one of the states of a video",
            ));
        }
        Ok(query)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// Whether a parameter is absent, or is exactly this.
    fn is(&self, parameter: &str, value: &str) -> bool {
        self.text(parameter).is_none_or(|wanted| wanted == value)
    }

    /// Whether a parameter is absent, or lists one of these.
    fn is_among(&self, parameter: &str, values: &[&str]) -> bool {
        let list = self.text(parameter);
        list.is_none_or(|list| list.split(',').any(|one| values.contains(&one.trim())))
    }

    fn fits(&self, video: &Video) -> bool {
        let name = video.name().unwrap_or("");
        let live_input = video.live_input.as_deref().unwrap_or("");
        let kind = if live_input.is_empty() { "vod" } else { "live" };
        let is_found = |part: &str| name.to_lowercase().contains(&part.to_lowercase());
        self.is("type", kind)
            && self.is("live_input_id", live_input)
            && self.is("video_name", name)
            && self.is("creator", video.creator.as_deref().unwrap_or(""))
            && self.is_among("status", &[video.state().as_str()])
            && self.is_among("name", &[name, &video.uid])
            && self.is_among("id", &[&video.uid])
            && self.text("search").is_none_or(is_found)
            && self.after.is_none_or(|after| video.created >= Some(after))
            && self
                .before
                .is_none_or(|before| video.created < Some(before))
    }
}
