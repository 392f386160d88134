//! Waiting until an uploaded video can be played.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stream_api::{StreamClient, Video, VideoState, WaitOptions, Waited};
use tokio_util::sync::CancellationToken;
use tus_engine::UploadError;

use crate::ask::Desk;
use crate::job::{JobError, Uploaded, media_id};
use crate::webhooks::Webhooks;

/// Hears of videos that are waited for. Called by the task that waits: it should return soon.
pub trait WaitSink: Send + Sync {
    /// The source is on the server whole, and the waiting for its video begins.
    fn uploaded(&self, path: &Path, uploaded: &Uploaded);
    /// What the API said of the video, which is still in the making.
    fn waiting(&self, path: &Path, video: &Video);
    /// The API did not tell, this time; it is asked again. Default: nothing.
    fn unanswered(&self, path: &Path, error: &stream_api::Error) {
        let _ = (path, error);
    }
}

/// How long videos are waited for, and who hears of it.
#[derive(Clone)]
pub(crate) struct Wait {
    options: WaitOptions,
    sink: Arc<dyn WaitSink>,
    desk: Desk,
    webhooks: Option<Webhooks>,
}

/// Between two questions, where Stream tells by itself.
const SELDOM: Duration = Duration::from_secs(5 * 60);

impl Wait {
    pub(crate) fn new(options: WaitOptions, sink: Arc<dyn WaitSink>) -> Self {
        let desk = Desk::default();
        Self {
            options,
            sink,
            desk,
            webhooks: None,
        }
    }

    pub(crate) fn with_webhooks(self, webhooks: Webhooks) -> Self {
        Self {
            webhooks: Some(webhooks),
            ..self
        }
    }

    /// Waits for one video. Returns for how long.
    pub(crate) async fn until_ready(
        &self,
        account: &StreamClient,
        path: &Path,
        uploaded: &Uploaded,
        cancel: &CancellationToken,
    ) -> Result<Duration, JobError> {
        self.sink.uploaded(path, uploaded);
        let uid = media_id(&uploaded.report);
        self.watch(account, path, uid, cancel).await
    }

    /// The same, of a video that is known by its id.
    pub(crate) async fn watch(
        &self,
        account: &StreamClient,
        path: &Path,
        uid: &str,
        cancel: &CancellationToken,
    ) -> Result<Duration, JobError> {
        let begun = Instant::now();
        // Before the first question: nothing is told in between.
        let mut news = self.webhooks.as_ref().map(|webhooks| webhooks.of(uid));
        let mut options = self.options;
        if news.is_some() {
            options.first_pause = options.first_pause.max(SELDOM);
            options.longest_pause = options.longest_pause.max(SELDOM);
        }
        let told = async {
            match &mut news {
                Some(news) => loop {
                    if let Ok(ended) = Waited::by(news.next().await) {
                        return ended;
                    }
                },
                None => std::future::pending().await,
            }
        };
        let seen = |video: &Video| self.sink.waiting(path, video);
        let seat = self.desk.sit();
        // It asks again by itself, for as long as the time lasts.
        let account = account.without_patience();
        let ask = async || {
            let answer = seat.video(&account, uid).await;
            if let Err(error) = &answer
                && error.may_pass()
            {
                self.sink.unanswered(path, error);
            }
            answer
        };
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(UploadError::Cancelled.into()),
            ended = told => Ok(ended),
            ended = stream_api::wait_ready_by(ask, &options, tokio::time::sleep, seen) => ended,
        };
        let uid = uid.to_owned();
        match ended {
            Ok(Waited::Ready(_)) => Ok(begun.elapsed()),
            Ok(Waited::Failed { code, text, .. }) => Err(JobError::Unplayable { uid, code, text }),
            Ok(Waited::TimedOut { video, trouble }) => Err(JobError::NotReady {
                uid,
                timeout: self.options.timeout,
                stage: video.map(|video| Stage::of(&video)),
                trouble,
            }),
            Err(error) => Err(JobError::NotAsked { uid, error }),
        }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// How far a video is that cannot be played yet. Its text is a word and a percentage: `encoding 39 %`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stage {
    /// Where it is in its life.
    pub state: VideoState,
    /// Encoded so far, 0 to 100, if the API told.
    pub percent: Option<f64>,
}

impl Stage {
    /// What the API says of `video`.
    #[must_use]
    pub fn of(video: &Video) -> Self {
        Self {
            state: video.state(),
            percent: video.status.as_ref().and_then(|status| status.pct_complete),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            VideoState::InProgress => "encoding",
            state if state.as_str().is_empty() => "in a state that was not told",
            state => state.as_str(),
        })?;
        match self.percent {
            Some(percent) => write!(f, " {percent:.0} %"),
            None => Ok(()),
        }
    }
}

/// The rest of the sentence that a video was not ready in time: how far it was, and what the last question ran into.
pub(crate) fn last_seen(stage: Option<&Stage>, trouble: Option<&stream_api::Error>) -> String {
    let stage = stage.map_or_else(
        || "the API never told how far it is".to_owned(),
        |stage| format!("it was seen last as {stage}"),
    );
    match trouble {
        Some(trouble) => format!("{stage}; the last question failed: {trouble}"),
        None => stage,
    }
}

/// Stream's reason in one piece: its word and its text, as far as there are any.
pub(crate) fn reason(code: &str, text: &str) -> String {
    match (code, text) {
        ("", "") => "no reason was told".to_owned(),
        (word, "") | ("", word) => word.to_owned(),
        (code, text) => format!("{text} ({code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_reads_as_a_word_and_a_percentage() {
        let stage = |state, percent| Stage { state, percent }.to_string();
        assert_eq!(stage(VideoState::InProgress, Some(39.2)), "encoding 39 %");
        assert_eq!(stage(VideoState::Queued, None), "queued");
    }

    #[test]
    fn a_reason_is_told_as_far_as_there_is_one() {
        assert_eq!(reason("ERR_UNKNOWN", ""), "ERR_UNKNOWN");
        assert_eq!(
            reason("ERR_NON_VIDEO", "no video"),
            "no video (ERR_NON_VIDEO)"
        );
        assert_eq!(reason("", ""), "no reason was told");
    }
}
