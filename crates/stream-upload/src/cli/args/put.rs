//! `put`: sources, where they go, and how.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args as ClapArgs, ValueEnum, ValueHint};
use tus_core::{ChecksumAlgorithm, ChecksumWish};

use super::video::NewVideoArgs;
use crate::cli::asking::share;
use crate::cli::waiting::WaitArgs;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload put --local clip.mp4                      to an emulator inside this process
  CLOUDFLARE_ACCOUNT_ID=… CLOUDFLARE_API_TOKEN=… \\
    stream-upload put --require-signed-urls footage/      a folder to your account
  stream-upload put --endpoint https://tus.example/files/ --header @secret.txt a.mov b.mov
  stream-upload put --upload-url @url.txt clip.mp4        to a one-time URL, without a token
  ffmpeg -i in.mov -f matroska - | stream-upload put --name live.mkv -
  stream-upload put --json footage/ | jq -r 'select(.event==\"finished\") | .media_id'

Interrupted? Run the same command again: it goes on where the server stands.")]
pub(crate) struct PutArgs {
    /// Files, folders (searched for videos), or - for stdin
    #[arg(required = true, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) sources: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) video: VideoArgs,
    #[command(flatten)]
    pub(crate) transfer: TransferArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) stdin: StdinArgs,
    /// Print JSON lines to stdout instead of ids, with all events
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Where it goes")]
pub(crate) struct TargetArgs {
    /// To an emulator that runs inside this process; needs no account
    #[cfg(feature = "emulator")]
    #[arg(long, conflicts_with_all = ["endpoint", "upload_url"])]
    pub(crate) local: bool,
    /// Where --local keeps its videos [default: the platform's state folder]
    #[cfg(feature = "emulator")]
    #[arg(long, value_name = "DIR", requires = "local", value_hint = ValueHint::DirPath)]
    pub(crate) data: Option<PathBuf>,
    /// To the tus server with this creation URL
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// To this one-time URL, which somebody made for one source: the URL, @FILE that holds it, or - for stdin (both keep the secret off the process list)
    #[arg(long, value_name = "URL|@FILE|-", conflicts_with_all = ["endpoint", "token_file", "token_stdin", "auth_hosts"])]
    pub(crate) upload_url: Option<String>,
    /// What the one-time URL takes [default: told apart by its shape, then by asking it]
    #[arg(long, value_name = "KIND", requires = "upload_url")]
    pub(crate) upload_kind: Option<UploadKind>,
    /// The id of the video that the one-time URL belongs to, if it was told along with it
    #[arg(long, value_name = "UID", requires = "upload_url")]
    pub(crate) media_id: Option<String>,
    /// A header for the endpoint's origin: 'Name: value', or @FILE with one per line, which nobody else may read (keeps secrets off the process list)
    #[arg(long = "header", value_name = "HEADER", requires = "endpoint")]
    pub(crate) headers: Vec<String>,
    /// Send credentials to this https host too
    #[arg(long = "auth-host", value_name = "HOST")]
    pub(crate) auth_hosts: Vec<String>,
    /// The Cloudflare account
    #[arg(long, value_name = "ID", env = "CLOUDFLARE_ACCOUNT_ID")]
    pub(crate) account_id: Option<String>,
    /// Read the API token from this file, which nobody else may read
    #[arg(long, value_name = "FILE", conflicts_with = "token_stdin", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// Read the API token from stdin
    #[arg(long)]
    pub(crate) token_stdin: bool,
    /// Trust the certificate authorities in this PEM file too, beside those of the system
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Another API base, such as an emulator's; its token comes from STREAM_API_TOKEN
    #[arg(long, value_name = "URL", env = "STREAM_API_URL")]
    pub(crate) api_url: Option<String>,
    /// How much of the API's limit all commands on this machine may use together; the rest is for other tools [default: 0.5]
    #[arg(long, value_name = "0..1", env = "STREAM_UPLOAD_API_SHARE", value_parser = share)]
    pub(crate) api_share: Option<f64>,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "The video")]
pub(crate) struct VideoArgs {
    #[command(flatten)]
    pub(crate) new: NewVideoArgs,
    /// The longest video that is accepted, such as 2h; reserves that much storage
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) max_video_duration: Option<Duration>,
    /// When the upload URL expires, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) expiry: Option<jiff::Timestamp>,
    /// What the source is known as from run to run, so that it may move [default: its path]
    #[arg(long)]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) waiting: WaitArgs,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "The transfer")]
