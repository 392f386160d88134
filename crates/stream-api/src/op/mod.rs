//! The types of each group of operations.

pub mod edit;
pub mod listing;
pub mod videos;
