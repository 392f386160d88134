//! What becomes of uploads and videos whose time is over, and the clock that says so.
//!
//! Nothing waits for a time to come: each request, and a clock that is put forward, finds what is over before anything else,
//! so that nobody can see a video after its time. No webhook is told of a deletion; Stream documents none.

use std::sync::Arc;
use std::time::Duration;

use crate::hypotheses::ExpiredVideo;
use crate::live;
use crate::op;
use crate::server::Shared;
use crate::tus;
use crate::upload::Upload;

impl Shared {
    /// Whether the time of an unfinished upload of Stream is over.
    pub(crate) fn has_expired(&self, upload: &Upload) -> bool {
        let now = self.clock.now();
        let expiry = upload
            .place
            .uid()
            .and_then(|uid| self.videos.upload_expiry(uid));
        upload.has_expired() || expiry.is_some_and(|at| at <= now)
    }

    /// Ends the recordings whose broadcaster did not come back, deletes the videos that are scheduled to be, as a request
    /// would, and those whose upload expired long enough
    /// ago. The uploads of the latter stay, without a byte, to say that they expired.
    pub(crate) async fn sweep(self: &Arc<Self>) {
        live::sweep(self).await;
        for entry in self.videos.scheduled(self.clock.now()) {
            op::videos::remove(self, &entry.video.uid, &entry.upload).await;
        }
        let ExpiredVideo::DeletedAfter(stays) = self.hypotheses().expired_video else {
            return;
        };
        for entry in self.videos.expired(self.clock.now(), stays) {
            // In this order: after a crash in between, the video is found and deleted again.
            if let Some(upload) = self.uploads.get(&entry.upload) {
                tus::expire(self, &upload).await;
            }
            self.forget_video(&entry.video.uid).await;
        }
    }

    /// Puts the clock forward, for good: a server on the same directory goes on from there.
    pub(crate) async fn advance(self: &Arc<Self>, by: Duration) {
        self.clock.advance(by);
        let shared = Arc::clone(self);
        let saving = tokio::task::spawn_blocking(move || shared.save_clock());
        if let Ok(Err(error)) = saving.await {
            tracing::warn!(%error, "the clock cannot be saved");
        }
        self.sweep().await;
        self.videos.changed();
    }

    /// Blocking where there is a disk.
    pub(crate) fn save_clock(&self) -> std::io::Result<()> {
        let ahead = self.clock.ahead();
        self.disk
            .as_ref()
            .map_or(Ok(()), |disk| disk.save_clock(ahead))
    }
}
