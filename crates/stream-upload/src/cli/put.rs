//! `put`: files and folders, to wherever the plan says.

use std::path::Path;
use std::sync::Arc;

use http_transport::{Protocol, ReqwestTransport, Transport};
use resume_store::{SledStore, StoreError};
use stream_api::StreamClient;
use stream_ingest::{ApiSink, Found, FoundFile, Ingest, Job, SHARE, WaitSink};
use tokio::sync::Notify;
use tus_engine::{EventSink, Parts, Uploader, UploaderBuilder};

use super::args::PutArgs;
use super::asking::{Asking, Later};
use super::bandwidth::BandwidthPlan;
use super::console::{Console, harmless};
use super::descriptors;
use super::exit::{CliError, Code, overall};
use super::form;
use super::order::Order;
#[cfg(feature = "emulator")]
use super::place::Api;
use super::place::{Place, Remote};
use super::plan::PutPlan;
use super::render::Renderer;
use super::signals::Signals;

/// The account of an emulator in this process: it takes any.
#[cfg(feature = "emulator")]
const LOCAL_ACCOUNT: &str = "local";

/// Threads that move bytes. More do not help: one fills a fast link, and the disk has threads of its own.
const WORKERS: usize = 2;

/// Uploads everything that was named.
pub(crate) fn run(mut args: PutArgs, console: &Console) -> Result<Code, CliError> {
    if let Some(form) = form::wanted(&mut args)? {
        return form::run(form, console);
    }
    let plan = PutPlan::new(args)?;
    // Files are there at once. Folders are searched while a connection is opened.
    let has_folders = plan.sources.iter().any(|source| source.is_dir());
    let found = (!has_folders).then(|| stream_ingest::find(&plan.sources, &plan.selection));
    let workers = match &found {
        Some(found) if found.files.len() <= 1 => 1,
        _ => WORKERS,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| CliError::new(Code::Local, format!("cannot start: {error}")))?;
    let result = runtime.block_on(put(plan, found, console));
    // A read of stdin that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    result
}

