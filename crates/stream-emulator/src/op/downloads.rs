//! The group `downloads`: a video, or its sound, as a file.
//!
//! <https://developers.cloudflare.com/stream/viewing-videos/download-videos/>

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use stream_api::Op;
use stream_api::op::downloads::{Download, DownloadStatus, DownloadType, Downloads};

use crate::builder::Encoding;
use crate::op::call::ok;
use crate::op::{Answered, Call, refuse};
use crate::server::Shared;

/// Since when the downloads of one video are being made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Asked {
    default: Option<SystemTime>,
    audio: Option<SystemTime>,
}

impl Asked {
    fn of(&mut self, kind: DownloadType) -> &mut Option<SystemTime> {
        match kind {
            DownloadType::Default => &mut self.default,
            DownloadType::Audio => &mut self.audio,
        }
    }
}

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    let video = call.video()?;
    let kind = match (call.op, call.part()) {
        (Op::DownloadsCreateType | Op::DownloadsDeleteType, "audio") => DownloadType::Audio,
        (Op::DownloadsCreateType | Op::DownloadsDeleteType, "default") => DownloadType::Default,
        (Op::DownloadsCreateType | Op::DownloadsDeleteType, _) => {
            return refuse("the type of a download must be default or audio");
        }
        _ => DownloadType::Default,
    };
    match call.op {
        Op::DownloadsList => {}
        Op::DownloadsCreate | Op::DownloadsCreateType => {
            if !video.is_ready(call.shared.videos.encoding, call.now()) {
                return refuse("the video is not ready");
            }
            if kind == DownloadType::Audio && video.has_sound == Some(false) {
                return refuse("the video has no sound");
            }
            let now = call.now();
            change(&call, move |asked| {
                asked.of(kind).get_or_insert(now);
            })
            .await?;
        }
        Op::DownloadsDelete | Op::DownloadsDeleteType => {
            change(&call, move |asked| *asked.of(kind) = None).await?;
            return ok("");
        }
        _ => return super::unknown(),
    }
    ok(call.shared.downloads(call.account(), call.id(), call.base))
}

async fn change(
    call: &Call<'_>,
    change: impl FnOnce(&mut Asked) + Send + 'static,
) -> Result<(), Box<crate::answer::Answer>> {
    let (account, uid) = (call.account().to_owned(), call.id().to_owned());
    call.blocking(move |shared| {
        let downloads = &shared.account.downloads;
        let mut asked = downloads.get(&account, &uid).unwrap_or_default();
        change(&mut asked);
        downloads.put(&account, &uid, asked, shared.disk.as_ref())
    })
    .await
}

impl Shared {
    /// The downloads of a video, as the API shows them now.
    pub(crate) fn downloads(&self, account: &str, uid: &str, base: &str) -> Downloads {
        let asked = self.account.downloads.get(account, uid).unwrap_or_default();
        let now = self.clock.now();
        let one = |since: Option<SystemTime>, file: &str| {
            since.map(|since| {
                let passed = now.duration_since(since).unwrap_or_default();
                let done = match self.videos.encoding {
                    Encoding::After(time) if !time.is_zero() => {
                        passed.div_duration_f64(time).min(1.0) * 100.0
                    }
                    _ => 100.0,
                };
                let ready = done >= 100.0;
                let mut download = Download::default();
                download.percent_complete = Some(done);
                download.status = Some(if ready {
                    DownloadStatus::Ready
                } else {
                    DownloadStatus::InProgress
                });
                download.url = Some(format!("{base}/{uid}/downloads/{file}"));
                download
            })
        };
        let mut downloads = Downloads::default();
        downloads.default = one(asked.default, "default.mp4");
        downloads.audio = one(asked.audio, "audio.m4a");
        downloads
    }
}
