//! The API's operations, by group.

pub(crate) mod edit;
pub(crate) mod list;
pub(crate) mod videos;
