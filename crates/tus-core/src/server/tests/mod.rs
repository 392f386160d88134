//! The server's rules, each test named by the rows that it holds.

mod core;
mod creation;
mod extensions;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Request, StatusCode};

use super::*;
use crate::checksum::ChecksumAlgorithm;
use crate::extension::{Extension, Extensions, ServerCapabilities};
use crate::length::UploadLength;
use crate::rejection::{Meaning, Rejection};

pub(super) const NOW: SystemTime = UNIX_EPOCH;

pub(super) fn server(extensions: Extensions) -> Server {
    Server::new(ServerCapabilities {
        extensions,
        max_size_bytes: Some(1000),
        checksum_algorithms: vec![ChecksumAlgorithm::Sha1],
    })
    .with_expiry(Duration::from_secs(60))
}

pub(super) fn full() -> Server {
    server(Extension::ALL.into_iter().collect())
}

pub(super) fn bare() -> Server {
    server([Extension::Creation].into_iter().collect())
}

/// A request with the version; headers as one text, `name: value` per line.
pub(super) fn request(method: &str, headers: &str) -> Request<()> {
    let mut builder = Request::builder()
        .method(method)
        .header("Tus-Resumable", "1.0.0");
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").expect("name: value");
        builder = builder.header(name.trim(), value);
    }
    builder.body(()).unwrap()
}

pub(super) fn patch(headers: &str) -> Request<()> {
    request(
        "PATCH",
        &format!("Content-Type: application/offset+octet-stream\n{headers}"),
    )
}

pub(super) fn at(offset: u64, length: UploadLength) -> UploadInfo {
    UploadInfo {
        offset,
        ..UploadInfo::new(length)
    }
}

pub(super) fn ten(offset: u64) -> UploadInfo {
    at(offset, UploadLength::Known(10))
}

pub(super) fn meaning(result: Result<Decision, Rejection>) -> Meaning {
    result.expect_err("a rejection").meaning
}

pub(super) fn created(result: Result<Decision, Rejection>) -> Create {
    match result {
        Ok(Decision::Create(create)) => create,
        other => panic!("{other:?}"),
    }
}

pub(super) fn append(result: Result<Decision, Rejection>) -> Append {
    match result {
        Ok(Decision::Append(append)) => append,
        other => panic!("{other:?}"),
    }
}

pub(super) fn join(result: Result<Decision, Rejection>) -> Join {
    match result {
        Ok(Decision::Join(join)) => join,
        other => panic!("{other:?}"),
    }
}
