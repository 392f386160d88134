//! MPEG transport streams (ISO 13818-1): no index, no stored duration. The tables at the front say what is in it;
//! the difference between the first and the last time stamps is how long it plays.

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader, decode_nal};
use mpeg2ts_reader::StreamType;
use mpeg2ts_reader::packet::{Packet, Pid};
use mpeg2ts_reader::pes::{PesContents, PesHeader, PtsDts};
use mpeg2ts_reader::psi::pat::{PatSection, ProgramDescriptor};
use mpeg2ts_reader::psi::pmt::PmtSection;

use crate::sniff;
use crate::window::{PIECE, Window};
use crate::{Media, ReadAt, Stop, Track, TrackKind, duration};

/// Looked at from the front, and from the end: enough for a time stamp of every stream.
const LOOKED_AT: u64 = 8 * PIECE as u64;

/// Time stamps count 90,000 in a second, and begin anew after 33 bits.
const PER_SECOND: u64 = 90_000;
const WRAP: u64 = 1 << 33;

/// Bytes of a video stream that are searched for the size of its picture.
const HEAD: usize = 16 * 1024;

/// One elementary stream.
struct Stream {
    pid: Pid,
    track: Track,
    is_h264: bool,
    first: Option<u64>,
    last: Option<u64>,
    /// The beginning of the first packet of a video stream.
    head: Vec<u8>,
}

pub(crate) fn read<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    media: &mut Media,
) -> Result<(), Stop> {
    let head = window.up_to(0, 1024)?;
    let (size, first) = sniff::packet_size(head).ok_or(Stop::Malformed("it has no packets"))?;
    let mut program = None;
    let mut streams: Vec<Stream> = Vec::new();
    each_packet(window, first, size, LOOKED_AT, |packet| {
        let Some(payload) = packet.payload() else {
            return;
        };
        if packet.pid() == Pid::PAT && program.is_none() {
            program = program_of(packet, payload);
        } else if Some(packet.pid()) == program && streams.is_empty() {
            streams = streams_of(packet, payload);
        } else if let Some(stream) = streams.iter_mut().find(|it| it.pid == packet.pid()) {
            stream.take(packet, payload);
        }
    })?;
    if program.is_none() {
        return Err(Stop::Malformed("it has no table of programs"));
    }

    // The last packets, from a packet's beginning on.
    let all = (window.len().saturating_sub(first)) / size;
    let from = all.saturating_sub(LOOKED_AT / size);
    each_packet(window, first + from * size, size, LOOKED_AT, |packet| {
        if let Some(payload) = packet.payload()
            && let Some(stream) = streams.iter_mut().find(|it| it.pid == packet.pid())
            && let Some(time) = time_of(packet, payload)
        {
            stream.saw(time);
        }
    })?;

    let spans = streams.iter().filter_map(Stream::span);
    media.duration = spans.max().and_then(|units| duration(units, PER_SECOND));
    media.tracks = Some(Vec::new());
    for mut stream in streams {
        if stream.is_h264 {
            stream.track.picture = picture(&stream.head);
        }
        media.add(stream.track);
    }
    Ok(())
}

impl Stream {
    /// A packet at the front.
    fn take(&mut self, packet: &Packet<'_>, payload: &[u8]) {
        let starts = packet.payload_unit_start_indicator();
        if let Some(time) = time_of(packet, payload) {
            self.first.get_or_insert(time);
            self.saw(time);
        }
        if self.is_h264 && self.head.len() < HEAD && (starts || !self.head.is_empty()) {
            self.head.extend_from_slice(payload);
        }
    }

    /// Pictures are not sent in the order in which they are shown: the latest one counts.
    fn saw(&mut self, time: u64) {
        let Some(first) = self.first else { return };
        let since = |time: u64| (time + WRAP - first) % WRAP;
        // One that is shown before the first one sent is no wrap.
        if since(time) > WRAP / 2 {
            self.first = Some(time);
        } else if self.last.is_none_or(|last| since(last) < since(time)) {
            self.last = Some(time);
        }
    }

    fn span(&self) -> Option<u64> {
        Some((self.last? + WRAP - self.first?) % WRAP)
    }
}

/// Calls `each` with the packets of up to `most` bytes from `at` on.
fn each_packet<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
    mut at: u64,
    size: u64,
    most: u64,
    mut each: impl FnMut(&Packet<'_>),
) -> Result<(), Stop> {
    let end = window.len().min(at.saturating_add(most));
    let step = usize::try_from(size).unwrap_or(188);
    while at < end {
        let piece = window.up_to(at, PIECE)?;
        let packets = piece.chunks(step);
        let mut read = 0;
        for packet in packets {
            let Some(packet) = packet.get(..Packet::SIZE) else {
                break;
            };
            read += size;
            if let Some(packet) = Packet::try_new(packet)
                && !packet.transport_error_indicator()
                && !packet.transport_scrambling_control().is_scrambled()
            {
                each(&packet);
            }
        }
        if read == 0 {
            break;
        }
        at += read;
    }
    Ok(())
}

