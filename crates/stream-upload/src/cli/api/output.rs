//! `output`: where a live input is sent on to.

use clap::Subcommand;
use stream_api::op::outputs::{NewOutput, OutputEdit};
use stream_api::{Op, StreamClient};

use super::call::{Call, Verb};
use super::input;
use super::show::{Column, Show};
use super::video::out_of_bounds;
use crate::cli::exit::CliError;

const COLUMNS: &[Column] = &[("ID", "/uid"), ("ENABLED", "/enabled"), ("URL", "/url")];

#[derive(Debug, Subcommand)]
pub(crate) enum OutputVerb {
    /// List where a live input is sent on to
    #[command(after_help = "\
Examples:
  stream-upload output list LIVE_INPUT
  stream-upload output list LIVE_INPUT --json --show-secrets     with the stream keys")]
    List {
        /// The live input's id
        #[arg(value_name = "LIVE_INPUT")]
        input: String,
    },
    /// Send a live input on to another service
    #[command(after_help = "\
Example:
  stream-upload output create LIVE_INPUT --url rtmps://live.example/app --stream-key @key.txt")]
    Create {
        /// The live input's id
        #[arg(value_name = "LIVE_INPUT")]
        input: String,
        /// The service's RTMP or SRT address
        #[arg(long, value_name = "URL")]
        url: String,
        /// Its stream key: the key, @FILE that holds it, or - for stdin (both keep the secret off the process list)
        #[arg(long, value_name = "KEY|@FILE|-")]
        stream_key: String,
        /// Do not send yet
        #[arg(long)]
        disabled: bool,
    },
    /// Switch an output on or off
    #[command(after_help = "\
Examples:
  stream-upload output update LIVE_INPUT OUTPUT --enabled
  stream-upload output update LIVE_INPUT OUTPUT --enabled=false")]
    Update {
        /// The live input's id
        #[arg(value_name = "LIVE_INPUT")]
        input: String,
        /// The output's id, as `list` shows it
        #[arg(value_name = "OUTPUT")]
        id: String,
        /// Whether it is sent to
        #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", required = true)]
        enabled: Option<bool>,
    },
    /// Delete an output
    #[command(after_help = "Example:\n  stream-upload output delete LIVE_INPUT OUTPUT")]
    Delete {
        /// The live input's id
        #[arg(value_name = "LIVE_INPUT")]
        input: String,
        /// The output's id, as `list` shows it
        #[arg(value_name = "OUTPUT")]
        id: String,
    },
}

impl Verb for OutputVerb {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        match self {
            Self::List { input } => {
                Ok(Call::new(Op::OutputsList, [input], Show::List("", COLUMNS)))
            }
            Self::Create {
                input,
                url,
                stream_key,
                disabled,
            } => {
                let key = input::text(&stream_key, "--stream-key")?;
                let mut output = NewOutput::new(url, key);
                output.enabled = disabled.then_some(false);
                output.check().map_err(out_of_bounds)?;
                Call::new(Op::OutputsCreate, [input], Show::Object).json(&output)
            }
            Self::Update { input, id, enabled } => {
                let enabled = enabled.unwrap_or(true);
                let word = if enabled { "on" } else { "off" };
                let done = format!("switched output {id} {word}");
                let call = Call::new(Op::OutputsUpdate, [input, id], Show::Object);
                call.done(done).json(&OutputEdit { enabled })
            }
            Self::Delete { input, id } => {
                let done = format!("deleted output {id} of live input {input}");
                Ok(Call::new(Op::OutputsDelete, [input, id], Show::Quiet).done(done))
            }
        }
    }
}
