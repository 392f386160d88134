//! The whole product over loopback: the real binary, the emulator, real tus servers, and everything that goes wrong in between.
//!
//! One binary made of modules, because linking dominates.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod alignment;
mod api;
mod bandwidth;
mod budget;
mod chunks;
mod cli;
mod copies;
mod doubt;
mod evidence;
mod explain;
mod forms;
mod interop;
mod library;
mod line;
mod main_job;
mod many;
mod network_loss;
mod one_time;
mod page;
mod parts;
mod peers;
mod processes;
mod sdk;
mod secrets;
mod security;
mod serve;
mod settings;
mod state;
mod tus_js;
mod wait;
mod warm;
mod webhooks;
mod world;
