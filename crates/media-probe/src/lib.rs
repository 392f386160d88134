//! What a video file says of itself: container, duration, size of the picture, tracks, and where its index lies.
//!
//! ```
//! let bytes = std::fs::read("../../tests/media/clip.mp4")?;
//! let media = media_probe::probe(&bytes[..])?;
//! assert_eq!(media.container, media_probe::Container::Mp4);
//! assert_eq!(media.picture(), Some((320, 240)));
//! assert_eq!(media.duration, Some(std::time::Duration::from_secs(2)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - The file is read in pieces of at most 64 KiB, at most 512 of them, wherever the container says that
//!   something lies: a file of 30 GB costs as much as one of 30 MB. Memory is bounded by one piece.
//! - No bytes whatsoever make it panic, loop or allocate what they announce.
//! - It describes, it does not judge: whether a file can be played is for a decoder to say.
//!
//! # What is looked into
//!
//! | container | duration | picture | tracks |
//! |---|---|---|---|
//! | MP4, QuickTime, 3GP, with and without fragments | `mvhd`, `mehd`, `sidx` | sample entry, turned as `tkhd` says | yes |
//! | Matroska, WebM | `Info` | `PixelWidth`, `PixelHeight` | yes |
//! | MPEG-TS, M2TS | first and last time stamp | H.264 only | yes |
//! | AVI | `avih`, `strh` | `strf` | yes |
//! | FLV | `onMetaData` | `onMetaData` | yes |
//! | MPEG-PS, MXF, GXF, LXF | no | no | no: recognised only |

mod avi;
mod bytes;
mod flv;
mod iso;
mod matroska;
mod read_at;
mod sniff;
mod transport_stream;
mod window;

use std::io;
use std::time::Duration;

pub use read_at::ReadAt;

use window::Window;

/// A container format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// AVI (RIFF).
    Avi,
    /// Flash video.
    Flv,
    /// General Exchange Format (SMPTE 360M).
    Gxf,
    /// Leitch Exchange Format.
    Lxf,
    /// Matroska.
    Matroska,
    /// MP4 (ISO 14496-14) and its kin.
    Mp4,
    /// MPEG program stream.
    MpegPs,
    /// MPEG transport stream, packets of 188 or 192 bytes.
    MpegTs,
    /// Material Exchange Format (SMPTE 377).
    Mxf,
    /// QuickTime.
    QuickTime,
    /// 3GPP and 3GPP2 files.
    ThreeGp,
    /// WebM.
    WebM,
}

impl Container {
    /// Its usual media type, such as `video/mp4`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Avi => "video/x-msvideo",
            Self::Flv => "video/x-flv",
            Self::Gxf => "application/gxf",
            Self::Lxf => "application/octet-stream",
            Self::Matroska => "video/x-matroska",
            Self::Mp4 => "video/mp4",
            Self::MpegPs => "video/mpeg",
            Self::MpegTs => "video/mp2t",
            Self::Mxf => "application/mxf",
            Self::QuickTime => "video/quicktime",
            Self::ThreeGp => "video/3gpp",
            Self::WebM => "video/webm",
        }
    }
}

/// What a track holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrackKind {
    /// Sound.
    Audio,
    /// Subtitles, time codes, data.
    Other,
    /// Pictures.
    Video,
}

/// One track.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Track {
    /// What it holds.
    pub kind: TrackKind,
    /// The codec as the container names it (`avc1`, `V_VP9`, `H264` …); empty where it does not.
    pub codec: String,
    /// Width and height in pixels, as shown: turned where the container says so.
    pub picture: Option<(u32, u32)>,
}

impl Track {
    fn new(kind: TrackKind) -> Self {
        Self {
            kind,
            codec: String::new(),
            picture: None,
        }
    }
}

