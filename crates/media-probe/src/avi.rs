//! AVI: chunks in RIFF lists.

use std::time::Duration;

use crate::bytes::{le, name, pixels};
use crate::window::Window;
use crate::{Media, ReadAt, Stop, Track, TrackKind, duration};

/// So many chunks of one list are looked at.
const MOST: usize = 256;

/// A chunk: its kind, or that of its list, where its data begins and where it ends.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    kind: [u8; 4],
    data: u64,
    end: u64,
}

pub(crate) fn read<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    media: &mut Media,
) -> Result<(), Stop> {
    let end = window.len();
    let lists = chunks(window, 12, end)?;
    let headers = lists.into_iter().find(|chunk| &chunk.kind == b"hdrl");
    let headers = headers.ok_or(Stop::Malformed("it has no list of headers (hdrl)"))?;
    media.tracks = Some(Vec::new());
    let mut longest = None;
    for chunk in chunks(window, headers.data, headers.end)? {
        match &chunk.kind {
            b"avih" => {
                let body = window.up_to(chunk.data, 20)?;
                let (micros, frames) = (le::<4>(body, 0), le::<4>(body, 16));
                let units = micros.unwrap_or(0).saturating_mul(frames.unwrap_or(0));
                media.duration = duration(units, 1_000_000);
            }
            b"strl" => {
                let (track, length) = stream(window, chunk)?;
                longest = longest.max(length);
                media.add(track);
            }
            _ => {}
        }
    }
    // A stream knows its own length; the header's is that of the first one, if that.
    media.duration = longest.or(media.duration);
    Ok(())
}

fn stream<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    list: Chunk,
) -> Result<(Track, Option<Duration>), Stop> {
    let mut track = Track::new(TrackKind::Other);
    let mut length = None;
    for chunk in chunks(window, list.data, list.end)? {
        match &chunk.kind {
            b"strh" => {
                let body = window.up_to(chunk.data, 36)?;
                track.kind = match body.get(..4) {
                    Some(b"vids") => TrackKind::Video,
                    Some(b"auds") => TrackKind::Audio,
                    _ => TrackKind::Other,
                };
                track.codec = name(body.get(4..8).unwrap_or_default());
                let field = |at| le::<4>(body, at).unwrap_or(0);
                let (scale, rate, units) = (field(20), field(24), field(32));
                length = duration(units.saturating_mul(scale), rate);
            }
            b"strf" if track.kind == TrackKind::Video => {
                let body = window.up_to(chunk.data, 12)?;
                // A height below zero says that the rows go from top to bottom.
                let height = le::<4>(body, 8).and_then(|height| u32::try_from(height).ok());
                let height = height.map(|height| u64::from(height.cast_signed().unsigned_abs()));
                track.picture = pixels(le::<4>(body, 4)).zip(pixels(height));
            }
            _ => {}
        }
    }
    Ok((track, length))
}

/// The chunks from `at` to `end`; of a list, what lies behind its kind.
fn chunks<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    mut at: u64,
    end: u64,
) -> Result<Vec<Chunk>, Stop> {
    let mut chunks = Vec::new();
    while chunks.len() < MOST && end.saturating_sub(at) >= 8 {
        let head = window.up_to(at, 12)?;
        let (Some(kind), Some(size)) = (head.first_chunk::<4>(), le::<4>(head, 4)) else {
            break;
        };
        let data = at + 8;
        let chunk_end = data + size;
        let is_list = kind == b"LIST" || kind == b"RIFF";
        chunks.push(match head.get(8..12) {
            Some(&[a, b, c, d]) if is_list && size >= 4 => Chunk {
                kind: [a, b, c, d],
                data: data + 4,
                end: chunk_end.min(end),
            },
            _ => Chunk {
                kind: *kind,
                data,
                end: chunk_end.min(end),
            },
        });
        // Chunks begin at even places.
        at = chunk_end + size % 2;
    }
    Ok(chunks)
}
