//! Waiting, patience, and what an advice or a fault leads to.

use std::time::Duration;

use http::{Response, StatusCode};

use super::doubt::Refusal;
use super::event::{Event, RetryReason};
use super::failure::{Failure, Violation};
use super::step::{Doubt, Fault, Next, Now, State};
use super::upload::Upload;
use super::verdict::{Verdict, VerdictKind};
use crate::header;
use crate::rejection::{Advice, Phase, advice};
use crate::retry::retry_after;

/// The longest wait, whatever a server wishes and patience allows: an instant much further away cannot be told.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long 423 may be the only answer.
const LONGEST_LOCK: Duration = Duration::from_secs(15 * 60);
/// Redirects that one request follows.
const MAX_REDIRECTS: u8 = 5;
/// Times that the same chunk is sent again because it arrived damaged.
const MAX_DAMAGED: u32 = 3;
/// Offset mismatches without progress after which somebody else must be writing.
const MAX_MISMATCHES: u32 = 3;

impl Upload {
    /// Bytes were confirmed: patience starts over.
    pub(super) fn progressed(&mut self, now: Now) {
        self.confirmed_at = Some(now.instant);
        self.backoff.reset();
        self.tally.refusals = 0;
        self.tally.mismatches = 0;
        self.tally.damaged = 0;
        self.tally.foreign = 0;
        self.tally.late_answers = 0;
        self.tally.idle_patches = 0;
        self.tally.locked_since = None;
    }

    pub(super) fn go(&mut self, next: Next) {
        self.state = State::Ready(next);
    }

    /// Waits, then does `next`. A wait that the server asked for is kept to the letter, plus a little jitter so that not
    /// everybody comes back at once.
    pub(super) fn wait(
        &mut self,
        reason: RetryReason,
        next: Next,
        wish: Option<Duration>,
        now: Now,
    ) {
        let policy = self.plan.retry;
        let waited = self.unconfirmed_for(now);
        let left = policy.patience.saturating_sub(waited);
        if let (Some(after), RetryReason::Refused(status, _) | RetryReason::Throttled(status, _)) =
            (wish, &reason)
            && after > left
        {
            return self.fail(Failure::ComeBack {
                after,
                status: *status,
            });
        }
        if left.is_zero() {
            return self.fail(Failure::OutOfPatience {
                waited,
                last: reason,
            });
        }
        let own = self.backoff.next_wait(&policy);
        // The last try of all comes when patience ends, not before.
        let wait = wish
            .map_or(own, |wish| wish.saturating_add(own.min(policy.first_wait)))
            .min(left)
            .min(LONGEST_WAIT);
        let attempt = self.backoff.attempt();
        self.events.push_back(Event::Retry {
            reason,
            wait,
            attempt,
        });
        self.state = State::Waiting {
            until: now.instant + wait,
            then: next,
        };
    }

    /// As [`wait`](Self::wait), and counts against the number of refusals, unless the server announced how long to wait.
    fn wait_refused(&mut self, reason: RetryReason, next: Next, wish: Option<Duration>, now: Now) {
        self.tally.refusals += u32::from(wish.is_none());
        if self.tally.refusals > self.plan.retry.max_refusals {
            return self.fail(Failure::OutOfRetries {
                refusals: self.tally.refusals,
                last: reason,
            });
        }
        self.wait(reason, next, wish, now);
    }

    /// Waits for whoever holds the upload. Servers free a lock within seconds, or minutes after a connection was lost; one that
    /// holds for longer is not ours.
    fn wait_for_lock(&mut self, next: Next, wish: Option<Duration>, now: Now) {
        let since = *self.tally.locked_since.get_or_insert(now.instant);
        let waited = now.instant.saturating_duration_since(since);
        let left = LONGEST_LOCK.saturating_sub(waited);
        match wish {
            _ if left.is_zero() => self.fail(Failure::OutOfPatience {
                waited,
                last: RetryReason::Locked,
            }),
            Some(after) if after > left => self.fail(Failure::ComeBack {
                after,
                status: StatusCode::LOCKED,
            }),
            _ => self.wait(RetryReason::Locked, next, wish, now),
        }
    }

