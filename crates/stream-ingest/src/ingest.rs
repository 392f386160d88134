//! [`Ingest`]: many files, one target.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stream_api::{StreamClient, WaitOptions};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tus_engine::{FileSource, Source, UploadError, Uploader};

use crate::apply;
use crate::job::{Job, JobError, JobResult, Uploaded, media_id};
use crate::service::MEDIA_ID;
use crate::target::Target;
use crate::wait::{Wait, WaitSink};
use crate::webhooks::Webhooks;

/// Uploads many files to one target, some at once.
#[derive(Debug, Clone)]
pub struct Ingest {
    uploader: Uploader,
    target: Target,
    account: Option<StreamClient>,
    wait: Option<Wait>,
}

impl Ingest {
    /// Uploads go through `uploader`, which must have the target's service.
    #[must_use]
    pub fn new(uploader: Uploader, target: Target) -> Self {
        Self {
            uploader,
            target,
            account: None,
            wait: None,
        }
    }

    /// Has settings that changed after an upload had finished applied through this account's API, and read back.
    #[must_use]
    pub fn with_account(self, account: StreamClient) -> Self {
        Self {
            account: Some(account),
            ..self
        }
    }

    /// A job ends only when its video can be played; `sink` hears of it meanwhile. Also videos that an earlier run uploaded are
    /// waited for. It needs an [account](Self::with_account) to ask, and takes no turn of an upload: the next file goes on.
    #[must_use]
    pub fn with_wait(self, options: WaitOptions, sink: Arc<dyn WaitSink>) -> Self {
        Self {
            wait: Some(Wait::new(options, sink)),
            ..self
        }
    }

    /// Videos that are [waited for](Self::with_wait) are asked for seldom: `webhooks` tells when they are ready.
    #[must_use]
    pub fn with_webhooks(self, webhooks: Webhooks) -> Self {
        Self {
            wait: self.wait.map(|wait| wait.with_webhooks(webhooks)),
            ..self
        }
    }

    /// Runs all jobs, as many at once as the uploader allows, and hands over each result as it comes. Files are opened shortly
    /// before their turn comes.
    ///
    /// When `cancel` is triggered, running jobs stop resumably and the rest is not begun; jobs that were not begun have no
    /// result. When credentials are refused, no further job is begun.
    pub async fn run(
        &self,
        jobs: impl IntoIterator<Item = Job>,
        cancel: &CancellationToken,
        mut on_result: impl FnMut(JobResult),
    ) {
        let mut jobs = jobs.into_iter();
        let mut running = JoinSet::new();
        let mut waiting = JoinSet::new();
        let mut open = true;
        let mut limit = self.uploader.parallel_to(self.target.url());
        let landed = Arc::new(Landed::default());
        loop {
            // No more than run at once: files are begun in their order, and none is begun after credentials were refused.
            while open
                && running.len().saturating_sub(landed.count()) < limit.now()
                && running.len() < limit.now() * WITH_ENDS
                && !cancel.is_cancelled()
            {
                let Some(job) = jobs.next() else {
                    open = false;
                    break;
                };
                running.spawn(self.clone().one(job, cancel.clone(), Landing::of(&landed)));
            }
            let ended = tokio::select! {
                // First, for an end may be a reason to begin no more.
                biased;
                Some(ended) = running.join_next() => ended.map(|(result, landing)| {
                    landing.end();
                    result
                }),
                Some(ended) = waiting.join_next() => ended,
                () = limit.changed(), if open && !running.is_empty() => continue,
                () = landed.more(), if open && !running.is_empty() => continue,
                else => break,
            };
            let Ok(result) = ended else { continue };
            if self.is_to_be_waited_for(&result) {
                waiting.spawn(self.clone().ready(result, cancel.clone()));
                continue;
            }
            if result
                .outcome
                .as_ref()
                .is_err_and(JobError::is_about_credentials)
            {
                open = false;
            }
            on_result(result);
        }
        if let Err(error) = self.uploader.flush().await {
            tracing::warn!(error, "resume state is not up to date");
        }
    }

    async fn one(
        self,
        job: Job,
        cancel: CancellationToken,
        mut landing: Landing,
    ) -> (JobResult, Landing) {
        let outcome = self.upload(&job, &cancel, &mut landing).await;
        let path = job.path;
        (JobResult { path, outcome }, landing)
    }

