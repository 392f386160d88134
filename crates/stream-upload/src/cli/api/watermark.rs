//! `watermark`: pictures that are burnt into videos.

use clap::{Args as ClapArgs, Subcommand, ValueHint};
use stream_api::bounds::WATERMARK_BYTES;
use stream_api::op::watermarks::{NewWatermark, Position, WatermarkSettings};
use stream_api::{Op, StreamClient};

use super::call::{Call, Verb};
use super::file::FileForm;
use super::input;
use super::show::{Column, Show};
use super::video::{NO_IDS, out_of_bounds};
use crate::cli::exit::CliError;

const COLUMNS: &[Column] = &[
    ("ID", "/uid"),
    ("WIDTH", "/width"),
    ("HEIGHT", "/height"),
    ("POSITION", "/position"),
    ("CREATED", "/created"),
    ("NAME", "/name"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum WatermarkVerb {
    /// List watermark profiles
    #[command(after_help = "Example:\n  stream-upload watermark list")]
    List,
    /// Make a watermark profile from a picture: a file up to 2 MB, or a URL that Stream fetches
    Create(CreateArgs),
    /// Show one watermark profile
    #[command(after_help = "Example:\n  stream-upload watermark get WATERMARK")]
    Get {
        /// The profile's id
        #[arg(value_name = "WATERMARK")]
        id: String,
    },
    /// Delete one watermark profile; videos that have it keep it
    #[command(after_help = "Example:\n  stream-upload watermark delete WATERMARK")]
    Delete {
        /// The profile's id
        #[arg(value_name = "WATERMARK")]
        id: String,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload watermark create logo.png --name logo --position lowerRight --opacity 0.5
  stream-upload watermark create https://media.example/logo.png
  stream-upload put --watermark \"$(stream-upload watermark create --json logo.png | jq -r .uid)\" clip.mp4")]
pub(crate) struct CreateArgs {
    /// The file, or an http or https URL
    #[arg(value_name = "FILE|URL", value_hint = ValueHint::FilePath, required_unless_present = "from_url")]
    source: Option<String>,
    /// A URL, @FILE that holds it, or - for stdin
    #[arg(long, value_name = "URL|@FILE|-", conflicts_with = "source")]
    from_url: Option<String>,
    /// What it is for
    #[arg(long)]
    name: Option<String>,
    /// 0 is transparent, 1 opaque [default: 1]
    #[arg(long, value_name = "0..1")]
    opacity: Option<f64>,
    /// Between picture and edge, as a part of the video's width or height [default: 0.05]
    #[arg(long, value_name = "0..1")]
    padding: Option<f64>,
    /// The picture's size as a part of the video's; 0 for its own size [default: 0.15]
    #[arg(long, value_name = "0..1")]
    scale: Option<f64>,
    /// Where it is placed [default: upperRight]
    #[arg(long, value_parser = ["upperRight", "upperLeft", "lowerLeft", "lowerRight", "center"])]
    position: Option<String>,
}

impl Verb for WatermarkVerb {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        match self {
            Self::List => Ok(Call::new(
                Op::WatermarksList,
                NO_IDS,
                Show::List("", COLUMNS),
            )),
            Self::Create(args) => args.call().await,
            Self::Get { id } => Ok(Call::new(Op::WatermarksGet, [id], Show::Object)),
            Self::Delete { id } => {
                let done = format!("deleted watermark profile {id}");
                Ok(Call::new(Op::WatermarksDelete, [id], Show::Quiet).done(done))
            }
        }
    }
}

impl CreateArgs {
    async fn call(self) -> Result<Call, CliError> {
        let mut settings = WatermarkSettings::default();
        settings.name = self.name;
        settings.opacity = self.opacity;
        settings.padding = self.padding;
        settings.scale = self.scale;
        settings.position = self.position.map(Position::from);
        settings.check().map_err(out_of_bounds)?;
        let url = match (&self.source, &self.from_url) {
            (_, Some(given)) => Some(input::url(given, "--from-url")?),
            (Some(source), None) if input::is_url(source) => Some(input::url(source, "the URL")?),
            _ => None,
        };
        if let Some(url) = url {
            let watermark = NewWatermark::new(url, settings);
            return Call::new(Op::WatermarksCreateFromUrl, NO_IDS, Show::Object).json(&watermark);
        }
        let source = self.source.unwrap_or_default();
        let mut form =
            FileForm::of(source.as_ref(), "application/octet-stream", WATERMARK_BYTES).await?;
        // The form's fields are named as those of the JSON body.
        let fields = serde_json::to_value(&settings).unwrap_or_default();
        for (name, value) in fields.as_object().into_iter().flatten() {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            form = form.text(name, text);
        }
        Ok(Call::new(Op::WatermarksCreate, NO_IDS, Show::Object).form(form))
    }
}
