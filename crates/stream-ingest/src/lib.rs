//! Bulk uploads to Cloudflare Stream and to every tus server: which files, what is told about them, and what became of them.

mod apply;
mod doubt;
mod ingest;
mod job;
pub mod limits;
mod scan;
mod service;
mod settings;
mod target;
mod wait;

pub use apply::{Applied, ApplyError};
pub use ingest::Ingest;
pub use job::{Job, JobError, JobResult, Uploaded, media_id};
pub use scan::{Found, FoundFile, LeftOut, Selection, find, is_video_name};
pub use service::{CloudflareStream, MEDIA_ID};
pub use settings::{Deletion, SettingsError, VideoSettings};
pub use target::{Target, TargetError};
pub use wait::{Stage, WaitSink};
