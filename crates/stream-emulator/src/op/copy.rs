//! The group `copy`.

use crate::op::{Answered, Call};

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    let _ = call;
    super::unknown()
}
