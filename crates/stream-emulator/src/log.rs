//! The log of requests, as data to assert on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::request::Parts;
use serde::Serialize;
use tus_core::header;

/// One request that came to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The method in the request line.
    pub method: String,
    /// Path and query. Holds the secret of a one-time URL: the log is for whoever runs the server.
    pub path: String,
    /// The status of the answer; `None` when none was given, because of a fault or because the
    /// client went away.
    pub status: Option<u16>,
    /// Bytes of the request body that were read.
    pub body_bytes: u64,
    /// `Upload-Offset` of the request.
    pub upload_offset: Option<u64>,
    /// Whether it carried an `Authorization` header.
    pub authorized: bool,
    /// The fault that happened to it.
    pub fault: Option<String>,
    /// From the start of the server to the head of the request.
    #[serde(serialize_with = "milliseconds")]
    pub began: Duration,
    /// From the head of the request to the head of the answer.
    #[serde(serialize_with = "milliseconds")]
    pub took: Duration,
}

fn milliseconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64() * 1000.0)
}

/// The last requests, up to [`Log::CAPACITY`].
#[derive(Debug)]
pub(crate) struct Log {
    start: Instant,
    records: Mutex<VecDeque<RequestRecord>>,
}

impl Log {
    /// Enough for a bulk test, a few megabytes at most.
    pub(crate) const CAPACITY: usize = 20_000;

    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            records: Mutex::default(),
        }
    }

    pub(crate) fn records(&self) -> Vec<RequestRecord> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<RequestRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way. It is logged when this is dropped, so that one whose client vanished is
/// logged as well.
pub(crate) struct Pending {
    log: Arc<Log>,
    record: RequestRecord,
    body_bytes: Arc<AtomicU64>,
    began: Instant,
}

impl Pending {
    pub(crate) fn new(log: Arc<Log>, head: &Parts) -> Self {
        let path = head
            .uri
            .path_and_query()
            .map_or("", http::uri::PathAndQuery::as_str);
        let record = RequestRecord {
            method: head.method.to_string(),
            path: path.to_owned(),
            status: None,
            body_bytes: 0,
            upload_offset: header::upload_offset(&head.headers).ok().flatten(),
            authorized: head.headers.contains_key(AUTHORIZATION),
            fault: None,
            began: log.start.elapsed(),
            took: Duration::ZERO,
        };
        Self {
            log,
            record,
            body_bytes: Arc::default(),
            began: Instant::now(),
        }
    }

    /// Where the bytes of the body are counted.
    pub(crate) fn body_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.body_bytes)
    }

    pub(crate) fn answered(&mut self, status: http::StatusCode) {
        self.record.status = Some(status.as_u16());
    }

    pub(crate) fn suffered(&mut self, fault: String) {
        self.record.fault = Some(fault);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.record.body_bytes = self.body_bytes.load(Ordering::Relaxed);
        self.record.took = self.began.elapsed();
        let mut records = self.log.lock();
        if records.len() == Log::CAPACITY {
            records.pop_front();
        }
        records.push_back(self.record.clone());
    }
}
