//! Stream's numbers, each with the page that says so.

use tus_core::ChunkRule;

/// What Stream wants of the length of a chunk: at least 5 MiB, a multiple of 256 KiB, at most 200 MiB; 50 MiB is recommended on
/// good links.
///
/// <https://developers.cloudflare.com/stream/uploading-videos/resumable-uploads/>
pub const CHUNK_RULE: ChunkRule = ChunkRule {
    min_bytes: 5_242_880,
    max_bytes: 209_715_200,
    multiple_of_bytes: 262_144,
    preferred_bytes: 52_428_800,
};

/// A video must be smaller than this: 30 GB. <https://developers.cloudflare.com/stream/>
pub const MAX_VIDEO_BYTES: u64 = 30_000_000_000;

/// The longest `Upload-Creator`, in characters.
/// <https://developers.cloudflare.com/api/resources/stream/subresources/direct_upload/>
pub const MAX_CREATOR_CHARS: usize = 64;

/// The longest duration that can be reserved, in seconds: ten hours.
/// <https://developers.cloudflare.com/api/resources/stream/subresources/direct_upload/>
pub const MAX_DURATION_SECONDS: u64 = 36_000;

/// Days between creation and a scheduled deletion. <https://developers.cloudflare.com/stream/manage-video-library/>
pub const SCHEDULED_DELETION_DAYS: std::ops::RangeInclusive<i64> = 30..=1_096;

/// What a file name must end in to be taken from a folder: the containers that Stream takes.
/// <https://developers.cloudflare.com/stream/uploading-videos/>
pub const VIDEO_EXTENSIONS: &[&str] = &[
    "3g2", "3gp", "avi", "flv", "gxf", "lxf", "m2ts", "m2v", "m4v", "mkv", "mov", "mp4", "mpeg",
    "mpg", "mts", "mxf", "qt", "ts", "vob", "webm",
];
