//! `webhook`: whom Stream tells when a video is ready, or has failed.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};
use stream_api::op::webhook::SetWebhook;
use stream_api::{Op, StreamClient};

use super::call::{Call, Purpose, Verb};
use super::input;
use super::show::Show;
use super::video::NO_IDS;
use crate::cli::exit::CliError;

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookVerb {
    /// Show the account's webhook, and the secret that its calls are signed with
    #[command(after_help = "\
Examples:
  stream-upload webhook get
  stream-upload webhook get --out webhook.json      for you alone to read")]
    Get {
        /// Write the answer into this new file, which nobody else may read
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
    /// Set the account's webhook, its only one
    #[command(after_help = "\
Examples:
  stream-upload webhook set https://media.example/stream-events --out webhook.json
  stream-upload webhook set @url.txt      an address that is a secret")]
    Set {
        /// The address: the URL, @FILE that holds it, or - for stdin
        #[arg(value_name = "URL|@FILE|-")]
        url: String,
        /// Write the answer into this new file, which nobody else may read
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
    /// Remove the account's webhook
    #[command(after_help = "Example:\n  stream-upload webhook delete")]
    Delete,
}

impl Verb for WebhookVerb {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        match self {
            Self::Get { out } => {
                let call = Call::new(Op::WebhookGet, NO_IDS, Show::Object);
                Ok(call.secret(Purpose::Answer, out))
            }
            Self::Set { url, out } => {
                let webhook = SetWebhook::new(input::url(&url, "the URL")?);
                Call::new(Op::WebhookSet, NO_IDS, Show::Object)
                    .secret(Purpose::Answer, out)
                    .done("set the account's webhook")
                    .json(&webhook)
            }
            Self::Delete => {
                let call = Call::new(Op::WebhookDelete, NO_IDS, Show::Quiet);
                Ok(call.done("removed the account's webhook"))
            }
        }
    }
}
