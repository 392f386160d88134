//! [`Uploader`]: the front door.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http_transport::{Body, Credentials, Origin, Transport};
use resume_store::ResumeStore;
use tokio_util::sync::CancellationToken;
use tus_core::client::Creation;
use tus_core::{ServerCapabilities, UploadUrl};

use crate::capabilities::{Capabilities, Known};
use crate::control::Wishes;
use crate::drive::Task;
use crate::error::UploadError;
use crate::event::{EventSink, Silent, UploadId};
use crate::handle::UploadHandle;
use crate::journal::Journal;
use crate::options::UploaderOptions;
use crate::permits::Permits;
use crate::service::{PlainTus, Service};
use crate::source::Source;

/// Uploads sources to tus servers. Cheap to clone; all clones share their limits, their connections and their store.
#[derive(Clone)]
pub struct Uploader {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) credentials: Vec<Credentials>,
    pub(crate) journal: Option<Journal>,
    pub(crate) options: UploaderOptions,
    pub(crate) permits: Permits,
    pub(crate) capabilities: Capabilities,
}

impl Uploader {
    /// An uploader over `transport`, which must not retry or follow redirects by itself.
    #[must_use]
    pub fn builder(transport: Arc<dyn Transport>) -> UploaderBuilder {
        UploaderBuilder {
            transport,
            service: Arc::new(PlainTus),
            sink: Arc::new(Silent),
            credentials: Vec::new(),
            store: None,
            options: UploaderOptions::default(),
        }
    }

    /// Starts an upload, which waits for its turn if as many as allowed are running. Must be called within a tokio runtime.
    pub fn upload(&self, source: Arc<dyn Source>, new: NewUpload) -> UploadHandle {
        let id = UploadId::next();
        let cancel = CancellationToken::new();
        let (wish, wishes) = Wishes::new();
        let shared = Arc::clone(&self.shared);
        let run = Task {
            shared,
            id,
            source,
            new,
        }
        .run(wishes);
        let stop = cancel.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(UploadError::Cancelled),
                result = run => result,
            }
        });
        UploadHandle::new(id, cancel, wish, task)
    }

    /// What the server behind a creation URL offers; `None` if it does not tell. Asked once, then remembered.
    pub async fn capabilities(&self, creation_url: &UploadUrl) -> Option<ServerCapabilities> {
        self.shared.capabilities(creation_url).await
    }

    /// Waits until all that is known of running uploads is in the store.
    ///
    /// # Errors
    /// What the store says. The uploads themselves are not harmed.
    pub async fn flush(&self) -> Result<(), String> {
        match &self.shared.journal {
            Some(journal) => journal.flush().await,
            None => Ok(()),
        }
    }

    /// The options it was built with.
    #[must_use]
    pub fn options(&self) -> &UploaderOptions {
        &self.shared.options
    }
}

impl Shared {
    /// Attaches what is bound to the request's origin, and nothing else. Strangers go first: each removes the headers that it
    /// would have set, so that none is left over from a redirect.
    pub(crate) fn attach_credentials(&self, request: &mut http::Request<Body>) {
        let Ok(origin) = Origin::try_from(request.uri()) else {
            return;
        };
        let (ours, strangers): (Vec<_>, Vec<_>) = self
            .credentials
            .iter()
            .partition(|credentials| credentials.covers(&origin));
        for credentials in strangers.into_iter().chain(ours) {
            credentials.apply(&origin, request.headers_mut());
        }
    }

    /// What the server behind a creation URL offers, asked once.
    pub(crate) async fn capabilities(
        &self,
        creation_url: &UploadUrl,
    ) -> Option<ServerCapabilities> {
        let mut known = self.capabilities.of(creation_url).await;
        if let Known::Nothing = *known {
            let mut request = http::Request::new(Body::Empty);
            *request.method_mut() = http::Method::OPTIONS;
            *request.uri_mut() = creation_url.uri().clone();
            self.attach_credentials(&mut request);
            let answer = self.transport.send(request).await.ok()?;
            let told = answer
                .status()
                .is_success()
                .then(|| ServerCapabilities::from_headers(answer.headers()));
            *known = Known::Answer(told.flatten());
        }
        match &*known {
            Known::Answer(answer) => answer.clone(),
            Known::Nothing => None,
        }
    }
}

impl fmt::Debug for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploader")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// What an [`Uploader`] is made of.
pub struct UploaderBuilder {
    transport: Arc<dyn Transport>,
    service: Arc<dyn Service>,
    sink: Arc<dyn EventSink>,
    credentials: Vec<Credentials>,
    store: Option<Box<dyn ResumeStore>>,
    options: UploaderOptions,
}

impl UploaderBuilder {
    /// What the service on the other side knows beyond tus. Default [`PlainTus`].
    #[must_use]
    pub fn service(self, service: Arc<dyn Service>) -> Self {
        Self { service, ..self }
    }

    /// Who hears of events. Default: nobody.
    #[must_use]
    pub fn events(self, sink: Arc<dyn EventSink>) -> Self {
        Self { sink, ..self }
    }

    /// Credentials for the origins that they are bound to. Several can be given.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials.push(credentials);
        self
    }

    /// Where resume state is kept. Default: nowhere; a run that ends early then begins anew.
    #[must_use]
    pub fn store(self, store: impl ResumeStore + 'static) -> Self {
        Self {
            store: Some(Box::new(store)),
            ..self
        }
    }

    /// Every other knob.
    #[must_use]
    pub fn options(self, options: UploaderOptions) -> Self {
        Self { options, ..self }
    }

    /// The uploader.
    ///
    /// # Errors
    /// When the system gives no thread for the store.
    pub fn build(self) -> std::io::Result<Uploader> {
        let sink = Arc::clone(&self.sink);
        let start = |store| Journal::start(store, self.options.commit_interval, sink);
        let journal = self.store.map(start).transpose()?;
        let permits = Permits::new(&self.options);
        let shared = Shared {
            transport: self.transport,
            service: self.service,
            sink: self.sink,
            credentials: self.credentials,
            journal,
            options: self.options,
            permits,
            capabilities: Capabilities::default(),
        };
        Ok(Uploader {
            shared: Arc::new(shared),
        })
    }
}

impl fmt::Debug for UploaderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploaderBuilder")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// One upload to be made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewUpload {
    /// How it is created.
    pub creation: Creation,
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
    /// An upload of the source known as `source_key`.
    #[must_use]
    pub fn new(creation: Creation, source_key: impl Into<String>) -> Self {
        Self {
            creation,
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

    pub(crate) fn destination_name(&self) -> String {
        self.destination
            .clone()
            .unwrap_or_else(|| self.creation.url.endpoint_name())
    }

    /// Where a remembered upload is now.
    pub(crate) fn current(&self, remembered: &UploadUrl) -> UploadUrl {
        let moved = self
            .server_moves
            .then(|| remembered.at_origin_of(&self.creation.url).ok())
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
    /// Body bytes put on the wire by this run, repetitions included.
    pub bytes_sent: u64,
    /// Requests of this run.
    pub requests: u64,
    /// From the upload's turn to its end.
    pub elapsed: Duration,
}
