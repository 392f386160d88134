//! What the machine tells, kept in the record and passed on to listeners.

use std::time::Duration;

use http::StatusCode;
use http_transport::FaultKind;
use resume_store::State;
use tus_core::UploadUrl;
use tus_core::client::{
    Event as CoreEvent, Failure, Outcome, RetryReason, Start, Step, Upload, VerdictKind,
};

use crate::capabilities::Known;
use crate::drive::{Driver, now};
use crate::error::UploadError;
use crate::event::{Event, RestartReason};
use crate::permits::Held;

impl Driver {
    /// Keeps the record and tells listeners.
    pub(crate) async fn handle(&mut self, event: CoreEvent) {
        match event {
            CoreEvent::Acked { offset } => {
                self.note_offset(offset);
                self.last_fault = None;
                self.read_failed = false;
                if let Some(bytes) = self.shrunk_to.take() {
                    let known = &self.shared.capabilities;
                    known.takes_chunks_of(&self.creation_url, bytes);
                }
                self.emit(Event::Acked { offset });
            }
            CoreEvent::ChunkShrunk { to_bytes } => {
                self.shrunk_to = Some(to_bytes);
                self.chunk_size.shrunk(to_bytes);
                self.emit(Event::ChunkShrunk { to_bytes });
            }
            CoreEvent::Created { url, expires, .. } => {
                self.creation_in_doubt = false;
                self.record.state = State::Active;
                self.record.upload_url = Some(UploadUrl::clone(&url));
                self.record.offset = 0;
                self.record.expires_at = expires;
                self.note_tags();
                // Handed out now, so that one commit tells of the creation and of the first chunk, which often is the last one. How
                // long that of a part is, its connection says.
                let next = self.portion.is_none().then(|| self.upload.step(now()));
                self.note_reached();
                // What came along with its creation is finished already: its end is written instead.
                if !matches!(next, Some(Step::Done(Outcome::Finished))) {
                    self.save().await;
                }
                self.emit(Event::Created {
                    tags: self.record.tags.clone(),
                });
                if let Some(at) = expires {
                    self.emit(Event::Expires { at });
                }
            }
            CoreEvent::Expires { at } => {
                if self.record.expires_at != Some(at) {
                    self.record.expires_at = Some(at);
                    self.emit(Event::Expires { at });
                }
            }
            CoreEvent::OneRequestRefused => {
                self.shared
                    .capabilities
                    .refuses_one_request(&self.creation_url)
                    .await;
            }
            CoreEvent::PossibleOrphan => self.emit(Event::PossibleOrphan),
            CoreEvent::Probed { capabilities } => {
                if let Some(mut asking) = self.asking.take() {
                    *asking = Known::Answer(capabilities);
                }
            }
            CoreEvent::Recreating { .. } => {
                let old = self.record.clone();
                self.record.state = State::Creating;
                self.record.upload_url = None;
                self.record.offset = 0;
                self.record.reached = 0;
                for name in &self.plan.keep_headers {
                    self.record.tags.remove(name.as_str());
                }
                self.within_proof(0);
                // First: a crash behind it must not take what is removed for an upload that was completed.
                self.save().await;
                self.forsake(&old).await;
                self.emit(Event::Restarted {
                    reason: RestartReason::Gone,
                    lost: old.tags,
                });
            }
            CoreEvent::Resumed { offset } => {
                self.note_offset(offset);
                self.emit(Event::Resumed { offset });
                if let Some(at) = self.record.expires_at {
                    self.emit(Event::Expires { at });
                }
            }
            CoreEvent::Retry {
                reason,
                wait,
                attempt,
            } => self.retry(reason, wait, attempt),
            CoreEvent::Rewound { from, to } => {
                self.note_offset(to);
                self.emit(Event::Rewound { from, to });
            }
            CoreEvent::VersionMissing => self.emit(Event::VersionMissing),
            other => tracing::debug!(?other, "an event without listener"),
        }
    }

    fn retry(&self, reason: RetryReason, wait: Duration, attempt: u32) {
        if let RetryReason::Throttled(_, verdict) = &reason
            && let Some(url) = self.upload.target()
        {
            let full = verdict.as_ref().and_then(|verdict| verdict.kind);
            let no_room = matches!(
                full,
                Some(VerdictKind::QueueFull | VerdictKind::StorageFull)
            );
            let held = if no_room { Held::Creations } else { Held::All };
            self.shared.permits.brake.hold(url.origin(), held, wait);
        }
        let transport = matches!(
            reason,
            RetryReason::Broken | RetryReason::NoAnswer | RetryReason::Unreachable
        );
        if is_trouble(&reason) || (transport && self.timed_out()) {
            self.pace.trouble();
        }
        let detail = self
            .last_fault
            .as_ref()
            .filter(|_| transport)
            .map(ToString::to_string);
        self.emit(Event::Retry {
            reason,
            detail,
            wait,
            attempt,
        });
    }

    fn timed_out(&self) -> bool {
        let fault = self.last_fault.as_ref();
        fault.is_some_and(|fault| matches!(fault.kind(), FaultKind::Timeout(_)))
    }

    /// A wait that is too long for this upload is meant for everybody else who talks to the server, too.
    pub(crate) fn hold_others(&self, failure: &Failure) {
        if let Failure::ComeBack {
            after,
            status: StatusCode::TOO_MANY_REQUESTS,
        } = failure
            && let Some(url) = self.upload.target()
        {
            let brake = &self.shared.permits.brake;
            brake.hold(url.origin(), Held::All, *after);
        }
    }

    /// Whether `offset`, the first that the server told, lies within what is proven to be the source's; true where no proof is
    /// wanted.
    pub(crate) fn within_proof(&mut self, offset: u64) -> bool {
        let Some(proven) = self.proven_to.take() else {
            return true;
        };
        if let Some(tracer) = &self.tracer {
            // What was read behind it was another content.
            tracer.forget_from(proven);
        }
        offset <= proven
    }

    /// Gives up a remembered upload whose bytes are not the source's, and makes a new one.
    pub(crate) async fn begin_anew(&mut self) -> Result<(), UploadError> {
        if self.plan.creation.is_none() {
            return Err(UploadError::SourceChanged);
        }
        self.emit(Event::Restarted {
            reason: RestartReason::SourceChanged,
            lost: self.record.tags.clone(),
        });
        let old = std::mem::replace(&mut self.record, self.fresh.clone());
        self.record.idempotency_key.clone_from(&old.idempotency_key);
        // First: a crash behind it must not take the removed upload for one that was completed.
        self.save().await;
        self.discard(&old).await;
        if let Some(tracer) = &self.tracer {
            tracer.forget_from(0);
        }
        self.proven_to = None;
        self.upload = Upload::new(
            self.plan
                .clone()
                .with_start(Start::Create)
                .with_probe(false),
        );
        Ok(())
    }
}

/// Whether fewer uploads at once would have been better for the server. A queue of videos that is full is no such thing: it holds
/// creations, and no bytes.
fn is_trouble(reason: &RetryReason) -> bool {
    match reason {
        RetryReason::NoAnswer => true,
        RetryReason::Refused(status, _) => status.is_server_error(),
        RetryReason::Throttled(_, verdict) => {
            let kind = verdict.as_ref().and_then(|verdict| verdict.kind);
            !matches!(
                kind,
                Some(VerdictKind::QueueFull | VerdictKind::StorageFull)
            )
        }
        _ => false,
    }
}
