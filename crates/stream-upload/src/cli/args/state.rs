//! `state`: which records, and how they are shown.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueHint};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload state list --unfinished
  stream-upload state show footage/day1.mov")]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
    /// Where resume state is kept [default: the platform's state folder]
    #[arg(long, global = true, value_name = "DIR", env = "STREAM_UPLOAD_STATE_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// List the uploads that are remembered
    List(StateListArgs),
    /// Show all that is remembered of one upload, but for secrets
    Show(StateShowArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload state list
  stream-upload state list --unfinished
  stream-upload state list --json | jq -r 'select(.stale != null) | .source'")]
pub(crate) struct StateListArgs {
    /// Only what can be gone on with
    #[arg(long)]
    pub(crate) unfinished: bool,
    /// Only what the server has all bytes of
    #[arg(long)]
    pub(crate) finished: bool,
    /// Only what was given up for good
    #[arg(long)]
    pub(crate) failed: bool,
    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload state show footage/day1.mov
  stream-upload state show 3f9a2c
  stream-upload state show --json footage/day1.mov")]
pub(crate) struct StateShowArgs {
    /// A source, or the beginning of a fingerprint that `list` shows
    #[arg(value_name = "SOURCE|FINGERPRINT", value_hint = ValueHint::AnyPath)]
    pub(crate) which: String,
    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}
