//! `direct`: a URL by which somebody without a token uploads one video, once.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args as ClapArgs, Subcommand, ValueHint};
use jiff::Timestamp;
use stream_api::op::direct_upload::NewDirectUpload;
use stream_api::op::tus_upload::NewTusUpload;
use stream_api::{Op, StreamClient};

use super::call::{Call, Purpose, Verb};
use super::input;
use super::show::Show;
use super::video::{NO_IDS, out_of_bounds};
use crate::cli::args::NewVideoArgs;
use crate::cli::console::Console;
use crate::cli::exit::CliError;

#[derive(Debug, Subcommand)]
pub(crate) enum DirectVerb {
    /// Make a one-time upload URL
    Create(Box<CreateArgs>),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload direct create --tus --length 734003200 --max-video-duration 2h --out url.txt
  stream-upload put --upload-url @url.txt talk.mp4          whoever has the URL needs no token
  stream-upload direct create --basic --max-video-duration 10m --expiry +1h
  stream-upload direct create --json --basic --max-video-duration 10m | jq -r .uploadURL

Prints the video's id and the URL, with a tab between. A tus URL resumes and takes any size; a basic
one takes one form below 200 MB.")]
pub(crate) struct CreateArgs {
    /// For tus: it can be resumed. The length of the file must be known
    #[arg(long, required_unless_present = "basic", requires = "length")]
    tus: bool,
    /// For one form below 200 MB, as a browser sends it
    #[arg(long, conflicts_with_all = ["tus", "length"])]
    basic: bool,
    /// Bytes of the file that will be uploaded by tus
    #[arg(long, value_name = "BYTES")]
    length: Option<u64>,
    /// The longest video that is accepted, such as 2h; reserves that much storage until the upload ends
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, required_if_eq("basic", "true"))]
    max_video_duration: Option<Duration>,
    /// Until when the URL works: a time, or +2h from now [default: a day for --tus, 30 minutes for --basic]
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expiry: Option<SystemTime>,
    /// Write the URL into this new file, which nobody else may read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    #[command(flatten)]
    video: NewVideoArgs,
}

fn expiry(text: &str) -> Result<SystemTime, String> {
    let wanted = || "a time such as 2027-01-31T00:00:00Z, or +2h, is wanted".to_owned();
    match text.strip_prefix('+') {
        Some(after) => humantime::parse_duration(after)
            .ok()
            .and_then(|after| SystemTime::now().checked_add(after))
            .ok_or_else(wanted),
        None => text
            .parse::<Timestamp>()
            .map(input::time)
            .map_err(|_| wanted()),
    }
}

impl Verb for DirectVerb {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        let Self::Create(args) = self;
        args.call()
    }
}

impl CreateArgs {
    fn call(self) -> Result<Call, CliError> {
        let now = SystemTime::now();
        let longest = self
            .max_video_duration
            .map(|longest| u32::try_from(longest.as_secs()).unwrap_or(u32::MAX));
        let (show, purpose) = (
            Show::Texts(&["/uid", "/uploadURL"]),
            Purpose::Text("/uploadURL"),
        );
        let video = self.video.video()?;
        if self.basic {
            let mut upload = NewDirectUpload::new(longest.unwrap_or_default());
            upload.expiry = self.expiry;
            upload.video = video;
            upload.check(now).map_err(out_of_bounds)?;
            return Call::new(Op::DirectUploadCreate, NO_IDS, show)
                .secret(purpose, self.out)
                .json(&upload);
        }
        if longest.is_none() {
            Console::new().note(
                "warning: without --max-video-duration, Stream reserves four hours of the account's storage until the upload ends, if it does not refuse",
            );
        }
        let mut upload = NewTusUpload::new(self.length.unwrap_or_default());
        upload.direct_user = true;
        upload.max_duration_seconds = longest;
        upload.expiry = self.expiry;
        upload.video = video;
        upload.check(now).map_err(out_of_bounds)?;
        Ok(Call::new(Op::VideosCreateTus, NO_IDS, show)
            .secret(purpose, self.out)
            .tus(upload))
    }
}
