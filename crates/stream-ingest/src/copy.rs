//! [`Copier`]: videos made of what URLs answer, each once, whatever happens in between.
//!
//! A copy is created by one request, and that request is not idempotent: sent twice, it makes two videos. So it has an intent,
//! a lease and a record like any upload. The intent is written before the request and carries a random key that travels in the
//! video's `meta`. When the answer is lost, or the process is killed, the account is asked for that key: a video that has it is
//! adopted, and only when two looks find none is the request sent again.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http_transport::{Certainty, Transport};
use jiff::Timestamp;
use resume_store::{Change, Fingerprint, Lease, Record, ResumeStore, State, StoreError};
use serde_json::Value;
use stream_api::op::copy::NewCopy;
use stream_api::{SourceUrl, StreamClient, Video, WaitOptions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tus_engine::Resume;

use crate::apply::{self, Applied};
use crate::copy_error::CopyError;
use crate::doubt::{Inquiry, UPLOAD_KEY};
use crate::preflight::check_source;
use crate::service::MEDIA_ID;
use crate::settings::{SettingsError, VideoSettings};
use crate::source_key;
use crate::wait::{Wait, WaitSink};
use crate::webhooks::Webhooks;

/// Requests for one copy in one run, at most.
const ATTEMPTS: u32 = 5;

/// Before the second request for a copy; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// One URL to be copied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CopyJob {
    /// What Stream is to fetch. A presigned one is a secret.
    pub url: SourceUrl,
    /// What it is known as from run to run. Default: the URL without the parts that a signature changes.
    pub key: Option<String>,
    /// What is told about the video. A copy takes neither a maximum duration nor an expiry.
    pub settings: Arc<VideoSettings>,
    /// What to do about a copy that was made before. Default: continue, so that it is not made again; only
    /// [`Resume::AnewEvenIfFinished`] makes another.
    pub resume: Resume,
}

impl CopyJob {
    /// A copy of what `url` answers, with default settings.
    #[must_use]
    pub fn new(url: SourceUrl) -> Self {
        Self {
            url,
            key: None,
            settings: Arc::default(),
            resume: Resume::Continue,
        }
    }

    /// The URL as people may see it: host and path.
    #[must_use]
    pub fn label(&self) -> String {
        source_key::label(&self.url)
    }

    /// What it is known as in the store.
    #[must_use]
    pub fn source_key(&self) -> String {
        let key = self.key.clone();
        key.unwrap_or_else(|| source_key::of_url(&self.url))
    }
}

/// A copy that Stream has taken, in this run or in an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The video.
    pub uid: String,
    /// Whether it was there before this run, or was found in the account after a doubt.
    pub earlier: bool,
    /// Settings that changed since it was made, and are in force now.
    pub applied: Option<Applied>,
    /// For how long it was waited for until it could be played, if it was to be.
    pub ready_after: Option<Duration>,
}

/// What became of a job.
#[derive(Debug)]
#[non_exhaustive]
pub struct CopyResult {
    /// The URL's host and path.
    pub label: String,
    /// How it ended.
    pub outcome: Result<Copied, CopyError>,
}

/// Makes copies of many URLs, some at once.
#[derive(Clone)]
pub struct Copier {
    account: StreamClient,
    store: Arc<Mutex<dyn ResumeStore>>,
    destination: String,
    parallel: usize,
    look_again_after: Duration,
    preflight: Option<(Arc<dyn Transport>, bool)>,
    wait: Option<Wait>,
}

impl Copier {
    /// Copies into `account`, known as `destination` from run to run, such as the URL that videos are created at. What is done
    /// is kept in `store`. Four at once.
    pub fn new(
        account: StreamClient,
        store: impl ResumeStore + 'static,
        destination: impl Into<String>,
    ) -> Self {
        Self {
            account,
            store: Arc::new(Mutex::new(store)),
            destination: destination.into(),
            parallel: 4,
            look_again_after: Duration::from_secs(2),
            preflight: None,
            wait: None,
        }
    }

    /// How many are made at once, at least one. Default 4.
    #[must_use]
    pub fn with_parallel(self, parallel: usize) -> Self {
        Self {
            parallel: parallel.max(1),
            ..self
        }
    }

    /// Time between two looks for a copy that is in doubt. Default 2 s.
    #[must_use]
    pub fn with_look_again_after(self, look_again_after: Duration) -> Self {
        Self {
            look_again_after,
            ..self
        }
    }

    /// Asks each source what Stream will ask it, before Stream is asked. `public` says whether sources must be public. Default:
    /// not asked.
    #[must_use]
    pub fn with_preflight(self, transport: Arc<dyn Transport>, public: bool) -> Self {
        Self {
            preflight: Some((transport, public)),
            ..self
        }
    }

