//! What the server offers, and what follows from that before anything is created.

use http::Response;

use super::event::Event;
use super::failure::Failure;
use super::plan::ChecksumWish;
use super::step::{Fault, Next, Now};
use super::upload::Upload;
use super::verdict::Verdict;
use crate::checksum::ChecksumAlgorithm;
use crate::chunk::Chunk;
use crate::concat::UploadConcat;
use crate::extension::{Extension, ServerCapabilities};
use crate::header;
use crate::length::UploadLength;
use crate::rejection::{Advice, Phase, advice};
use crate::retry::retry_after;

/// Algorithms from the cheapest to the dearest, for a client that takes what is offered.
const BY_COST: [ChecksumAlgorithm; 4] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
    ChecksumAlgorithm::Md5,
];

/// The size of chunks that carry a digest, where nobody asked for another: a server cannot verify a broken one and keeps
/// nothing of it (CK-11), so this is what a break costs. 8 MiB.
pub const CHECKSUMMED_CHUNK_BYTES: u64 = 8 * 1024 * 1024;

impl Upload {
    /// The answer to OPTIONS. One that says nothing is not a reason to stop: the creation will show what is there. One that
    /// asks to wait is no answer yet.
    pub(super) fn on_probed(&mut self, head: &Response<()>, verdict: Option<Verdict>, now: Now) {
        let status = head.status();
        let later = match advice(Phase::Options, status) {
            Advice::Throttled => true,
            Advice::Wait => self.must_know() || retry_after(head.headers(), now.wall).is_some(),
            Advice::WaitForLock => self.must_know(),
            _ => self.must_know() && status.is_redirection(),
        };
        if later && !status.is_success() {
            return self.refused(Phase::Options, head, verdict, now);
        }
        if self.must_know() && header::is_html(head.headers()) {
            return self.foreign(Phase::Options, status, now);
        }
        let told = status
            .is_success()
            .then(|| ServerCapabilities::from_headers(head.headers()));
        self.probed(told.flatten());
    }

    /// No answer to OPTIONS: likewise, unless nothing will ever go through, or nothing may without an answer.
    pub(super) fn probe_failed(&mut self, fault: Fault, now: Now) {
        if fault == Fault::Permanent || self.must_know() {
            return self.faulted(Next::Probe, fault, now);
        }
        self.go(self.first);
    }

    /// Whether no byte may leave before the server said what it offers.
    fn must_know(&self) -> bool {
        matches!(self.plan.checksum, ChecksumWish::Required(_))
    }

    fn probed(&mut self, capabilities: Option<ServerCapabilities>) {
        self.redirected = None;
        self.plan.capabilities.clone_from(&capabilities);
        self.events.push_back(Event::Probed { capabilities });
        self.go(self.first);
        self.settle();
    }

    /// Draws the conclusions from what is known of the server. Fails what it cannot do before anything is created.
    pub(super) fn settle(&mut self) {
        let Some(capabilities) = &self.plan.capabilities else {
            if let ChecksumWish::Required(_) = self.plan.checksum {
                self.fail(Failure::Unsupported(Extension::Checksum));
            }
            return;
        };
        let has = |extension| capabilities.extensions.has(extension);
        let offered = &capabilities.checksum_algorithms;
        let checksum = match self.plan.checksum {
            ChecksumWish::Never => None,
            ChecksumWish::Offered if !has(Extension::Checksum) => None,
            ChecksumWish::Offered => BY_COST
                .into_iter()
                .find(|algorithm| offered.contains(algorithm)),
            ChecksumWish::Required(algorithm) => {
                if !has(Extension::Checksum) || !offered.contains(&algorithm) {
                    return self.fail(Failure::Unsupported(Extension::Checksum));
                }
                Some(algorithm)
            }
        };
        let trailer = has(Extension::ChecksumTrailer);
        let one_request = has(Extension::CreationWithUpload);
        let missing = match (&self.plan.concat, self.length) {
            (Some(_), _) if !has(Extension::Concatenation) => Some(Extension::Concatenation),
            (_, UploadLength::Deferred) if !has(Extension::CreationDeferLength) => {
                Some(Extension::CreationDeferLength)
            }
            _ => None,
        };
        if let Some(extension) = missing {
            return self.fail(Failure::Unsupported(extension));
        }
        if let (Some(length), Some(max_bytes)) = (self.length.known(), capabilities.max_size_bytes)
            && length > max_bytes
            && self.url.is_none()
        {
            return self.fail(Failure::TooLong { length, max_bytes });
        }
        if checksum.is_some() && self.plan.chunk_bytes.is_none() {
            let rule = self.plan.chunk_rule;
            self.chunk_bytes = rule.fit(rule.preferred_bytes.min(CHECKSUMMED_CHUNK_BYTES));
        }
        self.checksum = checksum;
        self.checksum_trailer = trailer;
        self.one_request = one_request;
    }

    /// The bytes that go with the creation itself (CW-03): all of a small upload, or none.
    pub(super) fn chunk_with_creation(&self) -> Option<Chunk> {
        let UploadLength::Known(length) = self.length else {
            return None;
        };
        let fits = length > 0
            && length <= self.plan.one_request_bytes
            && length <= self.plan.chunk_rule.max_bytes
            && length <= self.chunk_cap;
        let joins = matches!(self.plan.concat, Some(UploadConcat::Final(_)));
        // A digest goes with PATCH only.
        let bare = !self.must_know();
        (fits && self.one_request && bare && !joins).then_some(Chunk {
            start: 0,
            len: length,
        })
    }
}
