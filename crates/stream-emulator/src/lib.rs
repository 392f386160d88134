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
//! | `/upload/{secret}` | one-time URL of `…/stream/direct_upload`, which takes a form | none: the URL is the secret |
//! | `/live/{stream key}` | a broadcast to a live input, as the body of a POST | none: the key is the secret |
//! | `/{uid or token}/…` | playback: `original`, `watch`, `manifest/video.m3u8`, `thumbnails/…`, `downloads/…` | a signed one in the place of the id, where the video wants that |
//! | `/` | a page that shows the videos live, plays them, and uploads | it asks for it |
//! | `/files/` | generic tus 1.0.0 with every extension | none, unless [`EmulatorBuilder::tus_token`] asks for it at creation |
//! | `/_emulator/…` | what Stream does not have, see below | needed |
//!
//! | request | what |
//! |---|---|
//! | `GET /_emulator/requests` | the log of requests: a list of [`RequestRecord`] |
//! | `GET /_emulator/uploads` | a list of [`UploadSnapshot`], with the `sha256` of the bytes so far |
//! | `GET /_emulator/state` | as `videos`, without reading their bytes for a `sha256`; what the page asks for |
//! | `GET /_emulator/videos` | a list of [`VideoSnapshot`], with the `offset` and `sha256` of the upload |
//! | `GET /_emulator/originals/{id}` | the bytes of a video or an upload |
//! | `POST /_emulator/faults` | adds the rows of a plan, see [`FaultPlan::from_json`]; `DELETE` removes all rows |
//! | `POST /_emulator/clock` | `{"advance_ms": 60000}` puts the clock forward; `GET` reads it |
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
//! - What is not public of Stream is never guessed silently: each such thing is a switch of
//!   [`Hypotheses`]. What an account may use is in [`Limits`].
//! - Uploaded files are looked into: duration and picture are the file's own. With
//!   [`EmulatorBuilder::judge_media`], what is no video ends in `error`, as with Stream.
//! - Originals play by ranges, as uploaded: nothing is encoded. Where `ffmpeg` is in the path there are
//!   thumbnails, HLS, DASH, downloads of sound, and clips that are files of their own, all but the clips with the video's
//!   watermark painted on them. Without it these are 404,
//!   and a clip has all bytes of its original and says so in its `meta`.
//! - A copy from a URL is fetched by HEAD and ranges, goes on where it broke, and after a restart. Its
//!   source may be on this machine, which Stream would not reach.
//! - Every answer is as Cloudflare's descriptions have it. What was seen to differ from them is a switch of
//!   [`Quirks`].
//! - A broadcast to a live input is recorded as a real video, with the states of both as Stream has them. It comes over
//!   HTTP (`ffmpeg … -f mpegts http://127.0.0.1:PORT/live/STREAM_KEY`): there is no RTMPS, SRT or WebRTC here, nothing plays
//!   while it is live, and outputs are not sent to.
//! - A one-time URL works for one upload, and until it expires (30 minutes after its creation unless
//!   that names another time). An upload that is not complete in time is refused, and its video
//!   deleted an hour later.
//! - A video with `scheduledDeletion` is deleted at that time, with all that belongs to it.
//! - Faults happen below the handlers: see [`FaultPlan`].

mod account;
mod answer;
mod append;
mod blob;
mod body;
mod builder;
mod changes;
mod clock;
mod conn;
mod disk;
mod entry;
mod expiry;
mod fault;
mod fetch;
mod ffmpeg;
mod filling;
mod form;
mod guard;
mod handle;
mod handler;
mod hypotheses;
mod id;
mod in_process;
mod join;
mod language;
mod limits;
mod live;
mod log;
mod notify;
mod op;
mod outbound;
mod own;
mod page;
mod playback;
mod quirks;
mod route;
mod seen;
mod server;
mod settings;
mod snapshot;
mod stream_path;
mod stream_rules;
mod tus;
mod upload;
mod webvtt;
mod writing;

pub use blob::Blobs;
pub use builder::{Emulator, EmulatorBuilder, Encoding};
pub use changes::Changes;
pub use fault::{Fault, FaultPlan, FaultPlanError, FaultRule, FaultTarget, Faults, RetryAfter};
pub use handle::EmulatorHandle;
pub use hypotheses::{Alignment, ExpiredVideo, Hypotheses};
pub use in_process::InProcess;
pub use limits::{Limits, RequestRate};
pub use log::RequestRecord;
pub use quirks::Quirks;
pub use snapshot::{LiveInputSnapshot, UploadSnapshot, VideoSnapshot};
