//! `copy --stream-through`: fetched here by ranges, uploaded by tus, resumed on both sides.

use std::sync::Arc;

use resume_store::SledStore;
use stream_api::WaitOptions;
use stream_ingest::{CopyJob, HttpSource, Ingest, Job, WaitSink, Webhooks};
use tus_engine::{EventSink, Uploader};

use super::account::Session;
use crate::cli::exit::{CliError, Code, overall};
use crate::cli::render::Renderer;
use crate::cli::signals::Signals;

pub(super) async fn run(
    copies: Vec<CopyJob>,
    wait: Option<(WaitOptions, Option<Webhooks>)>,
    store: SledStore,
    session: &Session,
    renderer: Arc<Renderer>,
) -> Result<Code, CliError> {
    let signals = {
        let renderer = Arc::clone(&renderer);
        Signals::listen(None, move || renderer.stopping())
    }
    .map_err(|error| CliError::new(Code::Local, format!("cannot listen to signals: {error}")))?;
    let count = copies.len();
    let (mut jobs, mut failed) = (Vec::new(), Vec::new());
    for copy in copies {
        match HttpSource::open(Arc::clone(&session.transport), copy.url.clone()).await {
            Ok(source) => jobs.push(job(&copy, source)),
            Err(error) => failed.push(renderer.not_opened(&copy.label(), &error)),
        }
    }
    let account = session.client.clone();
    let mut builder = Uploader::builder(Arc::clone(&session.uploads))
        .service(session.remote.service(Some(session.impatient.clone())))
        .events(Arc::clone(&renderer) as Arc<dyn EventSink>)
        .store(store);
    if let Some(credentials) = session.remote.credentials.clone() {
        builder = builder.credentials(credentials);
    }
    let uploader = builder.build().map_err(|error| {
        CliError::new(Code::Local, format!("cannot keep resume state: {error}"))
    })?;
    let mut ingest = Ingest::new(uploader, session.remote.target.clone()).with_account(account);
    if let Some((options, webhooks)) = wait {
        ingest = ingest.with_wait(options, Arc::clone(&renderer) as Arc<dyn WaitSink>);
        if let Some(webhooks) = webhooks {
            ingest = ingest.with_webhooks(webhooks);
        }
    }
    let mut succeeded = 0;
    ingest
        .run(jobs, signals.token(), |result| {
            match renderer.result(&result) {
                Code::Done => succeeded += 1,
                code => failed.push(code),
            }
        })
        .await;
    renderer.end(&signals);
    let not_begun = count - succeeded - failed.len();
    match signals.code() {
        Some(code) if not_begun > 0 || failed.contains(&Code::Interrupted) => Ok(code),
        _ if not_begun > 0 && succeeded > 0 => Ok(Code::Some),
        _ => Ok(overall(succeeded, &failed)),
    }
}

/// What cannot be known again is not remembered: it is fetched anew when the run is over.
fn job(copy: &CopyJob, source: HttpSource) -> Job {
    let remember = source.can_be_remembered();
    Job::from_source(copy.label(), Arc::new(source))
        .with_key(Some(copy.source_key()))
        .with_settings(Arc::clone(&copy.settings))
        .with_resume(copy.resume)
        .with_remember(remember)
}
