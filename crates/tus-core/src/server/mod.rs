//! The server side of tus 1.0.0: what a request asks for, and how it is answered. No I/O, no clock.
//!
//! The contract in three steps, for whoever reads the socket and writes the bytes:
//!
//! 1. [`Server::decide`] reads the head of a request, with the [`UploadInfo`] of the upload that
//!    its URL names (`None` for the creation URL and for an upload that is not there), and hands
//!    back a [`Decision`]: the one thing to do. A [`Rejection`](crate::Rejection) is answered by
//!    [`refusal`], and nothing is changed.
//! 2. The caller does it. Bodies are described by [`Append`]: where the bytes go, how many are
//!    allowed, and which checksum has to hold before any of them counts.
//! 3. `done` of the decision builds the answer with all its headers.
//!
//! An extension exists only if the server's capabilities list it. Where the text is silent, the
//! strict reading is taken: what cannot be understood exactly is refused, never guessed.
//!
//! ```
//! use std::time::SystemTime;
//! use tus_core::{Extension, ServerCapabilities};
//! use tus_core::server::{Decision, Server};
//!
//! let server = Server::new(ServerCapabilities {
//!     extensions: [Extension::Creation].into_iter().collect(),
//!     ..ServerCapabilities::default()
//! });
//! let request = http::Request::post("/files/")
//!     .header("Tus-Resumable", "1.0.0")
//!     .header("Upload-Length", "11")
//!     .body(())?;
//! let Ok(Decision::Create(create)) = server.decide(&request, None, SystemTime::now()) else {
//!     panic!("a creation")
//! };
//! let answer = create.done("/files/f00", &create.info);
//! assert_eq!(answer.status(), 201);
//! # Ok::<(), http::Error>(())
//! ```

mod answer;
mod append;
mod decide;
#[cfg(test)]
mod tests;
mod upload;

pub use answer::{Create, Head, Join, Options, Terminate, refusal, refusal_about};
pub use append::{Append, ExpectedChecksum, Verifier};
pub use decide::{Decision, Server, requested_method};
pub use upload::{UploadInfo, UploadKind};
