//! `audio`: further audio tracks of a video.

use clap::{Subcommand, ValueHint};
use stream_api::bounds::FORM_FILE_BYTES;
use stream_api::op::audio::{AudioEdit, NewAudioTrack};
use stream_api::{Op, StreamClient};

use super::call::{Call, Verb};
use super::file::FileForm;
use super::input;
use super::show::{Column, Show};
use super::video::out_of_bounds;
use crate::cli::exit::CliError;

const COLUMNS: &[Column] = &[
    ("ID", "/uid"),
    ("STATUS", "/status"),
    ("DEFAULT", "/default"),
    ("LABEL", "/label"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum AudioVerb {
    /// List the further audio tracks of a video
    #[command(after_help = "Example:\n  stream-upload audio list VIDEO")]
    List {
        /// The video's id
        video: String,
    },
    /// Add an audio track from a file, up to 200 MB, or from a URL that Stream fetches
    #[command(after_help = "\
Examples:
  stream-upload audio add VIDEO --label Deutsch track.de.m4a
  stream-upload audio add VIDEO --label Deutsch https://media.example/track.de.m4a
  stream-upload audio add VIDEO --label Deutsch --from-url @presigned.txt    a URL that is a secret")]
    Add {
        /// The video's id
        video: String,
        /// What players call it
        #[arg(long)]
        label: String,
        /// The file, or an http or https URL
        #[arg(value_name = "FILE|URL", value_hint = ValueHint::FilePath, required_unless_present = "from_url")]
        source: Option<String>,
        /// A URL, @FILE that holds it, or - for stdin
        #[arg(long, value_name = "URL|@FILE|-", conflicts_with = "source")]
        from_url: Option<String>,
    },
    /// Change an audio track's label, or make it the default
    #[command(after_help = "\
Examples:
  stream-upload audio edit VIDEO TRACK --label 'Deutsch (Kommentar)'
  stream-upload audio edit VIDEO TRACK --default")]
    Edit {
        /// The video's id
        video: String,
        /// The track's id, as `list` shows it
        track: String,
        /// What players call it
        #[arg(long)]
        label: Option<String>,
        /// Whether players begin with it
        #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        default: Option<bool>,
    },
    /// Delete an audio track that is not the default
    #[command(after_help = "Example:\n  stream-upload audio delete VIDEO TRACK")]
    Delete {
        /// The video's id
        video: String,
        /// The track's id, as `list` shows it
        track: String,
    },
}

impl Verb for AudioVerb {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        match self {
            Self::List { video } => Ok(Call::new(
                Op::AudioTracksList,
                [video],
                Show::List("/audio", COLUMNS),
            )),
            Self::Add {
                video,
                label,
                source,
                from_url,
            } => add(video, label, source, from_url).await,
            Self::Edit {
                video,
                track,
                label,
                default,
            } => {
                let mut edit = AudioEdit::default();
                edit.label = label;
                edit.default = default;
                if edit == AudioEdit::default() {
                    return Err(CliError::usage("there is nothing to change")
                        .hint("give --label or --default"));
                }
                edit.check().map_err(out_of_bounds)?;
                let done = format!("changed audio track {track} of video {video}");
                let call = Call::new(Op::AudioTracksEdit, [video, track], Show::Object);
                call.done(done).json(&edit)
            }
            Self::Delete { video, track } => {
                let done = format!("deleted audio track {track} of video {video}");
                Ok(Call::new(Op::AudioTracksDelete, [video, track], Show::Quiet).done(done))
            }
        }
    }
}

async fn add(
    video: String,
    label: String,
    source: Option<String>,
    from_url: Option<String>,
) -> Result<Call, CliError> {
    let url = match (&source, &from_url) {
        (_, Some(given)) => Some(input::url(given, "--from-url")?),
        (Some(source), None) if input::is_url(source) => Some(input::url(source, "the URL")?),
        _ => None,
    };
    let show = Show::Object;
    if let Some(url) = url {
        let track = NewAudioTrack::new(label, url).map_err(out_of_bounds)?;
        return Call::new(Op::AudioTracksCopy, [video], show).json(&track);
    }
    let source = source.unwrap_or_default();
    let form = FileForm::of(source.as_ref(), "application/octet-stream", FORM_FILE_BYTES).await?;
    let form = form.text("label", label);
    Ok(Call::new(Op::AudioTracksCreate, [video], show).form(form))
}
