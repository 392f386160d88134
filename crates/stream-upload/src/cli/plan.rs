//! What the command line means: targets, credentials, settings, all checked before anything is sent.

use std::path::PathBuf;
use std::sync::Arc;

use etcetera::{AppStrategy, AppStrategyArgs};
use jiff::Timestamp;
use stream_ingest::{Selection, VideoSettings};
use tus_core::RetryPolicy;
use tus_engine::{Parallel, Parts, Resume, Service, UploaderOptions};

use super::args::{CountOrAuto, PutArgs, SelectionArgs, SizeOrAuto, TransferArgs, VideoArgs};
use super::bandwidth::BandwidthPlan;
use super::exit::{CliError, Code};
use super::place::{Place, authorities, place, service};
use super::waiting::WaitPlan;

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
    /// Certificate authorities beside those of the system, as PEM.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Files and folders.
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) stdin: Option<Stdin>,
    pub(crate) selection: Selection,
    pub(crate) settings: Arc<VideoSettings>,
    pub(crate) key: Option<String>,
    /// How long videos are waited for until they can be played, if they are.
    pub(crate) wait: Option<WaitPlan>,
    pub(crate) options: UploaderOptions,
    /// How fast to send, and when.
    pub(crate) bandwidth: Option<BandwidthPlan>,
    pub(crate) resume: Resume,
    pub(crate) state_dir: PathBuf,
    /// How much of the API's limit may be used.
    pub(crate) api_share: Option<f64>,
    pub(crate) json: bool,
}

impl PutPlan {
    pub(crate) fn new(args: PutArgs) -> Result<Self, CliError> {
        let state_dir = state_dir(args.transfer.state_dir.clone())?;
        let place = place(&args.target, &state_dir)?;
        let is_stream = place.is_stream();
        if place.is_one_time() {
            check_one_time(&args)?;
        }
        if !is_stream && let Some(option) = streams_own(&args.video) {
            return Err(CliError::usage(format!(
                "{option} is known to Cloudflare Stream only, not to --endpoint"
            ))
            .hint("leave it out, or pass what the server wants with --meta KEY=VALUE"));
        }
        if args.video.waiting.wait.is_some() && !place.has_account() {
            return Err(CliError::usage(
                "--wait asks the account whether a video can be played, and there is no account",
            )
            .hint("leave it out: whoever has the account can ask"));
        }
        let wait = args.video.waiting.plan()?;
        let (sources, stdin) = sources(&args)?;
        let settings = settings(args.video)?;
        settings
            .0
            .check(Timestamp::now())
            .map_err(|error| CliError::usage(error.to_string()))?;
        Ok(Self {
            place,
            authorities: authorities(&args.target)?,
            sources,
            stdin,
            selection: selection(&args.selection)?,
            settings: Arc::new(settings.0),
            key: settings.1,
            wait,
            options: options(&args.transfer, service(is_stream).as_ref())?,
            bandwidth: args
                .transfer
                .bwlimit
                .as_deref()
                .map(BandwidthPlan::new)
                .transpose()?,
            resume: match (args.transfer.no_resume, args.transfer.force_new) {
                (false, _) => Resume::Continue,
                (true, false) => Resume::Anew,
                (true, true) => Resume::AnewEvenIfFinished,
            },
            state_dir,
            api_share: args.target.api_share,
            json: args.json,
        })
    }
}

/// What a one-time URL leaves to decide: nothing but which source it takes.
pub(crate) fn check_one_time(args: &PutArgs) -> Result<(), CliError> {
    let described = args.video.new.name.is_some() || !args.video.new.meta.is_empty();
    if described || streams_own(&args.video).is_some() {
        return Err(CliError::usage(
            "the settings of a video with a one-time URL are those it was made with",
        )
        .hint("leave them out, or have the URL made with them"));
    }
    if args.transfer.no_resume {
        return Err(CliError::usage(
            "a one-time URL cannot be begun anew, so --no-resume makes no sense with it",
        ));
    }
    if args.target.upload_url.as_deref() == Some("-")
        && args.sources.iter().any(|source| source.as_os_str() == "-")
    {
        return Err(CliError::usage("stdin can be read once only"));
    }
    Ok(())
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
    if args.video.new.name.is_none() && args.target.upload_url.is_none() {
        return Err(CliError::usage("stdin has no name").hint("give it one with --name"));
    }
    let stdin = Stdin {
        length: args.stdin.length,
        spool_limit: args.stdin.spool_limit.as_u64(),
    };
    Ok((files, Some(stdin)))
}

/// The folder for resume state, made absolute so that it means the same wherever a message about it is read.
pub(crate) fn state_dir(given: Option<PathBuf>) -> Result<PathBuf, CliError> {
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

/// The first option that only Stream knows.
fn streams_own(video: &VideoArgs) -> Option<&'static str> {
    [
        (video.new.creator.is_some(), "--creator"),
        (video.new.require_signed_urls, "--require-signed-urls"),
        (!video.new.allowed_origins.is_empty(), "--allowed-origin"),
        (video.new.thumbnail_pct.is_some(), "--thumbnail-pct"),
        (video.new.watermark.is_some(), "--watermark"),
        (
            video.new.scheduled_deletion.is_some(),
            "--scheduled-deletion",
        ),
        (video.max_video_duration.is_some(), "--max-video-duration"),
        (video.expiry.is_some(), "--expiry"),
    ]
    .into_iter()
    .find_map(|(given, option)| given.then_some(option))
}

/// The settings, and the source's key.
fn settings(video: VideoArgs) -> Result<(VideoSettings, Option<String>), CliError> {
    let mut settings = video.new.settings()?;
    settings.max_duration = video.max_video_duration;
    settings.expiry = video.expiry;
    Ok((settings, video.key))
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
        SizeOrAuto::Auto => None,
        SizeOrAuto::Bytes(bytes) => {
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
        CountOrAuto::Auto => Parallel::Auto,
        CountOrAuto::Count(count) => Parallel::Fixed(count),
    };
    let parts = match args.parts {
        CountOrAuto::Auto => Parts::Auto,
        CountOrAuto::Count(count) => Parts::Fixed(count),
    };
    let deadlines = defaults.deadlines.with_stall(args.stall_timeout);
    Ok(defaults
        .with_parallel(parallel)
        .with_chunk_bytes(chunk_bytes)
        .with_parts(parts)
        .with_checksum(args.checksum)
        .with_deadlines(deadlines)
        .with_retry(retry(args)))
}

/// How patient an upload is.
pub(crate) fn retry(args: &TransferArgs) -> RetryPolicy {
    RetryPolicy::DEFAULT
        .with_patience(args.patience)
        .with_max_refusals(args.retries)
}
