//! Which container it is, by its first bytes.

use std::io;

use crate::window::Window;
use crate::{Container, ReadAt, Stop};

/// Enough for the signature of every container, and five packets of a transport stream.
const HEAD: usize = 1024;

/// `None` for what is none.
pub(crate) fn container<S: ReadAt + ?Sized>(
    window: &mut Window<'_, S>,
) -> io::Result<Option<Container>> {
    match window.up_to(0, HEAD) {
        Ok(head) => Ok(of(head)),
        Err(Stop::Read(error)) => Err(error),
        Err(Stop::Malformed(_)) => Ok(None),
    }
}

fn of(head: &[u8]) -> Option<Container> {
    let at = |from: usize, what: &[u8]| head.get(from..).is_some_and(|rest| rest.starts_with(what));
    if at(4, b"ftyp") {
        return Some(match head.get(8..12) {
            Some(b"qt  ") => Container::QuickTime,
            Some([b'3', b'g', ..]) => Container::ThreeGp,
            _ => Container::Mp4,
        });
    }
    // QuickTime files from before `ftyp` begin with what they are made of.
    let old = [b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"];
    if old.iter().any(|kind| at(4, *kind)) {
        return Some(Container::QuickTime);
    }
    if at(0, &[0x1A, 0x45, 0xDF, 0xA3]) {
        let is_webm = head
            .get(..64)
            .unwrap_or(head)
            .windows(4)
            .any(|word| word == b"webm");
        return Some(if is_webm {
            Container::WebM
        } else {
            Container::Matroska
        });
    }
    if at(0, b"RIFF") && at(8, b"AVI ") {
        return Some(Container::Avi);
    }
    if at(0, b"FLV\x01") {
        return Some(Container::Flv);
    }
    if at(0, &[0x06, 0x0E, 0x2B, 0x34, 0x02, 0x05, 0x01, 0x01]) {
        return Some(Container::Mxf);
    }
    if at(0, b"LEITCH\0\0") {
        return Some(Container::Lxf);
    }
    if at(0, &[0, 0, 0, 0, 1, 0xBC]) {
        return Some(Container::Gxf);
    }
    if packet_size(head).is_some() {
        return Some(Container::MpegTs);
    }
    at(0, &[0, 0, 1, 0xBA]).then_some(Container::MpegPs)
}

/// How far the packets of a transport stream lie apart, and at which byte the first one begins.
pub(crate) fn packet_size(head: &[u8]) -> Option<(u64, u64)> {
    // 188 as broadcast; 192 with four bytes of time before each, as cameras write.
    [(188, 0), (192, 4)]
        .into_iter()
        .find(|(size, first)| {
            let mut packets = head.get(*first..).unwrap_or_default().chunks(*size);
            let mut seen = 0;
            packets.all(|packet| {
                seen += 1;
                packet.first() == Some(&0x47)
            }) && seen >= 2
        })
        .map(|(size, first)| (size as u64, first as u64))
}
