//! What the command line means: targets, credentials, settings, all checked before anything is sent.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::{AppStrategy, AppStrategyArgs};
use http_transport::{Credentials, Origin};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use stream_ingest::{CloudflareStream, Deletion, Selection, Target, VideoSettings};
use tus_core::RetryPolicy;
use tus_engine::{PlainTus, Resume, Service, UploaderOptions};

use super::args::{
    CountOrAuto, PutArgs, SelectionArgs, SizeOrAuto, TargetArgs, TransferArgs, VideoArgs,
};
use super::exit::{CliError, Code};

/// Cloudflare's own API.
const CLOUDFLARE_API: &str = "https://api.cloudflare.com/client/v4";
/// The hosts below which Cloudflare's API hands out uploads that need the token.
const CLOUDFLARE_API_DOMAIN: &str = "api.cloudflare.com";

/// Where to put the videos, and what opens that door.
#[derive(Debug)]
pub(crate) enum Place {
    /// An emulator in this process, with its data here.
    #[cfg(feature = "emulator")]
    Local(PathBuf),
    /// Somewhere else.
    Remote(Box<Remote>),
}

/// A server that is there already.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) target: Target,
    pub(crate) credentials: Option<Credentials>,
}

/// Stdin as a source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stdin {
    /// Bytes, if somebody knows.
    pub(crate) length: Option<u64>,
    /// The largest file that it may be read into.
    pub(crate) spool_limit: u64,
}

/// Everything that `put` needs to know.
#[derive(Debug)]
pub(crate) struct PutPlan {
    pub(crate) place: Place,
    /// Files and folders.
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) stdin: Option<Stdin>,
    pub(crate) selection: Selection,
    pub(crate) settings: Arc<VideoSettings>,
    pub(crate) key: Option<String>,
    pub(crate) options: UploaderOptions,
    pub(crate) resume: Resume,
    pub(crate) state_dir: PathBuf,
    pub(crate) json: bool,
}

impl PutPlan {
    pub(crate) fn new(args: PutArgs) -> Result<Self, CliError> {
        let state_dir = state_dir(args.transfer.state_dir.clone())?;
        let place = place(&args.target, &state_dir)?;
        let is_stream = match &place {
            #[cfg(feature = "emulator")]
            Place::Local(_) => true,
            Place::Remote(remote) => remote.target.is_stream(),
        };
        if !is_stream && let Some(option) = streams_own(&args.video) {
            return Err(CliError::usage(format!(
                "{option} is known to Cloudflare Stream only, not to --endpoint"
            ))
            .hint("leave it out, or pass what the server wants with --meta KEY=VALUE"));
        }
        let (sources, stdin) = sources(&args)?;
        let settings = settings(args.video)?;
        settings
            .0
            .check(Timestamp::now())
            .map_err(|error| CliError::usage(error.to_string()))?;
        Ok(Self {
            place,
            sources,
            stdin,
            selection: selection(&args.selection)?,
            settings: Arc::new(settings.0),
            key: settings.1,
            options: options(&args.transfer, service(is_stream).as_ref())?,
            resume: match (args.transfer.no_resume, args.transfer.force_new) {
                (false, _) => Resume::Continue,
                (true, false) => Resume::Anew,
                (true, true) => Resume::AnewEvenIfFinished,
            },
            state_dir,
            json: args.json,
        })
    }
}

fn sources(args: &PutArgs) -> Result<(Vec<PathBuf>, Option<Stdin>), CliError> {
    let (dashes, files): (Vec<_>, Vec<_>) = args
        .sources
        .iter()
        .cloned()
        .partition(|source| source.as_os_str() == "-");
    if dashes.is_empty() {
        return match args.stdin.length {
            Some(_) => Err(CliError::usage(
                "--length is about stdin, and there is no - among the sources",
            )),
            None => Ok((files, None)),
        };
    }
    if dashes.len() > 1 || args.target.token_stdin {
        return Err(CliError::usage("stdin can be read once only"));
    }
    if args.video.name.is_none() {
        return Err(CliError::usage("stdin has no name").hint("give it one with --name"));
    }
    let stdin = Stdin {
        length: args.stdin.length,
        spool_limit: args.stdin.spool_limit.as_u64(),
    };
    Ok((files, Some(stdin)))
}

/// What the engine is told of the service.
pub(crate) fn service(is_stream: bool) -> Arc<dyn Service> {
    if is_stream {
        Arc::new(CloudflareStream::new())
    } else {
        Arc::new(PlainTus)
    }
}

