//! What was typed. Nothing here decides anything: `plan.rs` and the verbs say what it means.

mod put;
mod state;
mod video;

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueHint};

use super::api::{
    AudioVerb, CaptionVerb, ClipArgs, CopyArgs, DirectVerb, DownloadVerb, Group, KeyVerb,
    LiveInputVerb, OutputVerb, Single, TokenArgs, UsageArgs, VideoVerb, WatermarkVerb, WebhookVerb,
    describe,
};
use super::exit;
pub(crate) use put::{
    CountOrAuto, PutArgs, SelectionArgs, SizeOrAuto, TargetArgs, TransferArgs, UploadKind,
    VideoArgs, key_value,
};
pub(crate) use state::{StateArgs, StateCommand, StateListArgs, StatePruneArgs, StateShowArgs};
pub(crate) use video::{NewVideoArgs, deletion};

/// Resumable, parallel uploads to Cloudflare Stream and every tus server.
#[derive(Debug, Parser)]
#[command(
    name = "stream-upload",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(after_help = format!("\
Examples:
  stream-upload put --local clip.mp4       try it out: no account, no network
  stream-upload put footage/               a folder to your account
  stream-upload state list --unfinished    what can be resumed
  stream-upload explain 413                what a code means, and what to do

Exit codes: {}", exit::overview()))]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log to stderr what is done; -vv and -vvv say more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The whole command line, each verb with what it asks Stream's API for.
pub(crate) fn command() -> clap::Command {
    describe(Args::command())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Upload files and folders, resuming where an earlier run stopped
    Put(Box<PutArgs>),
    /// Let Stream fetch videos from URLs itself
    Copy(Box<Single<CopyArgs>>),
    /// Make one-time upload URLs for somebody without a token
    #[command(after_help = "\
Example:
  stream-upload direct create --tus --length 734003200 --max-video-duration 2h --out url.txt")]
    Direct(Group<DirectVerb>),
    /// List, show, change and delete the account's videos
    #[command(after_help = "\
Examples:
  stream-upload video list --status error
  stream-upload video get ea95132c15732412d22c1476fa83f27a
  stream-upload video edit ea95132c15732412d22c1476fa83f27a --name 'Day one'")]
    Video(Box<Group<VideoVerb>>),
    /// Cut a new video out of another
    Clip(Box<Single<ClipArgs>>),
    /// Captions of a video
    #[command(after_help = "\
Examples:
  stream-upload caption put VIDEO de subtitles.de.vtt
  stream-upload caption generate VIDEO en")]
    Caption(Group<CaptionVerb>),
    /// Further audio tracks of a video
    #[command(after_help = "\
Example:
  stream-upload audio add VIDEO --label Deutsch track.de.m4a")]
    Audio(Group<AudioVerb>),
    /// A video as a file for viewers
    #[command(after_help = "\
Example:
  stream-upload download create VIDEO")]
    Download(Group<DownloadVerb>),
    /// Pictures that are burnt into videos
    #[command(after_help = "\
Example:
  stream-upload watermark create logo.png --position lowerRight")]
    Watermark(Group<WatermarkVerb>),
    /// Make a token by which somebody may play a video that not everybody may
    Token(Box<Single<TokenArgs>>),
    /// Keys that tokens are signed with
    #[command(after_help = "\
Example:
  stream-upload key create --out stream-key.json")]
    Key(Group<KeyVerb>),
    /// Whom Stream tells when a video is ready, or has failed
    #[command(after_help = "\
Example:
  stream-upload webhook set https://media.example/stream-events --out webhook.json")]
    Webhook(Group<WebhookVerb>),
    /// Where broadcasts are sent to
    #[command(after_help = "\
Examples:
  stream-upload live-input create --name stage-1 --recording automatic --out stage-1.json
  stream-upload live-input rotate-keys LIVE_INPUT")]
    LiveInput(Group<LiveInputVerb>),
    /// Where a live input is sent on to
    #[command(after_help = "\
Example:
  stream-upload output create LIVE_INPUT --url rtmps://live.example/app --stream-key @key.txt")]
    Output(Group<OutputVerb>),
    /// Tell how many minutes are stored, and how many may be
    Usage(Single<UsageArgs>),
    /// Say what an exit code, an HTTP status or one of Stream's codes means, and what to do about it
    Explain(ExplainArgs),
    /// Show and tidy what is remembered of uploads
    State(StateArgs),
    /// Run the local emulator of Cloudflare Stream and tus in the foreground
    #[cfg(feature = "emulator")]
    Serve(ServeArgs),
    /// Print the completion script of a shell
    #[command(after_help = "\
Examples:
  stream-upload completions bash > /etc/bash_completion.d/stream-upload
  stream-upload completions zsh > ~/.zfunc/_stream-upload
  stream-upload completions fish > ~/.config/fish/completions/stream-upload.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page
    #[command(after_help = "\
Examples:
  stream-upload man | man -l -
  stream-upload man --dir /usr/local/share/man/man1")]
    Man {
        /// Write the page of the tool and one for each verb into this folder
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload explain 8                  an exit code
  stream-upload explain 409                an HTTP status
  stream-upload explain 10011              a code that Stream's API gives
  stream-upload explain ERR_NON_VIDEO      why a video ended in the state `error`
  stream-upload explain busy               a word of --json
  stream-upload explain                    all of them")]
pub(crate) struct ExplainArgs {
    /// A number or a word [default: all of them]
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "emulator")]
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Example:
  stream-upload serve --data ./stream &
  # It prints three export lines; with them set, every command talks to the emulator:
  stream-upload put clip.mp4

--faults FILE makes requests go wrong as its rows say. The first row refuses the third PATCH and the
two after it, the second breaks the body of another one after 1 MB:
  [{\"fault\": \"status\", \"status\": 503, \"retry_after_s\": 1, \"method\": \"PATCH\", \"skip\": 2, \"times\": 3},
   {\"fault\": \"cut_body\", \"after_bytes\": 1000000, \"method\": \"PATCH\"}]

Faults are cut_body, delay, drip, expire, half_answer, half_body, html, lose_answer, recede,
replace_answer, reset, stall_answer, stall_body, status and wrong_offset. What each takes, and how
a row chooses its requests, stands in the documentation of FaultPlan::from_json (stream-emulator).")]
pub(crate) struct ServeArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    pub(crate) listen: std::net::SocketAddr,
    /// Keep uploads and videos in this folder [default: in memory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data: Option<PathBuf>,
    /// Keep only lengths and digests: uploads of any size need no disk
    #[arg(long, conflicts_with = "data")]
    pub(crate) digest_only: bool,
    /// Take whatever is uploaded for a video; without this, what is none ends in error, as with Stream
    #[arg(long)]
    pub(crate) any_media: bool,
    /// Enforce what Cloudflare allows an account, N times smaller (x1: its own numbers): requests in five
    /// minutes, videos in the queue, minutes, the size of a video [default: only queue and size]
    #[arg(long, value_name = "xN", value_parser = limits)]
    pub(crate) limits: Option<u32>,
    /// Answer as Stream was seen to answer where no description has it so: numbers as texts, null lists,
    /// missing and unknown fields
    #[arg(long)]
    pub(crate) quirks: bool,
    /// Let requests go wrong as the rows of this JSON file say; see the example below
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) faults: Option<PathBuf>,
}

/// `x20`, or `20`.
#[cfg(feature = "emulator")]
fn limits(text: &str) -> Result<u32, String> {
    let times = text.strip_prefix('x').unwrap_or(text).parse().ok();
    let times = times.filter(|times| (1..=1_000_000).contains(times));
    times.ok_or_else(|| "must be x1 to x1000000, such as x20".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_verb_shows_examples() {
        fn look(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|help| help.contains("Example")),
                "{} has none",
                command.get_name()
            );
            command.get_subcommands().for_each(look);
        }
        look(&command());
    }
}
