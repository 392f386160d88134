//! `download`: a video as a file for viewers.

use clap::{Subcommand, ValueEnum};
use stream_api::op::downloads::DownloadType;
use stream_api::{Op, StreamClient};

use super::call::{Call, Verb};
use super::show::Show;
use crate::cli::exit::CliError;

#[derive(Debug, Subcommand)]
pub(crate) enum DownloadVerb {
    /// Show the downloads of a video: how far they are, and their URLs
    #[command(after_help = "\
Example:
  stream-upload download list --json VIDEO | jq -r .default.url")]
    List {
        /// The video's id
        video: String,
    },
    /// Have a download made, and show how far it is
    #[command(after_help = "\
Examples:
  stream-upload download create VIDEO                  an MP4
  stream-upload download create VIDEO --type audio     the sound alone")]
    Create {
        /// The video's id
        video: String,
        /// What is in it [default: picture and sound]
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<Kind>,
    },
    /// Delete a download; the video stays
    #[command(after_help = "\
Examples:
  stream-upload download delete VIDEO
  stream-upload download delete VIDEO --type audio")]
    Delete {
        /// The video's id
        video: String,
        /// Which one [default: picture and sound]
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<Kind>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// Picture and sound
    Default,
    /// Sound alone
    Audio,
}

impl Kind {
    fn on_the_wire(self) -> String {
        match self {
            Self::Default => DownloadType::Default,
            Self::Audio => DownloadType::Audio,
        }
        .to_string()
    }
}

impl Verb for DownloadVerb {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        Ok(match self {
            Self::List { video } => Call::new(Op::DownloadsList, [video], Show::Object),
            Self::Create { video, kind: None } => {
                Call::new(Op::DownloadsCreate, [video], Show::Object)
            }
            Self::Create {
                video,
                kind: Some(kind),
            } => {
                let ids = [video, kind.on_the_wire()];
                Call::new(Op::DownloadsCreateType, ids, Show::Object)
            }
            Self::Delete { video, kind: None } => {
                let done = format!("deleted the download of video {video}");
                Call::new(Op::DownloadsDelete, [video], Show::Quiet).done(done)
            }
            Self::Delete {
                video,
                kind: Some(kind),
            } => {
                let kind = kind.on_the_wire();
                let done = format!("deleted the {kind} download of video {video}");
                Call::new(Op::DownloadsDeleteType, [video, kind], Show::Quiet).done(done)
            }
        })
    }
}
