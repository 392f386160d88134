//! `put` to a one-time URL that takes one form, not tus.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_transport::{Protocol, ReqwestTransport, Transport};
use serde_json::json;
use stream_api::{Secret, UploadUrl};
use stream_ingest::{FormError, FormUpload, Target, TargetError, upload_form};

use super::api::api_code;
use super::args::{PutArgs, UploadKind};
use super::console::{Console, harmless};
use super::exit::{CliError, Code, kind_of};
use super::place::{authorities, one_time_text};
use super::plan::check_one_time;

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
    let upload = FormUpload::new(url, path).with_media_id(args.target.media_id.clone());
    Ok(Some(Form {
        upload,
        path: path.clone(),
        transport,
        json: args.json,
    }))
}

/// One file, to a URL that takes one form.
pub(crate) struct Form {
    upload: FormUpload,
    path: PathBuf,
    transport: Arc<dyn Transport>,
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
        let sent = upload_form(self.transport, &self.upload, None, progress).await;
        let media_id = self.upload.media_id.as_deref();
        if let Err(error) = sent {
            let code = code_of(&error);
            if self.json {
                let fields = json!({"source": source, "error": error.to_string(),
                    "kind": kind_of(code), "resumable": false, "exit_code": code as u8});
                console.json("failed", fields);
            }
            let told = CliError::new(code, format!("{source}: {error}"));
            return Err(match hint_for(&error) {
                Some(hint) => told.hint(hint),
                None => told,
            });
        }
        if self.json {
            let elapsed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let fields = json!({"source": source, "length": bytes, "media_id": media_id,
                "bytes_sent": bytes, "requests": 1, "elapsed_ms": elapsed});
            console.json("finished", fields);
        } else {
            let id = media_id.unwrap_or("-");
            console.out(format_args!("{}\t{}", harmless(id), harmless(&source)));
        }
        Ok(Code::Done)
    }
}

fn code_of(error: &FormError) -> Code {
    match error {
        FormError::File(_) => Code::Local,
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
