//! The engine against a null server on loopback, against answers that are made up, and against a server that is far away.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod answers;
mod asking;
mod connections;
mod control;
mod far;
mod resume;
mod sending;
mod speed;
mod support;
mod warm;
