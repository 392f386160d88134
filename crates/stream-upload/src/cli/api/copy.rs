//! `copy`: Stream fetches the videos itself, each once, however often the command is run.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::{Args as ClapArgs, ValueHint};
use jiff::Timestamp;
use resume_store::StoreError;
use serde_json::json;
use stream_api::{SourceUrl, Video};
use stream_ingest::{
    ApiSink, ApiWait, Copied, Copier, CopyError, CopyJob, CopyResult, Found, SourceError, Stage,
    Uploaded, VideoSettings, WaitSink,
};
use tus_engine::Resume;

use super::account::{AccountArgs, Session};
use super::fail;
use super::input;
use super::through;
use crate::cli::args::NewVideoArgs;
use crate::cli::asking::{self, Teller};
use crate::cli::console::Console;
use crate::cli::exit::{self, CliError, Code, kind_of, overall};
use crate::cli::plan::state_dir;
use crate::cli::put::open_store;
use crate::cli::render::Renderer;
use crate::cli::signals::Signals;
use crate::cli::waiting::WaitArgs;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload copy https://media.example/day1.mp4
  stream-upload copy --wait --creator alice https://media.example/a.mov https://media.example/b.mov
  stream-upload copy --urls-from presigned.txt --json      one URL on each line; nobody else may read it
  stream-upload copy --stream-through http://nas.local/master.mov

Stream wants sources that are public and answer HEAD and ranges. Each is asked for that first; what
Stream cannot fetch can be fetched here, with --stream-through. Prints the id and the source of each
video, with a tab between; the source without its query, which may be a secret. Interrupted? Run the
same command again: no video is made twice.")]
pub(crate) struct CopyArgs {
    /// The sources
    #[arg(value_name = "URL", required_unless_present = "urls_from")]
    urls: Vec<String>,
    /// Read sources from this file, which nobody else may read, or from stdin for -
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    urls_from: Option<PathBuf>,
    /// Fetch the sources here, by ranges, and upload them by tus: for those that Stream cannot reach
    #[arg(long)]
    stream_through: bool,
    #[command(flatten)]
    video: NewVideoArgs,
    #[command(flatten)]
    waiting: WaitArgs,
    /// Make another video even of what was copied before
    #[arg(long)]
    force_new: bool,
    /// Where it is kept what was copied [default: the platform's state folder]
    #[arg(long, value_name = "DIR", env = "STREAM_UPLOAD_STATE_DIR", value_hint = ValueHint::DirPath)]
    state_dir: Option<PathBuf>,
}

/// Copies some at once, and follows them until they can be played if asked to.
pub(super) async fn run(
    args: CopyArgs,
    session: &Session,
    listener: Listener,
    console: &Console,
) -> Result<Code, CliError> {
    let urls = sources(&args)?;
    if urls.len() > 1 && args.video.name.is_some() {
        return Err(CliError::usage(
            "--name names one video, and there are several",
        ));
    }
    let settings: Arc<VideoSettings> = Arc::new(args.video.settings()?);
    settings
        .check(Timestamp::now())
        .map_err(|error| CliError::usage(error.to_string()))?;
    let resume = if args.force_new {
        Resume::AnewEvenIfFinished
    } else {
        Resume::Continue
    };
    let jobs = urls.into_iter().map(|url| {
        let mut job = CopyJob::new(url);
        job.settings = Arc::clone(&settings);
        job.resume = resume;
        job
    });
    let store = open_store(&state_dir(args.state_dir)?)?;
    let wait = args.waiting.plan()?;
    let webhooks = match &wait {
        Some(wait) => wait.listen(|line| listener.note(line)).await?,
        None => None,
    };
    let wait = wait.map(|wait| (wait.options, webhooks));
    let told = match listener {
        Listener::Copies(told) => told,
        Listener::Uploads(renderer) => {
            return through::run(jobs.collect(), wait, store, session, renderer).await;
        }
    };
    let signals = Signals::listen(None, {
        let console = console.clone();
        move || console.note("stopping; a second signal stops at once")
    })
    .map_err(|error| CliError::new(Code::Local, format!("cannot listen to signals: {error}")))?;
    let mut copier = Copier::new(session.client.clone(), store, session.destination.as_str())
        .with_preflight(Arc::clone(&session.transport), session.is_cloudflare);
    if let Some((options, webhooks)) = wait {
        copier = copier.with_wait(options, Arc::clone(&told) as Arc<dyn WaitSink>);
        if let Some(webhooks) = webhooks {
            copier = copier.with_webhooks(webhooks);
        }
    }
    let count = jobs.len();
    let (mut succeeded, mut skipped, mut failed) = (0, 0, Vec::new());
    copier
        .run(jobs, signals.token(), |result| {
            skipped += usize::from(result.outcome.as_ref().is_ok_and(|it| it.earlier));
            match told.result(&result) {
                Code::Done => succeeded += 1,
                code => failed.push(code),
            }
        })
        .await;
    told.end(succeeded - skipped, skipped, failed.len());
    let not_begun = count - succeeded - failed.len();
    match signals.code() {
        Some(code) if not_begun > 0 || failed.contains(&Code::Interrupted) => Ok(code),
        _ if not_begun > 0 && succeeded > 0 => Ok(Code::Some),
        _ => Ok(overall(succeeded, &failed)),
    }
}

