//! [`FormSender`]: one file, to a URL that takes one form, once, whatever happens in between.
//!
//! What is known of an upload by form lies in the store, as of any other: an intent is written before the form leaves, the URL
//! is leased while it does, and the end is noted. So two processes cannot use one URL, a process that was killed leaves a
//! doubt that the next one tells instead of sending again, and what is done is not done twice.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http_transport::{Certainty, Transport};
use resume_store::{
    Change, Evidence, Fingerprint, Lease, Record, Resemblance, ResumeStore, State, StoreError,
};
use stream_api::{Secret, StreamClient, UploadUrl, VideoState};
use tokio::time::Instant;
use tus_core::{Backoff, RetryPolicy};

use crate::form::{FormError, FormUpload, file};
use crate::patience::{ApiReason, ApiSink, ApiWait};
use crate::service::MEDIA_ID;

/// Looks at the account after a doubt, and the time before each.
const LOOKS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Sends files to one-time URLs that take a form.
#[derive(Clone)]
pub struct FormSender {
    transport: Arc<dyn Transport>,
    account: Option<StreamClient>,
    store: Option<Arc<Mutex<dyn ResumeStore>>>,
    retry: RetryPolicy,
    sink: Option<Arc<dyn ApiSink>>,
}

/// A file that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormSent {
    /// Whether an earlier run had sent it, so that nothing was sent in this one.
    pub earlier: bool,
    /// Bytes in all.
    pub bytes: u64,
}

