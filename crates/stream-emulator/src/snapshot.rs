//! What uploads and videos were at one moment, as data.

use std::sync::Arc;

use serde::Serialize;
use stream_api::Video;
use tus_core::server::UploadKind;

use crate::server::Shared;
use crate::upload::Upload;

/// One upload as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UploadSnapshot {
    /// Names it and its bytes: the media id of a video, the upload's own id otherwise.
    pub id: String,
    /// Total bytes; `None` while deferred.
    pub length: Option<u64>,
    /// Bytes that are stored and acknowledged.
    pub offset: u64,
    /// Whether all of them are.
    pub complete: bool,
    /// Whether it is a part that is to be joined with others.
    pub partial: bool,
    /// The video it belongs to; `None` for a generic upload.
    pub media_id: Option<String>,
    /// `Upload-Metadata` as it came.
    pub metadata: Option<String>,
}

/// One video as it was at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VideoSnapshot {
    /// The account in its path.
    pub account: String,
    /// What the API shows of it. Taking a snapshot does not move it on.
    pub video: Video,
}

/// One live input as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LiveInputSnapshot {
    /// The account in its path.
    pub account: String,
    /// Its id.
    pub uid: String,
    /// Stream's word for how its connection stands; `None` until the first one.
    pub status: Option<String>,
    /// Whether somebody broadcasts to it.
    pub is_on: bool,
    /// The media id of the recording that is going on, or waits for the broadcaster to come back.
    pub recording: Option<String>,
}

impl UploadSnapshot {
    fn of(upload: &Upload) -> Self {
        let info = upload.info();
        Self {
            id: upload.blob_id().to_owned(),
            length: info.length.known(),
            offset: info.offset,
            complete: info.is_complete(),
            partial: info.kind == UploadKind::Partial,
            media_id: upload.place.uid().map(str::to_owned),
            metadata: info
                .metadata
                .as_ref()
                .and_then(|text| text.to_str().ok())
                .map(str::to_owned),
        }
    }
}

impl Shared {
    /// All uploads that did not expire, ordered by id.
    pub(crate) fn upload_snapshots(&self) -> Vec<UploadSnapshot> {
        let uploads = self.uploads.all();
        let mut uploads: Vec<_> = uploads
            .iter()
            .filter(|upload| !upload.has_expired())
            .map(|upload: &Arc<Upload>| UploadSnapshot::of(upload))
            .collect();
        uploads.sort_by(|one, other| one.id.cmp(&other.id));
        uploads
    }

    /// All live inputs of all accounts, ordered by account and id.
    pub(crate) fn live_input_snapshots(&self) -> Vec<LiveInputSnapshot> {
        let inputs = self.account.live_inputs.all().into_iter();
        inputs
            .map(|(account, input)| LiveInputSnapshot {
                is_on: self.stage.is_on(&input.uid),
                account,
                uid: input.uid,
                status: input.status,
                recording: input.recorded,
            })
            .collect()
    }

    /// All videos of all accounts, oldest first. `base` is where this server is.
    pub(crate) fn video_snapshots(&self, base: &str) -> Vec<VideoSnapshot> {
        let now = self.clock.now();
        let mut videos: Vec<_> = self
            .videos
            .entries()
            .into_iter()
            .map(|entry| VideoSnapshot {
                video: entry.view(self.videos.encoding, base, now),
                account: entry.account,
            })
            .collect();
        videos.sort_by_key(|snapshot| (snapshot.video.created, snapshot.video.uid.clone()));
        videos
    }
}