/// Where the index of a file with one index (`moov`) lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexPosition {
    /// Behind the data, at this byte: whoever plays the file wants its end first.
    AfterData(u64),
    /// Before the data, at this byte: playable while it arrives.
    BeforeData(u64),
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Media {
    /// The container.
    pub container: Container,
    /// Bytes of the whole file.
    pub size_bytes: u64,
    /// How long it plays; `None` where nothing says so.
    pub duration: Option<Duration>,
    /// Its tracks, 64 at most; `None` for a container that is only recognised.
    pub tracks: Option<Vec<Track>>,
    /// Where its index lies; `None` for a container without a single one.
    pub index: Option<IndexPosition>,
}

/// Most tracks that are told.
const MOST_TRACKS: usize = 64;

impl Media {
    fn new(container: Container, size_bytes: u64) -> Self {
        Self {
            container,
            size_bytes,
            duration: None,
            tracks: None,
            index: None,
        }
    }

    fn add(&mut self, track: Track) {
        let tracks = self.tracks.get_or_insert_default();
        if tracks.len() < MOST_TRACKS {
            tracks.push(track);
        }
    }

    fn count(&self, kind: TrackKind) -> usize {
        let tracks = self.tracks.iter().flatten();
        tracks.filter(|track| track.kind == kind).count()
    }

    /// Width and height in pixels of the first track with pictures of a known size.
    #[must_use]
    pub fn picture(&self) -> Option<(u32, u32)> {
        let mut tracks = self.tracks.iter().flatten();
        tracks.find_map(|track| track.picture)
    }

    /// Whether there are pictures; of a container that is only recognised it is supposed.
    #[must_use]
    pub fn has_video(&self) -> bool {
        self.tracks.is_none() || self.count(TrackKind::Video) > 0
    }

    /// Whether there is sound, as far as is known.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.count(TrackKind::Audio) > 0
    }
}

/// Why nothing can be said of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// It begins like this container, but what must be there is not: it is damaged or was cut short.
    #[error(
        "the file begins as {container:?}, but {reason}: it is damaged, or not all of it is there"
    )]
    Malformed {
        /// What it begins like.
        container: Container,
        /// What is wrong: a lowercase fragment.
        reason: &'static str,
    },
    /// Reading failed.
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    /// No container that is known here.
    #[error("the file is in no video container that is known here")]
    Unknown,
}

/// Looks into a file. Blocking, where the source is.
///
/// # Errors
/// [`ProbeError::Unknown`] when it is no video container, [`ProbeError::Malformed`] when it is a broken one,
/// [`ProbeError::Read`] when it cannot be read.
pub fn probe<S: ReadAt + ?Sized>(source: &S) -> Result<Media, ProbeError> {
    let mut window = Window::new(source)?;
    let Some(container) = sniff::container(&mut window)? else {
        return Err(ProbeError::Unknown);
    };
    let mut media = Media::new(container, window.len());
    let found = match container {
        Container::Mp4 | Container::QuickTime | Container::ThreeGp => {
            iso::read(&mut window, &mut media)
        }
        Container::Matroska | Container::WebM => matroska::read(&mut window, &mut media),
        Container::MpegTs => transport_stream::read(&mut window, &mut media),
        Container::Avi => avi::read(&mut window, &mut media),
        Container::Flv => flv::read(&mut window, &mut media),
        Container::Gxf | Container::Lxf | Container::MpegPs | Container::Mxf => Ok(()),
    };
    match found {
        Ok(()) => Ok(media),
        Err(Stop::Read(error)) => Err(ProbeError::Read(error)),
        Err(Stop::Malformed(reason)) => Err(ProbeError::Malformed { container, reason }),
    }
}

/// Why a reader of a container ended early.
#[derive(Debug)]
enum Stop {
    Malformed(&'static str),
    Read(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// `units` of which `per_second` make a second; `None` for what is no duration.
fn duration(units: u64, per_second: u64) -> Option<Duration> {
    let nanos = u128::from(units)
        .checked_mul(1_000_000_000)?
        .checked_div(u128::from(per_second))?;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    // Ten years of video are a damaged field.
    (nanos > 0 && seconds < 10 * 366 * 86_400).then(|| Duration::new(seconds, rest))
}
