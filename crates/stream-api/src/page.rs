//! [`Videos`]: a listing of any length, a page at a time.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use futures_core::Stream;
use http_transport::BoxFuture;

use crate::bounds::LISTED_VIDEOS;
use crate::client::StreamClient;
use crate::error::Error;
use crate::op::listing::{ListVideos, VideoPage};
use crate::op::videos::Video;

impl StreamClient {
    /// Every video that fits `filter`, in its order, however many there are: each once, and none left
    /// out that was there all the time. [`limit`](ListVideos::limit) is the length of a page.
    ///
    /// The API answers at most 1,000 and has no cursor: the next page is what was created before the
    /// oldest of this one. Pages overlap by up to a second, and what was seen is left out, so that
    /// videos of one moment are not lost between two pages.
    ///
    /// # Errors
    /// Whatever a page answers ends the stream. So does a moment in which more videos were created
    /// than one page holds: they cannot be told apart by time.
    #[must_use]
    pub fn videos(&self, filter: ListVideos) -> Videos {
        Videos {
            client: self.clone(),
            filter,
            must_show: None,
            ready: VecDeque::new(),
            seen: HashMap::new(),
            asked: None,
            is_over: false,
        }
    }
}

/// The videos of an account, as [`StreamClient::videos`] lists them.
pub struct Videos {
    client: StreamClient,
    filter: ListVideos,
    /// A video that the next page has to show again: else times are compared more coarsely than it was cut.
    must_show: Option<String>,
    ready: VecDeque<Video>,
    /// What the next page may show again.
    seen: HashMap<String, SystemTime>,
    asked: Option<BoxFuture<'static, Result<VideoPage, Error>>>,
    is_over: bool,
}

const SECOND: Duration = Duration::from_secs(1);
const MICROSECOND: Duration = Duration::from_micros(1);

impl Videos {
    /// The next video; `None` after the last one or an error. As the stream, without its trait.
    pub async fn next(&mut self) -> Option<Result<Video, Error>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Takes a page, and sets the filter to the next one.
    fn take(&mut self, page: VideoPage) -> Result<(), Error> {
        let full = page.videos.len() >= self.filter.limit.unwrap_or(LISTED_VIDEOS) as usize;
        let asc = self.filter.asc;
        let at = |video: &Video| Some((video.created?, video.uid.clone()));
        let moments = page.videos.iter().filter_map(at);
        let edge = if asc { moments.max() } else { moments.min() };
        if let Some(uid) = self.must_show.take()
            && page.videos.iter().all(|video| video.uid != uid)
        {
            return Err(crowded());
        }
        for video in page.videos {
            if self.seen.contains_key(&video.uid) {
                continue;
            }
            let created = video.created.unwrap_or(SystemTime::UNIX_EPOCH);
            self.seen.insert(video.uid.clone(), created);
            self.ready.push_back(video);
        }
        if !full {
            self.is_over = true;
            return Ok(());
        }
        let (edge, uid) = edge.ok_or_else(crowded)?;
        // A whole second, where that leads on: right even where times are compared by seconds.
        let bound = match self.later(whole_second(edge, asc)) {
            Some(bound) => bound,
            None => {
                self.must_show = Some(uid);
                let exact = if asc {
                    Some(edge)
                } else {
                    edge.checked_add(MICROSECOND)
                };
                self.later(exact).ok_or_else(crowded)?
            }
        };
        if asc {
            self.filter.after = Some(bound);
            self.seen.retain(|_, created| *created >= bound);
        } else {
            self.filter.before = Some(bound);
            self.seen.retain(|_, created| *created <= bound);
        }
        Ok(())
    }

    /// A bound that leads on from the one there is.
    fn later(&self, bound: Option<SystemTime>) -> Option<SystemTime> {
        let (asc, filter) = (self.filter.asc, &self.filter);
        bound.filter(|bound| match asc {
            true => filter.after.is_none_or(|now| *bound > now),
            false => filter.before.is_none_or(|now| *bound < now),
        })
    }
}

/// The bound of the second that a moment is in. `after` takes its own moment in, `before` does not.
fn whole_second(edge: SystemTime, asc: bool) -> Option<SystemTime> {
    let since = edge.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let begin = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since.as_secs()))?;
    if asc {
        Some(begin)
    } else {
        begin.checked_add(SECOND)
    }
}

fn crowded() -> Error {
    Error::Request(
        "more videos were created in one moment than a page holds: narrow the listing, or use larger pages"
            .into(),
    )
}

