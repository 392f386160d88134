//! Which request is sent next, and with which bytes.

use std::sync::Arc;

use http::StatusCode;

use super::exchange::Exchange;
use super::failure::Failure;
use super::step::{Now, Outcome, Step};
use super::upload::Upload;
use crate::chunk::Chunk;
use crate::concat::UploadConcat;
use crate::rejection::Phase;

/// The wait for an answer to the last chunk is so many times the usual one: servers join, move and check files then.
const LAST_CHUNK_FACTOR: u32 = 5;
/// As above, for the creation that joins partial uploads: servers copy all bytes then.
const JOIN_FACTOR: u32 = 10;

impl Upload {
    pub(super) fn wanted_bytes(&self) -> u64 {
        self.plan
            .chunk_rule
            .fit(self.chunk_bytes.min(self.chunk_cap))
    }

    /// The next chunk, or `None` if a source of unknown length has not been read far enough for one. An empty chunk tells
    /// the server a length that became known after the last byte (DL-04).
    pub(super) fn next_chunk(&self) -> Option<Chunk> {
        let wanted = self.cut_bytes();
        let Some(length) = self.length.known() else {
            let ready = self.available_to.saturating_sub(self.offset);
            return (ready >= wanted).then_some(Chunk {
                start: self.offset,
                len: wanted,
            });
        };
        Some(Chunk {
            start: self.offset,
            len: wanted.min(length.saturating_sub(self.offset)),
        })
    }

    pub(super) fn ask_creation_url(
        &mut self,
        phase: Phase,
        chunk: Option<Chunk>,
        now: Now,
    ) -> Step {
        let Some(creation) = self.plan.creation.clone() else {
            // Only a plan that was told to create and not how comes here: nothing was ever uploaded.
            let failure = Failure::Gone {
                status: StatusCode::NOT_FOUND,
                verdict: None,
            };
            self.fail(failure.clone());
            return Step::Done(Outcome::Failed(failure));
        };
        let creates = phase == Phase::Create;
        let joins = creates && self.is_final();
        let url = match &self.redirected {
            Some((url, _)) => Arc::clone(url),
            None => Arc::new(creation.url.clone()),
        };
        Step::Send(Exchange {
            phase,
            url,
            chunk,
            checksum: None,
            checksum_trailer: false,
            answer_factor: self.within_patience(if joins { JOIN_FACTOR } else { 1 }, now),
            creation: creates.then_some(creation),
            concat: self.concat.clone().filter(|_| creates),
            length: (creates && !joins).then_some(self.length), // CC-06
            method_override: false,
            last: chunk.is_some(), // all of a small upload, or nothing
        })
    }

    pub(super) fn ask_upload(&self, phase: Phase, chunk: Option<Chunk>, now: Now) -> Step {
        let url = match (&self.redirected, &self.url) {
            (Some((url, _)), _) | (None, Some(url)) => Arc::clone(url),
            (None, None) => {
                unreachable!("HEAD, PATCH and DELETE follow a creation or a remembered URL")
            }
        };
        let last = chunk.is_some_and(|chunk| self.length.is_complete_at(chunk.end()));
        let usual = if last { LAST_CHUNK_FACTOR } else { 1 };
        let doubled = usual * (1 << self.tally.late_answers.min(4));
        let tells = phase == Phase::Patch && !self.length_told && self.length.known().is_some();
        Step::Send(Exchange {
            phase,
            url,
            chunk,
            checksum: self.checksum.filter(|_| phase == Phase::Patch),
            checksum_trailer: self.checksum_trailer,
            answer_factor: self.within_patience(doubled, now),
            creation: None,
            concat: None,
            length: tells.then_some(self.length),
            method_override: self.plan.method_override,
            last,
        })
    }

    /// The factor, or what is left of patience by then: no single answer is awaited for longer. Never less than the usual wait.
    fn within_patience(&self, factor: u32, now: Now) -> u32 {
        let policy = &self.plan.retry;
        let left = policy.patience.saturating_sub(self.unconfirmed_for(now));
        let usual = policy.answer_wait.as_millis().max(1);
        let most = u32::try_from(left.as_millis() / usual).unwrap_or(u32::MAX);
        factor.min(most).max(1)
    }

    /// Whether it joins other uploads and takes no bytes itself (CC-13).
    pub(super) fn is_final(&self) -> bool {
        matches!(self.plan.concat, Some(UploadConcat::Final(_)))
    }
}
