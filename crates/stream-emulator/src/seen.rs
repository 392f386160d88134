//! [`Seen`]: what was seen in the bytes of a video.

use std::fs::File;
use std::io;
use std::time::Duration;

use media_probe::{Media, ProbeError, ReadAt};
use stream_api::op::videos::VideoInput;

use crate::blob::Blob;
use crate::entry::{Entry, Failure};

/// Shorter than this is no video for Stream (<https://developers.cloudflare.com/stream/faq/>).
const SHORTEST: Duration = Duration::from_millis(100);

/// What was seen, and whether a file that is no video is turned away.
#[derive(Debug)]
pub(crate) struct Seen {
    media: Result<Media, ProbeError>,
    judges: bool,
}

impl Seen {
    /// Looks into the bytes; `None` where only a digest of them is kept. Blocking.
    pub(crate) fn in_blob(blob: &Blob, judges: bool) -> Option<Self> {
        let media = match blob {
            Blob::Digest { .. } => return None,
            Blob::Memory(bytes) => media_probe::probe(&bytes[..]),
            Blob::File { path, len, .. } => match File::open(path) {
                Ok(file) => media_probe::probe(&Part { file, len: *len }),
                Err(error) => Err(error.into()),
            },
        };
        Some(Self { media, judges })
    }

    /// Whether it is turned away as no video at all.
    pub(crate) fn is_no_video(&self) -> bool {
        self.judges
            && match &self.media {
                Ok(media) => !media.has_video(),
                Err(error) => matches!(error, ProbeError::Unknown),
            }
    }

    /// Writes it into what is kept of the video.
    pub(crate) fn tell(self, entry: &mut Entry) {
        if self.is_no_video() {
            entry.failure = Some(Failure::no_video());
        }
        let media = match self.media {
            Ok(media) => media,
            Err(ProbeError::Unknown) => return,
            Err(error) => {
                tracing::debug!(%error, uid = entry.video.uid, "a video cannot be understood");
                if self.judges {
                    let text = "The video file is damaged and cannot be decoded.";
                    entry.failure = Some(Failure::new("ERR_MALFORMED_VIDEO", text));
                }
                return;
            }
        };
        if let Some((width, height)) = media.picture() {
            entry.video.input = Some(VideoInput {
                width: Some(width.into()),
                height: Some(height.into()),
            });
        }
        entry.media_type = Some(media.container.media_type().to_owned());
        entry.has_sound = media.tracks.is_some().then(|| media.has_audio());
        let Some(duration) = media.duration else {
            return;
        };
        // That of a clip without bytes of its own is known before.
        let is_known = |seconds: f64| seconds > 0.0;
        if !entry.video.duration_seconds.is_some_and(is_known) {
            entry.video.duration_seconds = Some(duration.as_secs_f64());
        }
        let longest = entry
            .video
            .max_duration_seconds
            .filter(|longest| *longest > 0.0);
        if longest.is_some_and(|longest| duration.as_secs_f64() > longest) {
            let text = format!(
                "The video is {:.1} seconds long, and at most {:.0} are allowed.",
                duration.as_secs_f64(),
                longest.unwrap_or_default()
            );
            entry.failure = Some(Failure::new("ERR_DURATION_EXCEED_CONSTRAINT", text));
        } else if duration < SHORTEST {
            let text = "The video is shorter than 0.1 seconds.";
            entry.failure = Some(Failure::new("ERR_DURATION_TOO_SHORT", text));
        }
    }
}

/// The bytes of a file that count.
struct Part {
    file: File,
    len: u64,
}

impl ReadAt for Part {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        self.file.read_at(offset, &mut buffer[..wanted])
    }
}
