//! [`Job`]: one source to be uploaded, and what becomes of it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tus_core::client::Failure;
use tus_engine::{Report, Resume, Source, UploadError};

use crate::apply::{Applied, ApplyError};
use crate::service::MEDIA_ID;
use crate::settings::{SettingsError, VideoSettings};
use crate::wait::{Stage, last_seen, reason};

/// One file, or other source, to be uploaded.
#[derive(Clone)]
#[non_exhaustive]
pub struct Job {
    /// The file, or what another source is called.
    pub path: PathBuf,
    /// What is read instead of the file, such as a pipe. It is not remembered from run to run, unless
    /// [`remember`](Self::remember) says so.
    pub source: Option<Arc<dyn Source>>,
    /// What it is known as from run to run. Default: its canonical path.
    pub key: Option<String>,
    /// The folder that the file lies in without any links, if that is known and the file is no link either. Default: where the file
    /// really is, is found out whenever it is asked for.
    pub folder: Option<Arc<Path>>,
    /// What is told about it.
    pub settings: Arc<VideoSettings>,
    /// What to do about a remembered upload. Default: continue.
    pub resume: Resume,
    /// Whether a symbolic link in the file's place is followed. Default: it is. A file of a folder that was searched must not
    /// be one: somebody may have put a link to another file there since.
    pub follow_links: bool,
    /// Whether a [source](Self::source) is remembered from run to run, by its [key](Self::key) and its evidence. Default: no.
    pub remember: bool,
}

impl Job {
    /// A file with default settings.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            source: None,
            key: None,
            folder: None,
            settings: Arc::default(),
            resume: Resume::Continue,
            follow_links: true,
            remember: false,
        }
    }

    /// A source that is not a file, under a name that is shown.
    #[must_use]
    pub fn from_source(label: impl Into<PathBuf>, source: Arc<dyn Source>) -> Self {
        Self {
            source: Some(source),
            ..Self::new(label)
        }
    }

    /// Sets [`key`](Self::key).
    #[must_use]
    pub fn with_key(self, key: Option<String>) -> Self {
        Self { key, ..self }
    }

    /// Sets [`folder`](Self::folder).
    #[must_use]
    pub fn with_folder(self, folder: Option<Arc<Path>>) -> Self {
        Self { folder, ..self }
    }

    /// Sets [`settings`](Self::settings).
    #[must_use]
    pub fn with_settings(self, settings: Arc<VideoSettings>) -> Self {
        Self { settings, ..self }
    }

    /// Sets [`resume`](Self::resume).
    #[must_use]
    pub fn with_resume(self, resume: Resume) -> Self {
        Self { resume, ..self }
    }

    /// Sets [`remember`](Self::remember).
    #[must_use]
    pub fn with_remember(self, remember: bool) -> Self {
        Self { remember, ..self }
    }

    /// Sets [`follow_links`](Self::follow_links).
    #[must_use]
    pub fn with_follow_links(self, follow_links: bool) -> Self {
        Self {
            follow_links,
            ..self
        }
    }

    /// What the source is called in events and in the store.
    #[must_use]
    pub fn source_key(&self) -> String {
        if let Some(key) = &self.key {
            return key.clone();
        }
        match (&self.folder, self.path.file_name()) {
            (Some(folder), Some(name)) => path_key(&folder.join(name)),
            _ => path_key(self.path.canonicalize().as_ref().unwrap_or(&self.path)),
        }
    }
}

/// A path as text, another one for every path. One that is not UTF-8 does not begin as an absolute path does, so that nothing
/// takes it for one.
fn path_key(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => format!(
            "bytes:{}",
            path.as_os_str().as_encoded_bytes().escape_ascii()
        ),
    }
}

/// What became of a job.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobResult {
    /// The file, as it was named.
    pub path: PathBuf,
    /// How its upload ended.
    pub outcome: Result<Uploaded, JobError>,
}

/// A source that is on the server whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uploaded {
    /// What the engine reports.
    pub report: Report,
    /// Settings that changed since an earlier run had finished it, and are in force now.
    pub applied: Option<Applied>,
    /// For how long its video was waited for until it could be played, if it was to be.
    pub ready_after: Option<Duration>,
}

/// The id of what was uploaded: Stream's media id, or the upload's own id elsewhere.
#[must_use]
pub fn media_id(report: &Report) -> &str {
    report
        .tags
        .get(MEDIA_ID.as_str())
        .unwrap_or(&report.upload_id)
}

/// Why a job did not finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The file cannot be opened or read.
    #[error("{0}")]
    File(#[source] io::Error),
    /// It is uploaded, and its changed settings are not in force.
    #[error("{0}")]
    Apply(#[from] ApplyError),
    /// It is uploaded, and the account refused to tell about its video.
    #[error("the video {uid} is uploaded, and whether it can be played is not known: {error}")]
    NotAsked {
        /// The video.
        uid: String,
        /// What the account answered.
        #[source]
        error: stream_api::Error,
    },
    /// It is uploaded, and its video could not be played in time. Stream goes on encoding it.
    #[error("the video {uid} is uploaded, and could not be played within {timeout:?}: {}", last_seen(stage.as_ref(), trouble.as_ref()))]
    NotReady {
        /// The video.
        uid: String,
        /// For how long it was waited for.
        timeout: Duration,
        /// How far it was when it was seen last.
        stage: Option<Stage>,
        /// Why the last question was not answered, if it was not.
        trouble: Option<stream_api::Error>,
    },
    /// The settings cannot be sent.
    #[error("{0}")]
    Settings(#[source] SettingsError),
    /// The target does not take files of this size.
    #[error("the file has {bytes} bytes, and the service takes less than {limit}")]
    TooLarge {
        /// The file's size.
        bytes: u64,
        /// The first size that is too large.
        limit: u64,
    },
    /// It is uploaded, and Stream cannot make a video of it that can be played.
    #[error(
        "the video {uid} is uploaded, and Stream cannot encode it: {}",
        reason(code, text)
    )]
    Unplayable {
        /// The video, which stays in the account.
        uid: String,
        /// Stream's word, such as `ERR_NON_VIDEO`; may be empty.
        code: String,
        /// The same in Stream's words; may be empty.
        text: String,
    },
    /// The upload ended early.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl JobError {
    /// Whether running the job again can go on where it stands.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        match self {
            Self::Upload(error) => error.is_resumable(),
            Self::Apply(_) | Self::NotAsked { .. } | Self::NotReady { .. } => true,
            Self::File(_) | Self::Settings(_) | Self::TooLarge { .. } | Self::Unplayable { .. } => {
                false
            }
        }
    }

    /// Whether credentials were refused, so that every other job would be refused too.
    #[must_use]
    pub fn is_about_credentials(&self) -> bool {
        matches!(
            self,
            Self::Upload(UploadError::GaveUp {
                failure: Failure::Credentials { .. },
                ..
            })
        )
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("path", &self.path)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn no_two_paths_have_one_key() {
        let paths: [&[u8]; 5] = [
            b"/shoot/a\xff.mp4",
            b"/shoot/a\xfe.mp4",
            b"/shoot/a\\xff\xff.mp4",
            b"/shoot/a\\xff.mp4",
            "/shoot/a\u{fffd}.mp4".as_bytes(),
        ];
        let key = |path: &&[u8]| Job::new(OsStr::from_bytes(path)).source_key();
        let keys: std::collections::BTreeSet<_> = paths.iter().map(key).collect();
        assert_eq!(keys.len(), paths.len(), "{keys:?}");
        assert!(keys.contains(r"bytes:/shoot/a\xff.mp4"), "{keys:?}");
    }
}
