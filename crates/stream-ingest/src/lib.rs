//! Bulk uploads to Cloudflare Stream and to every tus server: which files, what is told about them, and what became of them.

mod apply;
mod ask;
mod budget;
mod copy;
mod doubt;
mod form;
mod form_sender;
mod http_source;
mod ingest;
mod job;
pub mod limits;
mod patience;
mod preflight;
mod scan;
mod service;
mod settings;
mod source_key;
mod target;
mod wait;
mod webhooks;

pub use apply::{Applied, ApplyError};
pub use budget::{ALLOWED, Budget, SHARE, WINDOW};
pub use copy::{Copied, Copier, CopyError, CopyJob, CopyResult};
pub use form::{FormError, FormUpload, source_body, upload_form};
pub use form_sender::{FormSender, FormSent};
pub use http_source::HttpSource;
pub use ingest::Ingest;
pub use job::{Job, JobError, JobResult, Uploaded, media_id};
pub use patience::{ApiPatience, ApiReason, ApiSink, ApiWait};
pub use preflight::{SourceError, SourceFacts, check_source};
pub use scan::{Found, FoundFile, LeftOut, Selection, find, find_and_tell, is_video_name};
pub use service::{CloudflareStream, MEDIA_ID};
pub use settings::{Deletion, SettingsError, VideoSettings};
pub use target::{Target, TargetError};
pub use wait::{Stage, WaitSink};
pub use webhooks::Webhooks;
