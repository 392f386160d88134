//! [`Upload`]: one upload, its one writer, and the registry of all of them.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};
use tus_core::UploadLength;
use tus_core::server::{UploadInfo, UploadKind};

use crate::blob::Blob;
use crate::disk::{Disk, Kind};

/// How long a request waits for an older one to let go of the upload.
const PATIENCE: Duration = Duration::from_secs(2);

/// One upload.
#[derive(Debug)]
pub(crate) struct Upload {
    /// The last segment of its URL.
    pub(crate) key: String,
    /// What kind of URL it has.
    pub(crate) place: Place,
    /// The keys of the parts of a final upload, in order.
    pub(crate) parts: Vec<String>,
    info: Mutex<UploadInfo>,
    removed: AtomicBool,
    expired: AtomicBool,
    newest: watch::Sender<u64>,
    blob: Arc<AsyncMutex<Blob>>,
}

/// Where an upload lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// `/files/{key}`.
    Files,
    /// `/client/v4/accounts/{account}/media/{uid}`; the key is the uid.
    Media { account: String, uid: String },
    /// `/tus/{secret}`; the key is the secret.
    Direct { account: String, uid: String },
    /// `/upload/{secret}`, which takes a form; the key is the secret.
    Form { account: String, uid: String },
    /// No URL leads to it: this server gets the bytes by itself. The key is the uid.
    Inner { account: String, uid: String },
}

impl Place {
    /// The video that the upload belongs to.
    pub(crate) fn uid(&self) -> Option<&str> {
        match self {
            Self::Files => None,
            Self::Media { uid, .. }
            | Self::Direct { uid, .. }
            | Self::Form { uid, .. }
            | Self::Inner { uid, .. } => Some(uid),
        }
    }
}

/// The turn of one request at an upload. A later ticket makes an earlier one give way.
#[derive(Debug)]
pub(crate) struct Ticket {
    number: u64,
    newest: watch::Receiver<u64>,
}

impl Ticket {
    /// Comes back when a later request wants the upload.
    pub(crate) async fn called_off(&mut self) {
        let number = self.number;
        if self
            .newest
            .wait_for(|newest| *newest > number)
            .await
            .is_err()
        {
            // The upload is gone, and with it everybody who could want it.
            std::future::pending::<()>().await;
        }
    }
}

impl Upload {
    pub(crate) fn new(key: String, place: Place, info: UploadInfo, blob: Blob) -> Self {
        Self {
            key,
            place,
            parts: Vec::new(),
            info: Mutex::new(info),
            removed: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            newest: watch::Sender::new(0),
            blob: Arc::new(AsyncMutex::new(blob)),
        }
    }

    /// Names its bytes: the media id of a video, the key otherwise.
    pub(crate) fn blob_id(&self) -> &str {
        self.place.uid().unwrap_or(&self.key)
    }

    pub(crate) fn info(&self) -> MutexGuard<'_, UploadInfo> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// From now on nobody finds it; whoever waits for it learns that it is gone.
    pub(crate) fn mark_removed(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// Whether its video was deleted because its time was over. It only says so any more.
    pub(crate) fn has_expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }

    pub(crate) fn mark_expired(&self) {
        self.expired.store(true, Ordering::Release);
    }

    /// Takes the upload. A request that is still writing is called off, and stops at what it has
    /// stored; `None` when it does not let go in time.
    pub(crate) async fn take(&self) -> Option<(OwnedMutexGuard<Blob>, Ticket)> {
        let mut number = 0;
        self.newest.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let blob = Arc::clone(&self.blob).lock_owned();
        let blob = tokio::time::timeout(PATIENCE, blob).await.ok()?;
        Some((
            blob,
            Ticket {
                number,
                newest: self.newest.subscribe(),
            },
        ))
    }

    /// The bytes, without disturbing a writer: waits until it is done.
    pub(crate) async fn blob(&self) -> OwnedMutexGuard<Blob> {
        Arc::clone(&self.blob).lock_owned().await
    }

    /// So many bytes are stored, and durable; all of them, if it is `complete`.
    pub(crate) fn stored(&self, bytes: u64, complete: bool) {
        let mut info = self.info();
        info.offset = bytes;
        if complete {
            info.length = UploadLength::Known(bytes);
        }
    }

