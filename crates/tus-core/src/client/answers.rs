//! What the answers to POST, HEAD and PATCH mean when they are not refusals.

use http::header::LOCATION;
use http::{HeaderMap, Response, StatusCode};

use super::event::{Event, RetryReason};
use super::failure::{Failure, Violation};
use super::step::{Next, Now};
use super::upload::Upload;
use super::verdict::Verdict;
use crate::header;
use crate::length::UploadLength;
use crate::rejection::Phase;
use crate::url::UrlError;

/// Times that the offset may fall over the whole upload.
const MAX_REWINDS: u32 = 3;
/// The longest kept header, in bytes: an id, not a document.
const MAX_TAG_BYTES: usize = 1024;

impl Upload {
    /// The answer to POST (CR-08 … CR-10).
    pub(super) fn on_created(&mut self, head: &Response<()>, verdict: Option<Verdict>, now: Now) {
        let status = head.status();
        if status != StatusCode::CREATED {
            if status.is_success() {
                return self.foreign(Phase::Create, status, now);
            }
            return self.refused(Phase::Create, head, verdict, now);
        }
        let sent = self.in_flight.take();
        let Some(creation) = &self.plan.creation else {
            return;
        };
        let asked = self
            .redirected
            .as_ref()
            .map_or(&creation.url, |(url, _)| url);
        let location = match head.headers().get(LOCATION).map(|value| value.to_str()) {
            Some(Ok(location)) => asked.resolve(location).map_err(Some),
            Some(Err(_)) => Err(Some(UrlError::ControlCharacter)),
            None => Err(None),
        };
        let url = match location {
            Ok(url) => std::sync::Arc::new(url),
            Err(error) => {
                self.events.push_back(Event::PossibleOrphan);
                return self.fail(Failure::Violation(Violation::Location(error)));
            }
        };
        self.redirected = None;
        self.keep(head.headers());
        self.warn_of_version(head.headers());
        let expires = header::upload_expires(head.headers()).ok().flatten();
        self.url = Some(url.clone());
        self.offset = 0;
        self.reached = sent.map_or(0, |chunk| chunk.end());
        self.located = true;
        self.events.push_back(Event::Created {
            url,
            tags: self.tags.clone(),
            expires,
        });
        self.progressed(now);
        if self.is_final() {
            return self.go(Next::Sync); // CC-15: HEAD says whether the parts are joined
        }
        // CW-06: what was taken of the bytes that came along. An answer that does not say is asked.
        match (sent, header::upload_offset(head.headers())) {
            (None, _) => {}
            (Some(chunk), Ok(Some(offset))) if offset <= chunk.end() => {
                self.offset = offset;
                if offset > 0 {
                    self.events.push_back(Event::Acked { offset });
                }
            }
            (Some(_), _) => return self.go(Next::Sync),
        }
        self.continue_or_finish(); // CR-06: nothing to send is complete at once
    }

    /// The answer to HEAD (H-01 … H-04).
    pub(super) fn on_synced(&mut self, head: &Response<()>, verdict: Option<Verdict>, now: Now) {
        let status = head.status();
        if !status.is_success() {
            return self.refused(Phase::Head, head, verdict, now);
        }
        let is_html = header::is_html(head.headers());
        let offset = match header::upload_offset(head.headers()) {
            Ok(Some(offset)) if !is_html => offset,
            // CC-14: a final upload that is still being joined tells no offset.
            Ok(None) if self.is_final() && !is_html => {
                return self.wait(RetryReason::NoProgress, Next::Sync, None, now);
            }
            _ => return self.foreign(Phase::Head, status, now),
        };
        match (header::upload_length(head.headers()), self.length) {
            (Ok(Some(UploadLength::Known(theirs))), UploadLength::Known(ours)) => {
                if theirs != ours {
                    return self.fail(Failure::Violation(Violation::LengthDiffers {
                        ours,
                        theirs,
                    }));
                }
                self.length_told = true;
            }
            // Told by a request whose answer was lost, by an earlier run, or by the parts of a final upload.
            (Ok(Some(known)), UploadLength::Deferred) if known != UploadLength::Deferred => {
                self.length = known;
                self.length_told = true;
            }
            (Ok(Some(UploadLength::Deferred)), _) => self.length_told = false, // DL-06
            (Ok(_), _) => {}
            (Err(_), _) => return self.foreign(Phase::Head, status, now),
        }
        let end = self.length.known().unwrap_or(u64::MAX);
        // What an earlier run sent of the same upload may still be arriving.
        let limit = if self.located && !self.inherited && !self.is_final() {
            self.reached.min(end)
        } else {
            end
        };
        if offset > limit {
            return self.fail(Failure::Violation(Violation::OffsetBeyond {
                offset,
                limit,
            }));
        }
        self.redirected = None;
        self.warn_of_version(head.headers());
        self.note_expiry(head.headers());
        let first = !std::mem::replace(&mut self.located, true);
        self.reached = self.reached.max(offset);
        if !self.believe(offset, now) {
            return;
        }
        if first {
            self.events.push_back(Event::Resumed { offset });
        }
        if let Some((chunk, refusal)) = self.misfit.take()
            && chunk.start == offset
        {
            return self.realign(chunk, refusal);
        }
        if self.is_final() && !self.length.is_complete_at(offset) {
            // Its bytes are its parts': there is nothing to send, only to wait for (CC-13).
            return self.wait(RetryReason::NoProgress, Next::Sync, None, now);
        }
        self.continue_or_finish();
    }

