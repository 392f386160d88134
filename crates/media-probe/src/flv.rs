//! FLV: `onMetaData`, which writers put into the first tag (AMF 0).

use std::time::Duration;

use crate::bytes::{be, pixels};
use crate::window::{PIECE, Window};
use crate::{Media, ReadAt, Stop, Track, TrackKind};

/// Ten years are a damaged field.
const MOST_SECONDS: f64 = 10.0 * 366.0 * 86_400.0;

/// The kind of a tag that holds a script.
const SCRIPT: u8 = 18;

pub(crate) fn read<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    media: &mut Media,
) -> Result<(), Stop> {
    let head = window.up_to(0, 9)?;
    let flags = head.get(4).copied().unwrap_or(0);
    let first = be::<4>(head, 5).ok_or(Stop::Malformed("its header is cut off"))?;
    // Four bytes of "size of the tag before" stand between the header and the first tag.
    let at = first + 4;
    let tag = window.up_to(at, 11)?;
    let is_script = tag.first() == Some(&SCRIPT);
    let len = be::<3>(tag, 1).and_then(|len| usize::try_from(len).ok());
    let body = match len.filter(|_| is_script) {
        Some(len) => window.up_to(at + 11, len.min(PIECE))?,
        None => &[],
    };
    let number = |key: &str| number(body, key);
    media.duration = number("duration")
        .filter(|seconds| *seconds < MOST_SECONDS)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of this kind saturates"
    )]
    let size = |key| pixels(number(key).map(|pixels| pixels as u64));
    let picture = size("width").zip(size("height"));
    media.tracks = Some(Vec::new());
    if flags & 1 != 0 || picture.is_some() {
        let mut track = Track::new(TrackKind::Video);
        track.picture = picture;
        media.add(track);
    }
    if flags & 4 != 0 {
        media.add(Track::new(TrackKind::Audio));
    }
    Ok(())
}

/// The number that stands behind a key: length and key, the marker 0, and 8 bytes.
fn number(body: &[u8], key: &str) -> Option<f64> {
    let len = u16::try_from(key.len()).ok()?;
    let mut wanted = len.to_be_bytes().to_vec();
    wanted.extend_from_slice(key.as_bytes());
    wanted.push(0);
    let at = body.windows(wanted.len()).position(|it| it == wanted)?;
    let value = body.get(at + wanted.len()..)?.first_chunk::<8>()?;
    Some(f64::from_be_bytes(*value))
}
