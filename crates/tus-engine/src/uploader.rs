//! [`Uploader`]: the front door.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use http_transport::{Body, Credentials, ERROR_BODY_LIMIT, Origin, Transport};
use resume_store::ResumeStore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tus_core::{ServerCapabilities, UploadUrl};

use crate::capabilities::{Capabilities, Known};
use crate::control::Wishes;
use crate::error::UploadError;
use crate::event::{EventSink, Silent, UploadId};
use crate::handle::UploadHandle;
use crate::journal::Journal;
use crate::measured::Measurements;
use crate::new_upload::NewUpload;
use crate::options::UploaderOptions;
use crate::pace::Limit;
use crate::permits::Permits;
use crate::resume;
use crate::service::{PlainTus, Service};
use crate::source::Source;
use crate::task::Task;

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
    pub(crate) capabilities: Arc<Capabilities>,
    pub(crate) measurements: Arc<Measurements>,
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
            capabilities: Arc::default(),
            measurements: Arc::default(),
        }
    }

    /// Starts an upload, which waits for its turn if as many as allowed are running. Must be called within a tokio runtime.
    pub fn upload(&self, source: Arc<dyn Source>, new: NewUpload) -> UploadHandle {
        let id = UploadId::next();
        let cancel = CancellationToken::new();
        let (wish, wishes) = Wishes::new();
        let landed = CancellationToken::new();
        let shared = Arc::clone(&self.shared);
        let run = Task {
            shared,
            id,
            source,
            new,
            landed: landed.clone(),
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
        UploadHandle::new(id, cancel, wish, landed, task)
    }

    /// What the server behind a creation URL offers; `None` if it does not tell. Asked once, then remembered.
    pub async fn capabilities(&self, creation_url: &UploadUrl) -> Option<ServerCapabilities> {
        self.shared.capabilities(creation_url).await
    }

    /// How many uploads run at once to where `url` points, as that changes. Who begins no more of them than that has them begin
    /// in their order.
    #[must_use]
    pub fn parallel_to(&self, url: &UploadUrl) -> Limit {
        self.shared.permits.paces.of(url.origin()).limit()
    }

    /// Changes how many body bytes may leave per second, over all connections of this uploader and its clones; `None`: any
    /// number. Holds at once, also for requests under way.
    pub fn set_bandwidth(&self, bytes_per_second: Option<NonZeroU64>) {
        self.shared.permits.bandwidth.set(bytes_per_second);
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

    /// Remembers that a finished upload has the settings of `new`, after they were applied by other means than a creation.
    ///
    /// # Errors
    /// When the upload is being driven by somebody, or the store fails.
    pub async fn confirm_settings(&self, new: &NewUpload) -> Result<(), UploadError> {
        match &self.shared.journal {
            Some(journal) => resume::confirm_settings(journal, new).await,
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

    /// Asks what the server offers, and measures how far away it is.
    pub(crate) async fn ask(&self, creation_url: &UploadUrl) -> Option<http::response::Parts> {
        let mut request = http::Request::new(Body::Empty);
        *request.method_mut() = http::Method::OPTIONS;
        *request.uri_mut() = creation_url.uri().clone();
        self.attach_credentials(&mut request);
        let asked = Instant::now();
        let answer = self.transport.send(request).await;
        let answer = answer
            .inspect_err(|error| tracing::debug!(%error, "what the server offers is not known"))
            .ok()?;
        let measured = self.measurements.of(creation_url);
        measured.answered(answer.extensions(), asked.elapsed());
        let (head, body) = answer.into_parts();
        // Read to its end so that the connection can be used again; no words are worth a longer wait.
        let _ = timeout(self.options.deadlines.stall, body.collect(ERROR_BODY_LIMIT)).await;
        Some(head)
    }

    /// What the server behind a creation URL offers, asked once.
    pub(crate) async fn capabilities(
        &self,
        creation_url: &UploadUrl,
    ) -> Option<ServerCapabilities> {
        let mut known = self.capabilities.of(creation_url).await;
        if let Known::Nothing = *known {
            let answer = self.ask(creation_url).await?;
            let told = answer
                .status
                .is_success()
                .then(|| ServerCapabilities::from_headers(&answer.headers));
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
    capabilities: Arc<Capabilities>,
    measurements: Arc<Measurements>,
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
    pub fn build(mut self) -> std::io::Result<Uploader> {
        let sink = Arc::clone(&self.sink);
        let start = |store| Journal::start(store, self.options.commit_interval, sink);
        let journal = self.store.take().map(start).transpose()?;
        let shared = self.shared(journal);
        Ok(Uploader {
            shared: Arc::new(shared),
        })
    }

    pub(crate) fn shared(&self, journal: Option<Journal>) -> Shared {
        Shared {
            transport: Arc::clone(&self.transport),
            service: Arc::clone(&self.service),
            sink: Arc::clone(&self.sink),
            credentials: self.credentials.clone(),
            journal,
            options: self.options.clone(),
            permits: Permits::new(&self.options),
            capabilities: Arc::clone(&self.capabilities),
            measurements: Arc::clone(&self.measurements),
        }
    }
}

impl fmt::Debug for UploaderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploaderBuilder")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
