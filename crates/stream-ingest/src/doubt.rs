//! What became of an upload that is in doubt: the account is asked.
//!
//! An orphan cannot be taken over, for no answer of the API gives its upload URL back. So a creation that nobody will finish
//! is removed, and only when it is certain that none is left may another be sent. Each creation carries a random key in its
//! metadata; it is found by that key and by nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http_transport::Certainty;
use resume_store::{Record, State};
use stream_api::{Error, ListVideos, StreamClient, Video, VideoState};
use tus_engine::{Finding, Reconciled};

use crate::service::MEDIA_ID;

/// The metadata key under which a creation carries its random key; Stream keeps it among the video's `meta`.
pub(crate) const UPLOAD_KEY: &str = "stream-upload-key";

/// How far our clock may be ahead of the service's.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// Asks the account about one upload.
pub(crate) struct Inquiry<'a> {
    pub(crate) client: &'a StreamClient,
    pub(crate) record: &'a Record,
    /// Time between two looks at the account: its listing may lag behind.
    pub(crate) look_again_after: Duration,
}

impl Inquiry<'_> {
    /// What became of it. What is left of a lost creation is removed.
    pub(crate) async fn settle(&self) -> Finding {
        let settled = match self.record.tags.get(MEDIA_ID.as_str()) {
            Some(uid) if self.record.state == State::Active => self.known_video(uid).await,
            _ => self.lost_creation().await,
        };
        settled.unwrap_or_else(|error| {
            tracing::debug!(%error, "the account does not say what became of an upload");
            unanswered(&error).into()
        })
    }

    /// All bytes were sent, then the upload was gone.
    async fn known_video(&self, uid: &str) -> Result<Finding, Error> {
        match self.client.video(uid).await {
            // Its upload URL is gone, so nobody can finish it.
            Ok(video) if is_unfinished(&video) => {
                self.remove(uid).await?;
                Ok(Reconciled::Absent.into())
            }
            Ok(video) => Ok(complete(&video)),
            Err(error) if error.is_not_found() => Ok(Reconciled::Absent.into()),
            Err(error) => Err(error),
        }
    }

    /// The answer to a creation was lost, or a process stopped before it wrote it down.
    async fn lost_creation(&self) -> Result<Finding, Error> {
        // Twice without a find, and some time apart: what a slow listing showed late is found, too.
        let mut clean_looks = 0;
        while clean_looks < 2 {
            if clean_looks > 0 {
                tokio::time::sleep(self.look_again_after).await;
            }
            let (orphans, whole) = self.look().await?;
            clean_looks = if orphans.is_empty() {
                clean_looks + 1
            } else {
                1
            };
            for orphan in orphans {
                self.remove(&orphan.uid).await?;
            }
            if let Some(video) = whole {
                return Ok(complete(&video));
            }
        }
        Ok(Reconciled::Absent.into())
    }

    /// The video of a creation that needs no upload, such as a copy: whoever finds it has it. The oldest, should there be
    /// several.
    pub(crate) async fn adopt(&self) -> Result<Option<Video>, Error> {
        let intended = self.record.created_at;
        let since = intended
            .checked_sub(CLOCK_SKEW)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        for is_second in [false, true] {
            if is_second {
                tokio::time::sleep(self.look_again_after).await;
            }
            let ours = self.all(since).await?;
            if let Some(video) = ours.into_iter().min_by_key(|video| video.created) {
                return Ok(Some(video));
            }
        }
        Ok(None)
    }

    /// Removes what lost creations of an upload have left behind, now that it has ended.
    pub(crate) async fn tidy(&self) -> Result<(), Error> {
        let ours = self.record.tags.get(MEDIA_ID.as_str());
        let (orphans, _) = self.look().await?;
        for orphan in orphans.iter().filter(|video| Some(&video.uid) != ours) {
            self.remove(&orphan.uid).await?;
        }
        Ok(())
    }

    /// Removes an unfinished video. One with all its bytes stays, whatever was meant to become of it.
    pub(crate) async fn discard(&self, uid: &str) -> Result<bool, Error> {
        match self.client.video(uid).await {
            Ok(video) if is_unfinished(&video) => self.remove(uid).await.map(|()| true),
            Ok(_) => Ok(false),
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The unfinished videos of our creations, and one that has all its bytes.
    async fn look(&self) -> Result<(Vec<Video>, Option<Video>), Error> {
        let intended = self.record.created_at;
        let since = intended
            .checked_sub(CLOCK_SKEW)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let ours = self.all(since).await?;
        let (orphans, whole): (Vec<_>, Vec<_>) = ours.into_iter().partition(is_unfinished);
        Ok((orphans, whole.into_iter().next()))
    }

    /// Every video created since then that carries our key, a page at a time.
    async fn all(&self, since: SystemTime) -> Result<Vec<Video>, Error> {
        let mut filter = ListVideos::default();
        filter.after = Some(since);
        let mut videos = self.client.videos(filter);
        let mut ours = Vec::new();
        while let Some(video) = videos.next().await {
            let video = video?;
            if self.is_ours(&video) {
                ours.push(video);
            }
        }
        Ok(ours)
    }

    fn is_ours(&self, video: &Video) -> bool {
        let meta = video.meta.as_ref();
        let key = meta.and_then(|meta| meta.get(UPLOAD_KEY)?.as_str());
        key == Some(self.record.idempotency_key.as_str())
    }

    async fn remove(&self, uid: &str) -> Result<(), Error> {
        match self.client.delete_video(uid).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn is_unfinished(video: &Video) -> bool {
    video.state() == VideoState::PendingUpload
}

fn complete(video: &Video) -> Finding {
    Finding {
        reconciled: Reconciled::Complete,
        tags: BTreeMap::from([(MEDIA_ID.as_str().to_owned(), video.uid.clone())]),
    }
}

/// Whether to ask again. Nothing is ever created because a question failed.
fn unanswered(error: &Error) -> Reconciled {
    match error {
        Error::Transport(fault) if fault.certainty() == Certainty::Permanent => Reconciled::Unknown,
        Error::Api { status, .. } if status.as_u16() == 429 || status.as_u16() == 408 => {
            Reconciled::Pending
        }
        // A token that may create and may not read, or an API that is none.
        Error::Api { status, .. } if status.is_client_error() => Reconciled::Unknown,
        Error::Request(_) => Reconciled::Unknown,
        _ => Reconciled::Pending,
    }
}
