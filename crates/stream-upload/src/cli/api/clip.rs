//! `clip`: a video made of a part of another.

use std::time::Duration;

use clap::Args as ClapArgs;
use stream_api::op::clip::NewClip;
use stream_api::{Op, StreamClient};

use super::call::{Call, Verb};
use super::show::Show;
use super::video::{NO_IDS, out_of_bounds};
use crate::cli::args::NewVideoArgs;
use crate::cli::exit::CliError;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload clip ea95132c15732412d22c1476fa83f27a --from 1m30s --to 2m --name 'The goal'
  stream-upload clip --json VIDEO --from 0s --to 10s | jq -r .uid

The clip has an id of its own, and is encoded like any new video.")]
pub(crate) struct ClipArgs {
    /// The video to cut from
    #[arg(value_name = "VIDEO")]
    id: String,
    /// Where the clip begins, in whole seconds, such as 90s or 1m30s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    from: Duration,
    /// Where it ends
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    to: Duration,
    #[command(flatten)]
    video: NewVideoArgs,
}

impl Verb for ClipArgs {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        let mut clip = NewClip::new(self.id, seconds(self.from)?, seconds(self.to)?);
        clip.video = self.video.video()?;
        clip.check(std::time::SystemTime::now())
            .map_err(out_of_bounds)?;
        Call::new(
            Op::ClipCreate,
            NO_IDS,
            Show::Texts(&["/uid", "/clippedFrom"]),
        )
        .json(&clip)
    }
}

fn seconds(at: Duration) -> Result<u32, CliError> {
    match (u32::try_from(at.as_secs()), at.subsec_nanos()) {
        (Ok(seconds), 0) => Ok(seconds),
        _ => Err(CliError::usage("clips begin and end at whole seconds")),
    }
}
