//! Matroska and WebM: EBML elements (RFC 8794, RFC 9559).

use std::time::Duration;

use crate::bytes::{name, pixels};
use crate::window::Window;
use crate::{Media, ReadAt, Stop, Track, TrackKind, duration};

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
const SEEK_HEAD: u32 = 0x114D_9B74;
const SEEK: u32 = 0x4DBB;
const SEEK_ID: u32 = 0x53AB;
const SEEK_POSITION: u32 = 0x53AC;
const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
const DURATION: u32 = 0x4489;
const TRACK_ENTRY: u32 = 0xAE;
const TRACK_TYPE: u32 = 0x83;
const CODEC: u32 = 0x86;
const VIDEO: u32 = 0xE0;
const PIXEL_WIDTH: u32 = 0xB0;
const PIXEL_HEIGHT: u32 = 0xBA;

/// So many elements of one level are looked at.
const MOST: usize = 1024;

/// One element: its id, where its data begins, and where it ends.
#[derive(Debug, Clone, Copy)]
struct Element {
    id: u32,
    data: u64,
    end: u64,
}

pub(crate) fn read<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    media: &mut Media,
) -> Result<(), Stop> {
    let file = window.len();
    let header = next(window, 0, file)?.ok_or(Stop::Malformed("its header is cut off"))?;
    let segment = next(window, header.end, file)?.filter(|element| element.id == SEGMENT);
    let segment = segment.ok_or(Stop::Malformed("no segment follows its header"))?;
    // A segment of unknown size goes to the end of the file; so does one that is cut off.
    let end = segment.end.min(file);

    let (mut info, mut tracks) = (None, None);
    let mut elsewhere = Vec::new();
    let mut at = segment.data;
    for _ in 0..MOST {
        let Some(found) = next(window, at, end)? else {
            break;
        };
        match found.id {
            INFO => info = Some(found),
            TRACKS => tracks = Some(found),
            SEEK_HEAD if elsewhere.is_empty() => {
                elsewhere = seek_head(window, found, segment.data)?;
            }
            // What describes the file stands before the first cluster, or the seek head says where.
            CLUSTER => break,
            _ => {}
        }
        if info.is_some() && tracks.is_some() {
            break;
        }
        at = found.end;
    }
    for (id, position) in elsewhere {
        let place = match id {
            INFO if info.is_none() => &mut info,
            TRACKS if tracks.is_none() => &mut tracks,
            _ => continue,
        };
        *place = next(window, position, end)?.filter(|element| element.id == id);
    }
    if let Some(info) = info {
        media.duration = length(window, info)?;
    }
    let tracks = tracks.ok_or(Stop::Malformed("it lists no tracks"))?;
    media.tracks = Some(Vec::new());
    for entry in children(window, tracks)? {
        if entry.id == TRACK_ENTRY {
            let track = track(window, entry)?;
            media.add(track);
        }
    }
    Ok(())
}

/// What a seek head names, and where that is in the file.
fn seek_head<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    head: Element,
    segment: u64,
) -> Result<Vec<(u32, u64)>, Stop> {
    let mut places = Vec::new();
    for seek in children(window, head)? {
        if seek.id != SEEK {
            continue;
        }
        let (mut id, mut position) = (0, None);
        for field in children(window, seek)? {
            let number = unsigned(window, field)?;
            match field.id {
                SEEK_ID => id = u32::try_from(number).unwrap_or(0),
                SEEK_POSITION => position = segment.checked_add(number),
                _ => {}
            }
        }
        places.extend(position.map(|position| (id, position)));
    }
    Ok(places)
}