async fn put(plan: PutPlan, found: Option<Found>, console: &Console) -> Result<Code, CliError> {
    let transport = transport(&plan)?;
    let told = Arc::new(Later::default());
    let asking = Asking {
        policy: plan.options.retry,
        share: plan.api_share.unwrap_or(SHARE),
        sink: Arc::clone(&told) as Arc<dyn ApiSink>,
    };
    let mut door = match &plan.place {
        #[cfg(feature = "emulator")]
        Place::Local(_) => None,
        Place::Remote(remote) => Some(door(remote, &transport, &asking)?),
    };
    let mut found = match found {
        Some(found) => found,
        None => search(&plan, door.as_ref()).await?,
    };
    let count = found.files.len() + usize::from(plan.stdin.is_some());
    if plan.key.is_some() && count > 1 {
        return Err(CliError::usage(
            "--key names one source, and there are several",
        ));
    }
    if plan.place.is_one_time() && count > 1 {
        return Err(CliError::usage(format!(
            "a one-time URL takes one source, and there are {count}"
        )));
    }
    if plan.settings.name.is_some() && count > 1 {
        return Err(CliError::usage(
            "--name names one video, and there are several",
        ));
    }
    let renderer = Arc::new(Renderer::new(console.clone(), plan.json, &found));
    told.set(Arc::clone(&renderer) as Arc<dyn ApiSink>);
    let reread = Arc::new(Notify::new());
    let signals = {
        let renderer = Arc::clone(&renderer);
        let rereads = plan
            .bandwidth
            .as_ref()
            .is_some_and(BandwidthPlan::is_reread);
        let reread = rereads.then(|| Arc::clone(&reread));
        Signals::listen(reread, move || renderer.stopping()).map_err(|error| {
            CliError::new(Code::Local, format!("cannot listen to signals: {error}"))
        })?
    };
    let mut failed: Vec<Code> = found.errors.iter().map(|_| Code::Local).collect();
    for (path, error) in &found.errors {
        renderer.unreadable(path, error);
    }
    if count == 0 {
        if failed.is_empty() {
            return Err(nothing_found(&plan, &found));
        }
        renderer.end(&signals);
        return Ok(overall(0, &failed));
    }

    let rate = plan.bandwidth.as_ref().and_then(BandwidthPlan::now);
    let (options, too_few) = descriptors::fit(plan.options.with_bandwidth(rate), count);
    if let Some(limit) = too_few {
        let parallel = options.most_parallel;
        let parts = match options.parts {
            Parts::Fixed(parts) => parts,
            _ => 1,
        };
        renderer.note(&format!(
            "no more than {limit} open files are allowed: {parallel} at once, {parts} connections each; `ulimit -n` raises it"
        ));
    }
    // Before anything is sent: an address that is taken is no reason to upload and then not to wait.
    let webhooks = match &plan.wait {
        Some(wait) => wait.listen(|line| renderer.note(&line.to_string())).await?,
        None => None,
    };
    // First, for it makes the state folder private before the emulator's may be put into it.
    let store = open_store(&plan.state_dir)?;
    let order = Order::of(&store);
    let (remote, running) = open(plan.place).await?;
    let Door { builder, account } = match door.take() {
        Some(door) => door,
        None => self::door(&remote, &transport, &asking)?,
    };
    let builder = builder
        .events(Arc::clone(&renderer) as Arc<dyn EventSink>)
        .store(store)
        .options(options);
    let uploader = builder.build().map_err(|error| {
        CliError::new(Code::Local, format!("cannot keep resume state: {error}"))
    })?;

    let keeping = plan.bandwidth.map(|bandwidth| {
        let renderer = Arc::clone(&renderer);
        tokio::spawn(bandwidth.keep(uploader.clone(), reread, renderer))
    });
    let job = |file: FoundFile| {
        let job = Job::new(file.path).with_folder(file.folder);
        (file.bytes, job.with_follow_links(!file.in_folder))
    };
    let files = std::mem::take(&mut found.files);
    let mut stdin_job = None;
    if let Some(stdin) = plan.stdin {
        let source =
            super::stdin::source(stdin, &remote.target, &uploader, &plan.state_dir, &renderer);
        let source = source.await?;
        let bytes = source.length().known().unwrap_or_default();
        stdin_job = Some((bytes, Job::from_source(super::stdin::LABEL, source)));
    }
    let jobs = files.into_iter().map(job).chain(stdin_job);
    let jobs = jobs.map(|(bytes, job)| {
        let job = job
            .with_key(plan.key.clone())
            .with_settings(Arc::clone(&plan.settings))
            .with_resume(plan.resume);
        (bytes, job)
    });
    let at_once = uploader.parallel_to(remote.target.url()).now();
    let jobs = order.sort(jobs, at_once);
    let mut ingest = Ingest::new(uploader, remote.target);
    if let Some(account) = account {
        ingest = ingest.with_account(account);
    }
    if let Some(wait) = plan.wait {
        ingest = ingest.with_wait(wait.options, Arc::clone(&renderer) as Arc<dyn WaitSink>);
    }
    if let Some(webhooks) = webhooks {
        ingest = ingest.with_webhooks(webhooks);
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
    if let Some(keeping) = keeping {
        keeping.abort();
    }
    renderer.end(&signals);
    if let Some(running) = running {
        running.stop().await;
    }
    let not_begun = count + found.errors.len() - succeeded - failed.len();
    match signals.code() {
        Some(code) if not_begun > 0 || failed.contains(&Code::Interrupted) => Ok(code),
        _ if not_begun > 0 && succeeded > 0 => Ok(Code::Some),
        _ => Ok(overall(succeeded, &failed)),
    }
}

fn transport(plan: &PutPlan) -> Result<Arc<dyn Transport>, CliError> {
    let mut transport = ReqwestTransport::builder(Protocol::Http1)
        .user_agent(concat!("stream-upload/", env!("CARGO_PKG_VERSION")))
        .deadlines(plan.options.deadlines);
    if let Some(pem) = &plan.authorities {
        transport = transport.add_root_pem(pem.clone());
    }
    let transport = transport
        .build()
        .map_err(|error| CliError::new(Code::Network, error.to_string()))?;
    Ok(Arc::new(transport))
}

/// The way to a server, before anything is known of what is to be sent.
struct Door {
    builder: UploaderBuilder,
    account: Option<StreamClient>,
}

fn door(
    remote: &Remote,
    transport: &Arc<dyn Transport>,
    asking: &Asking,
) -> Result<Door, CliError> {
    let within_budget = asking.within_budget(transport, remote);
    let account = remote.account(&within_budget)?;
    let uploads = Asking::for_uploads(transport, &within_budget, remote);
    // Uploads have patience of their own, also where they ask the account.
    let service = remote.service(account.clone());
    let account = account.map(|account| asking.patient(account));
    let mut builder = Uploader::builder(uploads).service(service);
    if let Some(credentials) = &remote.credentials {
        builder = builder.credentials(credentials.clone());
    }
    Ok(Door { builder, account })
}

/// Looks for the files, and opens a connection as soon as there is one to send, so that the first creation does not wait for it.
async fn search(plan: &PutPlan, door: Option<&Door>) -> Result<Found, CliError> {
    let (sources, selection) = (plan.sources.clone(), plan.selection.clone());
    let (tell, first) = tokio::sync::oneshot::channel();
    let searching = tokio::task::spawn_blocking(move || {
        stream_ingest::find_and_tell(&sources, &selection, || {
            // Nobody listens where no connection is wanted.
            let _ = tell.send(());
        })
    });
    // Of what takes one source, several may be found: then nothing is sent.
    let takes_many =
        !plan.place.is_one_time() && plan.key.is_none() && plan.settings.name.is_none();
    if let (Some(door), Place::Remote(remote), true) = (door, &plan.place, takes_many) {
        let warming = door.builder.warm(remote.target.url());
        tokio::spawn(async move {
            if first.await.is_ok() {
                warming.await;
            }
        });
    }
    searching
        .await
        .map_err(|error| CliError::new(Code::Local, format!("cannot look for files: {error}")))
}

fn nothing_found(plan: &PutPlan, found: &Found) -> CliError {
    let names: Vec<_> = plan
        .sources
        .iter()
        .map(|path| harmless(&path.to_string_lossy()))
        .collect();
    let left_out: Vec<_> = found
        .left_out
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let detail = if left_out.is_empty() {
        String::new()
    } else {
        format!(" ({})", left_out.join(", "))
    };
    CliError::new(
        Code::Local,
        format!("no videos in {}{detail}", names.join(", ")),
    )
    .hint("name the files themselves, or choose what to take with --include '*.EXT'")
}

pub(crate) fn open_store(state_dir: &Path) -> Result<SledStore, CliError> {
    SledStore::open(state_dir).map_err(|error: StoreError| {
        CliError::new(Code::Local, format!("resume state: {error}"))
            .hint("choose another folder with --state-dir")
    })
}

/// The embedded emulator, if there is one.
pub(crate) struct Running {
    #[cfg(feature = "emulator")]
    emulator: stream_emulator::EmulatorHandle,
}

impl Running {
    #[cfg(feature = "emulator")]
    pub(crate) async fn stop(self) {
        // Its uploads are durable already; what is left undone by a failed farewell is nothing.
        let _ = self.emulator.shutdown().await;
    }

    #[cfg(not(feature = "emulator"))]
    pub(crate) async fn stop(self) {}
}

/// Starts the emulator if it is to run in this process.
pub(crate) async fn open(place: Place) -> Result<(Remote, Option<Running>), CliError> {
    match place {
        Place::Remote(remote) => Ok((*remote, None)),
        #[cfg(feature = "emulator")]
        Place::Local(folder) => {
            let fail = |error: &dyn std::fmt::Display| {
                CliError::new(
                    Code::Local,
                    format!("--local in {}: {error}", folder.display()),
                )
                .hint("choose another folder with --data")
            };
            std::fs::create_dir_all(&folder).map_err(|error| fail(&error))?;
            let identity = folder.canonicalize().map_err(|error| fail(&error))?;
            let token = super::serve::token();
            let emulator = stream_emulator::Emulator::builder()
                .blobs(stream_emulator::Blobs::Dir(identity.clone()))
                .token(&token)
                .outbound(super::serve::outbound()?)
                .start()
                .await
                .map_err(|error| fail(&error))?;
            let api = emulator.api_url();
            let target = stream_ingest::Target::account(&api, LOCAL_ACCOUNT)
                .map_err(|error| fail(&error))?;
            let origin = http_transport::Origin::parse(&api).map_err(|error| fail(&error))?;
            let secret = secrecy::SecretString::from(token);
            let credentials = http_transport::Credentials::bearer(&secret, origin)
                .map_err(|error| fail(&error))?;
            let identity = local_identity(&identity);
            let remote = Remote {
                target: target.with_identity(identity),
                credentials: Some(credentials),
                api: Some(Api {
                    base: api,
                    account_id: LOCAL_ACCOUNT.into(),
                }),
            };
            Ok((remote, Some(Running { emulator })))
        }
    }
}

/// What stands for an emulator in this process, whose address is another one each time: its folder, which exists. One that was
/// made anew at the same place has none of the videos of the one before.
pub(crate) fn local_identity(folder: &Path) -> String {
    let path = folder.canonicalize();
    let path = path.as_deref().unwrap_or(folder).display();
    let made = std::fs::metadata(folder).and_then(|folder| folder.created());
    match made.ok().and_then(|at| jiff::Timestamp::try_from(at).ok()) {
        Some(made) => format!("emulator in {path}, made {made}"),
        // Not every file system knows.
        None => format!("emulator in {path}"),
    }
}