/// Whoever listens to what is done: what is fetched here is an upload.
#[derive(Clone)]
pub(super) enum Listener {
    Copies(Arc<Told>),
    Uploads(Arc<Renderer>),
}

impl Listener {
    pub(super) fn new(args: &CopyArgs, account: &AccountArgs, console: &Console) -> Self {
        let console = console.clone();
        if args.stream_through {
            let renderer = Renderer::new(console, account.json, &Found::default());
            Self::Uploads(Arc::new(renderer))
        } else {
            Self::Copies(Arc::new(Told::new(console, account.json)))
        }
    }

    fn note(&self, line: &dyn Display) {
        match self {
            Self::Copies(told) => told.console.note(line),
            Self::Uploads(renderer) => renderer.note(&line.to_string()),
        }
    }

    pub(super) fn api_sink(&self) -> Arc<dyn ApiSink> {
        match self {
            Self::Copies(told) => Arc::clone(told) as Arc<dyn ApiSink>,
            Self::Uploads(renderer) => Arc::clone(renderer) as Arc<dyn ApiSink>,
        }
    }
}

fn sources(args: &CopyArgs) -> Result<Vec<SourceUrl>, CliError> {
    let listed = match &args.urls_from {
        None => String::new(),
        Some(path) if path.as_os_str() == "-" => input::text("-", "--urls-from")?,
        Some(path) => input::text(&format!("@{}", path.display()), "--urls-from")?,
    };
    let listed = listed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    args.urls
        .iter()
        .map(String::as_str)
        .chain(listed)
        .enumerate()
        .map(|(index, text)| {
            SourceUrl::parse(text).map_err(|error| {
                CliError::usage(format!("source {}: {error}", index + 1))
                    .hint("`put` uploads files that are here")
            })
        })
        .collect()
}

/// Whoever listens to what becomes of the copies.
pub(super) struct Told {
    console: Console,
    json: bool,
    began: Instant,
    /// Sources whose id was told already, while they were waited for.
    ids: Mutex<HashSet<String>>,
}

impl Told {
    fn new(console: Console, json: bool) -> Self {
        Self {
            console,
            json,
            began: Instant::now(),
            ids: Mutex::default(),
        }
    }

