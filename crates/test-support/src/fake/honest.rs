//! The honest part: as much of tus as lies need to stand out, without the bytes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{FakeRequest, Reply};

/// An answer in no particular version of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Answer {
    fn new(status: u16) -> Self {
        let headers = vec![("Tus-Resumable", "1.0.0".to_owned())];
        Self { status, headers }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let reply = Self::status(answer.status);
        let added = |reply: Self, (name, value): (_, String)| reply.header(name, value);
        answer.headers.into_iter().fold(reply, added)
    }
}

#[derive(Debug)]
struct Upload {
    length: Option<u64>,
    offset: Arc<AtomicU64>,
}

/// The uploads, by path, numbered in the order of creation.
#[derive(Debug, Default)]
pub(super) struct Honest {
    uploads: Mutex<BTreeMap<u64, Upload>>,
}

impl Honest {
    pub(super) fn uploads(&self) -> Vec<(Option<u64>, u64)> {
        let state = |upload: &Upload| (upload.length, upload.offset.load(Ordering::Acquire));
        self.lock().values().map(state).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Upload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the bytes of a body sent to `target` are counted, if an upload is there.
    pub(super) fn offset_of(&self, target: &str) -> Option<Arc<AtomicU64>> {
        let uploads = self.lock();
        Some(Arc::clone(&uploads.get(&number(target)?)?.offset))
    }

    /// The answer once the whole body was read, and where to count it meanwhile. `base` is the
    /// scheme and host that the client knows.
    pub(super) fn answer(
        &self,
        request: &FakeRequest,
        base: &str,
    ) -> (Answer, Option<Arc<AtomicU64>>) {
        let count = |name| request.header(name).and_then(|value| value.parse().ok());
        let body: u64 = count("Content-Length").unwrap_or(0);
        if request.method == "OPTIONS" {
            let offer = Answer::new(204)
                .with("Tus-Version", "1.0.0")
                .with("Tus-Extension", "creation,creation-with-upload,termination");
            return (offer, None);
        }
        let mut uploads = self.lock();
        if request.method == "POST" {
            let number = uploads.keys().next_back().map_or(1, |last| last + 1);
            let offset = Arc::new(AtomicU64::new(0));
            uploads.insert(
                number,
                Upload {
                    length: count("Upload-Length"),
                    offset: Arc::clone(&offset),
                },
            );
            let created = Answer::new(201)
                .with("Location", format!("{base}/files/{number}"))
                .with("Upload-Offset", body);
            return (created, Some(offset));
        }
        let Some(number) = number(&request.target) else {
            return (Answer::new(404), None);
        };
        if request.method == "DELETE" {
            let status = uploads.remove(&number).map_or(404, |_| 204);
            return (Answer::new(status), None);
        }
        let Some(upload) = uploads.get_mut(&number) else {
            return (Answer::new(404), None);
        };
        let offset = upload.offset.load(Ordering::Acquire);
        match request.method.as_str() {
            "HEAD" => {
                // Whoever asks takes over, as real servers have it: what still arrives of an older request counts no more.
                upload.offset = Arc::new(AtomicU64::new(offset));
                let told = Answer::new(200)
                    .with("Upload-Offset", offset)
                    .with("Cache-Control", "no-store");
                let told = match upload.length {
                    Some(length) => told.with("Upload-Length", length),
                    None => told.with("Upload-Defer-Length", 1),
                };
                (told, None)
            }
            "PATCH" if count("Upload-Offset") != Some(offset) => {
                (Answer::new(409).with("Upload-Offset", offset), None)
            }
            "PATCH" => {
                upload.length = upload.length.or(count("Upload-Length"));
                let taken = Answer::new(204).with("Upload-Offset", offset + body);
                (taken, Some(Arc::clone(&upload.offset)))
            }
            _ => (Answer::new(405), None),
        }
    }
}

/// The number that a path ends in.
fn number(target: &str) -> Option<u64> {
    target.rsplit('/').next()?.parse().ok()
}
