//! The whole product over loopback: the real binary, the emulator, real tus servers, and everything that goes wrong in between.
//!
//! One binary made of modules, because linking dominates.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod cli;
mod evidence;
mod explain;
mod interop;
mod library;
mod main_job;
mod network_loss;
mod parts;
mod peers;
mod processes;
mod serve;
mod state;
mod tus_js;
mod world;
