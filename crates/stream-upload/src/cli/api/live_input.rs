//! `live-input`: where broadcasts are sent to.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueHint};
use stream_api::op::live_inputs::{
    DeleteRecording, LiveInputSettings, RecordingMode, RecordingSettings,
};
use stream_api::{Op, StreamClient};

use super::call::{Call, Purpose, Verb};
use super::fail::failed;
use super::input;
use super::show::{Column, Show};
use super::video::{NO_IDS, out_of_bounds};
use crate::cli::args::key_value;
use crate::cli::exit::CliError;

const COLUMNS: &[Column] = &[
    ("ID", "/uid"),
    ("ENABLED", "/enabled"),
    ("CREATED", "/created"),
    ("MODIFIED", "/modified"),
    ("NAME", "/meta/name"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum LiveInputVerb {
    /// List live inputs, without their secrets
    #[command(after_help = "\
Examples:
  stream-upload live-input list
  stream-upload live-input list --counts --json | jq .total")]
    List {
        /// Count them all as well
        #[arg(long)]
        counts: bool,
    },
    /// Make a live input, and show where to broadcast to
    #[command(after_help = "\
Examples:
  stream-upload live-input create --name stage-1 --recording automatic --out stage-1.json
  stream-upload live-input create --json | jq -r .rtmps.url,.rtmps.streamKey")]
    Create {
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        out: Out,
    },
    /// Show one live input, its secrets among it
    #[command(after_help = "\
Examples:
  stream-upload live-input get LIVE_INPUT
  stream-upload live-input get --json LIVE_INPUT | jq -r .status.current.state")]
    Get {
        /// The live input's id
        #[arg(value_name = "LIVE_INPUT")]
        id: String,
        #[command(flatten)]
        out: Out,
    },
    /// Change settings of one live input; what is not named stays as it is
    #[command(after_help = "\
Examples:
  stream-upload live-input update LIVE_INPUT --enabled=false      hang up
  stream-upload live-input update LIVE_INPUT --recording automatic --delete-recordings-after 90")]
    Update {
        /// The live input's id
        #[arg(value_name = "LIVE_INPUT")]
        id: String,
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        out: Out,
    },
    /// Delete one live input; its recordings stay
    #[command(after_help = "Example:\n  stream-upload live-input delete LIVE_INPUT")]
    Delete {
        /// The live input's id
        #[arg(value_name = "LIVE_INPUT")]
        id: String,
    },
    /// Give a live input new secrets; the old ones stop working
    #[command(after_help = "\
Example:
  stream-upload live-input rotate-keys LIVE_INPUT --out stage-1.json")]
    RotateKeys {
        /// The live input's id
        #[arg(value_name = "LIVE_INPUT")]
        id: String,
        #[command(flatten)]
        out: Out,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Out {
    /// Write the answer, secrets included, into this new file, which nobody else may read
    #[arg(long = "out", value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Settings {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// Further metadata
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    meta: Vec<(String, String)>,
    /// Who made its recordings
    #[arg(long, value_name = "CREATOR")]
    default_creator: Option<String>,
    /// Whether it takes broadcasts
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enabled: Option<bool>,
    /// Whether it is broadcast with a low latency
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    low_latency: Option<bool>,
    /// After how many days a recording is deleted, 30 to 1096, or never
    #[arg(long, value_name = "DAYS|never", value_parser = days)]
    delete_recordings_after: Option<DeleteRecording>,
    /// Whether it is recorded. This and the four below are set together: what is not named of them is at Stream's default
    #[arg(long, value_parser = ["automatic", "off"])]
    recording: Option<String>,
    /// Recordings are played with signed URLs only
    #[arg(long, requires = "recording")]
    require_signed_urls: bool,
    /// A host that may play recordings
    #[arg(long = "allowed-origin", value_name = "HOST", requires = "recording")]
    allowed_origins: Vec<String>,
    /// The number of viewers is hidden
    #[arg(long, requires = "recording")]
    hide_viewer_count: bool,
    /// Seconds without a broadcast after which a recording ends, up to 86400
    #[arg(long, value_name = "SECONDS", requires = "recording")]
    recording_timeout: Option<u32>,
}

fn days(text: &str) -> Result<DeleteRecording, String> {
    input::days_or_never(text).map(DeleteRecording::from)
}

impl Settings {
    fn settings(self) -> Result<LiveInputSettings, CliError> {
        let mut settings = LiveInputSettings::default();
        let meta = input::meta(self.name, self.meta);
        settings.meta = (!meta.is_empty()).then_some(meta);
        settings.default_creator = self.default_creator;
        settings.enabled = self.enabled;
        settings.prefer_low_latency = self.low_latency;
        settings.delete_recording_after_days = self.delete_recordings_after;
        if let Some(mode) = self.recording {
            let mut recording = RecordingSettings::default();
            recording.mode = Some(RecordingMode::from(mode));
            recording.allowed_origins = self.allowed_origins;
            recording.hide_live_viewer_count = self.hide_viewer_count;
            recording.require_signed_urls = self.require_signed_urls;
            recording.timeout_seconds = self.recording_timeout;
            settings.recording = Some(recording);
        }
        settings.check().map_err(out_of_bounds)?;
        Ok(settings)
    }
}

impl Verb for LiveInputVerb {
    async fn call(self, client: &StreamClient) -> Result<Call, CliError> {
        let secret = |call: Call, out: Out| call.secret(Purpose::Answer, out.file);
        match self {
            Self::List { counts } => {
                let query = counts.then(|| ("include_counts", "true".to_owned()));
                let show = Show::List("/liveInputs", COLUMNS);
                let call = Call::new(Op::LiveInputsList, NO_IDS, show);
                Ok(call.query(query.into_iter().collect()))
            }
            Self::Create { settings, out } => {
                let call = Call::new(Op::LiveInputsCreate, NO_IDS, Show::Object);
                secret(call, out).json(&settings.settings()?)
            }
            Self::Get { id, out } => {
                let call = Call::new(Op::LiveInputsGet, [id], Show::Object);
                Ok(secret(call, out))
            }
            Self::Update { id, settings, out } => {
                let mut settings = settings.settings()?;
                if settings == LiveInputSettings::default() {
                    return Err(CliError::usage("there is nothing to change")
                        .hint("name a setting; see `stream-upload live-input update --help`"));
                }
                if let Some(entries) = settings.meta.take() {
                    // Stream replaces all entries at once: those that are not named are kept here.
                    let input = client.live_input(&id).await;
                    let input = input.map_err(|error| failed(Op::LiveInputsUpdate, &error))?;
                    let mut meta = input.meta.unwrap_or_default();
                    meta.extend(entries);
                    settings.meta = Some(meta);
                }
                let done = format!("changed live input {id}");
                let call = Call::new(Op::LiveInputsUpdate, [id], Show::Object).done(done);
                secret(call, out).json(&settings)
            }
            Self::Delete { id } => {
                let done = format!("deleted live input {id}");
                Ok(Call::new(Op::LiveInputsDelete, [id], Show::Quiet).done(done))
            }
            Self::RotateKeys { id, out } => {
                let done = format!("live input {id} has new secrets; the old ones work no more");
                let call = Call::new(Op::LiveInputsRotateKeys, [id], Show::Object).done(done);
                Ok(secret(call, out))
            }
        }
    }
}
