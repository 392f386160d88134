//! [`NewUpload`]: one upload to be made, and [`Report`]: what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use resume_store::Fingerprint;
use tus_core::UploadUrl;
use tus_core::client::Creation;

/// One upload to be made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewUpload {
    /// How it comes to be on the server.
    pub entry: Entry,
    /// What the source is known as: its canonical path, or a name that survives a move. Together with the destination it
    /// decides which remembered upload this is.
    pub source_key: String,
    /// What the source is called in events. Default: its key.
    pub label: Option<String>,
    /// What the settings that are fixed at creation are known as: a change between two runs begins the upload anew. Default:
    /// the metadata and the headers of the creation.
    pub settings: Option<String>,
    /// What the destination is known as. Default: the creation URL without its query.
    pub destination: Option<String>,
    /// What to do about a remembered upload. Default [`Resume::Continue`].
    pub resume: Resume,
    /// Whether it is kept in the store, so that a later run can go on. Default `true`; a pipe cannot be read again, so there
    /// is nothing to keep of it.
    pub remember: bool,
    /// The server comes back on another port each time, as an embedded one does: a remembered upload is looked for at the
    /// origin of the creation URL. Default `false`.
    pub server_moves: bool,
}

/// How an upload comes to be on the server.
#[derive(Debug, Clone)]
pub enum Entry {
    /// It is created (CR-03).
    Creation(Creation),
    /// Somebody created it and gave its URL away. It can be used, and is never made anew: not when it expired, not when it
    /// was used before.
    UploadUrl(UploadUrl),
}

impl Entry {
    /// Where the first request goes.
    #[must_use]
    pub fn url(&self) -> &UploadUrl {
        match self {
            Self::Creation(creation) => &creation.url,
            Self::UploadUrl(url) => url,
        }
    }

    pub(crate) fn creation(&self) -> Option<&Creation> {
        match self {
            Self::Creation(creation) => Some(creation),
            Self::UploadUrl(_) => None,
        }
    }
}

/// What to do when an earlier run of the same upload is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Resume {
    /// Go on where the server stands; a finished one is not sent again.
    #[default]
    Continue,
    /// Terminate an unfinished one and begin anew; a finished one is not sent again.
    Anew,
    /// Begin anew even if it is finished: a second copy.
    AnewEvenIfFinished,
}

impl NewUpload {
    /// An upload of the source known as `source_key`, to be created.
    #[must_use]
    pub fn new(creation: Creation, source_key: impl Into<String>) -> Self {
        Self::through(Entry::Creation(creation), source_key)
    }

    /// An upload of the source known as `source_key` to a URL that somebody else made for it.
    #[must_use]
    pub fn to_upload_url(url: UploadUrl, source_key: impl Into<String>) -> Self {
        Self::through(Entry::UploadUrl(url), source_key)
    }

    fn through(entry: Entry, source_key: impl Into<String>) -> Self {
        Self {
            entry,
            source_key: source_key.into(),
            label: None,
            settings: None,
            destination: None,
            resume: Resume::Continue,
            remember: true,
            server_moves: false,
        }
    }

    /// Sets [`label`](Self::label).
    #[must_use]
    pub fn with_label(self, label: impl Into<String>) -> Self {
        Self {
            label: Some(label.into()),
            ..self
        }
    }

    /// Sets [`settings`](Self::settings).
    #[must_use]
    pub fn with_settings(self, settings: impl Into<String>) -> Self {
        Self {
            settings: Some(settings.into()),
            ..self
        }
    }

    /// Sets [`destination`](Self::destination).
    #[must_use]
    pub fn with_destination(self, destination: impl Into<String>) -> Self {
        Self {
            destination: Some(destination.into()),
            ..self
        }
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

    /// Sets [`server_moves`](Self::server_moves).
    #[must_use]
    pub fn with_server_moves(self, server_moves: bool) -> Self {
        Self {
            server_moves,
            ..self
        }
    }

    /// What the destination is called, in words fit for people.
    pub(crate) fn destination_name(&self) -> String {
        self.destination
            .clone()
            .unwrap_or_else(|| match &self.entry {
                Entry::Creation(creation) => creation.url.endpoint_name().to_owned(),
                Entry::UploadUrl(url) => format!("one-time URL at {}", url.origin()),
            })
    }

    /// Which remembered upload it is.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        match &self.entry {
            Entry::Creation(_) => Fingerprint::new(self.destination_name(), &self.source_key),
            // Each URL is a destination of its own.
            Entry::UploadUrl(url) => Fingerprint::new(url.expose(), &self.source_key),
        }
    }

    /// Where a remembered upload is now.
    pub(crate) fn current(&self, remembered: &UploadUrl) -> UploadUrl {
        let moved = self
            .server_moves
            .then(|| remembered.at_origin_of(self.entry.url()).ok())
            .flatten();
        moved.unwrap_or_else(|| remembered.clone())
    }
}

/// What became of an upload that is on the server whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Total bytes.
    pub length: u64,
    /// An earlier run had finished it: nothing was sent.
    pub already_uploaded: bool,
    /// The settings asked for differ from those that an earlier run finished it with; they were not applied.
    pub settings_differ: bool,
    /// The kept headers of the server's answers, such as `stream-media-id`.
    pub tags: BTreeMap<String, String>,
    /// The last segment of the upload's URL: its id on servers that have no other.
    pub upload_id: String,
    /// SHA-256 of the whole source, if [`UploaderOptions::content_sha256`](crate::UploaderOptions::content_sha256) asks for it;
    /// `None` also when an earlier run had finished it, and for a pipe whose beginning passed in an earlier run.
    pub content_sha256: Option<[u8; 32]>,
    /// Body bytes put on the wire by this run, repetitions included.
    pub bytes_sent: u64,
    /// Requests of this run.
    pub requests: u64,
    /// From the upload's turn to its end.
    pub elapsed: Duration,
}
