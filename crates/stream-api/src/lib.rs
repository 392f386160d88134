//! Cloudflare Stream's HTTP API as data: where each operation lives, what it answers, and a client
//! over any [`Transport`](http_transport::Transport).
//!
//! [`endpoints`] is the one table of operations; a client builds requests from its rows and the
//! local emulator routes by them. Reading is lenient throughout: the published descriptions of this
//! API disagree with each other and with what it answers, so an unknown field is kept, a field of an
//! unexpected type counts as absent, and Cloudflare's error codes are handed on verbatim.

pub mod bounds;
pub mod client;
mod codes;
pub mod endpoints;
mod envelope;
mod error;
mod lenient;
mod multipart;
pub mod op;
mod page;
mod patience;
mod playback;
mod rate;
mod secret;
mod signing;
mod tables;
mod upload_url;
mod wait;
pub mod webhook;
mod words;

pub use client::StreamClient;
pub use codes::{Again, ERROR_CODES, ERROR_REASONS, ErrorCode, ErrorReason};
pub use endpoints::{Endpoint, Op, UploadEndpoint, UploadOp};
pub use envelope::{Envelope, Message, code};
pub use error::Error;
pub use lenient::Unknown;
pub use multipart::{Form, FormFile};
pub use op::edit::{OutOfBounds, ScheduledDeletion, VideoEdit};
pub use op::listing::{ListVideos, VideoPage, VideoType};
pub use op::videos::{PublicDetails, Video, VideoState, VideoStatus};
pub use page::Videos;
pub use patience::{Attempts, Patience};
pub use playback::{PlaybackUrls, Thumbnail};
pub use rate::{RATELIMIT, RATELIMIT_POLICY, RateLimit, retry_after};
pub use secret::{Secret, SourceUrl};
pub use signing::{KeyError, TokenSigner};
pub use upload_url::{UploadProgress, UploadUrl};
pub use wait::{WaitOptions, Waited, wait_ready_by};
