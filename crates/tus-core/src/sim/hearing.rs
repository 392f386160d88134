//! What the client hears, as [`Checker`] understands it.

use std::time::{Duration, SystemTime};

use http::{Response, StatusCode};

use crate::client::{Exchange, Fault, Reconciled, VerdictKind};
use crate::header;
use crate::length::UploadLength;
use crate::rejection::Phase;
use crate::retry::retry_after;
use crate::sim::checker::Checker;
use crate::sim::world::Heard;

impl Checker {
    /// This is about to be fed to the client.
    pub(super) fn hears(
        &mut self,
        exchange: &Exchange,
        heard: &Heard,
        now: (Duration, SystemTime),
    ) {
        self.told = None;
        self.answered_creation = false;
        self.wish = None;
        match heard {
            Heard::Fault(fault) => {
                self.last_status = None;
                self.untrusted |= *fault == Fault::Permanent;
                if exchange.phase == Phase::Create && *fault == Fault::NotSent {
                    self.owes = false;
                }
            }
            Heard::Answer(answer) => self.answered(exchange, answer, now),
        }
    }

    fn answered(
        &mut self,
        exchange: &Exchange,
        answer: &Response<()>,
        (time, wall): (Duration, SystemTime),
    ) {
        let status = answer.status();
        self.last_status = Some(status.as_u16());
        let offset = header::upload_offset(answer.headers()).ok().flatten();
        let offset = offset.filter(|_| !header::is_html(answer.headers()));
        if status.is_success() {
            if matches!(exchange.phase, Phase::Options | Phase::Terminate) {
                self.since.foreign += u32::from(header::is_html(answer.headers()));
                return;
            }
            let created = exchange.phase == Phase::Create && status == StatusCode::CREATED;
            let told = if exchange.phase == Phase::Create && exchange.chunk.is_none() {
                Some(0).filter(|_| created)
            } else if exchange.phase == Phase::Create {
                offset.filter(|_| created)
            } else if exchange.phase == Phase::Patch {
                let within = |offset: &u64| {
                    let chunk = exchange.chunk;
                    chunk.is_some_and(|chunk| (chunk.start..=chunk.end()).contains(offset))
                };
                offset.filter(within)
            } else {
                offset
            };
            if told.is_none() {
                self.since.foreign += 1;
            }
            let start = exchange.chunk.map(|chunk| chunk.start);
            if exchange.phase == Phase::Patch && (told.is_none() || told == start) {
                self.since.refusals += 1;
            }
            self.answered_creation = created;
            if created {
                let end = exchange.chunk.map_or(0, |chunk| chunk.end());
                self.all_sent = end == self.length;
            }
            if let (Phase::Head, Ok(Some(UploadLength::Known(length)))) =
                (exchange.phase, header::upload_length(answer.headers()))
            {
                self.read_to = length; // told by an earlier request or run: there is nothing to find out any more
            }
            if exchange.phase == Phase::Create && !created {
                self.owes = false; // a login page creates nothing
            }
            self.told = told;
            self.fresh = told;
            return;
        }
        if matches!(status.as_u16(), 307 | 308) {
            // Nothing was done: the same request goes elsewhere.
            self.redirects += 1;
            self.fresh = exchange.chunk.map(|chunk| chunk.start);
            self.owes &= exchange.phase != Phase::Create;
            return;
        }
        let refused_before_done =
            (status.is_client_error() && ![408, 425].contains(&status.as_u16())) || status == 501;
        if exchange.phase == Phase::Create && refused_before_done {
            self.owes = false;
        }
        self.wish = retry_after(answer.headers(), wall);
        match status.as_u16() {
            409 => {
                self.since.conflicts += 1;
                // To a question it is one refusal among others.
                self.since.refusals += u32::from(exchange.phase == Phase::Head);
            }
            400 | 403 | 404 | 410 if exchange.phase == Phase::Patch => {
                self.misfit |= status == StatusCode::BAD_REQUEST;
                self.since.conflicts += 1; // each contradicts the offset that was told
                self.since.refusals += u32::from(self.wish.is_none());
            }
            423 | 429 => {}
            460 => self.since.damaged += 1,
            _ => self.since.refusals += u32::from(self.wish.is_none()),
        }
        let full = matches!(
            answer.extensions().get(),
            Some(VerdictKind::QueueFull | VerdictKind::StorageFull)
        );
        let waits = full || matches!(status.as_u16(), 423 | 429 | 500..);
        if let (Some(wish), true) = (self.wish, waits) {
            self.not_before = time.saturating_add(wish.min(self.policy.patience));
        }
    }

    /// The oracle's word is about to be fed.
    pub(super) fn reconciles(&mut self, found: Reconciled) {
        self.fresh = None;
        self.told = None;
        self.all_there = found == Reconciled::Complete;
        self.hasty += 1;
        match found {
            Reconciled::Absent => {
                self.owes = false;
                self.doubts += 1;
            }
            Reconciled::Unknown => self.unknown += 1,
            _ => {}
        }
    }
}