    /// A job ends only when its video can be played; `sink` hears of it meanwhile, under the URL's host and path.
    #[must_use]
    pub fn with_wait(self, options: WaitOptions, sink: Arc<dyn WaitSink>) -> Self {
        let wait = Some(Wait::new(options, sink));
        Self { wait, ..self }
    }

    /// Videos that are [waited for](Self::with_wait) are asked for seldom: `webhooks` tells when they are ready.
    #[must_use]
    pub fn with_webhooks(self, webhooks: Webhooks) -> Self {
        let wait = self.wait.map(|wait| wait.with_webhooks(webhooks));
        Self { wait, ..self }
    }

    /// Runs all jobs, and hands over each result as it comes. When `cancel` is triggered, running jobs stop resumably and the
    /// rest is not begun; jobs that were not begun have no result. When credentials are refused, no further job is begun.
    pub async fn run(
        &self,
        jobs: impl IntoIterator<Item = CopyJob>,
        cancel: &CancellationToken,
        mut on_result: impl FnMut(CopyResult),
    ) {
        let mut jobs = jobs.into_iter().fuse();
        let mut running = JoinSet::new();
        // Waiting takes no turn: the next copy goes on.
        let mut waiting = JoinSet::new();
        let mut open = true;
        loop {
            while open && running.len() < self.parallel && !cancel.is_cancelled() {
                let Some(job) = jobs.next() else { break };
                running.spawn(self.clone().one(job, cancel.clone()));
            }
            let ended = tokio::select! {
                Some(ended) = running.join_next() => ended,
                Some(ended) = waiting.join_next() => ended,
                else => break,
            };
            let Ok(result) = ended else { continue };
            let is_made = |it: &Copied| it.ready_after.is_none();
            if self.wait.is_some() && result.outcome.as_ref().is_ok_and(is_made) {
                waiting.spawn(self.clone().ready(result, cancel.clone()));
                continue;
            }
            if result
                .outcome
                .as_ref()
                .is_err_and(CopyError::is_about_credentials)
            {
                open = false;
            }
            on_result(result);
        }
    }