impl FormSender {
    /// Without memory and without an account that could be asked.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            account: None,
            store: None,
            retry: RetryPolicy::DEFAULT,
            sink: None,
        }
    }

    /// Asks the account after a doubt, where the video's id is known.
    #[must_use]
    pub fn with_account(self, account: Option<StreamClient>) -> Self {
        Self { account, ..self }
    }

    /// Keeps what was done, and what is in doubt, in `store`. Default: nothing is kept.
    #[must_use]
    pub fn with_store(self, store: impl ResumeStore + 'static) -> Self {
        Self {
            store: Some(Arc::new(Mutex::new(store))),
            ..self
        }
    }

    /// How long it is tried to reach a server that was not reached, or that takes nothing for now. Default: as uploads are.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// `sink` hears of every wait.
    #[must_use]
    pub fn with_sink(self, sink: Arc<dyn ApiSink>) -> Self {
        Self {
            sink: Some(sink),
            ..self
        }
    }

    /// Sends a file. `progress` hears of the bytes that were handed to the connection; when a request is begun anew it begins
    /// at zero.
    ///
    /// # Cancellation
    ///
    /// Dropping the future breaks the form off. It cannot be gone on with, and what became of it is a doubt that stays in the
    /// store.
    ///
    /// # Errors
    /// [`FormError`].
    pub async fn send(
        &self,
        upload: &FormUpload,
        progress: impl FnMut(u64) + Send + Clone + 'static,
    ) -> Result<FormSent, FormError> {
        let url =
            UploadUrl::new(Arc::clone(&self.transport), &upload.url).map_err(FormError::Refused)?;
        // One URL takes one form, whatever the file.
        let fingerprint = Fingerprint::new("a one-time URL for a form", upload.url.expose());
        let (lease, known) = self.begin(fingerprint).await?;
        let intent = self.intent(upload).await?;
        let bytes = intent.length.unwrap_or(0);
        match known {
            Some(record) if record.state == State::Finished => {
                return if is_same(&record, &intent) {
                    let earlier = true;
                    Ok(FormSent { earlier, bytes })
                } else {
                    let sent = record.source_key;
                    Err(FormError::UsedUp { sent })
                };
            }
            // Nobody heard how it ended.
            Some(record) if record.state == State::Creating => {
                let doubt = FormError::InDoubt {
                    sent: record.source_key.clone(),
                };
                let settled = self.settle(upload, doubt).await;
                self.note(fingerprint, record, &settled).await?;
                let earlier = true;
                return settled.map(|()| FormSent { earlier, bytes });
            }
            _ => {}
        }
        self.change(Change::Put(fingerprint, intent.clone()))
            .await?;
        let ended = match self.attempt(&url, upload, progress).await {
            Err(FormError::Doubt(error)) => self.settle(upload, FormError::Doubt(error)).await,
            ended => ended,
        };
        self.note(fingerprint, intent, &ended).await?;
        drop(lease);
        let earlier = false;
        ended.map(|()| FormSent { earlier, bytes })
    }

    /// Sends the form until it was seen, and no further.
    async fn attempt(
        &self,
        url: &UploadUrl,
        upload: &FormUpload,
        progress: impl FnMut(u64) + Send + Clone + 'static,
    ) -> Result<(), FormError> {
        let began = Instant::now();
        let mut backoff = Backoff::new(u64::from(std::process::id()));
        loop {
            let form = file(&upload.path).await?.with_progress(progress.clone());
            let Err(error) = url.upload_form(form).await else {
                return Ok(());
            };
            let mut asked_for = Duration::ZERO;
            match &error {
                stream_api::Error::Transport(fault) => match fault.certainty() {
                    Certainty::NotSent => {}
                    Certainty::MaybeSent | Certainty::Permanent => {
                        return Err(FormError::Doubt(error));
                    }
                },
                stream_api::Error::Api {
                    status,
                    retry_after,
                    ..
                } => match *status {
                    // Refused, so that nothing was made.
                    StatusCode::TOO_MANY_REQUESTS => asked_for = retry_after.unwrap_or_default(),
                    StatusCode::REQUEST_TIMEOUT => return Err(FormError::Doubt(error)),
                    status if status.is_server_error() => return Err(FormError::Doubt(error)),
                    _ => return Err(FormError::Refused(error)),
                },
                _ => return Err(FormError::Refused(error)),
            }
            let wait = backoff.next_wait(&self.retry).max(asked_for);
            if began.elapsed().saturating_add(wait) > self.retry.patience {
                return Err(match error {
                    stream_api::Error::Transport(_) => FormError::Unreachable(error),
                    _ => FormError::Refused(error),
                });
            }
            tracing::debug!(%error, ?wait, "the one-time URL takes nothing yet");
            if let Some(sink) = &self.sink {
                sink.waiting(&ApiWait {
                    reason: ApiReason::Failed(error.to_string()),
                    wait,
                    attempt: backoff.attempt(),
                });
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks the account what became of a form, and tells `doubt` where nobody knows.
    async fn settle(&self, upload: &FormUpload, doubt: FormError) -> Result<(), FormError> {
        let (Some(account), Some(uid)) = (&self.account, &upload.media_id) else {
            return Err(doubt);
        };
        let mut told = false;
        for pause in LOOKS {
            tokio::time::sleep(pause).await;
            match account.video(uid).await {
                Ok(video) if video.state() == VideoState::PendingUpload => told = true,
                Ok(_) => return Ok(()),
                Err(error) if error.is_not_found() => told = true,
                Err(error) => {
                    tracing::debug!(%error, "the account does not say whether a form arrived");
                }
            }
        }
        Err(match doubt {
            FormError::Doubt(error) if told => FormError::NotArrived(Some(error)),
            FormError::InDoubt { .. } if told => FormError::NotArrived(None),
            doubt => doubt,
        })
    }

    async fn begin(
        &self,
        fingerprint: Fingerprint,
    ) -> Result<(Option<Lease>, Option<Record>), FormError> {
        let begun = self.on_store(move |store| {
            let lease = store.lease(&fingerprint)?;
            Ok((lease, store.load(&fingerprint)?))
        });
        let (lease, known) = begun.await?.unzip();
        Ok((lease, known.flatten()))
    }

    /// What is written before the form leaves. The URL stays out of it.
    async fn intent(&self, upload: &FormUpload) -> Result<Record, FormError> {
        let path = upload.path.clone();
        let looked = tokio::task::spawn_blocking(move || Evidence::of(&File::open(path)?)).await;
        let evidence = looked
            .map_err(io::Error::other)
            .and_then(|looked| looked)
            .map_err(FormError::File)?;
        let mut intent = Record::intended(upload.source_key(), destination(&upload.url));
        intent.length = Some(evidence.length);
        intent.evidence = Some(evidence);
        if let Some(uid) = &upload.media_id {
            let tag = MEDIA_ID.as_str().to_owned();
            intent.tags.insert(tag, uid.clone());
        }
        Ok(intent)
    }

    /// Notes how it ended. A doubt stays what it is; what was not sent leaves nothing behind.
    async fn note(
        &self,
        fingerprint: Fingerprint,
        mut record: Record,
        ended: &Result<(), FormError>,
    ) -> Result<(), FormError> {
        match ended {
            Ok(()) => {
                record.finish(None);
                self.change(Change::Put(fingerprint, record)).await
            }
            Err(FormError::Doubt(_) | FormError::InDoubt { .. }) => Ok(()),
            Err(_) => self.change(Change::Remove(fingerprint)).await,
        }
    }

    async fn change(&self, change: Change) -> Result<(), FormError> {
        self.on_store(move |store| store.commit(std::slice::from_ref(&change)))
            .await
            .map(drop)
    }

    /// Asks the store, if there is one, on a thread that may block.
    async fn on_store<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn ResumeStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Option<T>, FormError> {
        let Some(store) = self.store.clone() else {
            return Ok(None);
        };
        let asked = tokio::task::spawn_blocking(move || {
            ask(&*store.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match asked.await {
            Ok(answer) => Ok(Some(answer?)),
            // Only when the runtime ends.
            Err(error) => Err(FormError::File(io::Error::other(error))),
        }
    }
}

/// Whether the file is the one that was sent.
fn is_same(sent: &Record, now: &Record) -> bool {
    match (&sent.evidence, &now.evidence) {
        (Some(sent), Some(now)) => sent.compare(now) != Resemblance::Changed,
        _ => false,
    }
}

/// Where it goes, for people.
fn destination(url: &Secret) -> String {
    let uri = url.expose().parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or("nobody");
    format!("{host} (one-time URL for a form)")
}

impl fmt::Debug for FormSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormSender")
            .field("retry", &self.retry)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
