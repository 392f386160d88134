//! Waiting for a video: from uploaded to playable.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;

use crate::client::StreamClient;
use crate::error::Error;
use crate::op::videos::{Video, VideoState};

/// How long a video is waited for, and how often it is asked for. After each answer the pause
/// doubles, up to the longest one; a `Retry-After` makes one pause longer.
///
/// ```
/// use std::time::Duration;
/// use stream_api::WaitOptions;
///
/// let defaults = WaitOptions::default();
/// assert_eq!(defaults.timeout, Duration::from_secs(3600));
/// assert_eq!(defaults.first_pause, Duration::from_secs(2));
/// assert_eq!(defaults.longest_pause, Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitOptions {
    /// After so long it is not waited for any more, not even for an answer. Default 1 h.
    pub timeout: Duration,
    /// Between the first question and the second. Default 2 s.
    pub first_pause: Duration,
    /// The longest pause without a `Retry-After`. Default 30 s.
    pub longest_pause: Duration,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60 * 60),
            first_pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(30),
        }
    }
}

impl WaitOptions {
    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

/// How waiting for a video ended. Exhaustive: there is no fourth end.
#[derive(Debug)]
pub enum Waited {
    /// Stream cannot make a playable video of what was uploaded, and will not try again.
    Failed {
        /// Stream's word, such as `ERR_NON_VIDEO`; may be empty. See
        /// [`ERROR_REASONS`](crate::ERROR_REASONS).
        code: String,
        /// The same in Stream's words; may be empty.
        text: String,
        /// All that the API says of it.
        video: Box<Video>,
    },
    /// At least one quality can be played. The best one may still be in the making.
    Ready(Box<Video>),
    /// The time was over.
    TimedOut {
        /// The video as it was seen last; `None` if the API never told.
        video: Option<Box<Video>>,
        /// Why the last question was not answered, if it was not.
        trouble: Option<Error>,
    },
}

impl StreamClient {
    /// Asks for a video until it can be played, has failed, or the time is over. A question that
    /// finds no answer, or 408, 429 or 5xx, is asked again later.
    ///
    /// `sleep` returns a future that ends after so long: whoever calls brings the clock. `seen`
    /// hears of each answer that shows a video still in the making.
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops the waiting and changes nothing at the service.
    ///
    /// # Errors
    ///
    /// Any other refusal, which would come again: [`Error::is_not_found`] tells that the video is
    /// not there (any more). [`Error::Decode`] when the answer is not about a video.
    pub async fn wait_ready<F: Future<Output = ()>>(
        &self,
        uid: &str,
        options: &WaitOptions,
        sleep: impl Fn(Duration) -> F,
        seen: impl FnMut(&Video),
    ) -> Result<Waited, Error> {
        wait_ready_by(|| self.video(uid), options, sleep, seen).await
    }
}

/// As [`StreamClient::wait_ready`], where `ask` asks for the video: for whoever asks for many at once.
///
/// # Errors
/// As [`StreamClient::wait_ready`].
pub async fn wait_ready_by<A, F>(
    ask: impl Fn() -> A,
    options: &WaitOptions,
    sleep: impl Fn(Duration) -> F,
    mut seen: impl FnMut(&Video),
) -> Result<Waited, Error>
where
    A: Future<Output = Result<Video, Error>>,
    F: Future<Output = ()>,
{
    let mut deadline = pin!(sleep(options.timeout));
    let mut pause = options.first_pause.min(options.longest_pause);
    let (mut last, mut trouble) = (None, None);
    loop {
        let Some(answer) = unless(deadline.as_mut(), ask()).await else {
            break;
        };
        let mut longer = Duration::ZERO;
        match answer {
            Ok(video) => {
                let video = match Waited::by(video) {
                    Ok(ended) => return Ok(ended),
                    Err(video) => video,
                };
                seen(&video);
                (last, trouble) = (Some(video), None);
            }
            Err(error) if error.may_pass() => {
                longer = asked_to_wait(&error);
                trouble = Some(error);
            }
            Err(error) => return Err(error),
        }
        if unless(deadline.as_mut(), sleep(pause.max(longer)))
            .await
            .is_none()
        {
            break;
        }
        pause = pause.saturating_mul(2).min(options.longest_pause);
    }
    Ok(Waited::TimedOut {
        video: last,
        trouble,
    })
}

impl Waited {
    /// How it ended, by what was told of the video: [`Ready`](Self::Ready) or [`Failed`](Self::Failed).
    ///
    /// # Errors
    /// The video itself, when it is still in the making.
    pub fn by(video: Video) -> Result<Self, Box<Video>> {
        let state = video.state();
        let video = Box::new(video);
        if state == VideoState::Error {
            let status = video.status.clone().unwrap_or_default();
            return Ok(Self::Failed {
                code: status.error_reason_code,
                text: status.error_reason_text,
                video,
            });
        }
        // The state alone may say `ready` before anything can be played.
        if video.ready_to_stream.unwrap_or(state == VideoState::Ready) {
            Ok(Self::Ready(video))
        } else {
            Err(video)
        }
    }
}

impl Error {
    /// Whether the same question may be answered later: nobody answered, or with 408, 429 or 5xx.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Api { status, .. } => {
                status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
            _ => false,
        }
    }
}

