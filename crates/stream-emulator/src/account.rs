//! [`Videos`]: the state behind the API, and the life of a video.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use stream_api::op::videos::Playback;
use stream_api::{Video, VideoState};
use tus_core::{Meaning, Rejection};

use crate::builder::Encoding;
use crate::disk::{Disk, Kind};

/// One video as it is kept. Its state is not: that follows from when it was uploaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    format: u32,
    pub(crate) account: String,
    /// The key of its upload.
    pub(crate) upload: String,
    pub(crate) video: Video,
    /// How often it was looked at since it was uploaded.
    #[serde(skip)]
    looks: u32,
}

impl Entry {
    pub(crate) fn new(account: String, upload: String, video: Video) -> Self {
        Self {
            format: 1,
            account,
            upload,
            video,
            looks: 0,
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
        status.step = (state == VideoState::InProgress).then(|| "encoding".to_owned());
        let ready = state == VideoState::Ready;
        status.state = state;
        video.status = Some(status);
        video.ready_to_stream = Some(ready);
        if ready {
            video.ready_to_stream_at = video.uploaded.and_then(|at| match encoding {
                Encoding::After(time) => at.checked_add(time),
                Encoding::Steps => Some(at),
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

    /// The state, and the part that is encoded, 0 to 1.
    fn progress(&self, encoding: Encoding, now: SystemTime) -> (VideoState, f64) {
        let Some(uploaded) = self.video.uploaded else {
            return (VideoState::PendingUpload, 0.0);
        };
        let done = match encoding {
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

/// All videos of all accounts, by uid.
#[derive(Debug)]
pub(crate) struct Videos {
    pub(crate) encoding: Encoding,
    all: Mutex<HashMap<String, Entry>>,
    /// Held while a change is made and saved.
    saving: Mutex<()>,
}

impl Videos {
    pub(crate) fn new(encoding: Encoding, entries: Vec<Entry>) -> Self {
        let entries = entries.into_iter().filter(|entry| entry.format == 1);
        let all = entries
            .map(|entry| (entry.video.uid.clone(), entry))
            .collect();
        Self {
            encoding,
            all: Mutex::new(all),
            saving: Mutex::default(),
        }
    }

    /// Adds a video. Blocking where there is a disk.
    pub(crate) fn add(&self, entry: Entry, disk: Option<&Disk>) -> io::Result<()> {
        if let Some(disk) = disk {
            disk.save(Kind::Video, &entry.video.uid, &entry)?;
        }
        self.lock().insert(entry.video.uid.clone(), entry);
        Ok(())
    }

    /// Changes a video, if it is there, and saves it. Where `change` refuses, it must have changed
    /// nothing. Blocking where there is a disk.
    pub(crate) fn change<E>(
        &self,
        uid: &str,
        disk: Option<&Disk>,
        change: impl FnOnce(&mut Video) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        // Saved in the order of the changes, and without keeping readers from the map meanwhile.
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = {
            let mut all = self.lock();
            let Some(entry) = all.get_mut(uid) else {
                return Ok(Ok(()));
            };
            if let Err(refusal) = change(&mut entry.video) {
                return Ok(Err(refusal));
            }
            entry.clone()
        };
        if let Some(disk) = disk {
            disk.save(Kind::Video, uid, &entry)?;
        }
        Ok(Ok(()))
    }

    /// A video of `account`. Looking at it is what moves it on with [`Encoding::Steps`].
    pub(crate) fn look(
        &self,
        account: &str,
        uid: &str,
        base: &str,
        now: SystemTime,
    ) -> Option<Video> {
        let mut all = self.lock();
        let entry = all.get_mut(uid).filter(|entry| entry.account == account)?;
        let video = entry.view(self.encoding, base, now);
        if entry.video.uploaded.is_some() {
            entry.looks = entry.looks.saturating_add(1);
        }
        Some(video)
    }

    /// A copy of what is kept of a video of `account`.
    pub(crate) fn entry(&self, account: &str, uid: &str) -> Option<Entry> {
        self.lock()
            .get(uid)
            .filter(|entry| entry.account == account)
            .cloned()
    }

    /// Copies of all that is kept, in no order.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().values().cloned().collect()
    }

    /// Forgets a video. Blocking where there is a disk.
    pub(crate) fn remove(&self, uid: &str, disk: Option<&Disk>) -> io::Result<()> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().remove(uid);
        disk.map_or(Ok(()), |disk| disk.remove(Kind::Video, uid))
    }

    /// All bytes of a video are in. Blocking where there is a disk.
    pub(crate) fn uploaded(
        &self,
        uid: &str,
        size: u64,
        now: SystemTime,
        disk: Option<&Disk>,
    ) -> io::Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^53")]
        let size = size as f64;
        let told = self.change(uid, disk, |video| {
            if video.uploaded.is_some() {
                return Err(());
            }
            video.uploaded = Some(now);
            video.modified = Some(now);
            video.size = Some(size);
            Ok(())
        });
        told.map(drop)
    }

    /// Whether bytes may still be sent for a video: it is there, and its time is not over.
    pub(crate) fn check_open(&self, uid: &str, now: SystemTime) -> Result<(), Rejection> {
        let all = self.lock();
        let entry = all.get(uid).ok_or(Meaning::NotFound)?;
        let is_done = entry.video.uploaded.is_some();
        if !is_done
            && entry
                .video
                .upload_expiry
                .is_some_and(|expiry| expiry <= now)
        {
            return Err(Meaning::Expired.into());
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uploaded: Option<SystemTime>) -> Entry {
        let mut video = Video::default();
        video.uid = "u".into();
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
    fn a_video_moves_on_when_it_is_looked_at() {
        let videos = Videos::new(Encoding::Steps, vec![entry(Some(SystemTime::UNIX_EPOCH))]);
        let look = || {
            videos
                .look("a", "u", "", SystemTime::UNIX_EPOCH)
                .unwrap()
                .state()
        };
        let states = [look(), look(), look(), look()];
        use VideoState::{InProgress, Queued, Ready};
        assert_eq!(states, [Queued, InProgress, Ready, Ready]);
        assert_eq!(videos.look("b", "u", "", SystemTime::UNIX_EPOCH), None);
    }
}
