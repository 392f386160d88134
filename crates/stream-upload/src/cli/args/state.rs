//! `state`: which records, and how they are shown.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueHint};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload state list --unfinished
  stream-upload state show footage/day1.mov
  stream-upload state prune --older-than 30d --dry-run")]
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
    /// Forget failed uploads and leftovers, and old unfinished uploads if asked to
    Prune(StatePruneArgs),
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
  stream-upload state show 3ffe54f9
  stream-upload state show --json footage/day1.mov")]
pub(crate) struct StateShowArgs {
    /// A source, or the beginning of a fingerprint that `list` shows
    #[arg(value_name = "SOURCE|FINGERPRINT", value_hint = ValueHint::AnyPath)]
    pub(crate) which: String,
    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload state prune --dry-run
  stream-upload state prune --older-than 30d
  stream-upload state prune --forget footage/day1.mov

Failed uploads and leftover files always go. What is finished stays, however old it is: by it the
next run knows that nothing has to be sent. Uploads that are running are left alone.")]
pub(crate) struct StatePruneArgs {
    /// Also unfinished uploads that did not change for so long, such as 30d; what the server has of them stays there
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) older_than: Option<Duration>,
    /// Also what is remembered of this source or fingerprint, even if it is finished: it would be uploaded again
    #[arg(long, value_name = "SOURCE|FINGERPRINT", value_hint = ValueHint::AnyPath)]
    pub(crate) forget: Vec<String>,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}
