//! Does to a request, its upload and its answer what a fault says.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use http_transport::Body;
use tus_core::header;

use crate::answer::{self, Answer};
use crate::body::{BodyFault, HalfBody};
use crate::clock::Clock;
use crate::conn::Connection;
use crate::fault::{Fault, RetryAfter};
use crate::handler::Cut;
use crate::server::Shared;
use crate::tus::Outcome;
use crate::upload::{Place, Upload};

/// What happens to the body of the request.
pub(crate) fn body_fault(fault: Option<&Fault>) -> BodyFault {
    match fault {
        Some(Fault::CutBody { after_bytes }) => BodyFault::Cut(*after_bytes),
        Some(Fault::StallBody { after_bytes }) => BodyFault::Stall(*after_bytes),
        Some(Fault::Drip { bytes_per_second }) => BodyFault::drip(*bytes_per_second),
        _ => BodyFault::None,
    }
}

/// What happens before the request is carried out; an outcome when it is not.
pub(crate) async fn before(
    fault: &Fault,
    shared: &Arc<Shared>,
    upload: Option<&Arc<Upload>>,
    connection: &Connection,
) -> Option<Outcome> {
    match fault {
        Fault::Reset => {
            connection.reset();
            return Some(Err(Cut));
        }
        Fault::Status {
            status,
            retry_after,
        } => {
            let mut answer = planned(*status);
            if let Some(wait) = retry_after {
                write_retry_after(answer.headers_mut(), wait, &shared.clock);
            }
            return Some(Ok(answer));
        }
        Fault::Html { status } => return Some(Ok(portal(*status))),
        Fault::Expire => {
            if let Some(upload) = upload {
                expire(shared, upload).await;
            }
        }
        Fault::Recede { bytes } => {
            if let Some(upload) = upload {
                recede(shared, upload, *bytes).await;
            }
        }
        _ => {}
    }
    None
}

/// What happens to the outcome of a request that was carried out.
pub(crate) async fn after(
    fault: &Fault,
    outcome: Outcome,
    shared: &Shared,
    connection: &Connection,
) -> Outcome {
    match fault {
        Fault::LoseAnswer | Fault::CutBody { .. } => Err(Cut),
        Fault::StallAnswer => {
            shared.stop_connections.cancelled().await;
            Err(Cut)
        }
        Fault::Delay { time } => {
            let late = shared
                .stop_connections
                .run_until_cancelled(tokio::time::sleep(*time));
            late.await.ok_or(Cut)?;
            outcome
        }
        Fault::HalfAnswer { after_bytes } => {
            connection.cut_after(*after_bytes);
            outcome
        }
        Fault::HalfBody { after_bytes } => {
            outcome.map(|answer| answer.map(|body| Body::wrap(HalfBody::new(body, *after_bytes))))
        }
        Fault::ReplaceAnswer { status } => outcome.map(|_| planned(*status)),
        Fault::WrongOffset { by } => outcome.map(|mut answer| {
            if let Ok(Some(offset)) = header::upload_offset(answer.headers()) {
                let wrong = header::from_integer(offset.saturating_add_signed(*by));
                answer.headers_mut().insert(header::UPLOAD_OFFSET, wrong);
            }
            answer
        }),
        _ => outcome,
    }
}

fn planned(status: StatusCode) -> Answer {
    answer::text(status, "by the fault plan\n")
}

fn portal(status: StatusCode) -> Answer {
    let page = "<!doctype html><title>Welcome</title><p>Log in to use this network.\n";
    let mut answer = answer::text(status, page);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, html);
    answer
}

fn write_retry_after(headers: &mut HeaderMap, wait: &RetryAfter, clock: &Clock) {
    let value = match wait {
        RetryAfter::Seconds(seconds) => Some(HeaderValue::from(*seconds)),
        RetryAfter::DateIn(ahead) => clock.now().checked_add(*ahead).map(header::from_time),
        RetryAfter::Text(text) => HeaderValue::from_str(text).ok(),
    };
    headers.extend(value.map(|value| (RETRY_AFTER, value)));
}

async fn expire(shared: &Arc<Shared>, upload: &Arc<Upload>) {
    if upload.info().is_complete() {
        return;
    }
    let (shared, upload) = (Arc::clone(shared), Arc::clone(upload));
    let now = shared.clock.now();
    let saving = tokio::task::spawn_blocking(move || match &upload.place {
        Place::Files => {
            upload.info().expires = Some(now);
            upload.save(shared.disk.as_ref())
        }
        Place::Media { uid, .. }
        | Place::Direct { uid, .. }
        | Place::Form { uid, .. }
        | Place::Inner { uid, .. } => {
            let change = |video: &mut stream_api::Video| {
                video.upload_expiry = Some(now);
                Ok::<_, ()>(())
            };
            let changed = shared.videos.change(uid, shared.disk.as_ref(), change);
            changed.map(drop)
        }
    });
    report(saving.await.unwrap_or(Ok(())));
}

async fn recede(shared: &Arc<Shared>, upload: &Arc<Upload>, bytes: u64) {
    let Some((mut blob, _ticket)) = upload.take().await else {
        return;
    };
    if upload.info().is_complete() || blob.is_digest() {
        return;
    }
    let (shared, upload) = (Arc::clone(shared), Arc::clone(upload));
    let forgetting = tokio::task::spawn_blocking(move || {
        let left = blob.len().saturating_sub(bytes);
        blob.truncate(left)?;
        upload.info().offset = left;
        upload.save(shared.disk.as_ref())
    });
    report(forgetting.await.unwrap_or(Ok(())));
}

fn report(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a fault cannot be saved");
    }
}