/// The folder for resume state, made absolute so that it means the same wherever a message about it is read.
fn state_dir(given: Option<PathBuf>) -> Result<PathBuf, CliError> {
    if let Some(given) = given {
        return std::path::absolute(&given).map_err(|error| {
            CliError::new(
                Code::Local,
                format!("--state-dir {}: {error}", given.display()),
            )
        });
    }
    let app = AppStrategyArgs {
        app_name: "stream-upload".into(),
        ..AppStrategyArgs::default()
    };
    let strategy = etcetera::choose_app_strategy(app).map_err(|_| {
        CliError::new(
            Code::Local,
            "there is no home folder to keep resume state in",
        )
        .hint("name one with --state-dir")
    })?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()))
}

fn place(args: &TargetArgs, state_dir: &Path) -> Result<Place, CliError> {
    #[cfg(feature = "emulator")]
    if args.local {
        return Ok(Place::Local(
            args.data
                .clone()
                .unwrap_or_else(|| state_dir.join("emulator")),
        ));
    }
    #[cfg(not(feature = "emulator"))]
    let _ = state_dir;
    let remote = match &args.endpoint {
        Some(endpoint) => tus_server(endpoint, args)?,
        None => account(args)?,
    };
    Ok(Place::Remote(Box::new(remote)))
}

fn tus_server(endpoint: &str, args: &TargetArgs) -> Result<Remote, CliError> {
    let hint = "give the creation URL of a tus server, such as https://tus.example/files/";
    let bad =
        |error: &dyn std::fmt::Display| CliError::usage(format!("--endpoint: {error}")).hint(hint);
    let target = Target::tus(endpoint).map_err(|error| bad(&error))?;
    let origin = Origin::parse(endpoint).map_err(|error| bad(&error))?;
    if args.headers.is_empty() {
        return Ok(Remote {
            target,
            credentials: None,
        });
    }
    let mut credentials = Credentials::new(origin);
    for header in &args.headers {
        for line in header_lines(header)? {
            let (name, value) = line.split_once(':').ok_or_else(|| {
                CliError::usage("--header wants 'Name: value', or @FILE with such lines")
            })?;
            let value = SecretString::from(value.trim());
            credentials = credentials
                .header(name.trim(), &value)
                .map_err(|error| CliError::usage(format!("--header {}: {error}", name.trim())))?;
        }
    }
    let credentials = also_hosts(credentials, &args.auth_hosts)?;
    Ok(Remote {
        target,
        credentials: Some(credentials),
    })
}

