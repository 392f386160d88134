//! [`Entry`]: one video as it is kept, and its life.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use stream_api::op::videos::Playback;
use stream_api::{SourceUrl, Video, VideoState};

use crate::builder::Encoding;

/// Why a video came to nothing: `status.errorReasonCode` and `errorReasonText`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(code: &str, text: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            text: text.into(),
        }
    }

    /// `ERR_NON_VIDEO`.
    pub(crate) fn no_video() -> Self {
        let text = "The file was not recognized as a valid video file.";
        Self::new("ERR_NON_VIDEO", text)
    }
}

/// What this server has to do for a video by itself. Taken up again after a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// Its bytes are a part of those of another video.
    Clip {
        from: String,
        start_seconds: u32,
        end_seconds: u32,
    },
    /// Its bytes are behind a URL.
    Fetch { url: SourceUrl },
    /// Its bytes are being broadcast.
    Live,
}

/// One video as it is kept. Its state is not: that follows from when it was uploaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) format: u32,
    pub(crate) account: String,
    /// The key of its upload.
    pub(crate) upload: String,
    pub(crate) video: Video,
    /// Why it came to nothing, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Failure>,
    /// What this server still has to do before the video counts as uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) work: Option<Work>,
    /// The media type of its bytes, where they were understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    /// Whether its bytes have sound; `None` where they were not understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) has_sound: Option<bool>,
    /// How often it was looked at since it was uploaded.
    #[serde(skip)]
    pub(crate) looks: u32,
}

impl Entry {
    pub(crate) fn new(account: String, upload: String, video: Video) -> Self {
        Self {
            format: 1,
            account,
            upload,
            video,
            failure: None,
            work: None,
            media_type: None,
            has_sound: None,
            looks: 0,
        }
    }

    /// As [`new`](Self::new), for a video whose bytes this server gets by itself.
    pub(crate) fn with_work(account: String, video: Video, work: Work) -> Self {
        let upload = video.uid.clone();
        Self {
            work: Some(work),
            ..Self::new(account, upload, video)
        }
    }

    /// The video as the API shows it now. `base` is where this server is, as the client calls it.
    pub(crate) fn view(&self, encoding: Encoding, base: &str, now: SystemTime) -> Video {
        let mut video = self.video.clone();
        let (state, done) = self.progress(encoding, now);
        let mut status = video.status.take().unwrap_or_default();
        status.pct_complete = match state {
            VideoState::InProgress => Some(done * 100.0),
            VideoState::Ready => Some(100.0),
            _ => None,
        };
        status.step = [VideoState::Error, VideoState::InProgress]
            .contains(&state)
            .then(|| "encoding".to_owned());
        if state == VideoState::Error {
            let failure = self.failure.clone().unwrap_or_else(Failure::no_video);
            status.error_reason_code = failure.code;
            status.error_reason_text = failure.text;
        }
        let ready = state == VideoState::Ready;
        status.state = state;
        video.status = Some(status);
        video.ready_to_stream = Some(ready);
        if ready {
            video.ready_to_stream_at = video.uploaded.and_then(|at| match encoding {
                Encoding::After(time) => at.checked_add(time),
                Encoding::NoVideo | Encoding::Steps => Some(at),
            });
        }
        let url = |rest: &str| format!("{base}/{}/{rest}", video.uid);
        video.preview = Some(url("watch"));
        video.thumbnail = Some(url("thumbnails/thumbnail.jpg"));
        video.playback = Some(Playback {
            hls: url("manifest/video.m3u8"),
            dash: url("manifest/video.mpd"),
        });
        video
    }

    /// When its upload expires, if it is unfinished.
    pub(crate) fn expiry(&self) -> Option<SystemTime> {
        self.video
            .upload_expiry
            .filter(|_| self.video.uploaded.is_none() && self.failure.is_none())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates"
    )]
    pub(crate) fn bytes(&self) -> u64 {
        self.video.size.unwrap_or(0.0) as u64
    }

    /// Of an unfinished upload, what is reserved for it. What failed takes nothing.
    pub(crate) fn seconds(&self) -> f64 {
        if self.failure.is_some() {
            return 0.0;
        }
        let seconds = match self.video.uploaded {
            None => self.video.max_duration_seconds,
            Some(_) => self.video.duration_seconds,
        };
        seconds.unwrap_or(0.0).max(0.0)
    }

    /// When it is, or was, encoded; `None` where that does not go by the clock, or it is not uploaded.
    pub(crate) fn encoded_at(&self, encoding: Encoding) -> Option<SystemTime> {
        match encoding {
            Encoding::After(time) => self.video.uploaded?.checked_add(time),
            Encoding::NoVideo | Encoding::Steps => None,
        }
    }

    /// Whether it can be played now.
    pub(crate) fn is_ready(&self, encoding: Encoding, now: SystemTime) -> bool {
        self.progress(encoding, now).0 == VideoState::Ready
    }

    /// The state, and the part that is encoded, 0 to 1.
    pub(crate) fn progress(&self, encoding: Encoding, now: SystemTime) -> (VideoState, f64) {
        if self.failure.is_some() {
            return (VideoState::Error, 0.0);
        }
        let Some(uploaded) = self.video.uploaded else {
            let state = match self.work {
                None => VideoState::PendingUpload,
                Some(Work::Clip { .. }) => VideoState::Queued,
                Some(Work::Fetch { .. }) => VideoState::Downloading,
                Some(Work::Live) => VideoState::LiveInProgress,
            };
            return (state, 0.0);
        };
        let done = match encoding {
            Encoding::NoVideo => return (VideoState::Error, 0.0),
            Encoding::Steps => f64::from(self.looks.min(2)) / 2.0,
            Encoding::After(Duration::ZERO) => 1.0,
            Encoding::After(time) => {
                // A clock that went back makes it wait, not fail.
                let passed = now.duration_since(uploaded).unwrap_or_default();
                passed.div_duration_f64(time).min(1.0)
            }
        };
        match done {
            done if done >= 1.0 => (VideoState::Ready, 1.0),
            done if done < 0.2 => (VideoState::Queued, 0.0),
            done => (VideoState::InProgress, done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uploaded: Option<SystemTime>) -> Entry {
        let mut video = Video::default();
        video.uploaded = uploaded;
        Entry::new("a".into(), "u".into(), video)
    }

    #[test]
    fn a_video_is_encoded_over_time() {
        let at = SystemTime::UNIX_EPOCH;
        let encoding = Encoding::After(Duration::from_secs(10));
        let state = |seconds| {
            entry(Some(at))
                .view(encoding, "", at + Duration::from_secs(seconds))
                .state()
        };
        assert_eq!(
            entry(None).view(encoding, "", at).state(),
            VideoState::PendingUpload
        );
        assert_eq!(state(1), VideoState::Queued);
        assert_eq!(state(5), VideoState::InProgress);
        assert_eq!(state(10), VideoState::Ready);
    }

    #[test]
    fn what_is_no_video_ends_in_error_and_says_why() {
        let at = SystemTime::UNIX_EPOCH;
        let video = entry(Some(at)).view(Encoding::NoVideo, "", at);
        assert_eq!(video.ready_to_stream, Some(false));
        let status = video.status.unwrap();
        assert_eq!(status.state, VideoState::Error);
        assert_eq!(status.error_reason_code, "ERR_NON_VIDEO");
    }
}
