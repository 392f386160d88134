//! How many minutes are stored.

use stream_api::Op;
use stream_api::op::storage::StorageUsage;

use crate::op::call::ok;
use crate::op::{Answered, Call};

/// Answers `GET …/stream/storage-usage`: minutes of videos, and those that unfinished uploads reserve. What failed or
/// expired takes none.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    if call.op != Op::VideosStorageUsage {
        return super::unknown();
    }
    let (now, creator) = (call.now(), call.query("creator"));
    let entries = call.shared.videos.entries();
    let counted = entries.iter().filter(|entry| {
        entry.account == call.account()
            && entry.expiry().is_none_or(|expiry| expiry > now)
            && (creator.is_none() || creator == entry.video.creator)
    });
    let (mut seconds, mut count) = (0.0, 0_u32);
    for entry in counted {
        seconds += entry.seconds();
        count += 1;
    }
    let mut usage = StorageUsage::default();
    usage.total_storage_minutes = Some(seconds / 60.0);
    #[expect(clippy::cast_precision_loss, reason = "minutes stay far below 2^53")]
    let limit = call
        .shared
        .limits()
        .storage_minutes
        .map(|limit| limit as f64);
    usage.total_storage_minutes_limit = limit;
    usage.video_count = Some(count.into());
    usage.creator = creator;
    ok(usage)
}
