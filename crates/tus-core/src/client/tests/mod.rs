//! The machine, answered by hand.

use std::time::{Duration, Instant, SystemTime};

use http::{HeaderName, HeaderValue, Method, Request, Response};

mod alignment;
mod doubt;
mod extensions;
mod flow;
mod mishaps;

use super::*;
use crate::chunk::{Chunk, ChunkRule};
use crate::metadata::Metadata;
use crate::rejection::Phase;
use crate::retry::RetryPolicy;
use crate::url::UploadUrl;

pub(super) const ENDPOINT: &str = "https://tus.example/files/";
pub(super) const UPLOAD: &str = "https://tus.example/files/1?tusv2=true";
pub(super) const LENGTH: u64 = 100;

pub(super) fn url(text: &str) -> UploadUrl {
    UploadUrl::parse(text).unwrap()
}

/// What a service reads in a body.
pub(super) fn says(kind: VerdictKind) -> Verdict {
    Verdict {
        kind: Some(kind),
        code: None,
        message: format!("{kind:?}"),
    }
}

pub(super) fn creation() -> Creation {
    let mut metadata = Metadata::new();
    metadata.insert("name", "a.mp4").unwrap();
    Creation {
        url: url(ENDPOINT),
        metadata,
        headers: http::HeaderMap::new(),
    }
}

/// A machine in hand-wound time.
pub(super) struct Bench {
    pub(super) upload: Upload,
    pub(super) now: Now,
    pub(super) events: Vec<Event>,
}

impl Bench {
    pub(super) fn new(plan: UploadPlan) -> Self {
        let rule = ChunkRule {
            min_bytes: 10,
            max_bytes: 40,
            multiple_of_bytes: 10,
            preferred_bytes: 40,
        };
        let keep = vec![HeaderName::from_static("stream-media-id")];
        let plan = plan.with_chunk_rule(rule).with_keep_headers(keep);
        let now = Now {
            instant: Instant::now(),
            wall: SystemTime::UNIX_EPOCH,
        };
        Self {
            upload: Upload::new(plan),
            now,
            events: Vec::new(),
        }
    }

    pub(super) fn creating() -> Self {
        Self::new(UploadPlan::create(creation(), LENGTH))
    }

    pub(super) fn resuming() -> Self {
        Self::new(UploadPlan::resume(url(UPLOAD), Some(creation()), LENGTH))
    }

    /// A machine that resumes an upload of which an earlier run handed out all bytes below `reached`.
    pub(super) fn reached(reached: u64) -> Self {
        let start = Start::Resume {
            url: url(UPLOAD),
            offset: 0,
            reached,
        };
        Self::new(UploadPlan::create(creation(), LENGTH).with_start(start))
    }

    /// A machine that has just been told offset 0 by HEAD.
    pub(super) fn patching() -> Self {
        let mut bench = Self::resuming();
        bench.answer(200, &[("upload-offset", "0")]);
        bench
    }

    /// The next step, all waits slept through.
    pub(super) fn step(&mut self) -> Step {
        loop {
            match self.upload.step(self.now) {
                Step::WaitUntil(until) => self.now.instant = until,
                step => return step,
            }
        }
    }

    pub(super) fn sent(&mut self) -> (Request<()>, Exchange) {
        match self.step() {
            Step::Send(exchange) => (exchange.head(), exchange),
            other => panic!("a request was expected, not {other:?}"),
        }
    }

    pub(super) fn method(&mut self) -> Method {
        self.sent().0.method().clone()
    }

    pub(super) fn answer(&mut self, status: u16, headers: &[(&'static str, &str)]) {
        self.judged(status, headers, None);
    }

    pub(super) fn judged(
        &mut self,
        status: u16,
        headers: &[(&'static str, &str)],
        verdict: Option<Verdict>,
    ) {
        let _ = self.sent();
        let mut response = Response::new(());
        *response.status_mut() = status.try_into().unwrap();
        response
            .headers_mut()
            .insert("tus-resumable", HeaderValue::from_static("1.0.0"));
        for (name, value) in headers {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        self.upload.on_response(&response, verdict, self.now);
        self.drain();
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        let _ = self.sent();
        self.upload.on_fault(fault, self.now);
        self.drain();
    }

    pub(super) fn reconciled(&mut self, found: Reconciled) {
        assert!(
            matches!(self.step(), Step::Reconcile),
            "a question to the service was expected"
        );
        self.upload.on_reconciled(found, self.now);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(event) = self.upload.poll_event() {
            self.events.push(event);
        }
    }

    pub(super) fn failure(&mut self) -> Failure {
        match self.step() {
            Step::Done(Outcome::Failed(failure)) => failure,
            other => panic!("a failure was expected, not {other:?}"),
        }
    }

    pub(super) fn assert_finished(&mut self) {
        let step = self.step();
        assert!(matches!(step, Step::Done(Outcome::Finished)), "{step:?}");
    }

    pub(super) fn waits(&self) -> usize {
        self.events
            .iter()
            .filter(|event| matches!(event, Event::Retry { .. }))
            .count()
    }
}
