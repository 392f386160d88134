//! [`Videos`]: the state behind the API.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use stream_api::{Video, VideoState};
use tokio::sync::Notify;

use crate::answer::Answer;
use crate::builder::Encoding;
use crate::changes::Teller;
use crate::disk::{Disk, Kind};
use crate::entry::{Entry, Failure};
use crate::limits::{Limits, Usage};
use crate::seen::Seen;

/// All videos of all accounts, by uid.
#[derive(Debug)]
pub(crate) struct Videos {
    pub(crate) encoding: Encoding,
    all: Mutex<All>,
    /// Held while a change is made and saved.
    saving: Mutex<()>,
    /// Something about a video is not what it was: for whoever tells webhooks.
    changed: Notify,
    /// The same for everybody.
    teller: Teller,
}

#[derive(Debug, Default)]
struct All {
    entries: HashMap<String, Entry>,
    /// No unfinished upload expires before, so that not every request has to look at all of them.
    first_expiry: Option<SystemTime>,
    /// The same of what is scheduled to be deleted.
    first_deletion: Option<SystemTime>,
}

impl All {
    fn insert(&mut self, entry: Entry) {
        self.expect(&entry);
        self.entries.insert(entry.video.uid.clone(), entry);
    }

    fn usage(&self, encoding: Encoding, now: SystemTime) -> Usage {
        let mut used = Usage::default();
        for entry in self.entries.values() {
            match entry.progress(encoding, now).0 {
                // What was reserved is free again.
                VideoState::PendingUpload if entry.expiry().is_some_and(|at| at <= now) => continue,
                VideoState::Downloading | VideoState::Queued | VideoState::InProgress => {
                    used.encoding += 1;
                }
                // Neither its bytes nor its minutes count any more.
                VideoState::Error => continue,
                _ => {}
            }
            used.bytes = used.bytes.saturating_add(entry.bytes());
            used.seconds += entry.seconds();
        }
        used
    }

    /// Its time will come.
    fn expect(&mut self, entry: &Entry) {
        let first = |known: Option<SystemTime>, at| known.into_iter().chain(at).min();
        self.first_expiry = first(self.first_expiry, entry.expiry());
        self.first_deletion = first(self.first_deletion, entry.video.scheduled_deletion);
    }
}

impl Videos {
    pub(crate) fn new(encoding: Encoding, entries: Vec<Entry>, teller: Teller) -> Self {
        let mut all = All::default();
        for entry in entries.into_iter().filter(|entry| entry.format == 1) {
            all.insert(entry);
        }
        Self {
            encoding,
            all: Mutex::new(all),
            saving: Mutex::default(),
            changed: Notify::new(),
            teller,
        }
    }

    /// Wakes whoever waits for a change.
    pub(crate) fn changed(&self) {
        self.changed.notify_one();
        self.teller.tell();
    }

    /// Comes back when something has changed since the last time. For one waiting task only.
    pub(crate) async fn wait_for_change(&self) {
        self.changed.notified().await;
    }

    /// Adds a video, if the limits allow it. Blocking where there is a disk.
    pub(crate) fn add(
        &self,
        entry: Entry,
        disk: Option<&Disk>,
        limits: &Limits,
        now: SystemTime,
    ) -> io::Result<Result<(), Box<Answer>>> {
        {
            let mut all = self.lock();
            let encodes_at_once = self.encoding == Encoding::After(Duration::ZERO);
            if limits.need_usage(encodes_at_once) {
                let used = all.usage(self.encoding, now);
                if let Err(refusal) = limits.admit(used, entry.bytes(), entry.seconds()) {
                    return Ok(Err(refusal));
                }
            }
            all.insert(entry.clone());
        }
        let uid = &entry.video.uid;
        let saved = disk.map_or(Ok(()), |disk| disk.save(Kind::Video, uid, &entry));
        if saved.is_err() {
            self.lock().entries.remove(uid);
        }
        self.changed();
        saved.map(Ok)
    }

    /// Changes a video, if it is there, and saves it. Where `change` refuses, it must have changed
    /// nothing. Blocking where there is a disk.
    pub(crate) fn change<E>(
        &self,
        uid: &str,
        disk: Option<&Disk>,
        change: impl FnOnce(&mut Video) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        self.change_entry(uid, disk, |entry| change(&mut entry.video))
    }

