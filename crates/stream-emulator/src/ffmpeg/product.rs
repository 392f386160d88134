//! [`Product`]: what can be made of a video, and the words that ask ffmpeg for it.

use std::ffi::OsString;
use std::path::Path;

use crate::ffmpeg::paint::Paint;

/// What every player plays.
pub(super) const ENCODERS: [&str; 8] = [
    "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac",
];

/// H.264 wants even sides.
pub(super) const EVEN: &str = "scale=trunc(iw/2)*2:trunc(ih/2)*2";

/// A file that can be made of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Product {
    /// The sound as M4A.
    Audio,
    /// DASH: `video.mpd`, or one of its segments. Made of the HLS one: the same pictures in other boxes.
    Dash(String),
    /// MP4 for downloading.
    Default,
    /// HLS: `video.m3u8`, or one of its segments.
    Manifest(String),
    /// A picture at so many milliseconds.
    Thumbnail(u64),
}

impl Product {
    /// The folder or file below the video's own.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Audio => "audio.m4a".to_owned(),
            Self::Dash(_) => "dash".to_owned(),
            Self::Default => "default.mp4".to_owned(),
            Self::Manifest(_) => "hls".to_owned(),
            Self::Thumbnail(at) => format!("thumbnail-{at}.jpg"),
        }
    }

    /// The one of its files that is wanted.
    pub(super) fn file(&self) -> Option<&str> {
        match self {
            Self::Dash(file) | Self::Manifest(file) => Some(file),
            _ => None,
        }
    }

    /// What the pictures go through at the end; `None` where there are none, or they stay as they are.
    fn filter(&self) -> Option<&'static str> {
        match self {
            Self::Audio | Self::Dash(_) => None,
            Self::Default | Self::Manifest(_) => Some(EVEN),
            Self::Thumbnail(_) => Some("scale=640:-2"),
        }
    }

    /// What comes behind the inputs, the second of which is the picture of `paint`.
    pub(super) fn arguments(&self, target: &Path, paint: Option<&Paint>) -> Vec<OsString> {
        let mut arguments = self
            .filter()
            .map_or_else(Vec::new, |filter| filtered(filter, paint));
        if matches!(self, Self::Default | Self::Manifest(_)) {
            arguments.extend(ENCODERS.iter().map(OsString::from));
        }
        let words: &[&str] = match self {
            Self::Audio => &["-vn", "-c:a", "aac", "-f", "mp4"],
            // The tags of a transport stream are none of MP4.
            Self::Dash(_) => &[
                "-c",
                "copy",
                "-tag:v",
                "avc1",
                "-tag:a",
                "mp4a",
                "-f",
                "dash",
                "-seg_duration",
                "4",
                "-init_seg_name",
                "init$RepresentationID$.m4s",
                "-media_seg_name",
                "chunk$RepresentationID$-$Number%05d$.m4s",
            ],
            Self::Default => &["-movflags", "+faststart", "-f", "mp4"],
            Self::Manifest(_) => &["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod"],
            Self::Thumbnail(_) => &["-frames:v", "1", "-update", "1", "-f", "image2"],
        };
        arguments.extend(words.iter().map(OsString::from));
        match self {
            Self::Dash(_) => arguments.push(target.join("video.mpd").into()),
            Self::Manifest(_) => {
                arguments.push("-hls_segment_filename".into());
                arguments.push(target.join("segment%05d.ts").into());
                arguments.push(target.join("video.m3u8").into());
            }
            _ => arguments.push(target.into()),
        }
        arguments
    }
}

/// The pictures with what is painted on them, and the first sound if there is one.
fn filtered(filter: &str, paint: Option<&Paint>) -> Vec<OsString> {
    let words = match paint {
        None => vec!["-vf".to_owned(), filter.to_owned()],
        Some(paint) => [
            "-filter_complex",
            &format!("{},{filter}[v]", paint.filter),
            "-map",
            "[v]",
            "-map",
            "0:a:0?",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    words.into_iter().map(OsString::from).collect()
}