    async fn one(self, job: CopyJob, cancel: CancellationToken) -> CopyResult {
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(CopyError::Cancelled),
            outcome = self.copy(&job) => outcome,
        };
        CopyResult {
            label: job.label(),
            outcome,
        }
    }

    async fn ready(self, mut result: CopyResult, cancel: CancellationToken) -> CopyResult {
        if let (Some(wait), Ok(copied)) = (&self.wait, &mut result.outcome) {
            let label = PathBuf::from(&result.label);
            match wait
                .watch(&self.account, &label, &copied.uid, &cancel)
                .await
            {
                Ok(after) => copied.ready_after = Some(after),
                Err(error) => result.outcome = Err(error.into()),
            }
        }
        result
    }

    /// Makes one copy, or finds the one that was made.
    async fn copy(&self, job: &CopyJob) -> Result<Copied, CopyError> {
        let key = job.source_key();
        let fingerprint = Fingerprint::new(format!("copy {}", self.destination), &key);
        let (lease, known) = self.begin(fingerprint).await?;
        let settings = *Fingerprint::new("settings", job.settings.key()).as_bytes();
        let anew = job.resume == Resume::AnewEvenIfFinished;
        let mut doubt = false;
        let mut record = match known {
            Some(record) if record.state == State::Finished && !anew => {
                match self.known(job, &fingerprint, record, settings).await? {
                    Some(copied) => return Ok(copied),
                    None => self.intent(&key),
                }
            }
            // Whatever was wished: a request that may have been answered is settled first.
            Some(record) if record.state == State::Creating => {
                doubt = true;
                record
            }
            _ => self.intent(&key),
        };
        record.settings = settings;
        let new = Self::request(job, &record)?;
        if let Some((transport, public)) = self.preflight.as_ref().filter(|_| !doubt) {
            check_source(transport, &job.url, *public).await?;
        }
        self.put(fingerprint, record.clone()).await?;
        let made = self.make(&new, &record, doubt).await;
        let outcome = match made {
            Ok((video, earlier)) => {
                record
                    .tags
                    .insert(MEDIA_ID.as_str().to_owned(), video.uid.clone());
                record.finish(None);
                self.put(fingerprint, record).await?;
                Ok(Copied {
                    uid: video.uid,
                    earlier,
                    applied: None,
                    ready_after: None,
                })
            }
            // Nothing was made: no intent is left to be asked about.
            Err(error @ (CopyError::Refused(_) | CopyError::NotAsked(_))) => {
                self.change(Change::Remove(fingerprint)).await?;
                Err(error)
            }
            Err(error) => Err(error),
        };
        drop(lease);
        outcome
    }

    /// Sends the request until it is answered, and looks for the video whenever it may have been made.
    async fn make(
        &self,
        new: &NewCopy,
        record: &Record,
        mut doubt: bool,
    ) -> Result<(Video, bool), CopyError> {
        let mut pause = FIRST_PAUSE;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            if doubt {
                let inquiry = Inquiry {
                    client: &self.account,
                    record,
                    look_again_after: self.look_again_after,
                };
                match inquiry.adopt().await {
                    Ok(Some(video)) => return Ok((video, true)),
                    Ok(None) => doubt = false,
                    Err(error) => return Err(CopyError::Unknown(error)),
                }
            }
            let error = match self.account.copy(new).await {
                Ok(video) if !video.uid.is_empty() => return Ok((video, false)),
                Ok(_) => stream_api::Error::Request("the answer names no video".into()),
                Err(error) => error,
            };
            let mut longer = Duration::ZERO;
            match &error {
                stream_api::Error::Transport(fault) => match fault.certainty() {
                    Certainty::NotSent => {}
                    Certainty::MaybeSent => doubt = true,
                    Certainty::Permanent => return Err(CopyError::Refused(error)),
                },
                stream_api::Error::Api {
                    status,
                    retry_after,
                    ..
                } => {
                    if *status == StatusCode::TOO_MANY_REQUESTS {
                        longer = retry_after.unwrap_or_default();
                    } else if status.is_client_error() && *status != StatusCode::REQUEST_TIMEOUT {
                        return Err(CopyError::Refused(error));
                    } else {
                        doubt = true;
                    }
                }
                // A success that cannot be read, or a request that cannot be built.
                stream_api::Error::Decode { .. } => doubt = true,
                _ => return Err(CopyError::Refused(error)),
            }
            tracing::debug!(%error, doubt, "a copy was not answered");
            last = Some(error);
            tokio::time::sleep(pause.max(longer)).await;
            pause *= 2;
        }
        let error =
            last.unwrap_or_else(|| stream_api::Error::Request("no attempt was made".into()));
        Err(match &error {
            _ if doubt => CopyError::Unknown(error),
            stream_api::Error::Transport(_) => CopyError::NotAsked(error),
            _ => CopyError::Refused(error),
        })
    }

    /// A copy that an earlier run made; `None` if its video is gone.
    async fn known(
        &self,
        job: &CopyJob,
        fingerprint: &Fingerprint,
        mut record: Record,
        settings: [u8; 32],
    ) -> Result<Option<Copied>, CopyError> {
        let Some(uid) = record.tags.get(MEDIA_ID.as_str()).cloned() else {
            return Ok(None);
        };
        match self.account.video(&uid).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(CopyError::Unknown(error)),
        }
        let mut applied = None;
        if record.settings != settings {
            applied = Some(apply::apply(&self.account, &uid, &job.settings).await?);
            record.settings = settings;
            self.put(*fingerprint, record).await?;
        }
        Ok(Some(Copied {
            uid,
            earlier: true,
            applied,
            ready_after: None,
        }))
    }

    fn intent(&self, key: &str) -> Record {
        Record::intended(key, format!("{} (copy)", self.destination))
    }

    fn request(job: &CopyJob, record: &Record) -> Result<NewCopy, SettingsError> {
        let name = source_key::file_name(&job.url);
        let mut new = NewCopy::new(job.url.clone());
        new.video = job.settings.copy_settings(&name, Timestamp::now())?;
        let key = Value::from(record.idempotency_key.clone());
        new.video.meta.insert(UPLOAD_KEY.to_owned(), key);
        Ok(new)
    }

    async fn begin(&self, fingerprint: Fingerprint) -> Result<(Lease, Option<Record>), CopyError> {
        self.on_store(move |store| Ok((store.lease(&fingerprint)?, store.load(&fingerprint)?)))
            .await
    }

    async fn put(&self, fingerprint: Fingerprint, record: Record) -> Result<(), CopyError> {
        self.change(Change::Put(fingerprint, record)).await
    }

    async fn change(&self, change: Change) -> Result<(), CopyError> {
        self.on_store(move |store| store.commit(&[change])).await
    }

    /// The store blocks: it is asked on a thread that may.
    async fn on_store<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn ResumeStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CopyError> {
        let store = Arc::clone(&self.store);
        let asked = tokio::task::spawn_blocking(move || {
            ask(&*store.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match asked.await {
            Ok(answer) => Ok(answer?),
            // Only when the runtime ends.
            Err(_) => Err(CopyError::Cancelled),
        }
    }
}

impl fmt::Debug for Copier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copier")
            .field("destination", &self.destination)
            .field("parallel", &self.parallel)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