fn length<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    info: Element,
) -> Result<Option<Duration>, Stop> {
    let (mut scale, mut units) = (1_000_000, 0.0);
    for field in children(window, info)? {
        match field.id {
            TIMESTAMP_SCALE => scale = unsigned(window, field)?,
            DURATION => units = float(window, field)?,
            _ => {}
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a scale is far below 2^53")]
    let nanos = units * scale as f64;
    if !(1.0..1e18).contains(&nanos) {
        return Ok(None);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "its bounds were just looked at"
    )]
    let nanos = nanos as u64;
    Ok(duration(nanos, 1_000_000_000))
}

fn track<S: ReadAt + ?Sized>(window: &mut Window<'_, S>, entry: Element) -> Result<Track, Stop> {
    let mut track = Track::new(TrackKind::Other);
    let (mut width, mut height) = (None, None);
    for field in children(window, entry)? {
        match field.id {
            TRACK_TYPE => {
                track.kind = match unsigned(window, field)? {
                    1 => TrackKind::Video,
                    2 => TrackKind::Audio,
                    _ => TrackKind::Other,
                };
            }
            CODEC => {
                let len = usize::try_from(field.end - field.data).unwrap_or(usize::MAX);
                track.codec = name(window.up_to(field.data, len.min(32))?);
            }
            VIDEO => {
                for field in children(window, field)? {
                    match field.id {
                        PIXEL_WIDTH => width = Some(unsigned(window, field)?),
                        PIXEL_HEIGHT => height = Some(unsigned(window, field)?),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    track.picture = pixels(width).zip(pixels(height));
    Ok(track)
}

fn unsigned<S: ReadAt + ?Sized>(window: &mut Window<'_, S>, field: Element) -> Result<u64, Stop> {
    let len = usize::try_from(field.end - field.data).unwrap_or(usize::MAX);
    if len > 8 {
        return Ok(0);
    }
    let bytes = window.up_to(field.data, len)?;
    Ok(bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn float<S: ReadAt + ?Sized>(window: &mut Window<'_, S>, field: Element) -> Result<f64, Stop> {
    Ok(match field.end - field.data {
        4 => window
            .array(field.data)?
            .map_or(0.0, |it| f64::from(f32::from_be_bytes(it))),
        8 => window.array(field.data)?.map_or(0.0, f64::from_be_bytes),
        _ => 0.0,
    })
}

/// The elements in an element.
fn children<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    parent: Element,
) -> Result<Vec<Element>, Stop> {
    let mut children = Vec::new();
    let mut at = parent.data;
    while children.len() < MOST
        && let Some(child) = next(window, at, parent.end)?
    {
        if child.end > parent.end {
            return Err(Stop::Malformed(
                "an element is larger than the one it lies in",
            ));
        }
        at = child.end;
        children.push(child);
    }
    Ok(children)
}

/// The element at `at`; `None` where there is none before `end`. One of unknown size ends there.
fn next<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    at: u64,
    end: u64,
) -> Result<Option<Element>, Stop> {
    if at >= end {
        return Ok(None);
    }
    let head = window.up_to(at, 12)?;
    let Some((id, id_len)) = id(head) else {
        return Ok(None);
    };
    let Some((size, size_len)) = size(&head[id_len..]) else {
        return Ok(None);
    };
    let data = at + (id_len + size_len) as u64;
    if data > end {
        return Ok(None);
    }
    let end = match size {
        Some(size) => data
            .checked_add(size)
            .ok_or(Stop::Malformed("an element ends beyond all files"))?,
        None => end,
    };
    Ok(Some(Element { id, data, end }))
}

/// An id with its marker, and its length: 1 to 4 bytes.
fn id(bytes: &[u8]) -> Option<(u32, usize)> {
    let len = bytes.first()?.leading_zeros() as usize + 1;
    let bytes = bytes.get(..len).filter(|_| len <= 4)?;
    let id = bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    Some((id, len))
}

/// A size, `None` for the unknown one, and its length: 1 to 8 bytes.
fn size(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let len = bytes.first()?.leading_zeros() as usize + 1;
    let bytes = bytes.get(..len).filter(|_| len <= 8)?;
    let all = bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let mask = (1_u64 << (7 * len)) - 1;
    let size = all & mask;
    Some(((size != mask).then_some(size), len))
}
