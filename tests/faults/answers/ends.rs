//! Uploads whose time runs out, and videos that come to nothing.

use crate::row::{Ended as RowEnded, Row, row};

pub(super) fn rows() -> Vec<Row> {
    vec![row!(
        "F48",
        "a video that comes to nothing is told",
        "video ends in error, or stays queued",
        no_video
    )]
}

async fn no_video() -> RowEnded {
    Err("`put` does not follow a video after its upload: there is no --wait yet".to_owned())
}
