//! `caption`: what is spoken, as text.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};
use stream_api::bounds::{CAPTIONS_BYTES, GENERATED_LANGUAGES};
use stream_api::op::captions::Language;
use stream_api::{Op, StreamClient};

use super::call::{Call, Verb};
use super::file::FileForm;
use super::show::{Column, Show};
use crate::cli::exit::CliError;

const COLUMNS: &[Column] = &[
    ("LANGUAGE", "/language"),
    ("LABEL", "/label"),
    ("GENERATED", "/generated"),
    ("STATUS", "/status"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum CaptionVerb {
    /// List the captions of a video
    #[command(after_help = "Example:\n  stream-upload caption list VIDEO")]
    List {
        /// The video's id
        video: String,
    },
    /// Show what is known of the captions in one language
    #[command(after_help = "Example:\n  stream-upload caption get VIDEO de")]
    Get {
        /// The video's id
        video: String,
        /// The language, such as en or pt-BR
        language: Language,
    },
    /// Set the captions in one language from a WebVTT file, up to 10 MB
    #[command(after_help = "\
Example:
  stream-upload caption put VIDEO de subtitles.de.vtt")]
    Put {
        /// The video's id
        video: String,
        /// The language, such as en or pt-BR
        language: Language,
        /// The WebVTT file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Delete the captions in one language
    #[command(after_help = "Example:\n  stream-upload caption delete VIDEO de")]
    Delete {
        /// The video's id
        video: String,
        /// The language, such as en or pt-BR
        language: Language,
    },
    /// Have captions made of what is spoken
    #[command(after_help = "\
Examples:
  stream-upload caption generate VIDEO en
  stream-upload caption get --json VIDEO en | jq -r .status      until it says ready")]
    Generate {
        /// The video's id
        video: String,
        /// The language that is spoken: cs, de, en, es, fr, it, ja, ko, nl, pl, pt or ru
        language: Language,
    },
    /// Print the captions in one language as WebVTT
    #[command(after_help = "\
Example:
  stream-upload caption vtt VIDEO de > subtitles.de.vtt")]
    Vtt {
        /// The video's id
        video: String,
        /// The language, such as en or pt-BR
        language: Language,
    },
}

impl Verb for CaptionVerb {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        let of = |op, video, language: &Language, show| {
            Call::new(op, [video, language.to_string()], show)
        };
        match self {
            Self::List { video } => Ok(Call::new(
                Op::CaptionsList,
                [video],
                Show::List("", COLUMNS),
            )),
            Self::Get { video, language } => {
                Ok(of(Op::CaptionsGet, video, &language, Show::Object))
            }
            Self::Put {
                video,
                language,
                file,
            } => {
                let form = FileForm::of(&file, "text/vtt", CAPTIONS_BYTES).await?;
                let done = format!("set the captions in {language} of video {video}");
                let call = of(Op::CaptionsPut, video, &language, Show::Object);
                Ok(call.form(form).done(done))
            }
            Self::Delete { video, language } => {
                let done = format!("deleted the captions in {language} of video {video}");
                Ok(of(Op::CaptionsDelete, video, &language, Show::Quiet).done(done))
            }
            Self::Generate { video, language } => {
                if !language.can_be_generated() {
                    return Err(CliError::usage(format!(
                        "captions are made in {} only, not in {language}",
                        GENERATED_LANGUAGES.join(", ")
                    ))
                    .hint("give a file of your own with `caption put`"));
                }
                let done = format!("captions in {language} of video {video} are being made");
                Ok(of(Op::CaptionsGenerate, video, &language, Show::Object).done(done))
            }
            Self::Vtt { video, language } => Ok(of(Op::CaptionsVtt, video, &language, Show::Whole)),
        }
    }
}
