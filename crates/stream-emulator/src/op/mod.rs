//! The operations of the API, one file per group as in `stream-api`.

pub(crate) mod videos;
