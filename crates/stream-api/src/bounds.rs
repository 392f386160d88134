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