fn asked_to_wait(error: &Error) -> Duration {
    match error {
        Error::Api { retry_after, .. } => retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

/// What `work` yields, or `None` if the deadline comes first.
async fn unless<T>(
    mut deadline: Pin<&mut impl Future<Output = ()>>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        deadline.as_mut().poll(context).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use http_transport::{
        Body, BoxFuture, Credentials, FaultKind, Origin, Transport, TransportError,
    };
    use tokio::time::{Instant, sleep};

    use super::*;

    enum Answer {
        Cut,
        Never,
        Says(u16, &'static str),
        Video(&'static str),
    }
    use Answer::{Cut, Never, Says, Video as Shows};

    const QUEUED: Answer = Shows(r#"{"status":{"state":"queued"},"readyToStream":false}"#);
    const ENCODING: Answer =
        Shows(r#"{"status":{"state":"inprogress","pctComplete":"39.0"},"readyToStream":false}"#);
    const READY: Answer = Shows(r#"{"status":{"state":"ready"},"readyToStream":true}"#);

    /// Answers by list; the last answer is given for ever.
    struct Scripted {
        answers: Mutex<VecDeque<Answer>>,
        asked: Mutex<Vec<Duration>>,
        begun: Instant,
    }

    impl Transport for Scripted {
        fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
            self.asked.lock().unwrap().push(self.begun.elapsed());
            let mut answers = self.answers.lock().unwrap();
            let (status, body) = match &answers[0] {
                Cut => (0, String::new()),
                Never => return Box::pin(std::future::pending()),
                Says(status, retry_after) => (*status, (*retry_after).to_owned()),
                Shows(video) => (200, format!(r#"{{"success":true,"result":{video}}}"#)),
            };
            if answers.len() > 1 {
                answers.pop_front();
            }
            Box::pin(async move {
                let answer = Response::builder().status(status);
                match status {
                    0 => Err(TransportError::new(FaultKind::Interrupted, "reset")),
                    200 => Ok(answer.body(Body::from(body)).unwrap()),
                    _ => Ok(answer
                        .header("retry-after", body)
                        .body(Body::Empty)
                        .unwrap()),
                }
            })
        }
    }

    struct Ended {
        result: Result<Waited, Error>,
        /// When each question was asked, in seconds.
        asked: Vec<u64>,
        seen: Vec<VideoState>,
        took: Duration,
    }

    async fn wait(seconds: u64, answers: impl IntoIterator<Item = Answer>) -> Ended {
        let begun = Instant::now();
        let scripted = Arc::new(Scripted {
            answers: Mutex::new(answers.into_iter().collect()),
            asked: Mutex::default(),
            begun,
        });
        let base = "http://127.0.0.1:1/client/v4";
        let credentials = Credentials::new(Origin::parse(base).unwrap());
        let transport = Arc::clone(&scripted) as Arc<dyn Transport>;
        let client = StreamClient::new(transport, base, "a", credentials).unwrap();
        let options = WaitOptions::default().with_timeout(Duration::from_secs(seconds));
        let mut seen = Vec::new();
        let note = |video: &Video| seen.push(video.state());
        let result = client.wait_ready("v", &options, sleep, note).await;
        let asked = scripted.asked.lock().unwrap();
        Ended {
            result,
            asked: asked.iter().map(Duration::as_secs).collect(),
            seen,
            took: begun.elapsed(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_video_is_asked_for_until_it_can_be_played() {
        let ended = wait(3600, [QUEUED, ENCODING, READY]).await;
        assert!(matches!(ended.result, Ok(Waited::Ready(_))));
        assert_eq!(ended.seen, [VideoState::Queued, VideoState::InProgress]);
        assert_eq!(ended.asked, [0, 2, 6]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_up_to_the_longest() {
        let ended = wait(100, [QUEUED]).await;
        assert_eq!(ended.asked, [0, 2, 6, 14, 30, 60, 90]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_video_is_told_with_streams_reason() {
        let failed = Shows(
            r#"{"status":{"state":"error","errorReasonCode":"ERR_NON_VIDEO","errorReasonText":"no"}}"#,
        );
        let ended = wait(3600, [QUEUED, failed]).await;
        let Ok(Waited::Failed { code, text, .. }) = ended.result else {
            panic!("{:?}", ended.result);
        };
        assert_eq!((code.as_str(), text.as_str()), ("ERR_NON_VIDEO", "no"));
    }

    #[tokio::test(start_paused = true)]
    async fn questions_without_an_answer_are_asked_again_and_retry_after_is_kept() {
        let ended = wait(3600, [Cut, Says(503, ""), Says(429, "50"), READY]).await;
        assert!(matches!(ended.result, Ok(Waited::Ready(_))));
        assert_eq!(ended.asked, [0, 2, 6, 56]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_for_good_ends_the_waiting() {
        let ended = wait(3600, [QUEUED, Says(404, "")]).await;
        assert!(ended.result.unwrap_err().is_not_found());
        assert_eq!(ended.asked, [0, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_does_not_outlast_the_time() {
        let ended = wait(10, [ENCODING, Never]).await;
        assert_eq!(ended.took.as_secs(), 10);
        let Ok(Waited::TimedOut {
            video: Some(video), ..
        }) = ended.result
        else {
            panic!("{:?}", ended.result);
        };
        assert_eq!(video.status.unwrap().pct_complete, Some(39.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_is_over_tells_why_nobody_answered() {
        let ended = wait(10, [Says(503, "")]).await;
        let Ok(Waited::TimedOut { video, trouble }) = ended.result else {
            panic!("{:?}", ended.result);
        };
        assert!(video.is_none());
        assert_eq!(trouble.unwrap().status().unwrap(), 503);
    }
}
