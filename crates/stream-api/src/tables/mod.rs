//! Tables that are read as a whole, row by row.

pub(crate) mod operations;