    /// Where its state is.
    pub(crate) fn kind(&self) -> Kind {
        if self.has_expired() {
            Kind::Expired
        } else {
            Kind::Upload
        }
    }

    /// Writes the state, durably, where there is a disk. Blocking.
    pub(crate) fn save(&self, disk: Option<&Disk>) -> io::Result<()> {
        let Some(disk) = disk else { return Ok(()) };
        let stored = Stored::new(self, &self.info());
        disk.save(self.kind(), &self.key, &stored)
    }
}

/// An upload as it is on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    format: u32,
    key: String,
    place: Place,
    length: Option<u64>,
    offset: u64,
    metadata: Option<String>,
    /// `Upload-Concat` as it came.
    concat: Option<String>,
    parts: Vec<String>,
    /// Seconds since 1970.
    expires: Option<u64>,
    #[serde(default)]
    expired: bool,
}

impl Stored {
    fn new(upload: &Upload, info: &UploadInfo) -> Self {
        let text = |value: &HeaderValue| value.to_str().unwrap_or("").to_owned();
        Self {
            format: 1,
            key: upload.key.clone(),
            place: upload.place.clone(),
            length: info.length.known(),
            offset: info.offset,
            metadata: info.metadata.as_ref().map(text),
            concat: match &info.kind {
                UploadKind::Plain => None,
                UploadKind::Partial => Some("partial".to_owned()),
                UploadKind::Final(concat) => Some(text(concat)),
            },
            parts: upload.parts.clone(),
            expires: info
                .expires
                .and_then(|expires| expires.duration_since(SystemTime::UNIX_EPOCH).ok())
                .map(|since| since.as_secs()),
            expired: upload.has_expired(),
        }
    }

    /// The upload as it can be continued: never beyond the bytes that are on disk, and what lies
    /// beyond the acknowledged ones is cut off by the first write.
    pub(crate) fn into_upload(self, disk: &Disk) -> Option<Upload> {
        if self.format != 1 || !crate::id::is_valid(&self.key) {
            return None;
        }
        let kind = match self.concat.as_deref() {
            None => UploadKind::Plain,
            Some("partial") => UploadKind::Partial,
            Some(concat) => UploadKind::Final(HeaderValue::from_str(concat).ok()?),
        };
        let blob_id = self.place.uid().unwrap_or(&self.key);
        if !crate::id::is_valid(blob_id) {
            return None;
        }
        let path = disk.blob_path(blob_id);
        let on_disk = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let offset = self.offset.min(on_disk);
        if on_disk > offset {
            let file = std::fs::OpenOptions::new().write(true).open(&path).ok()?;
            file.set_len(offset).ok()?;
        }
        let info = UploadInfo {
            offset,
            metadata: self
                .metadata
                .as_deref()
                .and_then(|text| HeaderValue::from_str(text).ok()),
            kind,
            expires: self.expires.and_then(|seconds| {
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
            }),
            ..UploadInfo::new(
                self.length
                    .map_or(UploadLength::Deferred, UploadLength::Known),
            )
        };
        let blob = Blob::File {
            path,
            len: offset,
            open: None,
        };
        let mut upload = Upload::new(self.key, self.place, info, blob);
        upload.parts = self.parts;
        upload.expired = AtomicBool::new(self.expired);
        Some(upload)
    }
}

/// All uploads, by key.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    all: Mutex<HashMap<String, Arc<Upload>>>,
}

impl Uploads {
    pub(crate) fn get(&self, key: &str) -> Option<Arc<Upload>> {
        self.lock().get(key).cloned()
    }

    pub(crate) fn insert(&self, upload: Upload) -> Arc<Upload> {
        let upload = Arc::new(upload);
        self.lock().insert(upload.key.clone(), Arc::clone(&upload));
        upload
    }

    pub(crate) fn remove(&self, key: &str) {
        self.lock().remove(key);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Upload>> {
        self.lock().values().cloned().collect()
    }

    /// The upload whose bytes are named `id`: a key, or a media id. Not one that expired.
    pub(crate) fn by_blob_id(&self, id: &str) -> Option<Arc<Upload>> {
        self.lock()
            .values()
            .find(|upload| upload.blob_id() == id && !upload.has_expired())
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Upload>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