    /// As [`change`](Self::change), with all that is kept of it.
    pub(crate) fn change_entry<E>(
        &self,
        uid: &str,
        disk: Option<&Disk>,
        change: impl FnOnce(&mut Entry) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        // Saved in the order of the changes, and without keeping readers from the map meanwhile.
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = {
            let mut all = self.lock();
            let Some(entry) = all.entries.get_mut(uid) else {
                return Ok(Ok(()));
            };
            if let Err(refusal) = change(entry) {
                return Ok(Err(refusal));
            }
            let entry = entry.clone();
            all.expect(&entry);
            entry
        };
        if let Some(disk) = disk {
            disk.save(Kind::Video, uid, &entry)?;
        }
        self.changed();
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
        let entry = all.entries.get_mut(uid);
        let entry = entry.filter(|entry| entry.account == account)?;
        let video = entry.view(self.encoding, base, now);
        if entry.video.uploaded.is_some() {
            entry.looks = entry.looks.saturating_add(1);
            if self.encoding == Encoding::Steps {
                self.changed();
            }
        }
        Some(video)
    }

    /// A copy of what is kept of a video of `account`.
    pub(crate) fn entry(&self, account: &str, uid: &str) -> Option<Entry> {
        self.lock()
            .entries
            .get(uid)
            .filter(|entry| entry.account == account)
            .cloned()
    }

    /// A copy of what is kept of a video, whosever it is: playback URLs name no account.
    pub(crate) fn entry_of_any(&self, uid: &str) -> Option<Entry> {
        self.lock().entries.get(uid).cloned()
    }

    /// Copies of all that is kept, in no order.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().entries.values().cloned().collect()
    }

    /// Forgets a video. Blocking where there is a disk.
    pub(crate) fn remove(&self, uid: &str, disk: Option<&Disk>) -> io::Result<()> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().entries.remove(uid);
        disk.map_or(Ok(()), |disk| disk.remove(Kind::Video, uid))
    }

    /// All bytes of a video are in, and this is what was seen in them. Blocking where there is a disk.
    pub(crate) fn uploaded(
        &self,
        uid: &str,
        size: u64,
        seen: Option<Seen>,
        now: SystemTime,
        disk: Option<&Disk>,
    ) -> io::Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^53")]
        let size = size as f64;
        let told = self.change_entry(uid, disk, |entry| {
            if entry.video.uploaded.is_some() {
                return Err(());
            }
            entry.work = None;
            entry.video.uploaded = Some(now);
            entry.video.modified = Some(now);
            entry.video.size = Some(size);
            if let Some(seen) = seen {
                seen.tell(entry);
            }
            Ok(())
        });
        told.map(drop)
    }

    /// A video came to nothing. Blocking where there is a disk.
    pub(crate) fn failed(
        &self,
        uid: &str,
        failure: Failure,
        now: SystemTime,
        disk: Option<&Disk>,
    ) -> io::Result<()> {
        let told = self.change_entry(uid, disk, |entry| {
            entry.work = None;
            entry.failure = Some(failure);
            entry.video.modified = Some(now);
            Ok::<_, ()>(())
        });
        told.map(drop)
    }

    /// Until when a video can be uploaded.
    pub(crate) fn upload_expiry(&self, uid: &str) -> Option<SystemTime> {
        self.lock().entries.get(uid)?.video.upload_expiry
    }

    /// Copies of the videos whose upload expired at least `stays` ago, unfinished.
    pub(crate) fn expired(&self, now: SystemTime, stays: Duration) -> Vec<Entry> {
        let is_over = |expiry: SystemTime| expiry.checked_add(stays).is_some_and(|end| end <= now);
        let mut all = self.lock();
        if !all.first_expiry.is_some_and(is_over) {
            return Vec::new();
        }
        let pending = |entry: &&Entry| entry.expiry().is_some();
        let (over, left): (Vec<_>, Vec<_>) = all
            .entries
            .values()
            .filter(pending)
            .partition(|entry| entry.expiry().is_some_and(is_over));
        if over.is_empty() {
            let first_expiry = left.into_iter().filter_map(Entry::expiry).min();
            all.first_expiry = first_expiry;
            return Vec::new();
        }
        // Looked at again next time: whoever deletes them may be stopped on the way.
        over.into_iter().cloned().collect()
    }

    /// Copies of the videos that are to be deleted by now.
    pub(crate) fn scheduled(&self, now: SystemTime) -> Vec<Entry> {
        let mut all = self.lock();
        if all.first_deletion.is_none_or(|first| first > now) {
            return Vec::new();
        }
        let at = |entry: &Entry| entry.video.scheduled_deletion;
        let due = |entry: &&Entry| at(entry).is_some_and(|at| at <= now);
        let (over, left): (Vec<_>, Vec<_>) = all.entries.values().partition(due);
        if over.is_empty() {
            let first_deletion = left.into_iter().filter_map(at).min();
            all.first_deletion = first_deletion;
            return Vec::new();
        }
        // Looked at again next time, as those that expired.
        over.into_iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, All> {
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
    fn a_video_moves_on_when_it_is_looked_at() {
        let videos = Videos::new(
            Encoding::Steps,
            vec![entry(Some(SystemTime::UNIX_EPOCH))],
            Teller::default(),
        );
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
