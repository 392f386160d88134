//! The log of requests, as data to assert on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::header::{AUTHORIZATION, LOCATION};
use http::request::Parts;
use http::{HeaderName, Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use tus_core::{UploadLength, header};

use crate::changes::Teller;
use crate::stream_path::MEDIA_ID;

/// One request that came to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The method in the request line.
    pub method: String,
    /// Path and query; `/tus/-` in place of the secret of a one-time URL.
    pub path: String,
    /// The upload that it was for, or that it created: the media id of a video, the id of a generic
    /// upload.
    pub upload: Option<String>,
    /// Whether an answer was given. Part of it may be lost to a fault.
    pub answered: bool,
    /// The status of the answer; `None` when none was given, because of a fault or because the
    /// client went away.
    pub status: Option<u16>,
    /// Bytes of the request body that were read.
    pub body_bytes: u64,
    /// `Upload-Offset` of the request.
    pub upload_offset: Option<u64>,
    /// `Upload-Length` of the request, in bytes.
    pub upload_length: Option<u64>,
    /// Whether it carried an `Authorization` header.
    pub authorized: bool,
    /// The fault that happened to it.
    pub fault: Option<String>,
    /// When its head came, by the emulator's clock.
    #[serde(serialize_with = "timestamp")]
    pub time: SystemTime,
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

fn timestamp<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

/// RFC 3339 in UTC with microseconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.6}"))
}

/// The last requests, up to [`Log::CAPACITY`].
#[derive(Debug)]
pub(crate) struct Log {
    start: Instant,
    records: Mutex<VecDeque<RequestRecord>>,
    teller: Teller,
}

impl Log {
    /// Enough for a bulk test, a few megabytes at most.
    pub(crate) const CAPACITY: usize = 20_000;

    pub(crate) fn new(teller: Teller) -> Self {
        Self {
            start: Instant::now(),
            records: Mutex::default(),
            teller,
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
    pub(crate) fn new(log: Arc<Log>, head: &Parts, now: SystemTime) -> Self {
        let path = head
            .uri
            .path_and_query()
            .map_or("", http::uri::PathAndQuery::as_str);
        let record = RequestRecord {
            method: head.method.to_string(),
            path: without_secret(path),
            upload: None,
            answered: false,
            status: None,
            body_bytes: 0,
            upload_offset: header::upload_offset(&head.headers).ok().flatten(),
            upload_length: header::upload_length(&head.headers)
                .ok()
                .flatten()
                .and_then(UploadLength::known),
            authorized: head.headers.contains_key(AUTHORIZATION),
            fault: None,
            time: now,
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

    /// Names the upload that it is for.
    pub(crate) fn is_for(&mut self, upload: &str) {
        self.record.upload = Some(upload.to_owned());
    }

    /// Names the upload that it made, if this answers a creation.
    pub(crate) fn made<B>(&mut self, answer: &Response<B>) {
        if answer.status() != StatusCode::CREATED {
            return;
        }
        let text = |name: HeaderName| answer.headers().get(name)?.to_str().ok();
        let last = |location: &str| location.rsplit('/').next().map(str::to_owned);
        self.record.upload = text(MEDIA_ID)
            .map(str::to_owned)
            .or_else(|| text(LOCATION).and_then(last));
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.record.answered = true;
        self.record.status = Some(status.as_u16());
    }

    pub(crate) fn suffered(&mut self, fault: String) {
        self.record.fault = Some(fault);
    }
}

/// A one-time URL is a secret, and so is a stream key, and a token in a playback URL: whoever has it may use it.
fn without_secret(path: &str) -> String {
    for place in ["/tus/", "/upload/", "/live/"] {
        if let Some(rest) = path.strip_prefix(place) {
            let query = rest.find('?').map_or("", |at| &rest[at..]);
            return format!("{place}-{query}");
        }
    }
    let first = path.get(1..).unwrap_or("").split('/').next().unwrap_or("");
    if first.matches('.').count() == 2 && first.len() > 64 {
        return format!("/-{}", &path[1 + first.len()..]);
    }
    path.to_owned()
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
        drop(records);
        self.log.teller.tell();
    }
}
