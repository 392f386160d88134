//! What asks the API, against an account in memory that loses answers by plan.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod account;
mod budget;
mod copy;
mod form;
mod source;
mod wait;
