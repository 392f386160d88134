#![doc = include_str!("../GUIDE.md")]
#![doc = include_str!("../STATUSES.md")]

pub mod checksum;
pub mod chunk;
pub mod client;
pub mod concat;
pub mod extension;
pub mod header;
pub mod length;
pub mod metadata;
pub mod rejection;
pub mod retry;
pub mod server;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod url;

pub use checksum::{Checksum, ChecksumAlgorithm};
pub use chunk::{Chunk, ChunkRule};
pub use client::ChecksumWish;
pub use concat::UploadConcat;
pub use extension::{Extension, Extensions, ServerCapabilities};
pub use length::UploadLength;
pub use metadata::Metadata;
pub use rejection::{Advice, Meaning, Rejection};
pub use retry::{Backoff, RetryPolicy};
pub use url::{MAX_URL_BYTES, UploadUrl, UrlError};