fn header_lines(header: &str) -> Result<Vec<String>, CliError> {
    let Some(file) = header.strip_prefix('@') else {
        return Ok(vec![header.to_owned()]);
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::new(Code::Local, format!("--header @{file}: {error}")))?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

fn account(args: &TargetArgs) -> Result<Remote, CliError> {
    let base = args.api_url.as_deref().unwrap_or(CLOUDFLARE_API);
    let account_id = args.account_id.as_deref().ok_or_else(|| {
        CliError::usage("there is no account to upload to").hint(
            "set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN, or use --endpoint URL, or try --local, which needs no account",
        )
    })?;
    let target = Target::account(base, account_id)
        .map_err(|error| CliError::usage(format!("the account: {error}")))?;
    let token = token(args)?;
    let origin =
        Origin::parse(base).map_err(|error| CliError::usage(format!("--api-url: {error}")))?;
    let credentials = Credentials::bearer(&token, origin)
        .map_err(|error| CliError::new(Code::Credentials, format!("the API token: {error}")))?;
    let credentials = match args.api_url {
        None => credentials.also_hosts_below(CLOUDFLARE_API_DOMAIN),
        Some(_) => credentials,
    };
    Ok(Remote {
        target,
        credentials: Some(also_hosts(credentials, &args.auth_hosts)?),
    })
}

fn also_hosts(mut credentials: Credentials, hosts: &[String]) -> Result<Credentials, CliError> {
    for host in hosts {
        let origin = Origin::parse(&format!("https://{host}")).map_err(|_| {
            CliError::usage(format!(
                "--auth-host {host}: a host name is wanted, such as up.example.com"
            ))
        })?;
        credentials = credentials.also(origin);
    }
    Ok(credentials)
}

/// The token: from a file, from stdin, or from the environment. The production token is never read for another API base.
fn token(args: &TargetArgs) -> Result<SecretString, CliError> {
    let text = if let Some(file) = &args.token_file {
        token_from_file(file)?
    } else if args.token_stdin {
        let mut text = String::new();
        io::stdin()
            .take(64 * 1024)
            .read_to_string(&mut text)
            .map_err(|error| CliError::new(Code::Credentials, format!("--token-stdin: {error}")))?;
        text
    } else {
        let name = if args.api_url.is_some() {
            "STREAM_API_TOKEN"
        } else {
            "CLOUDFLARE_API_TOKEN"
        };
        std::env::var(name).map_err(|_| {
            CliError::new(Code::Credentials, "there is no API token")
                .hint(format!("set {name}, or use --token-file FILE; tokens are made at https://dash.cloudflare.com/profile/api-tokens with the permission Stream: Edit"))
        })?
    };
    match text.trim() {
        "" => Err(CliError::new(Code::Credentials, "the API token is empty")),
        token => Ok(SecretString::from(token)),
    }
}

fn token_from_file(path: &Path) -> Result<String, CliError> {
    let fail = |error: io::Error| {
        CliError::new(
            Code::Credentials,
            format!("--token-file {}: {error}", path.display()),
        )
    };
    let mut file = File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.mode();
    if mode & 0o077 != 0 {
        return Err(CliError::new(
            Code::Credentials,
            format!("--token-file {}: others may read it", path.display()),
        )
        .hint(format!("chmod 600 {}", path.display())));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// The first option that only Stream knows.
fn streams_own(video: &VideoArgs) -> Option<&'static str> {
    [
        (video.creator.is_some(), "--creator"),
        (video.require_signed_urls, "--require-signed-urls"),
        (!video.allowed_origins.is_empty(), "--allowed-origin"),
        (video.thumbnail_pct.is_some(), "--thumbnail-pct"),
        (video.watermark.is_some(), "--watermark"),
        (video.scheduled_deletion.is_some(), "--scheduled-deletion"),
        (video.max_video_duration.is_some(), "--max-video-duration"),
        (video.expiry.is_some(), "--expiry"),
    ]
    .into_iter()
    .find_map(|(given, option)| given.then_some(option))
}

/// The settings, and the source's key.
fn settings(video: VideoArgs) -> Result<(VideoSettings, Option<String>), CliError> {
    let mut settings = VideoSettings::default();
    settings.name = video.name;
    settings.meta = video.meta;
    settings.creator = video.creator;
    settings.require_signed_urls = video.require_signed_urls;
    settings.allowed_origins = video.allowed_origins;
    settings.thumbnail_pct = video.thumbnail_pct;
    settings.watermark = video.watermark;
    settings.scheduled_deletion = video
        .scheduled_deletion
        .as_deref()
        .map(deletion)
        .transpose()?;
    settings.max_duration = video.max_video_duration;
    settings.expiry = video.expiry;
    Ok((settings, video.key))
}

fn deletion(text: &str) -> Result<Deletion, CliError> {
    let bad = || {
        CliError::usage(format!(
            "--scheduled-deletion {text}: a time such as 2027-01-31T00:00:00Z, or +90d, is wanted"
        ))
    };
    match text.strip_prefix('+') {
        Some(after) => {
            let after = humantime::parse_duration(after).map_err(|_| bad())?;
            SignedDuration::try_from(after)
                .map(Deletion::After)
                .map_err(|_| bad())
        }
        None => text.parse().map(Deletion::At).map_err(|_| bad()),
    }
}

fn selection(args: &SelectionArgs) -> Result<Selection, CliError> {
    let mut selection = Selection::new(&args.include, &args.exclude)
        .map_err(|error| CliError::usage(format!("--include and --exclude: {error}")))?;
    selection.min_bytes = args.min_size.map_or(0, |size| size.as_u64());
    selection.max_bytes = args.max_size.map(|size| size.as_u64());
    Ok(selection)
}

fn options(args: &TransferArgs, service: &dyn Service) -> Result<UploaderOptions, CliError> {
    let chunk_bytes = match args.chunk_size {
        None | Some(SizeOrAuto::Auto) => None,
        Some(SizeOrAuto::Bytes(bytes)) => {
            let rule = service.chunk_rule();
            rule.check(bytes).map_err(|error| {
                let hint = if rule.multiple_of_bytes > 1 {
                    "Stream takes multiples of 256 KiB from 5 MiB to 200 MiB, such as 5MiB, 50MiB or 200MiB"
                } else {
                    "give at least one byte, or leave it out"
                };
                CliError::usage(format!("--chunk-size: {error}")).hint(hint)
            })?;
            Some(bytes)
        }
    };
    let defaults = UploaderOptions::default();
    let parallel = match args.parallel {
        None | Some(CountOrAuto::Auto) => defaults.parallel,
        Some(CountOrAuto::Count(count)) => count,
    };
    let parts = match args.parts {
        None | Some(CountOrAuto::Auto) => defaults.parts,
        Some(CountOrAuto::Count(count)) => count,
    };
    let deadlines = defaults.deadlines.with_stall(args.stall_timeout);
    let retry = RetryPolicy::DEFAULT
        .with_patience(args.patience)
        .with_max_refusals(args.retries);
    Ok(defaults
        .with_parallel(parallel)
        .with_chunk_bytes(chunk_bytes)
        .with_parts(parts)
        .with_checksum(args.checksum)
        .with_deadlines(deadlines)
        .with_retry(retry))
}