/// What follows the header of a table in a packet that begins one. Tables of one program fit into one packet.
fn table<'a>(packet: &Packet<'_>, payload: &'a [u8]) -> Option<&'a [u8]> {
    if !packet.payload_unit_start_indicator() {
        return None;
    }
    let section = payload.get(1 + usize::from(*payload.first()?)..)?;
    let len = usize::from(u16::from_be_bytes(*section.get(1..)?.first_chunk()?) & 0x0FFF);
    // Behind the length come five bytes of header; the last four are a checksum.
    section.get(8..(3 + len).min(section.len()).checked_sub(4)?)
}

fn program_of(packet: &Packet<'_>, payload: &[u8]) -> Option<Pid> {
    let mut programs = PatSection::new(table(packet, payload)?).programs();
    programs.find_map(|program| match program {
        ProgramDescriptor::Program { pid, .. } => Some(pid),
        ProgramDescriptor::Network { .. } => None,
    })
}

fn streams_of(packet: &Packet<'_>, payload: &[u8]) -> Vec<Stream> {
    let Some(Ok(map)) = table(packet, payload).map(PmtSection::from_bytes) else {
        return Vec::new();
    };
    let streams = map.streams().map(|stream| {
        let (kind, codec) = kind_of(stream.stream_type());
        let mut track = Track::new(kind);
        codec.clone_into(&mut track.codec);
        Stream {
            pid: stream.elementary_pid(),
            track,
            is_h264: stream.stream_type() == StreamType::H264,
            first: None,
            last: None,
            head: Vec::new(),
        }
    });
    streams.take(crate::MOST_TRACKS).collect()
}

fn kind_of(stream: StreamType) -> (TrackKind, &'static str) {
    use TrackKind::{Audio, Other, Video};
    match stream {
        StreamType::H264 => (Video, "H264"),
        StreamType::H265 => (Video, "H265"),
        StreamType::H262 => (Video, "MPEG-2"),
        StreamType::ISO_11172_VIDEO => (Video, "MPEG-1"),
        StreamType::ISO_14496_2_VISUAL => (Video, "MPEG-4"),
        StreamType::ADTS | StreamType::LATM => (Audio, "AAC"),
        StreamType::ISO_11172_AUDIO | StreamType::ISO_138183_AUDIO => (Audio, "MPEG"),
        StreamType::ATSC_DOLBY_DIGITAL_AUDIO => (Audio, "AC-3"),
        _ => (Other, ""),
    }
}

/// When a picture or a piece of sound that begins in this packet is shown.
fn time_of(packet: &Packet<'_>, payload: &[u8]) -> Option<u64> {
    if !packet.payload_unit_start_indicator() {
        return None;
    }
    let PesContents::Parsed(Some(contents)) = PesHeader::from_bytes(payload)?.contents() else {
        return None;
    };
    let time = match contents.pts_dts().ok()? {
        PtsDts::PtsOnly(Ok(time)) => time,
        PtsDts::Both { pts: Ok(time), .. } => time,
        _ => return None,
    };
    Some(time.value())
}

/// The size that the first sequence parameter set of an H.264 stream tells.
fn picture(stream: &[u8]) -> Option<(u32, u32)> {
    const SEQUENCE_PARAMETERS: u8 = 7;
    let mut rest = stream;
    loop {
        let start = rest.windows(3).position(|it| it == [0, 0, 1])? + 3;
        rest = rest.get(start..)?;
        if rest.first()? & 0x1F == SEQUENCE_PARAMETERS {
            break;
        }
    }
    let end = rest.windows(3).position(|it| it == [0, 0, 1]);
    let unit = &rest[..end.unwrap_or(rest.len())];
    let end = unit.iter().rposition(|byte| *byte != 0)? + 1;
    let bits = decode_nal(unit.get(..end.min(1024))?).ok()?;
    let set = SeqParameterSet::from_bits(BitReader::new(&*bits)).ok()?;
    // Below what the arithmetic behind it can hold, and above every level of the standard.
    if set.pic_width_in_mbs_minus1 > 4096 || set.pic_height_in_map_units_minus1 > 4096 {
        return None;
    }
    let (width, height) = set.pixel_dimensions().ok()?;
    let side = |side: u32| crate::bytes::pixels(Some(side.into()));
    side(width).zip(side(height))
}
