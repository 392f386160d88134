//! What may have been carried out although nobody said so: creations whose answer was lost, and uploads that are refused after
//! their last byte was sent.

use http::StatusCode;

use super::event::{Event, RetryReason};
use super::failure::{Failure, Spent};
use super::step::{Doubt, Next, Now, Reconciled};
use super::upload::Upload;
use super::verdict::{Verdict, VerdictKind};
use crate::length::UploadLength;
use crate::rejection::{Advice, Phase};

/// Lost answers to a creation after which, where nobody can tell, no further one is sent.
const MAX_LOST_CREATIONS: u32 = 2;

/// A refusal that repeating does not mend.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) phase: Phase,
    pub(super) status: StatusCode,
    pub(super) verdict: Option<Verdict>,
    /// What follows from the status, or from what the service read in the body: [`Advice::Gone`], [`Advice::Login`], or to
    /// give up.
    pub(super) advice: Advice,
}

impl Refusal {
    pub(super) fn kind(&self) -> Option<VerdictKind> {
        self.verdict.as_ref().and_then(|verdict| verdict.kind)
    }

    /// Whether a server could say this of an upload that is complete: they differ on HEAD after completion (H-03), and a
    /// one-time URL is used up by it.
    fn may_mean_complete(&self) -> bool {
        match (self.phase, self.kind()) {
            (_, Some(VerdictKind::Login | VerdictKind::NotAVideo | VerdictKind::TooLarge)) => false,
            (Phase::Head, _) => self.status.is_client_error(),
            (Phase::Patch, kind) => {
                self.advice == Advice::Gone || kind == Some(VerdictKind::AlreadyUsed)
            }
            _ => false,
        }
    }
}

impl Upload {
    /// The server does not take the upload any more. Where all bytes were sent, the service is asked first.
    pub(super) fn refused_for_good(&mut self, refusal: Refusal) {
        if self.all_sent() && refusal.may_mean_complete() {
            self.refusal = Some(refusal);
            return self.go(Next::Reconcile(Doubt::Vanished));
        }
        self.accept(refusal);
    }

    /// Takes a refusal at its word.
    fn accept(&mut self, refusal: Refusal) {
        if refusal.advice == Advice::Gone {
            return self.recreate(refusal);
        }
        let spent = self.spent(&refusal);
        let Refusal {
            phase,
            status,
            verdict,
            advice,
        } = refusal;
        self.fail(match (spent, advice) {
            (Some(why), _) => Failure::OneTimeUrl {
                why,
                status,
                verdict,
            },
            (None, Advice::Login) => Failure::Credentials {
                phase,
                status,
                verdict,
            },
            _ => Failure::Refused {
                phase,
                status,
                verdict,
            },
        });
    }

    /// Why a one-time URL is of no use any more, if that is what a refusal says.
    fn spent(&self, refusal: &Refusal) -> Option<Spent> {
        if self.plan.creation.is_some() {
            return None;
        }
        match refusal.kind() {
            Some(VerdictKind::AlreadyUsed) => Some(Spent::Used),
            None if refusal.status == StatusCode::FORBIDDEN => Some(Spent::NotAccepted),
            _ => None,
        }
    }

    /// What a service says of a doubt.
    pub(super) fn reconciled(&mut self, doubt: Doubt, found: Reconciled, now: Now) {
        // Nobody can say that all of a source is there whose end was not reached yet.
        let found = match (found, self.length.known()) {
            (Reconciled::Complete, None) => Reconciled::Unknown,
            (found, _) => found,
        };
        match (found, doubt) {
            (Reconciled::Complete, _) => {
                self.offset = self.length.known().unwrap_or(self.offset);
                self.events.push_back(Event::Acked {
                    offset: self.offset,
                });
                self.finish();
            }
            (Reconciled::Pending, _) => {
                self.wait(RetryReason::Reconciling, Next::Reconcile(doubt), None, now);
            }
            (found, Doubt::Vanished) => self.vanished(found),
            (Reconciled::Absent, Doubt::LostAnswer) => {
                self.wait(RetryReason::Broken, Next::Create, None, now);
            }
            // The wait was taken before the question.
            (Reconciled::Absent, Doubt::Crash | Doubt::Refused) => self.go(Next::Create),
            (Reconciled::Unknown, doubt) => self.unclear(doubt, now),
        }
    }

    /// All bytes were sent, the server refused, and the service does not say that they are there.
    fn vanished(&mut self, found: Reconciled) {
        let Some(refusal) = self.refusal.take() else {
            return;
        };
        let gone = refusal.advice == Advice::Gone
            || refusal.kind() == Some(VerdictKind::AlreadyUsed)
            || self.spent(&refusal).is_some();
        if found == Reconciled::Unknown && gone {
            let status = refusal.status;
            return self.fail(Failure::Vanished { status });
        }
        self.accept(refusal);
    }

    /// Nobody can tell whether a creation was carried out: one more try, which is reported.
    fn unclear(&mut self, doubt: Doubt, now: Now) {
        self.events.push_back(Event::PossibleOrphan);
        if self.is_final() && doubt != Doubt::Crash {
            // Servers join on every request, and may have removed the parts already.
            return self.fail(Failure::CreationUnclear);
        }
        if doubt != Doubt::LostAnswer {
            return self.go(Next::Create);
        }
        self.tally.lost_creations += 1;
        if self.tally.lost_creations >= MAX_LOST_CREATIONS {
            return self.fail(Failure::CreationUnclear);
        }
        self.wait(RetryReason::Broken, Next::Create, None, now);
    }

    /// Whether it can begin anew: once, where there is a way to and the source can still read its first byte.
    pub(super) fn can_recreate(&self) -> bool {
        self.plan.creation.is_some() && !self.tally.recreated && self.available_from == 0
    }

    /// Begins anew after the upload was lost, or stops.
    fn recreate(&mut self, refusal: Refusal) {
        if self.can_recreate() {
            self.forsake(refusal.status);
            return self.begin_anew();
        }
        let why = match refusal.kind() {
            Some(VerdictKind::Expired) => Spent::Expired,
            _ => Spent::Gone,
        };
        let (status, verdict) = (refusal.status, refusal.verdict);
        self.fail(if self.plan.creation.is_none() {
            Failure::OneTimeUrl {
                why,
                status,
                verdict,
            }
        } else {
            Failure::Gone { status, verdict }
        });
    }

    /// From here on there is no way back to this upload, whatever happens before the next one is there.
    pub(super) fn forsake(&mut self, status: StatusCode) {
        self.tally.recreated = true;
        self.events.push_back(Event::Recreating { status });
    }

    pub(super) fn begin_anew(&mut self) {
        self.url = None;
        self.redirected = None;
        self.misfit = None;
        self.realignment = None;
        self.offset = 0;
        self.reached = 0;
        self.located = false;
        self.length_told = self.plan.length != UploadLength::Deferred;
        self.inherited = false;
        self.go(Next::Create);
    }
}