    pub(super) fn faulted(&mut self, during: Next, fault: Fault, now: Now) {
        // What broke may be what holds the upload now.
        self.tally.locked_since = None;
        if fault == Fault::NoAnswer {
            self.tally.late_answers += 1;
        }
        let reason = match fault {
            Fault::NotSent => RetryReason::Unreachable,
            Fault::MaybeSent => RetryReason::Broken,
            Fault::NoAnswer => RetryReason::NoAnswer,
            Fault::Permanent => return self.fail(Failure::Permanent),
        };
        match (during, fault) {
            (Next::Create, Fault::NotSent) => self.wait(reason, Next::Create, None, now),
            (Next::Create, _) => {
                // The bytes may be what broke it, such as a proxy's limit: the next one goes without.
                self.one_request = false;
                self.go(Next::Reconcile(Doubt::LostAnswer));
            }
            // The first break after progress is asked about at once: nothing says that the network is gone.
            (Next::Patch, Fault::MaybeSent | Fault::NoAnswer) if self.backoff.attempt() == 0 => {
                self.events.push_back(Event::Retry {
                    reason,
                    wait: Duration::ZERO,
                    attempt: 1,
                });
                // Counts as a wait, so that a break without progress is followed by a real one.
                let _ = self.backoff.next_wait(&self.plan.retry);
                self.go(Next::Sync);
            }
            (Next::Patch | Next::Sync, _) => self.wait(reason, Next::Sync, None, now),
            (Next::Reconcile(_) | Next::Terminate | Next::Probe | Next::Discard, _) => {
                self.wait(reason, during, None, now);
            }
        }
    }

    /// What a refusal of the request `phase` leads to.
    pub(super) fn refused(
        &mut self,
        phase: Phase,
        head: &Response<()>,
        verdict: Option<Verdict>,
        now: Now,
    ) {
        let status = head.status();
        if status.is_redirection() {
            return self.redirected(phase, head);
        }
        self.redirected = None;
        let chunk = self.in_flight.take();
        let chunk_len = chunk.map_or(self.chunk_bytes, |chunk| chunk.len);
        let wish = retry_after(head.headers(), now.wall);
        let again = match phase {
            Phase::Create => Next::Create,
            Phase::Options => Next::Probe,
            Phase::Terminate => match self.state {
                State::Ready(Next::Discard) => Next::Discard,
                _ => Next::Terminate,
            },
            Phase::Head | Phase::Patch => Next::Sync,
        };
        if phase == Phase::Create && chunk.is_some() && refuses_bytes(status, verdict.as_ref()) {
            // A refusal created nothing: without the bytes it may be taken.
            self.one_request = false;
            self.events.push_back(Event::OneRequestRefused);
            return self.go(Next::Create);
        }
        let reason = RetryReason::Refused(status, verdict.clone());
        match overruled(advice(phase, status), phase, verdict.as_ref()) {
            Advice::GiveUp if phase == Phase::Create && is_foreign(head, verdict.as_ref()) => {
                self.fail(Failure::NotTus { phase, status });
            }
            Advice::Gone if phase == Phase::Terminate => self.terminated(),
            advice @ (Advice::GiveUp | Advice::Login | Advice::Gone) => {
                self.refused_for_good(Refusal {
                    phase,
                    status,
                    verdict,
                    advice,
                });
            }
            Advice::Throttled => {
                self.wait(RetryReason::Throttled(status, verdict), again, wish, now);
            }
            Advice::WaitForLock => self.wait_for_lock(again, wish, now),
            Advice::Wait => self.wait_refused(reason, again, wish, now),
            Advice::Doubt => self.wait_refused(reason, Next::Reconcile(Doubt::Refused), wish, now),
            Advice::Halve => match self.plan.chunk_rule.halve(chunk_len) {
                Some(smaller) => {
                    self.chunk_cap = smaller;
                    self.events
                        .push_back(Event::ChunkShrunk { to_bytes: smaller });
                    self.go(Next::Sync);
                }
                None => self.fail(Failure::Refused {
                    phase,
                    status,
                    verdict,
                }),
            },
            Advice::Resend => {
                self.tally.damaged += 1;
                if self.tally.damaged > MAX_DAMAGED {
                    return self.fail(Failure::Damaged);
                }
                let (wait, attempt) = (Duration::ZERO, self.tally.damaged);
                self.events.push_back(Event::Retry {
                    reason,
                    wait,
                    attempt,
                });
                self.go(Next::Sync);
            }
            Advice::Sync => match chunk {
                Some(chunk)
                    if status == StatusCode::BAD_REQUEST
                        && chunk.len > 0
                        && self.is_misaligned() =>
                {
                    // The offset may be what is wrong: HEAD says.
                    let refusal = Refusal {
                        phase,
                        status,
                        verdict,
                        advice: Advice::GiveUp,
                    };
                    self.misfit = Some((chunk, refusal));
                    self.go(Next::Sync);
                }
                _ => self.mismatched(status, verdict, now),
            },
        }
    }

