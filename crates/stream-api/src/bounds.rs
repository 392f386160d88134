//! The bounds of what a video can be given: a client checks before it sends, the emulator refuses
//! beyond them. <https://developers.cloudflare.com/api/resources/stream/>

use std::ops::RangeInclusive;
use std::time::Duration;

/// Characters of a `creator`, at most.
pub const CREATOR_CHARACTERS: usize = 64;

/// `maxDurationSeconds`. Until 2024 the upper bound was 21,600.
pub const MAX_DURATION_SECONDS: RangeInclusive<i64> = 1..=36_000;

/// How long after its upload a video may be scheduled to be deleted: 30 to 1,096 days.
pub const SCHEDULED_DELETION: RangeInclusive<Duration> =
    Duration::from_secs(30 * 86_400)..=Duration::from_secs(1_096 * 86_400);

/// `thumbnailTimestampPct`: a part of the duration.
pub const THUMBNAIL_TIMESTAMP_PCT: RangeInclusive<f64> = 0.0..=1.0;

/// Videos in one listing, at most and by default.
pub const LISTED_VIDEOS: u32 = 1_000;

/// Access rules of one token, at most.
pub const ACCESS_RULES: usize = 5;

/// How far ahead a token may expire: 24 hours.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// `deleteRecordingAfterDays` of a live input.
pub const DELETE_RECORDING_AFTER_DAYS: RangeInclusive<u32> = 30..=1_096;

/// `recording.timeoutSeconds` of a live input; 0 switches it off.
pub const RECORDING_TIMEOUT_SECONDS: RangeInclusive<u32> = 0..=86_400;

/// Opacity, padding and scale of a watermark: parts of the whole.
pub const WATERMARK_PART: RangeInclusive<f64> = 0.0..=1.0;

/// Bytes that a form with a video or an audio track stays below: 200 MB. Beyond it a video is uploaded
/// by tus. <https://developers.cloudflare.com/stream/uploading-videos/upload-video-file/>
pub const FORM_FILE_BYTES: u64 = 200_000_000;

/// Bytes of a file with captions, at most: 10 MB.
pub const CAPTIONS_BYTES: u64 = 10_000_000;

/// Bytes of a watermark's picture, at most: 2 MB.
pub const WATERMARK_BYTES: u64 = 2_000_000;

/// The languages that captions can be made in: BCP 47.
/// <https://developers.cloudflare.com/stream/edit-videos/adding-captions/>
pub const GENERATED_LANGUAGES: [&str; 12] = [
    "cs", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru",
];

/// Characters of the name that a download is saved under, at most; of `A-Z a-z 0-9 - _` alone.
pub const DOWNLOAD_NAME_CHARACTERS: usize = 120;
