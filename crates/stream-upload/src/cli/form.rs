//! `put` to a one-time URL that takes one form, not tus.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_transport::{Protocol, ReqwestTransport, Transport};
use resume_store::StoreError;
use serde_json::json;
use stream_api::{Secret, UploadUrl};
use stream_ingest::{FormError, FormSender, FormSent, FormUpload, Target, TargetError};
use tus_core::RetryPolicy;

use super::api::api_code;
use super::args::{PutArgs, UploadKind};
use super::asking::Teller;
use super::console::{Console, harmless};
use super::exit::{CliError, Code, kind_of};
use super::place::{authorities, one_time_text};
use super::plan::{check_one_time, retry, state_dir};
use super::put::open_store;

/// What is to be done, if the URL takes a form. Reads the URL from where it is, and leaves it in `args`.
pub(crate) fn wanted(args: &mut PutArgs) -> Result<Option<Form>, CliError> {
    let Some(given) = args.target.upload_url.clone() else {
        return Ok(None);
    };
    if given == "-" && args.sources.iter().any(|source| source.as_os_str() == "-") {
        return Err(CliError::usage("stdin can be read once only"));
    }
    let url = one_time_text(&given)?;
    args.target.upload_url = Some(url.clone());
    let transport = transport(args)?;
    let url = Secret::new(url);
    let is_form = match args.target.upload_kind {
        Some(UploadKind::Basic) => true,
        Some(UploadKind::Tus) => false,
        None => looks_like_a_form(&url, &transport)?,
    };
    if !is_form {
        return Ok(None);
    }
    check_one_time(args)?;
    if args.video.waiting.wait.is_some() {
        return Err(CliError::usage(
            "--wait asks the account whether a video can be played, and there is no account",
        )
        .hint("leave it out: whoever has the account can ask"));
    }
    let [path] = args.sources.as_slice() else {
        return Err(CliError::usage(format!(
            "a one-time URL takes one source, and there are {}",
            args.sources.len()
        )));
    };
    if !path.is_file() {
        return Err(CliError::new(
            Code::Local,
            format!("{}: a form takes a file", path.display()),
        )
        .hint("read stdin into a file first, or ask for a one-time URL for tus"));
    }
    let upload = FormUpload::new(url, path)
        .with_media_id(args.target.media_id.clone())
        .with_key(args.video.key.clone());
    Ok(Some(Form {
        upload,
        path: path.clone(),
        transport,
        retry: retry(&args.transfer),
        state_dir: state_dir(args.transfer.state_dir.clone())?,
        json: args.json,
    }))
}

/// One file, to a URL that takes one form.
pub(crate) struct Form {
    upload: FormUpload,
    path: PathBuf,
    transport: Arc<dyn Transport>,
    retry: RetryPolicy,
    state_dir: PathBuf,
    json: bool,
}

/// Sends it, and says how it ended.
pub(crate) fn run(form: Form, console: &Console) -> Result<Code, CliError> {
    block_on(form.send(console))?
}

impl Form {
    async fn send(self, console: &Console) -> Result<Code, CliError> {
        let source = self.path.to_string_lossy().into_owned();
        let bytes = std::fs::metadata(&self.path).map_or(0, |about| about.len());
        let began = Instant::now();
        if self.json {
            console.json("started", json!({"source": source, "length": bytes}));
        }
        let progress = {
            let (console, json, source) = (console.clone(), self.json, source.clone());
            let is_watched = console.is_watched();
            let mut told = None::<Instant>;
            move |sent: u64| {
                if told.is_some_and(|last| last.elapsed() < PROGRESS_EVERY) {
                    return;
                }
                told = Some(Instant::now());
                if json {
                    // Nothing of a form is confirmed before all of it is.
                    let fields =
                        json!({"source": source, "offset": 0, "sent": sent, "length": bytes});
                    console.json("progress", fields);
                } else if is_watched {
                    console.note(format_args!("{source}: {sent} of {bytes} bytes"));
                }
            }
        };
        let sender = FormSender::new(Arc::clone(&self.transport))
            .with_store(open_store(&self.state_dir)?)
            .with_retry(self.retry)
            .with_sink(Arc::new(Teller {
                console: console.clone(),
                events: self.json,
            }));
        let sent = sender.send(&self.upload, progress).await;
        let elapsed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let code = self.tell(&source, sent, elapsed, console);
        if self.json {
            let (finished, skipped, failed, bytes_sent) = match &code {
                Ok((Code::Done, Some(bytes))) => (1, 0, 0, *bytes),
                Ok(_) => (0, 1, 0, 0),
                Err(_) => (0, 0, 1, 0),
            };
            let fields = json!({"finished": finished, "skipped": skipped, "failed": failed,
                "bytes_sent": bytes_sent, "requests": u64::from(skipped == 0), "elapsed_ms": elapsed});
            console.json("summary", fields);
        }
        code.map(|(code, _)| code)
    }

