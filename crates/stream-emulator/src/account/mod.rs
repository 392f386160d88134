//! The state behind the API: one file per group.
//!
//! Videos have a life of their own ([`Videos`]). Everything else that an account holds is a [`Group`]: values by
//! account and id, each in a JSON file of its own where there is a disk.

pub(crate) mod audio;
pub(crate) mod captions;
mod group;
pub(crate) mod keys;
pub(crate) mod live;
mod videos;
pub(crate) mod watermarks;
pub(crate) mod webhook;

use std::io;

use serde_json::Value;
use stream_api::Video;

pub(crate) use group::Group;
pub(crate) use videos::Videos;

use audio::AudioTrack;
use captions::Caption;
use keys::Keys;
use live::LiveInput;
use watermarks::{Picture, Watermark};
use webhook::{Notice, Webhook};

use crate::disk::Disk;
use crate::op::downloads::Asked;

/// What accounts hold besides videos.
#[derive(Debug)]
pub(crate) struct Account {
    /// Additional audio tracks, by video.
    pub(crate) audio: Group<Vec<AudioTrack>>,
    /// By `{video}_{language}`.
    pub(crate) captions: Group<Caption>,
    /// By the uid of the video.
    pub(crate) downloads: Group<Asked>,
    pub(crate) keys: Keys,
    pub(crate) live_inputs: Group<LiveInput>,
    /// What a webhook is told, by video.
    pub(crate) notices: Group<Notice>,
    /// Of the watermarks that there are, and of those that a video was made with.
    pub(crate) pictures: Group<Picture>,
    pub(crate) watermarks: Group<Watermark>,
    /// One per account, at [`webhook::ID`].
    pub(crate) webhooks: Group<Webhook>,
}

impl Account {
    /// Reads what a data directory holds. Blocking.
    pub(crate) fn load(disk: Option<&Disk>) -> io::Result<Self> {
        Ok(Self {
            audio: Group::load("audio", disk)?,
            captions: Group::load("captions", disk)?,
            downloads: Group::load("downloads", disk)?,
            keys: Keys::load(disk)?,
            live_inputs: Group::load("live-inputs", disk)?,
            notices: Group::load("notices", disk)?,
            pictures: Group::load("watermark-pictures", disk)?,
            watermarks: Group::load("watermarks", disk)?,
            webhooks: Group::load("webhooks", disk)?,
        })
    }

    /// Writes into a new video what its watermark is now: it keeps that, whatever becomes of the profile. One that is
    /// not there is only named.
    pub(crate) fn choose_watermark(&self, account: &str, video: &mut Video) {
        if let Some(chosen) = &mut video.watermark
            && let Some(mark) = self.watermarks.get(account, &chosen.uid)
            && let Ok(mark) = serde_json::from_value(Value::Object(mark.view()))
        {
            *chosen = mark;
        }
    }

    /// Forgets what belongs to a video that is no more. Blocking where there is a disk.
    ///
    /// # Errors
    /// What removing a file came back with; then some may be left.
    pub(crate) fn forget_video(&self, uid: &str, disk: Option<&Disk>) -> io::Result<()> {
        let caption = format!("{uid}_");
        self.audio.remove_all(disk, |id| id == uid)?;
        self.captions
            .remove_all(disk, |id| id.starts_with(&caption))?;
        self.downloads.remove_all(disk, |id| id == uid)?;
        self.notices.remove_all(disk, |id| id == uid)
    }
}
