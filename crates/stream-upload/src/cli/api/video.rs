//! `video`: what is in the account.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum, ValueHint};
use jiff::Timestamp;
use stream_api::bounds::FORM_FILE_BYTES;
use stream_api::{
    ListVideos, Op, ScheduledDeletion, StreamClient, VideoEdit, VideoState, VideoType,
};

use super::call::{Call, Verb};
use super::fail::failed;
use super::file::FileForm;
use super::input;
use super::new_video::deletion_time;
use super::show::{Column, Show};
use super::usage::UsageArgs;
use crate::cli::args::key_value;
use crate::cli::exit::CliError;

const COLUMNS: &[Column] = &[
    ("ID", "/uid"),
    ("STATE", "/status/state"),
    ("SECONDS", "/duration"),
    ("BYTES", "/size"),
    ("CREATED", "/created"),
    ("CREATOR", "/creator"),
    ("NAME", "/meta/name"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum VideoVerb {
    /// List videos, newest first
    List(Box<ListArgs>),
    /// Show all that is known of one video
    #[command(after_help = "\
Examples:
  stream-upload video get ea95132c15732412d22c1476fa83f27a
  stream-upload video get --json ea95132c15732412d22c1476fa83f27a | jq -r .playback.hls")]
    Get {
        /// The video's id
        #[arg(value_name = "VIDEO")]
        id: String,
    },
    /// Upload one small file in a form. `put` resumes, takes any size and many files: prefer it
    #[command(after_help = "\
Example:
  stream-upload video upload intro.mp4     below 200 MB; a broken connection begins anew")]
    Upload {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Change settings of one video; what is not named stays as it is
    Edit(Box<EditArgs>),
    /// Delete one video, for good
    #[command(after_help = "\
Examples:
  stream-upload video delete ea95132c15732412d22c1476fa83f27a
  stream-upload video list --json --creator trial | jq -r '.[].uid' | xargs -n1 stream-upload video delete")]
    Delete {
        /// The video's id
        #[arg(value_name = "VIDEO")]
        id: String,
    },
    /// Print the HTML that embeds a video in a page
    #[command(after_help = "\
Example:
  stream-upload video embed ea95132c15732412d22c1476fa83f27a > player.html")]
    Embed {
        /// The video's id
        #[arg(value_name = "VIDEO")]
        id: String,
    },
    /// Tell how much is stored; the same as `usage`
    Storage(UsageArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload video list
  stream-upload video list --status error --after 2026-11-01T00:00:00Z
  stream-upload video list --all --json | jq -r '.[].uid'

One answer has 1,000 videos at most; --all asks until there are no more.")]
pub(crate) struct ListArgs {
    /// Created at this time or later
    #[arg(long, value_name = "TIME")]
    after: Option<Timestamp>,
    /// Created before this time
    #[arg(long, value_name = "TIME")]
    before: Option<Timestamp>,
    /// Oldest first
    #[arg(long)]
    asc: bool,
    /// Only of this creator
    #[arg(long)]
    creator: Option<String>,
    /// Only with one of these ids
    #[arg(long = "id", value_name = "VIDEO")]
    ids: Vec<String>,
    /// Only with one of these names or ids
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Only with this in the name; the index follows uploads slowly
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only in this state
    #[arg(long, value_name = "STATE", value_parser = ["pendingupload", "downloading", "queued", "inprogress", "ready", "error", "live-inprogress"])]
    status: Option<String>,
    /// Only recorded from this live input
    #[arg(long, value_name = "LIVE_INPUT")]
    live_input: Option<String>,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<Kind>,
    /// Only with exactly this name
    #[arg(long, value_name = "NAME")]
    exact_name: Option<String>,
    /// Videos at most, 1 to 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: Option<u32>,
    /// All there are, however many answers that takes
    #[arg(long, conflicts_with_all = ["limit", "asc"])]
    all: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Recorded from a broadcast
    Live,
    /// Uploaded
    Vod,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload video edit VIDEO --name 'Day one' --meta reel=7
  stream-upload video edit VIDEO --require-signed-urls --allowed-origin example.com
  stream-upload video edit VIDEO --scheduled-deletion never

Stream replaces all metadata at once. So the entries that are there are read first and kept, unless
--replace-meta is given.")]
pub(crate) struct EditArgs {
    /// The video's id
    #[arg(value_name = "VIDEO")]
    id: String,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// Metadata to add or to change
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    meta: Vec<(String, String)>,
    /// Drop the metadata that is not named
    #[arg(long)]
    replace_meta: bool,
    /// Who made it
    #[arg(long)]
    creator: Option<String>,
    /// Play it with signed URLs only, or by its id alone
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    require_signed_urls: Option<bool>,
    /// A host that may play it; with any, those that were allowed before no longer may
    #[arg(
        long = "allowed-origin",
        value_name = "HOST",
        conflicts_with = "any_origin"
    )]
    allowed_origins: Vec<String>,
    /// Let any host play it
    #[arg(long)]
    any_origin: bool,
    /// Where its thumbnail is taken: 0 is its beginning, 1 its end
    #[arg(long, value_name = "0..1")]
    thumbnail_pct: Option<f64>,
    /// When it is deleted: a time such as 2027-01-31T00:00:00Z, +90d from now, or never
    #[arg(long, value_name = "TIME|never")]
    scheduled_deletion: Option<String>,
    /// The longest video that is accepted, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    max_video_duration: Option<Duration>,
    /// When its upload URL expires
    #[arg(long, value_name = "TIME")]
    expiry: Option<Timestamp>,
    /// The title that the page which plays it shows
    #[arg(long, value_name = "TEXT")]
    public_title: Option<String>,
    /// Where that page sends whoever shares it
    #[arg(long, value_name = "URL")]
    public_share_link: Option<String>,
    /// Where that page finds a channel
    #[arg(long, value_name = "URL")]
    public_channel_link: Option<String>,
    /// The logo on that page
    #[arg(long, value_name = "URL")]
    public_logo: Option<String>,
}

impl Verb for VideoVerb {
    async fn call(self, client: &StreamClient) -> Result<Call, CliError> {
        match self {
            Self::List(args) => args.call(),
            Self::Get { id } => Ok(Call::new(Op::VideosGet, [id], Show::Object)),
            Self::Upload { file } => {
                let form = FileForm::of(&file, "application/octet-stream", FORM_FILE_BYTES - 1);
                let form = form.await?;
                let show = Show::Texts(&["/uid", "/meta/name"]);
                Ok(Call::new(Op::VideosCreateForm, NO_IDS, show).form(form))
            }
            Self::Edit(args) => args.call(client).await,
            Self::Delete { id } => {
                let done = format!("deleted video {id}");
                Ok(Call::new(Op::VideosDelete, [id], Show::Quiet).done(done))
            }
            Self::Embed { id } => Ok(Call::new(Op::EmbedGet, [id], Show::Whole)),
            Self::Storage(args) => args.call(client).await,
        }
    }
}

/// An operation on the account itself.
pub(super) const NO_IDS: [&str; 0] = [];

impl ListArgs {
    fn call(self) -> Result<Call, CliError> {
        let mut filter = ListVideos::default();
        filter.after = self.after.map(input::time);
        filter.before = self.before.map(input::time);
        filter.asc = self.asc;
        filter.creator = self.creator;
        filter.ids = self.ids;
        filter.names = self.names;
        filter.search = self.search;
        filter.status = self.status.map(VideoState::from);
        filter.live_input_id = self.live_input;
        filter.video_name = self.exact_name;
        filter.limit = self.limit;
        filter.video_type = self.kind.map(|kind| match kind {
            Kind::Live => VideoType::Live,
            Kind::Vod => VideoType::Vod,
        });
        filter.check().map_err(out_of_bounds)?;
        let call = Call::new(Op::VideosList, NO_IDS, Show::List("", COLUMNS)).query(filter.query());
        Ok(if self.all { call.all_pages() } else { call })
    }
}

impl EditArgs {
    async fn call(self, client: &StreamClient) -> Result<Call, CliError> {
        let mut edit = VideoEdit::default();
        edit.creator = self.creator;
        edit.require_signed_urls = self.require_signed_urls;
        if self.any_origin || !self.allowed_origins.is_empty() {
            edit.allowed_origins = Some(self.allowed_origins);
        }
        edit.thumbnail_timestamp_pct = self.thumbnail_pct;
        edit.scheduled_deletion = match self.scheduled_deletion.as_deref() {
            None => None,
            Some("never") => Some(ScheduledDeletion::Never),
            Some(text) => Some(ScheduledDeletion::At(deletion_time(text)?)),
        };
        edit.max_duration_seconds = self
            .max_video_duration
            .map(|longest| i64::try_from(longest.as_secs()).unwrap_or(i64::MAX));
        edit.upload_expiry = self.expiry.map(input::time);
        let public = [
            &self.public_title,
            &self.public_share_link,
            &self.public_channel_link,
            &self.public_logo,
        ];
        if public.iter().any(|text| text.is_some()) {
            let details = edit.public_details.get_or_insert_default();
            details.title = self.public_title;
            details.share_link = self.public_share_link;
            details.channel_link = self.public_channel_link;
            details.logo = self.public_logo;
        }
        let entries = input::meta(self.name, self.meta);
        if self.replace_meta {
            edit.meta = Some(entries);
        } else if !entries.is_empty() {
            let video = client.video(&self.id).await;
            let video = video.map_err(|error| failed(Op::VideosEdit, &error))?;
            let mut meta = video.meta.unwrap_or_default();
            meta.extend(entries);
            edit.meta = Some(meta);
        }
        if edit.is_empty() {
            return Err(CliError::usage("there is nothing to change")
                .hint("name a setting; see `stream-upload video edit --help`"));
        }
        edit.check().map_err(out_of_bounds)?;
        let done = format!("changed video {}", self.id);
        let call = Call::new(Op::VideosEdit, [self.id], Show::Object).done(done);
        call.json(&edit)
    }
}

/// A value that Stream would refuse.
pub(super) fn out_of_bounds(error: stream_api::OutOfBounds) -> CliError {
    CliError::usage(error.to_string())
}