    /// The answer to PATCH (P-07, P-08).
    pub(super) fn on_patched(&mut self, head: &Response<()>, verdict: Option<Verdict>, now: Now) {
        let status = head.status();
        if !status.is_success() {
            return self.refused(Phase::Patch, head, verdict, now);
        }
        let Some(chunk) = self.in_flight.take() else {
            return;
        };
        self.redirected = None;
        let offset = match header::upload_offset(head.headers()) {
            Ok(Some(offset)) if !header::is_html(head.headers()) => offset,
            _ => {
                self.tally.foreign += 1;
                if self.tally.foreign >= 2 {
                    return self.fail(Failure::NotTus {
                        phase: Phase::Patch,
                        status,
                    });
                }
                return self.go(Next::Sync);
            }
        };
        // An offset that fell, or that lies beyond what was sent, is not believed here: HEAD decides.
        if !(chunk.start..=chunk.end()).contains(&offset) {
            if self.tally.idle_patches == 0 {
                self.tally.idle_patches = 1;
                return self.go(Next::Sync);
            }
            return self.idle(now);
        }
        self.warn_of_version(head.headers());
        self.note_expiry(head.headers());
        if offset == chunk.start && chunk.len > 0 {
            return self.idle(now);
        }
        self.length_told |= self.length.known().is_some(); // DL-04: it went along
        if self.length.is_complete_at(offset) {
            self.keep(head.headers()); // Stream names the video once more on the answer that completes it
        }
        self.offset = offset;
        self.events.push_back(Event::Acked { offset });
        self.progressed(now);
        self.continue_or_finish();
    }

    /// A success that accepted nothing: legal, but it must not become a loop.
    fn idle(&mut self, now: Now) {
        self.tally.idle_patches += 1;
        if self.tally.idle_patches > self.plan.retry.max_refusals {
            let refusals = self.tally.idle_patches;
            return self.fail(Failure::OutOfRetries {
                refusals,
                last: RetryReason::NoProgress,
            });
        }
        self.wait(RetryReason::NoProgress, Next::Sync, None, now);
    }

    /// Takes the server's offset as the truth, forwards or backwards. `false` if that ended the upload.
    fn believe(&mut self, offset: u64, now: Now) -> bool {
        let from = self.offset;
        if offset < from {
            self.events.push_back(Event::Rewound { from, to: offset });
            self.tally.rewinds += 1;
            if self.tally.rewinds >= MAX_REWINDS {
                self.fail(Failure::Violation(Violation::Rewinding));
                return false;
            }
        }
        if offset < self.available_from {
            let available_from = self.available_from;
            self.fail(Failure::SourcePassed {
                offset,
                available_from,
            });
            return false;
        }
        self.offset = offset;
        if offset > from {
            self.events.push_back(Event::Acked { offset });
            self.progressed(now);
        }
        true
    }

    fn continue_or_finish(&mut self) {
        if self.length.is_complete_at(self.offset) && self.length_told {
            self.finish();
        } else {
            self.go(Next::Patch);
        }
    }

    /// The answer to DELETE (TM-02, TM-03).
    pub(super) fn on_terminated(
        &mut self,
        head: &Response<()>,
        verdict: Option<Verdict>,
        now: Now,
    ) {
        let status = head.status();
        if status.is_success() && header::is_html(head.headers()) {
            return self.foreign(Phase::Terminate, status, now);
        }
        if status.is_success() || matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            self.terminated();
        } else {
            self.refused(Phase::Terminate, head, verdict, now);
        }
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for name in &self.plan.keep_headers {
            let Some(text) = headers.get(name).and_then(|value| value.to_str().ok()) else {
                continue;
            };
            if text.len() > MAX_TAG_BYTES {
                continue;
            }
            match self.tags.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => text.clone_into(old),
                None => self.tags.push((name.clone(), text.to_owned())),
            }
        }
    }

    fn note_expiry(&mut self, headers: &HeaderMap) {
        if let Ok(Some(at)) = header::upload_expires(headers) {
            self.events.push_back(Event::Expires { at });
        }
    }

    fn warn_of_version(&mut self, headers: &HeaderMap) {
        if !self.tally.version_warned && !headers.contains_key(header::TUS_RESUMABLE) {
            self.tally.version_warned = true;
            self.events.push_back(Event::VersionMissing);
        }
    }
}