    /// Tells the id, once: before the waiting if there is any, so that a signal does not cost it.
    fn id(&self, label: &str, uid: &str) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if !ids.insert(format!("{label}\t{uid}")) {
            return;
        }
        if self.json {
            let fields = json!({"source": label, "media_id": uid});
            self.console.json("created", fields);
        } else {
            self.console.out(format_args!("{uid}\t{label}"));
        }
    }

    fn result(&self, result: &CopyResult) -> Code {
        let label = result.label.as_str();
        match &result.outcome {
            Ok(copied) => {
                self.copied(label, copied);
                Code::Done
            }
            Err(error) => {
                let code = code_of(error);
                self.failed(label, error, code);
                code
            }
        }
    }

    fn copied(&self, label: &str, copied: &Copied) {
        let uid = copied.uid.as_str();
        if copied.earlier && self.json {
            let fields = json!({"source": label, "media_id": uid, "reason": "already-uploaded"});
            self.console.json("skipped", fields);
        } else {
            self.id(label, uid);
        }
        if self.json && copied.ready_after.is_some() {
            let fields = json!({"source": label, "media_id": uid});
            self.console.json("ready", fields);
        }
    }

    fn failed(&self, label: &str, error: &CopyError, code: Code) {
        if self.json {
            let mut fields = json!({"source": label, "error": error.to_string(), "kind": kind_of(code),
                "resumable": error.is_resumable(), "exit_code": code as u8});
            if let Some(known) = api_error(error).and_then(stream_api::Error::explained) {
                fields["stream_code"] = known.code.into();
            }
            self.console.json("failed", fields);
        }
        let mut told = CliError::new(code, format!("{label}: {error}"));
        told.hint = hint_for(error);
        self.console.error(&told);
    }

    fn end(&self, finished: usize, skipped: usize, failed: usize) {
        if self.json {
            let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let fields = json!({"finished": finished, "skipped": skipped, "failed": failed,
                "elapsed_ms": elapsed});
            self.console.json("summary", fields);
        }
    }
}

impl ApiSink for Told {
    fn waiting(&self, wait: &ApiWait) {
        let (console, events) = (self.console.clone(), self.json);
        Teller { console, events }.waiting(wait);
    }
}

impl WaitSink for Told {
    fn uploaded(&self, _: &Path, _: &Uploaded) {}

    fn waiting(&self, path: &Path, video: &Video) {
        let label = path.to_string_lossy();
        self.id(&label, &video.uid);
        if self.json {
            let fields = json!({"source": label, "media_id": video.uid, "reason": "encoding",
                "stage": Stage::of(video).to_string()});
            self.console.json("waiting", fields);
        }
    }

    fn unanswered(&self, path: &Path, error: &stream_api::Error) {
        let label = path.to_string_lossy();
        if self.json {
            let mut fields = asking::unanswered(error);
            fields["source"] = label.into();
            self.console.json("waiting", fields);
        } else {
            self.console.note(format_args!("{label}: waiting: {error}"));
        }
    }
}

fn api_error(error: &CopyError) -> Option<&stream_api::Error> {
    match error {
        CopyError::NotAsked(error) | CopyError::Refused(error) | CopyError::Unknown(error) => {
            Some(error)
        }
        _ => None,
    }
}

fn code_of(error: &CopyError) -> Code {
    match error {
        CopyError::Cancelled => Code::Interrupted,
        CopyError::NotReady(error) => exit::code_of(error),
        CopyError::Settings(_) => Code::Usage,
        CopyError::Source(SourceError::Fault { .. }) => Code::Network,
        CopyError::Store(StoreError::Busy { .. }) => Code::Busy,
        CopyError::Store(_) => Code::Local,
        error => api_error(error).map_or(Code::Refused, fail::code_of),
    }
}

fn hint_for(error: &CopyError) -> Option<String> {
    let text = match error {
        CopyError::NotReady(error) => exit::hint_for(error)?,
        CopyError::Source(error) if error.can_be_fetched_here() => {
            "run the command again with --stream-through: it is fetched here and uploaded"
        }
        CopyError::Source(_) => "check the URL: Stream would fail with it too",
        CopyError::Store(StoreError::Busy { .. }) => {
            "wait for the other process, or stop it and run the command again"
        }
        CopyError::Store(_) => "choose another folder with --state-dir, or repair this one",
        CopyError::Apply(_) => "run the same command again to apply the settings",
        error => api_error(error)?.explained()?.remedy,
    };
    Some(text.into())
}
