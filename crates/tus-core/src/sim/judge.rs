//! What must hold when a client has ended, and which failures what happened justifies.

use std::time::Duration;

use crate::client::{Failure, Outcome, RetryReason, Violation};
use crate::extension::Extension;
use crate::sim::options::{Beginning, Options, Oracle};
use crate::sim::report::{Breach, Report};
use crate::sim::{Mishap, Pair};

/// Requests that each thing that goes wrong may cost, itself included: the broken one, a question, a refusal by what is
/// left of the broken one, and another question.
const REQUESTS_PER_FAULT: u32 = 4;
/// Requests that no fault has to pay for: a creation, a first question, a chunk that shrinks.
const REQUESTS_FREE: u32 = 24;
/// Requests that may bring nothing after the last fault, those at a held lock aside: what is late, chunks that shrink.
const REQUESTS_LATE: u32 = 60;

impl Pair {
    /// An end must be a good one, or have its reason.
    pub(super) fn judge(&self, options: &Options, outcome: &Outcome) -> Result<(), Breach> {
        let Outcome::Failed(failure) = outcome else {
            return Ok(());
        };
        if options.survivable {
            return Err(Breach::new(
                "what can be survived is survived",
                format!("{failure:?}"),
            ));
        }
        if self.justifies(options, failure) {
            return Ok(());
        }
        Err(Breach::new(
            "a failure has its reason in what happened",
            format!("{failure:?} after {:?}", self.checker),
        ))
    }

    fn justifies(&self, options: &Options, failure: &Failure) -> bool {
        let seen = &self.checker;
        let since = &seen.since;
        let patience = options.retry.patience;
        let longest_lock_left = LONGEST_LOCK.saturating_sub(self.world.time - since.began);
        let refuses = [Mishap::Permanent, Mishap::Judged]
            .iter()
            .any(|mishap| options.mishaps.contains(mishap));
        let last = |status: http::StatusCode| seen.last_status == Some(status.as_u16());
        match failure {
            Failure::AnotherWriter => since.conflicts >= 3,
            Failure::ComeBack { after, status } => {
                let left = patience.saturating_sub(self.world.time - since.began);
                let locked = *status == 423 && *after > longest_lock_left;
                last(*status) && seen.wish == Some(*after) && (*after > left || locked)
            }
            Failure::CreationUnclear => seen.unknown >= 2,
            Failure::Credentials { status, .. } => last(*status),
            Failure::Damaged => since.damaged > 3,
            Failure::Gone { status, .. } | Failure::OneTimeUrl { status, .. } => {
                let final_one = seen.recreated || options.beginning == Beginning::OneTimeUrl;
                let pipe = seen.available_from > 0;
                last(*status) && (final_one || pipe)
            }
            Failure::NotTus { .. } => since.foreign >= 2,
            Failure::OutOfPatience { waited, last } => {
                let patience = match last {
                    RetryReason::Locked => patience.min(LONGEST_LOCK),
                    _ => patience,
                };
                *waited >= patience && self.world.time - since.began >= patience
            }
            Failure::OutOfRetries { .. } => since.refusals > options.retry.max_refusals,
            Failure::Permanent => seen.untrusted,
            Failure::Refused {
                status, verdict, ..
            } => {
                let offers = options.habits.offers;
                let natural = match status.as_u16() {
                    400 if options.habits.grid.is_some() => true,
                    400 => options.wishes.deferred && !offers.has(Extension::CreationDeferLength),
                    405 => !offers.has(Extension::Termination),
                    413 => options.habits.body_limit.is_some(),
                    _ => false,
                };
                let forgets = options.habits.forgets_finished == Some(status.as_u16());
                let natural = natural || forgets || verdict.is_some() && options.habits.words;
                // At an odd offset the question for it came between.
                let said = last(*status) || *status == 400 && seen.misfit;
                said && (natural || refuses)
            }
            Failure::Unsupported(extension) => {
                let asks = options.wishes.probe && options.beginning != Beginning::OneTimeUrl;
                let unknown = !asks && !options.wishes.informed;
                !options.habits.offers.has(*extension) || unknown || refuses
            }
            Failure::SourcePassed {
                offset,
                available_from,
            } => {
                let begins = seen.available_from;
                *available_from == begins
                    && *offset < begins
                    && seen.told_or_anew() == Some(*offset)
            }
            Failure::Vanished { .. } => seen.all_sent && options.oracle == Oracle::Blind,
            Failure::Violation(Violation::Rewinding) => seen.rewinds >= 3,
            Failure::Violation(Violation::Redirect(_)) => seen.redirects > 5,
            _ => false,
        }
    }

