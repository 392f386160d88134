//! The types of each group of operations.

pub mod videos;
