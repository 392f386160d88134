//! A resumable, parallel upload engine for every tus server.
//!
//! [`Uploader`] takes sources and moves them; `tus-core` holds the rules, `resume-store` what survives a crash,
//! `http-transport` the network. The server's offset is the truth: after anything ambiguous it is asked for, and nothing is
//! sent or created twice on a guess.
//!
//! ```no_run
//! use std::sync::Arc;
//! use http_transport::{Protocol, ReqwestTransport};
//! use resume_store::MemoryStore;
//! use tus_engine::{Creation, FileSource, NewUpload, Uploader, UploadUrl};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let uploader = Uploader::builder(Arc::new(ReqwestTransport::new(Protocol::Http1)?))
//!     .store(MemoryStore::new())
//!     .build()?;
//! let source = Arc::new(FileSource::open("footage.mov".as_ref())?);
//! let creation = Creation::new(UploadUrl::parse("https://tus.example/files/")?);
//! let report = uploader.upload(source, NewUpload::new(creation, "footage.mov")).join().await?;
//! println!("{} bytes in {:?}", report.length, report.elapsed);
//! # Ok(())
//! # }
//! ```

mod bandwidth;
mod body;
mod buffer;
mod capabilities;
mod chunk_size;
mod control;
mod digest;
mod drive;
mod error;
mod event;
mod handle;
mod heed;
mod journal;
mod keep;
mod measured;
mod new_upload;
mod options;
mod outbox;
mod pace;
mod parts;
mod permits;
mod prove;
mod reader;
mod remove;
mod resume;
mod service;
mod source;
mod task;
mod uploader;
mod warm;
mod wire;

pub use buffer::{BUFFER_BYTES, Buffer, BufferPool};
pub use error::UploadError;
pub use event::{Event, EventSink, RestartReason, Silent, UploadId, WaitReason};
pub use handle::{Termination, UploadHandle};
pub use new_upload::{Entry, NewUpload, Report, Resume};
pub use options::{Parallel, Parts, UploaderOptions};
pub use pace::Limit;
pub use reader::{ReaderSource, WINDOW_BYTES};
pub use service::{Finding, PlainTus, Service, printable};
pub use source::{BytesSource, FileSource, Look, Ready, Source};
pub use tus_core::client::{Creation, Failure, Reconciled, RetryReason, Verdict, VerdictKind};
pub use tus_core::{
    ChecksumAlgorithm, ChecksumWish, ChunkRule, Metadata, RetryPolicy, UploadLength, UploadUrl,
};
pub use uploader::{Uploader, UploaderBuilder};