    /// The number of requests, and of uploads made, is paid for by what went wrong.
    pub(super) fn judge_counts(
        &self,
        report: &Report,
        options: &Options,
        idle_after_faults: u32,
    ) -> Result<(), Breach> {
        let creations = self.world.site.creations;
        let doubts = self.checker.doubts;
        if creations > 1 + doubts {
            return Err(Breach::new(
                "one creation, and one more for each reported doubt",
                format!("{creations} creations, {doubts} doubts"),
            ));
        }
        let faults = report.mishaps() + report.crashes + report.statuses(409);
        let faults =
            faults + report.statuses(400) + report.statuses(413) + options.falls.len() as u32;
        let ending = report.unanswered();
        let useful = report.confirmations + report.creations_answered;
        // Each refusal by a held lock is followed by a question.
        let overhead = report.requests - useful.min(report.requests);
        let overhead = overhead.saturating_sub(2 * report.statuses(423));
        let most = REQUESTS_FREE + REQUESTS_PER_FAULT * faults + 2 * ending;
        if overhead > most {
            return Err(Breach::new(
                "the number of requests is bounded by what went wrong",
                format!("{overhead} more than useful, at most {most} for {faults} faults"),
            ));
        }
        if options.survivable && idle_after_faults > REQUESTS_LATE {
            return Err(Breach::new(
                "once faults stop it ends soon",
                format!("{idle_after_faults} requests after the last fault confirmed nothing"),
            ));
        }
        let most = options.faults_until + LATEST;
        if options.survivable && self.world.time > most {
            return Err(Breach::new(
                "once faults stop it ends soon",
                format!(
                    "at {:?}, faults stopped at {:?}",
                    self.world.time, options.faults_until
                ),
            ));
        }
        Ok(())
    }

    /// Nothing is uploaded whole a second time, whatever dies and whoever can tell, but where the service overlooked it, or
    /// where what could not be removed was completed by a chunk that was late.
    pub(super) fn judge_twins(&self, complete: u32) -> Result<(), Breach> {
        let options = &self.options;
        // A record of an older kind does not tell how far was sent, and a new process does not know a length that was not told.
        let length_known = !options.wishes.deferred
            || self.report.crashes == 0 && options.beginning == Beginning::Fresh;
        let knows = options.remembers() && length_known;
        // An upload that goes with its creation may arrive whole after the service was asked for it.
        let parted = options.length > 0 && options.wishes.one_request_bytes == 0;
        let most = 1 + self.report.overlooked + self.report.left_behind;
        if knows && parted && complete > most {
            return Err(Breach::new(
                "nothing is uploaded twice",
                format!("{complete} whole uploads, at most {most}"),
            ));
        }
        Ok(())
    }

    /// A removed upload is not there any more.
    pub(super) fn judge_removal(&self, path: Option<&str>) -> Result<(), Breach> {
        let site = &self.world.site;
        let index = path.and_then(|path| site.named(path));
        match index.map(|index| &site.uploads[index]) {
            Some(upload) if !upload.removed && !upload.info.is_expired(self.world.wall()) => Err(
                Breach::new("a removed upload is gone", "it is still on the server"),
            ),
            _ => Ok(()),
        }
    }

    /// A finished upload is the source, byte by byte, and stays so.
    pub(super) fn judge_bytes(&self, finished: bool, path: Option<&str>) -> Result<(), Breach> {
        if !finished {
            return Ok(());
        }
        let site = &self.world.site;
        let ours = path.and_then(|path| site.named(path));
        let held = match ours {
            Some(index) if site.holds_source(index) => true,
            // Reconciled: the service found it whole, though its URL was never heard.
            _ => (0..site.uploads.len()).any(|index| site.holds_source(index)),
        };
        if held {
            Ok(())
        } else {
            Err(Breach::new(
                "the bytes on the server are the source's",
                "the client is done, the upload is not there whole",
            ))
        }
    }
}

/// How long a lock may be the only answer.
const LONGEST_LOCK: Duration = Duration::from_secs(15 * 60);
/// A wait for an answer that began among faults, sixteen times five times a minute long, and the way to the end.
const LATEST: Duration = Duration::from_secs(3 * 3600);
