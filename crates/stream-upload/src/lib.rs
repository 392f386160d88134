//! Resumable, parallel uploads to Cloudflare Stream and every tus server.
//!
//! This crate is the paved path: it gives what most embedders need under one name. There are three doors:
//!
//! - [`stream_ingest`]: whole files to Stream or a tus server, with settings, limits and resume state;
//! - [`tus_engine`]: any source to any tus server;
//! - [`tus_core`]: the protocol as state machines, for an I/O layer of your own.
//!
//! ```no_run
//! use std::sync::Arc;
//! use stream_upload::{FileSource, NewUpload, Protocol, ReqwestTransport, SledStore, Target, Uploader};
//! use stream_upload::tus_engine::Creation;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let target = Target::tus("https://tus.example/files/")?;
//! let uploader = Uploader::builder(Arc::new(ReqwestTransport::new(Protocol::Http1)?))
//!     .store(SledStore::open("state")?)
//!     .build()?;
//! let source = Arc::new(FileSource::open("footage.mov".as_ref())?);
//! let new = NewUpload::new(Creation::new(target.url().clone()), "footage.mov");
//! let report = uploader.upload(source, new).join().await?;
//! println!("{} bytes", report.length);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "cli")]
pub mod cli;

pub use http_transport::{self, Credentials, Deadlines, Origin, Protocol, ReqwestTransport};
pub use resume_store::{self, MemoryStore, ResumeStore, SledStore};
#[cfg(feature = "emulator")]
pub use stream_emulator;
pub use stream_ingest::{self, CloudflareStream, Ingest, Job, Target, VideoSettings};
pub use tus_core;
pub use tus_engine::{
    self, FileSource, NewUpload, Report, UploadError, UploadHandle, Uploader, UploaderOptions,
};

/// The README's example is compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
