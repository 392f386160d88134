//! `usage`: how much is stored.

use clap::Args as ClapArgs;
use stream_api::{Op, StreamClient};

use super::call::{Call, Verb};
use super::show::Show;
use super::video::NO_IDS;
use crate::cli::exit::CliError;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload usage
  stream-upload usage --creator alice
  stream-upload usage --json | jq '.totalStorageMinutes / .totalStorageMinutesLimit'")]
pub(crate) struct UsageArgs {
    /// Only what this creator's videos take
    #[arg(long)]
    creator: Option<String>,
}

impl Verb for UsageArgs {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        let query = self.creator.map(|creator| ("creator", creator));
        let call = Call::new(Op::VideosStorageUsage, NO_IDS, Show::Object);
        Ok(call.query(query.into_iter().collect()))
    }
}