impl Stream for Videos {
    type Item = Result<Video, Error>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Video, Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(video) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(video)));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            let asked = this.asked.get_or_insert_with(|| {
                let (client, filter) = (this.client.clone(), this.filter.clone());
                Box::pin(async move { client.list_videos(&filter).await })
            });
            let answer = ready!(asked.as_mut().poll(context));
            this.asked = None;
            if let Err(error) = answer.and_then(|page| this.take(page)) {
                this.is_over = true;
                this.ready.clear();
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl fmt::Debug for Videos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Videos")
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, Response};
    use http_transport::{Body, Credentials, Origin, Transport, TransportError};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    /// An account that compares times by this many microseconds.
    struct Account {
        created: Vec<Timestamp>,
        grain: i64,
    }

    impl Transport for Account {
        fn send(
            &self,
            request: Request<Body>,
        ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
            let query = request.uri().query().unwrap_or("").to_owned();
            let value = |name: &str| {
                let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                let found = pairs.into_iter().find(|(key, _)| *key == name)?.1;
                let text = percent_encoding::percent_decode_str(found).decode_utf8();
                Some(text.unwrap().into_owned())
            };
            let floor = |time: Timestamp| time.as_microsecond().div_euclid(self.grain);
            let time = |name| value(name).map(|text| floor(text.parse().unwrap()));
            let (after, before) = (time("after"), time("before"));
            let limit: usize = value("limit").unwrap().parse().unwrap();
            let mut fits: Vec<_> = self
                .created
                .iter()
                .enumerate()
                .filter(|(_, at)| after.is_none_or(|after| floor(**at) >= after))
                .filter(|(_, at)| before.is_none_or(|before| floor(**at) < before))
                .collect();
            fits.sort_by_key(|(index, at)| (**at, *index));
            if value("asc").is_none() {
                fits.reverse();
            }
            let videos: Vec<_> = fits
                .into_iter()
                .take(limit)
                .map(|(index, at)| json!({"uid": format!("v{index}"), "created": at.to_string()}))
                .collect();
            let answer = json!({"success": true, "result": videos}).to_string();
            Box::pin(async move { Ok(Response::new(Body::from(answer))) })
        }
    }

    async fn listed(created: Vec<Timestamp>, grain: i64, asc: bool) -> Result<usize, Error> {
        let all = created.len();
        let credentials = Credentials::new(Origin::parse("http://api.example").unwrap());
        let account = Arc::new(Account { created, grain });
        let client = StreamClient::new(account, "http://api.example", "a", credentials).unwrap();
        let filter = ListVideos {
            limit: Some(10),
            asc,
            ..ListVideos::default()
        };
        let mut videos = client.videos(filter);
        let mut uids = std::collections::BTreeSet::new();
        let mut last: Option<SystemTime> = None;
        while let Some(video) = videos.next().await {
            let video = video?;
            let (created, uid) = (video.created.unwrap(), video.uid);
            assert!(last.is_none_or(|last| if asc {
                last <= created
            } else {
                last >= created
            }));
            last = Some(created);
            assert!(uids.insert(uid.clone()), "{uid} twice");
        }
        assert_eq!(uids.len(), all);
        Ok(uids.len())
    }

    fn at(microseconds: i64) -> Timestamp {
        Timestamp::from_microsecond(1_700_000_000_000_000 + microseconds).unwrap()
    }

    #[tokio::test]
    async fn every_video_is_listed_once_whatever_moments_they_share() {
        for asc in [false, true] {
            for grain in [1, 1_000_000] {
                let apart = (0..95).map(|it| at(it * 1_700_000)).collect();
                assert_eq!(listed(apart, grain, asc).await.unwrap(), 95);
                // Nine of each second: as many as a page can tell apart.
                let crowds = (0..90).map(|it| at(it / 9 * 1_000_000)).collect();
                assert_eq!(listed(crowds, grain, asc).await.unwrap(), 90);
            }
            let dense = (0..200).map(|it| at(it * 1_000)).collect();
            assert_eq!(listed(dense, 1, asc).await.unwrap(), 200);
            assert_eq!(listed(Vec::new(), 1, asc).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_moment_with_more_videos_than_a_page_is_an_error_and_no_gap() {
        let one_moment = || (0..25).map(|_| at(0)).collect();
        for asc in [false, true] {
            let error = listed(one_moment(), 1, asc).await.unwrap_err();
            assert!(error.to_string().contains("one moment"), "{error}");
            // Apart by more than the service tells apart.
            let one_second = (0..25).map(|it| at(it * 1_000)).collect();
            let error = listed(one_second, 1_000_000, asc).await.unwrap_err();
            assert!(error.to_string().contains("one moment"), "{error}");
        }
    }
}