    /// The server disagrees about the upload's state: HEAD at once, then after a wait, then never again.
    fn mismatched(&mut self, status: StatusCode, verdict: Option<Verdict>, now: Now) {
        self.tally.mismatches += 1;
        match self.tally.mismatches {
            1 => self.go(Next::Sync),
            n if n < MAX_MISMATCHES => {
                self.wait(RetryReason::Refused(status, verdict), Next::Sync, None, now);
            }
            _ if status == StatusCode::CONFLICT => self.fail(Failure::AnotherWriter),
            _ if status == StatusCode::FORBIDDEN => {
                self.fail(Failure::Credentials {
                    phase: Phase::Patch,
                    status,
                    verdict,
                });
            }
            _ => self.fail(Failure::Refused {
                phase: Phase::Patch,
                status,
                verdict,
            }),
        }
    }

    /// 307 and 308 repeat the same request elsewhere; the URL rules are those of a `Location` after creation.
    fn redirected(&mut self, phase: Phase, head: &Response<()>) {
        let status = head.status();
        let hops = self.redirected.as_ref().map_or(0, |(_, hops)| *hops);
        let follows = matches!(
            status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        let base = match (&self.redirected, phase) {
            (Some((url, _)), _) => Some(url.as_ref().clone()),
            (None, Phase::Create | Phase::Options) => self
                .plan
                .creation
                .as_ref()
                .map(|creation| creation.url.clone()),
            (None, _) => self.url.as_deref().cloned(),
        };
        let location = head
            .headers()
            .get(http::header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let target = base
            .zip(location)
            .and_then(|(base, location)| base.resolve(location).ok());
        match target {
            Some(target) if follows && hops < MAX_REDIRECTS => {
                self.redirected = Some((target.into(), hops + 1));
            }
            _ => self.fail(Failure::Violation(Violation::Redirect(status))),
        }
    }

    /// The answer is not a tus server's: believed the second time.
    pub(super) fn foreign(&mut self, phase: Phase, status: StatusCode, now: Now) {
        self.redirected = None;
        self.tally.foreign += 1;
        if self.tally.foreign >= 2 {
            return self.fail(Failure::NotTus { phase, status });
        }
        let next = match phase {
            Phase::Create => Next::Create,
            Phase::Options => Next::Probe,
            Phase::Terminate => Next::Terminate,
            Phase::Head | Phase::Patch => Next::Sync,
        };
        self.wait(RetryReason::Foreign, next, None, now);
    }
}

/// Whether a creation that came with bytes may be taken without them: statuses that blame the body, without the service's own
/// word that it is about something else.
fn refuses_bytes(status: StatusCode, verdict: Option<&Verdict>) -> bool {
    matches!(status.as_u16(), 400 | 411 | 413 | 415 | 501)
        && verdict.is_none_or(|verdict| verdict.kind.is_none())
}

/// Whether a refused creation was refused by something that does not speak tus: it names no version, which tus servers do in
/// every answer (G-02), and says what servers say of a path or a method that they do not know.
fn is_foreign(head: &Response<()>, verdict: Option<&Verdict>) -> bool {
    let unknown_here = matches!(head.status().as_u16(), 404 | 405 | 501);
    !head.headers().contains_key(header::TUS_RESUMABLE)
        && (unknown_here || header::is_html(head.headers()))
        && verdict.is_none_or(|verdict| verdict.code.is_none())
}

/// What a service read in the body overrules the status.
pub(super) fn overruled(advice: Advice, phase: Phase, verdict: Option<&Verdict>) -> Advice {
    let creates = matches!(phase, Phase::Create | Phase::Options);
    match verdict.and_then(|verdict| verdict.kind) {
        Some(VerdictKind::Login) => Advice::Login,
        Some(VerdictKind::Expired | VerdictKind::Gone) if creates => Advice::GiveUp,
        Some(VerdictKind::Expired | VerdictKind::Gone) => Advice::Gone,
        Some(VerdictKind::QueueFull | VerdictKind::StorageFull) => Advice::Throttled,
        Some(VerdictKind::AlreadyUsed | VerdictKind::NotAVideo) => Advice::GiveUp,
        Some(VerdictKind::TooLarge) if creates => Advice::GiveUp,
        Some(VerdictKind::TooLarge) | None => advice,
    }
}