    /// The same result, once its video can be played.
    async fn ready(self, mut result: JobResult, cancel: CancellationToken) -> JobResult {
        if let (Some(wait), Some(account), Ok(uploaded)) =
            (&self.wait, &self.account, &mut result.outcome)
        {
            match wait
                .until_ready(account, &result.path, uploaded, &cancel)
                .await
            {
                Ok(after) => uploaded.ready_after = Some(after),
                Err(error) => result.outcome = Err(error),
            }
        }
        result
    }

    /// Whether a job is not over with its upload.
    fn is_to_be_waited_for(&self, result: &JobResult) -> bool {
        let asked = self.wait.is_some() && self.account.is_some();
        let uploaded = result.outcome.as_ref();
        asked && uploaded.is_ok_and(|uploaded| uploaded.ready_after.is_none())
    }

    async fn upload(
        &self,
        job: &Job,
        cancel: &CancellationToken,
        landing: &mut Landing,
    ) -> Result<Uploaded, JobError> {
        let source = match &job.source {
            Some(source) => Arc::clone(source),
            None => open(job).await.map_err(JobError::File)?,
        };
        let bytes = source.length().known().unwrap_or(0);
        if let Some(limit) = self.target.max_bytes().filter(|limit| bytes >= *limit) {
            return Err(JobError::TooLarge { bytes, limit });
        }
        let new = self
            .target
            .upload(&job.path, job.source_key(), &job.settings)
            .map_err(JobError::Settings)?
            .with_label(job.path.to_string_lossy())
            .with_resume(job.resume)
            .with_remember(job.source.is_none() || job.remember);
        let handle = self.uploader.upload(source, new.clone());
        // The next file begins while the end of this one is written down.
        let landed = handle.landed();
        let leaves = async move {
            landed.await;
            landing.land();
            pending().await
        };
        let mut report = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(UploadError::Cancelled.into()),
            report = handle.join() => report?,
            report = leaves => report,
        };
        let mut applied = None;
        if let Some(account) = self.account.as_ref().filter(|_| report.settings_differ) {
            applied = Some(apply::apply(account, media_id(&report), &job.settings).await?);
            self.uploader.confirm_settings(&new).await?;
            report.settings_differ = false;
        }
        if let Target::UploadUrl {
            media_id: Some(id), ..
        } = &self.target
        {
            let tag = report.tags.entry(MEDIA_ID.as_str().to_owned());
            tag.or_insert_with(|| id.clone());
        }
        Ok(Uploaded {
            report,
            applied,
            ready_after: None,
        })
    }
}

/// How many of the running jobs have all of their file at the server, and only write that down.
#[derive(Debug, Default)]
struct Landed {
    count: AtomicUsize,
    more: Notify,
}

impl Landed {
    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    async fn more(&self) {
        self.more.notified().await;
    }
}

/// One running job's part in that.
struct Landing {
    all: Arc<Landed>,
    has_landed: bool,
}

impl Landing {
    fn of(all: &Arc<Landed>) -> Self {
        Self {
            all: Arc::clone(all),
            has_landed: false,
        }
    }

    fn land(&mut self) {
        self.has_landed = true;
        self.all.count.fetch_add(1, Ordering::AcqRel);
        self.all.more.notify_one();
    }

    /// The job is not among the running ones any more.
    fn end(self) {
        if self.has_landed {
            self.all.count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// How many times as many jobs as upload at once there may be, those included whose ends are being written down. They are many
/// only where files are very small, or where the disk of the state is very slow: then it holds the rest up.
const WITH_ENDS: usize = 6;

/// Opens a file: on a thread that may block, unless the system has in memory what that takes.
async fn open(job: &Job) -> io::Result<Arc<dyn Source>> {
    if let Some(source) = FileSource::open_at_once(&job.path, job.follow_links) {
        return Ok(Arc::new(source));
    }
    let (path, follow) = (job.path.clone(), job.follow_links);
    let open = move || match follow {
        true => FileSource::open(&path),
        false => FileSource::open_no_follow(&path),
    };
    let opened = tokio::task::spawn_blocking(open).await;
    Ok(Arc::new(opened.map_err(io::Error::other)??))
}
