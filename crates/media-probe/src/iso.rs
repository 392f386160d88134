//! MP4, QuickTime and their kin: boxes (ISO 14496-12).

use crate::bytes::{be, name, pixels};
use crate::window::Window;
use crate::{IndexPosition, Media, ReadAt, Stop, Track, TrackKind, duration};

/// So many boxes of one level are looked at; a file in fragments has thousands.
const MOST_BOXES: usize = 4096;

/// One box: its kind, where its body begins, and where it ends.
#[derive(Debug, Clone, Copy)]
struct Box {
    kind: [u8; 4],
    start: u64,
    body: u64,
    end: u64,
}

pub(crate) fn read<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    media: &mut Media,
) -> Result<(), Stop> {
    let mut data_seen = false;
    let mut movie = None;
    let mut fragments = None;
    let mut at = 0;
    for _ in 0..MOST_BOXES {
        let Some(found) = next(window, at, window.len())? else {
            break;
        };
        match &found.kind {
            b"moov" => {
                media.index = Some(if data_seen {
                    IndexPosition::AfterData(found.start)
                } else {
                    IndexPosition::BeforeData(found.start)
                });
                movie = Some(found);
            }
            b"mdat" => data_seen = true,
            b"sidx" if fragments.is_none() => fragments = segment_index(window, found)?,
            _ => {}
        }
        // Fragments say nothing new of the whole.
        if movie.is_some() && (data_seen || &found.kind == b"moof") {
            break;
        }
        at = found.end;
    }
    let movie = movie.ok_or(Stop::Malformed("it has no index (moov)"))?;
    if movie.end > window.len() {
        return Err(Stop::Malformed("its index (moov) is cut off"));
    }
    self::movie(window, media, movie)?;
    media.duration = media.duration.or(fragments);
    Ok(())
}

fn movie<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    media: &mut Media,
    movie: Box,
) -> Result<(), Stop> {
    media.tracks = Some(Vec::new());
    let mut scale = 0;
    for found in children(window, movie)? {
        match &found.kind {
            b"mvhd" => {
                let body = window.up_to(found.body, 36)?;
                let (per_second, units) = times(body);
                scale = per_second;
                media.duration = duration(units, per_second);
            }
            b"trak" => {
                let track = track(window, found)?;
                media.add(track);
            }
            b"mvex" if media.duration.is_none() => {
                for found in children(window, found)? {
                    if &found.kind == b"mehd" {
                        let body = window.up_to(found.body, 12)?;
                        let units = match body.first() {
                            Some(1) => be::<8>(body, 4),
                            _ => be::<4>(body, 4),
                        };
                        media.duration = duration(units.unwrap_or(0), scale);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Time scale and duration, in `mvhd` and `mdhd` alike. All bits set means unknown.
fn times(body: &[u8]) -> (u64, u64) {
    let (scale, units, unknown) = match body.first() {
        Some(1) => (be::<4>(body, 20), be::<8>(body, 24), u64::MAX),
        _ => (be::<4>(body, 12), be::<4>(body, 16), u64::from(u32::MAX)),
    };
    let units = units.filter(|units| *units != unknown);
    (scale.unwrap_or(0), units.unwrap_or(0))
}

fn track<S: ReadAt + ?Sized>(window: &mut Window<'_, S>, track: Box) -> Result<Track, Stop> {
    let mut found_track = Track::new(TrackKind::Other);
    let mut is_turned = false;
    for found in children(window, track)? {
        match &found.kind {
            b"tkhd" => {
                let body = window.up_to(found.body, 96)?;
                let matrix = if body.first() == Some(&1) { 52 } else { 40 };
                let entry = |at: usize| be::<4>(body, matrix + at);
                // A quarter turn has nothing on its diagonal.
                is_turned = (entry(0), entry(16)) == (Some(0), Some(0)) && entry(4) != Some(0);
            }
            b"mdia" => media_of(window, found, &mut found_track)?,
            _ => {}
        }
    }
    if is_turned {
        found_track.picture = found_track.picture.map(|(width, height)| (height, width));
    }
    Ok(found_track)
}

/// `mdia`: handler and sample description.
fn media_of<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    media: Box,
    track: &mut Track,
) -> Result<(), Stop> {
    for found in children(window, media)? {
        match &found.kind {
            b"hdlr" => {
                let body = window.up_to(found.body, 12)?;
                track.kind = match body.get(8..12) {
                    Some(b"vide") => TrackKind::Video,
                    Some(b"soun") => TrackKind::Audio,
                    _ => TrackKind::Other,
                };
            }
            b"minf" => {
                let table = child(window, found, *b"stbl")?;
                let Some(table) = table else { continue };
                let Some(entries) = child(window, table, *b"stsd")? else {
                    continue;
                };
                // The first sample entry: size, codec, 8 bytes, and 16 more before the picture's size.
                let body = window.up_to(entries.body, 8 + 36)?;
                track.codec = name(body.get(12..16).unwrap_or_default());
                let picture = pixels(be::<2>(body, 40)).zip(pixels(be::<2>(body, 42)));
                track.picture = picture.filter(|_| track.kind == TrackKind::Video);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The duration of all fragments that a segment index lists.
fn segment_index<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    index: Box,
) -> Result<Option<std::time::Duration>, Stop> {
    let len = usize::try_from(index.end - index.body).unwrap_or(usize::MAX);
    let body = window.up_to(index.body, len)?;
    let scale = be::<4>(body, 8).unwrap_or(0);
    let first = if body.first() == Some(&1) { 32 } else { 24 };
    let entries = body.get(first..).unwrap_or_default().chunks_exact(12);
    let units = entries.filter_map(|entry| be::<4>(entry, 4)).sum();
    Ok(duration(units, scale))
}

fn child<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    parent: Box,
    kind: [u8; 4],
) -> Result<Option<Box>, Stop> {
    let mut children = children(window, parent)?.into_iter();
    Ok(children.find(|child| child.kind == kind))
}

/// The boxes in a box, 256 at most.
fn children<S: ReadAt + ?Sized>(window: &mut Window<'_, S>, parent: Box) -> Result<Vec<Box>, Stop> {
    let mut children = Vec::new();
    let mut at = parent.body;
    while children.len() < 256
        && let Some(child) = next(window, at, parent.end)?
    {
        if child.end > parent.end {
            return Err(Stop::Malformed("a box is larger than the one it lies in"));
        }
        at = child.end;
        children.push(child);
    }
    Ok(children)
}

/// The box at `at`; `None` where there is no room for one before `end`.
fn next<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    at: u64,
    end: u64,
) -> Result<Option<Box>, Stop> {
    if end.saturating_sub(at) < 8 {
        return Ok(None);
    }
    let Some(head) = window.array::<8>(at)? else {
        return Ok(None);
    };
    let kind = [head[4], head[5], head[6], head[7]];
    let (body, size) = match be::<4>(&head, 0) {
        // A zero ends a list in QuickTime; at the top it means "to the end".
        Some(0) if end == window.len() => (8, end - at),
        Some(1) => match window.array::<8>(at + 8)? {
            Some(size) => (16, u64::from_be_bytes(size)),
            None => return Ok(None),
        },
        size => (8, size.unwrap_or(0)),
    };
    if size == 0 {
        return Ok(None);
    }
    if size < body {
        return Err(Stop::Malformed("a box is smaller than its head"));
    }
    let end = at
        .checked_add(size)
        .ok_or(Stop::Malformed("a box ends beyond all files"))?;
    Ok(Some(Box {
        kind,
        start: at,
        body: at + body,
        end,
    }))
}
