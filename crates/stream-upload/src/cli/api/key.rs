//! `key`: what tokens are signed with.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};
use serde_json::json;
use stream_api::{Op, StreamClient};

use super::call::{Call, Purpose, Verb};
use super::show::{Column, Show};
use super::video::NO_IDS;
use crate::cli::exit::CliError;

const COLUMNS: &[Column] = &[("ID", "/id"), ("CREATED", "/created")];

#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// List signing keys, without their secrets
    #[command(after_help = "Example:\n  stream-upload key list")]
    List,
    /// Make a signing key. Its secret is answered this once, and never again
    #[command(after_help = "\
Examples:
  stream-upload key create --out stream-key.json      for you alone to read
  stream-upload key create --json | vault kv put secret/stream-key -
  stream-upload token VIDEO --key-file stream-key.json")]
    Create {
        /// Write the answer into this new file, which nobody else may read
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
    /// Revoke a signing key, and every token that was signed with it
    #[command(after_help = "Example:\n  stream-upload key delete KEY")]
    Delete {
        /// The key's id, as `list` shows it
        #[arg(value_name = "KEY")]
        id: String,
    },
}

impl Verb for KeyVerb {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        match self {
            Self::List => Ok(Call::new(Op::KeysList, NO_IDS, Show::List("", COLUMNS))),
            Self::Create { out } => Call::new(Op::KeysCreate, NO_IDS, Show::Object)
                .secret(Purpose::Answer, out)
                .json(&json!({})),
            Self::Delete { id } => {
                let done = format!("revoked key {id}, and every token signed with it");
                Ok(Call::new(Op::KeysDelete, [id], Show::Quiet).done(done))
            }
        }
    }
}
