//! [`ListVideos`]: which videos are listed, and in which order.

use std::fmt;
use std::time::SystemTime;

use crate::bounds::LISTED_VIDEOS;
use crate::lenient::to_text;
use crate::op::edit::{OutOfBounds, check_creator};
use crate::op::videos::{Video, VideoState};

/// What narrows a listing. The default is everything, newest first, up to 1,000.
///
/// <https://developers.cloudflare.com/api/resources/stream/methods/list/>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListVideos {
    /// Created at this time or later. The HTTP API takes no other comparison.
    pub after: Option<SystemTime>,
    /// Created before this time; not at it.
    pub before: Option<SystemTime>,
    /// Oldest first. Default: newest first.
    pub asc: bool,
    /// Of this creator.
    pub creator: Option<String>,
    /// One of these ids; empty for all.
    pub ids: Vec<String>,
    /// Also count them all: [`VideoPage::total`].
    pub include_counts: bool,
    /// Videos at most, 1 to 1,000. Default 1,000.
    pub limit: Option<u32>,
    /// Recorded from this live input.
    pub live_input_id: Option<String>,
    /// With one of these names or ids; empty for all.
    pub names: Vec<String>,
    /// With this in the name. Cloudflare's index follows creations slowly.
    pub search: Option<String>,
    /// In this state.
    pub status: Option<VideoState>,
    /// With exactly this name.
    pub video_name: Option<String>,
    /// Of this type.
    pub video_type: Option<VideoType>,
}

impl ListVideos {
    /// The query, without what is left at its default.
    #[must_use]
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        let mut add = |name, value: Option<String>| query.extend(value.map(|value| (name, value)));
        let flag = |flag: bool| flag.then(|| "true".to_owned());
        add("after", self.after.and_then(to_text));
        add("before", self.before.and_then(to_text));
        add("asc", flag(self.asc));
        add("creator", self.creator.clone());
        add("id", (!self.ids.is_empty()).then(|| self.ids.join(",")));
        add("include_counts", flag(self.include_counts));
        add("limit", self.limit.map(|limit| limit.to_string()));
        add("live_input_id", self.live_input_id.clone());
        add(
            "name",
            (!self.names.is_empty()).then(|| self.names.join(",")),
        );
        add("search", self.search.clone());
        add("status", self.status.as_ref().map(ToString::to_string));
        add("type", self.video_type.map(|it| it.to_string()));
        add("video_name", self.video_name.clone());
        query
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        check_creator(self.creator.as_deref())?;
        if self
            .limit
            .is_some_and(|it| !(1..=LISTED_VIDEOS).contains(&it))
        {
            return Err(OutOfBounds("limit must be 1 to 1000"));
        }
        if let Some(VideoState::Unknown(_)) = self.status {
            return Err(OutOfBounds("status must be a state of a video"));
        }
        Ok(())
    }
}

/// How a video came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoType {
    /// By a broadcast.
    Live,
    /// By an upload.
    Vod,
}

impl fmt::Display for VideoType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Vod => "vod",
        })
    }
}

/// A listing.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct VideoPage {
    /// The videos.
    pub videos: Vec<Video>,
    /// How many fit the filter in all, if it was asked for. Absent for an empty list.
    pub total: Option<u64>,
    /// How many this answer could hold.
    pub range: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_only_what_was_asked_for() {
        assert!(ListVideos::default().query().is_empty());
        let filter = ListVideos {
            status: Some(VideoState::PendingUpload),
            after: Some(SystemTime::UNIX_EPOCH),
            ids: vec!["a".into(), "b".into()],
            video_type: Some(VideoType::Vod),
            ..ListVideos::default()
        };
        let wanted = [
            ("after", "1970-01-01T00:00:00.000000Z"),
            ("id", "a,b"),
            ("status", "pendingupload"),
            ("type", "vod"),
        ];
        assert_eq!(
            filter.query(),
            wanted.map(|(name, value)| (name, value.to_owned()))
        );
    }
}
