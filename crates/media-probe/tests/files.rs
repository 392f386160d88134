//! The files of `tests/media`, which a real muxer wrote, and anything whatsoever.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media_probe::{Container, IndexPosition, Media, ProbeError, ReadAt, TrackKind, probe};
use proptest::prelude::*;

const FILES: [&str; 6] = [
    "clip.mp4",
    "tail-moov.mov",
    "portrait.mkv",
    "clip.webm",
    "clip.ts",
    "clip.avi",
];

fn path(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("../../tests/media").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("a file of tests/media")
}

fn media(name: &str) -> Media {
    let file = File::open(path(name)).expect("a file of tests/media");
    probe(&file).expect("a video")
}

fn kinds(media: &Media) -> Vec<TrackKind> {
    let tracks = media.tracks.iter().flatten();
    tracks.map(|track| track.kind).collect()
}

#[test]
fn each_file_says_of_itself_what_its_muxer_said() {
    use Container::{Avi, Matroska, Mp4, MpegTs, QuickTime, WebM};
    // As ffprobe prints them; where sound and picture of a transport stream end differs by a frame.
    let rows = [
        ("clip.mp4", Mp4, 2000, 2000, (320, 240), 69_162),
        ("tail-moov.mov", QuickTime, 1500, 1500, (480, 270), 63_539),
        ("portrait.mkv", Matroska, 2508, 2508, (270, 480), 80_382),
        ("clip.webm", WebM, 3008, 3008, (426, 240), 109_049),
        ("clip.ts", MpegTs, 900, 1060, (352, 288), 42_676),
        ("clip.avi", Avi, 1000, 1067, (176, 144), 54_340),
    ];
    for (name, container, least, most, picture, size) in rows {
        let media = media(name);
        assert_eq!(
            (media.container, media.size_bytes),
            (container, size),
            "{name}"
        );
        assert_eq!(media.picture(), Some(picture), "{name}");
        let millis = media.duration.expect("a duration").as_millis();
        assert!((least..=most).contains(&millis), "{name}: {millis} ms");
        assert_eq!(
            kinds(&media),
            [TrackKind::Video, TrackKind::Audio],
            "{name}"
        );
    }
}

#[test]
fn the_index_lies_where_the_readme_says() {
    let index = |name| media(name).index;
    assert_eq!(index("clip.mp4"), Some(IndexPosition::BeforeData(32)));
    assert_eq!(
        index("tail-moov.mov"),
        Some(IndexPosition::AfterData(60_500))
    );
    assert_eq!(index("clip.webm"), None);
}

#[test]
fn what_is_no_video_is_told_apart_from_one_that_is_broken() {
    for other in [
        &b""[..],
        b"hello",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        &[0; 4096],
    ] {
        assert!(
            matches!(probe(other), Err(ProbeError::Unknown)),
            "{other:?}"
        );
    }
    let cut = &bytes("tail-moov.mov")[..50_000];
    let error = probe(cut).unwrap_err();
    assert!(matches!(
        error,
        ProbeError::Malformed {
            container: Container::QuickTime,
            ..
        }
    ));
    assert!(error.to_string().contains("moov"), "{error}");
}

/// Counts reads, and pretends that the file is larger than it is by a hole in its middle.
struct Huge {
    bytes: Vec<u8>,
    hole_at: u64,
    hole: u64,
    reads: AtomicU64,
    read: AtomicU64,
}

impl ReadAt for Huge {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64 + self.hole)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        if offset < self.hole_at {
            let len = usize::try_from(self.hole_at - offset).unwrap_or(usize::MAX);
            let len = len.min(buffer.len());
            return self.bytes[..].read_at(offset, &mut buffer[..len]);
        }
        if offset < self.hole_at + self.hole {
            let len = usize::try_from(self.hole_at + self.hole - offset).unwrap_or(usize::MAX);
            let len = len.min(buffer.len());
            buffer[..len].fill(0);
            return Ok(len);
        }
        self.bytes[..].read_at(offset - self.hole, buffer)
    }
}

#[test]
fn thirty_gigabytes_cost_a_few_reads() {
    let mut bytes = bytes("tail-moov.mov");
    // Its data, made as large as a box can be: 64 bits, in the place of the box that keeps room for it.
    let data = bytes.windows(4).position(|it| it == b"mdat").expect("data") - 4;
    assert_eq!(&bytes[data - 4..data], b"wide");
    let size = u64::from(u32::from_be_bytes(
        *bytes[data..].first_chunk().expect("a size"),
    ));
    let hole = 30_000_000_000;
    bytes.splice(data - 8..data + 8, [1_u32.to_be_bytes(), *b"mdat"].concat());
    let large = (size + 8 + hole).to_be_bytes();
    bytes.splice(data..data, large);
    let huge = Huge {
        hole_at: data as u64 + 4096,
        hole,
        bytes,
        reads: AtomicU64::new(0),
        read: AtomicU64::new(0),
    };
    let media = probe(&huge).expect("a video");
    assert_eq!(media.duration, Some(Duration::from_millis(1500)));
    assert!(matches!(media.index, Some(IndexPosition::AfterData(at)) if at > hole));
    assert!(huge.reads.into_inner() < 20);
    assert!(huge.read.into_inner() < 1_000_000);
}

#[test]
fn a_picture_that_is_turned_is_told_as_it_is_shown() {
    let mut bytes = bytes("clip.mp4");
    let header = bytes
        .windows(4)
        .position(|it| it == b"tkhd")
        .expect("a track header");
    // The matrix of a quarter turn.
    let matrix: [u32; 5] = [0, 0x1_0000, 0, 0xFFFF_0000, 0];
    for (index, entry) in matrix.into_iter().enumerate() {
        let at = header + 4 + 40 + index * 4;
        bytes[at..at + 4].copy_from_slice(&entry.to_be_bytes());
    }
    assert_eq!(
        probe(&bytes[..]).expect("a video").picture(),
        Some((240, 320))
    );
}

#[test]
fn a_source_that_cannot_be_read_is_no_damaged_file() {
    struct Broken;
    impl ReadAt for Broken {
        fn size(&self) -> io::Result<u64> {
            Ok(1000)
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let error = probe(&Broken).unwrap_err();
    assert!(
        matches!(error, ProbeError::Read(error) if error.kind() == io::ErrorKind::ConnectionReset)
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = probe(&bytes[..]);
    }

    #[test]
    fn no_damage_makes_it_panic(
        file in 0..FILES.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        front in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes(FILES[file]);
        // What describes a file stands at its front, so most of the damage does.
        let reach = if front { bytes.len().min(2000) } else { bytes.len() };
        for (place, byte) in damage {
            bytes[place.index(reach)] = byte;
        }
        let _ = probe(&bytes[..]);
        bytes.truncate(cut.index(bytes.len()));
        let _ = probe(&bytes[..]);
    }
}