    /// Tells how it ended. Returns the bytes that were sent, if any were.
    fn tell(
        &self,
        source: &str,
        sent: Result<FormSent, FormError>,
        elapsed: u64,
        console: &Console,
    ) -> Result<(Code, Option<u64>), CliError> {
        let media_id = self.upload.media_id.as_deref();
        match sent {
            Ok(sent) => {
                let (earlier, bytes) = (sent.earlier, sent.bytes);
                if self.json && earlier {
                    let fields = json!({"source": source, "reason": "already-uploaded",
                        "media_id": media_id});
                    console.json("skipped", fields);
                } else if self.json {
                    let fields = json!({"source": source, "length": bytes, "media_id": media_id,
                        "bytes_sent": bytes, "requests": 1, "elapsed_ms": elapsed});
                    console.json("finished", fields);
                } else {
                    if earlier {
                        console.note(format_args!("{source}: uploaded earlier"));
                    }
                    let id = media_id.unwrap_or("-");
                    console.out(format_args!("{}\t{}", harmless(id), harmless(source)));
                }
                Ok((Code::Done, (!earlier).then_some(bytes)))
            }
            Err(FormError::Store(error @ StoreError::Busy { .. })) => {
                if self.json {
                    console.json("skipped", json!({"source": source, "reason": "busy"}));
                } else {
                    console.note(format_args!("skipped {source}: {error}"));
                }
                Ok((Code::Busy, None))
            }
            Err(error) => {
                let code = code_of(&error);
                if self.json {
                    let resumable = matches!(error, FormError::Unreachable(_));
                    let fields = json!({"source": source, "error": error.to_string(),
                        "kind": kind_of(code), "resumable": resumable, "exit_code": code as u8});
                    console.json("failed", fields);
                }
                let told = CliError::new(code, format!("{source}: {error}"));
                Err(match hint_for(&error) {
                    Some(hint) => told.hint(hint),
                    None => told,
                })
            }
        }
    }
}

fn code_of(error: &FormError) -> Code {
    match error {
        FormError::File(_) | FormError::Store(_) => Code::Local,
        FormError::UsedUp { .. } => Code::Refused,
        FormError::Refused(error) => api_code(error),
        FormError::TooLarge { .. } => Code::Refused,
        _ => Code::Network,
    }
}

fn hint_for(error: &FormError) -> Option<&'static str> {
    match error {
        FormError::File(_) => Some("check the path and that you may read the file"),
        FormError::Refused(error) => Some(error.explained().map_or(
            "one-time URLs work once and not for long: have another one made",
            |known| known.remedy,
        )),
        FormError::Unreachable(_) => {
            Some("check the network, then run the same command again: nothing was sent")
        }
        FormError::Doubt(_) | FormError::InDoubt { .. } => Some(
            "if the video is not there, have another one-time URL made; this one is tried again after `state prune --forget SOURCE`",
        ),
        FormError::Store(_) => Some("choose another folder with --state-dir, or repair this one"),
        _ => None,
    }
}

fn transport(args: &PutArgs) -> Result<Arc<dyn Transport>, CliError> {
    let mut transport = ReqwestTransport::builder(Protocol::Http1)
        .user_agent(concat!("stream-upload/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = authorities(&args.target)? {
        transport = transport.add_root_pem(pem);
    }
    let transport = transport
        .build()
        .map_err(|error| CliError::new(Code::Network, error.to_string()))?;
    Ok(Arc::new(transport))
}

/// By its shape, and where that tells nothing by what HEAD answers.
fn looks_like_a_form(url: &Secret, transport: &Arc<dyn Transport>) -> Result<bool, CliError> {
    match Target::upload_url(url.expose(), None) {
        Err(TargetError::BasicForm) => return Ok(true),
        // Not a URL: whoever plans the upload says so.
        Err(_) => return Ok(false),
        Ok(_) if url.expose().contains("/tus/") => return Ok(false),
        Ok(_) => {}
    }
    let Ok(upload) = UploadUrl::new(Arc::clone(transport), url) else {
        return Ok(false);
    };
    Ok(match block_on(upload.progress())? {
        Err(stream_api::Error::Api { status, .. }) => {
            status == http::StatusCode::METHOD_NOT_ALLOWED
        }
        // An answer, but none of tus.
        Err(stream_api::Error::Request(_)) => true,
        _ => false,
    })
}

fn block_on<T>(what: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Code::Local, format!("cannot start: {error}")))?;
    Ok(runtime.block_on(what))
}

/// Progress is told at most so often.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
