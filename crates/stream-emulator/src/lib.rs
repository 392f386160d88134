//! Cloudflare Stream and a complete tus server on one's own machine: for tests, for continuous
//! integration, and for trying things out without an account.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use stream_emulator::Emulator;
//!
//! let emulator = Emulator::builder().start().await?;
//! println!("the API is at {}, the token is {:?}", emulator.api_url(), emulator.token());
//! emulator.shutdown().await
//! # }
//! ```
//!
//! # What is where
//!
//! | path | what | token |
//! |---|---|---|
//! | `/client/v4/…` | Stream's API; `POST …/stream` creates a video by tus | needed |
//! | `/client/v4/accounts/{account}/media/{uid}` | upload URL of a video created with a token | needed, as at the real edge |
//! | `/tus/{secret}` | upload URL of a video created with `?direct_user=true` | none: the URL is the secret |
//! | `/files/` | generic tus 1.0.0 with every extension | none, unless [`EmulatorBuilder::tus_token`] asks for it at creation |
//! | `/_emulator/requests` | the log of requests, as JSON | needed |
//! | `/_emulator/originals/{id}` | the bytes of a video or an upload | needed |
//!
//! # What is promised
//!
//! - With [`Blobs::Dir`], acknowledged bytes are durable bytes: they are synced before the answer
//!   that counts them, and a server started on the same directory goes on from there.
//! - The bytes of a broken PATCH are kept (tus G-17), unless
//!   [`EmulatorBuilder::drop_partial_chunks`] says otherwise.
//! - One upload has one writer. A newer request for the same upload ends an older PATCH at what it
//!   has stored, so that a client whose connection died never waits for its own ghost.
//! - Stream's numbers (chunk rules, sizes, lengths of fields) are enforced by default.
//! - Faults happen below the handlers: see [`FaultPlan`].

mod account;
mod answer;
mod append;
mod blob;
mod builder;
mod clock;
mod conn;
mod disk;
mod fault;
mod guard;
mod handle;
mod handler;
mod id;
mod in_process;
mod log;
mod op;
mod route;
mod server;
mod settings;
mod stream_path;
mod tus;
mod upload;

pub use blob::Blobs;
pub use builder::{Emulator, EmulatorBuilder, Encoding};
pub use fault::{Fault, FaultPlan, FaultPlanError, FaultRule, FaultTarget, Faults};
pub use handle::{EmulatorHandle, UploadSnapshot, VideoSnapshot};
pub use in_process::InProcess;
pub use log::RequestRecord;