pub(crate) struct TransferArgs {
    /// Bytes per PATCH, such as 50MiB; auto begins with what the server prefers, and grows while pauses cost time
    #[arg(long, value_name = "SIZE|auto", default_value = "auto", value_parser = size_or_auto)]
    pub(crate) chunk_size: SizeOrAuto,
    /// Files at once; auto begins with 4, and has more of them while they bring more, up to 32
    #[arg(long, alias = "transfers", value_name = "N|auto", default_value = "auto", value_parser = count_or_auto)]
    pub(crate) parallel: CountOrAuto,
    /// Connections for one file, where the server joins partial uploads; auto measures whether more than one pay
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = count_or_auto)]
    pub(crate) parts: CountOrAuto,
    /// Send no faster: a rate such as 2MB (per second, over all connections), a timetable in local time such as '08:00,2MB 19:00,off' (days may be named: 'Sat-08:00,off'), or @FILE that holds one and is read again on SIGHUP [default: off]
    #[arg(long, value_name = "RATE|TIMETABLE|@FILE")]
    pub(crate) bwlimit: Option<String>,
    /// Protect each PATCH with a digest: auto takes what the server offers, none takes none, a name such as sha256 is required
    #[arg(long, value_name = "auto|none|NAME", default_value = "auto", value_parser = checksum)]
    pub(crate) checksum: ChecksumWish,
    /// Time without a confirmed byte after which a file is given up, resumably
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) patience: Duration,
    /// Refusals in a row after which a file is given up, resumably
    #[arg(long, value_name = "N", default_value_t = tus_core::RetryPolicy::DEFAULT.max_refusals)]
    pub(crate) retries: u32,
    /// Reconnect when no byte was accepted for so long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) stall_timeout: Duration,
    /// Begin anew: an unfinished upload is terminated first, a finished one is not doubled
    #[arg(long)]
    pub(crate) no_resume: bool,
    /// With --no-resume: send even what is uploaded already, a second time
    #[arg(long, requires = "no_resume")]
    pub(crate) force_new: bool,
    /// Where resume state is kept [default: the platform's state folder]
    #[arg(long, value_name = "DIR", env = "STREAM_UPLOAD_STATE_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Stdin")]
pub(crate) struct StdinArgs {
    /// How many bytes stdin has. Without it, and where the server needs to know, stdin is first read into a private file
    #[arg(long, value_name = "BYTES")]
    pub(crate) length: Option<u64>,
    /// The largest such file
    #[arg(long, value_name = "SIZE", default_value = "30GB")]
    pub(crate) spool_limit: ByteSize,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Which files of a folder")]
pub(crate) struct SelectionArgs {
    /// Only files that match, such as '*.mov' or 'day1/**' [default: files named like videos]
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// No files that match
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// No smaller files
    #[arg(long, value_name = "SIZE")]
    pub(crate) min_size: Option<ByteSize>,
    /// No larger files
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<ByteSize>,
}

/// What a one-time URL takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UploadKind {
    /// One form, below 200 MB
    Basic,
    /// tus, which resumes
    Tus,
}

/// A number, or whatever is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountOrAuto {
    Auto,
    Count(usize),
}

/// A size in bytes, or whatever is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SizeOrAuto {
    Auto,
    Bytes(u64),
}

fn size_or_auto(text: &str) -> Result<SizeOrAuto, String> {
    match text {
        "auto" => Ok(SizeOrAuto::Auto),
        size => size
            .parse::<ByteSize>()
            .map(|size| SizeOrAuto::Bytes(size.as_u64())),
    }
}

fn count_or_auto(text: &str) -> Result<CountOrAuto, String> {
    match text {
        "auto" => Ok(CountOrAuto::Auto),
        count => match count.parse() {
            Ok(count @ 1..=256) => Ok(CountOrAuto::Count(count)),
            _ => Err("a number from 1 to 256, or auto".into()),
        },
    }
}

fn checksum(text: &str) -> Result<ChecksumWish, String> {
    match text {
        "auto" => Ok(ChecksumWish::Offered),
        "none" => Ok(ChecksumWish::Never),
        name => match name.parse::<ChecksumAlgorithm>() {
            Ok(algorithm) => Ok(ChecksumWish::Required(algorithm)),
            Err(_) => Err(format!(
                "auto, none or one of {}",
                ChecksumAlgorithm::ALL
                    .map(ChecksumAlgorithm::name)
                    .join(", ")
            )),
        },
    }
}

pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is wanted")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_usual_form() {
        assert_eq!(size_or_auto("52428800"), Ok(SizeOrAuto::Bytes(52_428_800)));
        assert_eq!(size_or_auto("50MiB"), Ok(SizeOrAuto::Bytes(52_428_800)));
        assert_eq!(size_or_auto("50MB"), Ok(SizeOrAuto::Bytes(50_000_000)));
        assert_eq!(size_or_auto("auto"), Ok(SizeOrAuto::Auto));
        assert!(size_or_auto("much").is_err());
    }
}
