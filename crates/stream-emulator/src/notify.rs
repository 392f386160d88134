//! Webhooks are told: once per video, when it is `ready` or has failed, and again until somebody listens.
//!
//! The news is the video as the API shows it, without an envelope, signed
//! ([`Webhook::sign`](crate::account::webhook::Webhook::sign)). What is due lies on disk, so a server that goes on from
//! there goes on telling. All times are the emulator's: who puts its clock forward need not wait for a second attempt.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request};
use http_transport::{Body, Deadlines};
use stream_api::VideoState;

use crate::account::webhook::{Notice, Webhook};
use crate::entry::Entry;
use crate::hypotheses::Hypotheses;
use crate::outbound::check_url;
use crate::server::Shared;

const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// How long whoever is told may think.
const PATIENCE: Duration = Duration::from_secs(30);
/// News on its way at once.
const AT_ONCE: usize = 16;

/// The news that is on its way, by account and video.
type UnderWay = Arc<Mutex<HashSet<(String, String)>>>;

/// Tells, until the server stops. `base` is where it is.
pub(crate) async fn run(shared: Arc<Shared>, base: String) {
    let under_way = UnderWay::default();
    loop {
        let next = turn(&shared, &base, &under_way).await;
        let pause = async {
            match next.map(|at| at.duration_since(shared.clock.now())) {
                // A clock that is put forward wakes it, too.
                Some(left) => tokio::time::sleep(left.unwrap_or_default()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.videos.wait_for_change() => {}
            () = pause => {}
        }
    }
}

/// Sends what is due, and returns when something will be.
async fn turn(shared: &Arc<Shared>, base: &str, under_way: &UnderWay) -> Option<SystemTime> {
    let webhooks = shared.account.webhooks.all();
    if webhooks.is_empty() {
        return None;
    }
    let now = shared.clock.now();
    let mut next: Option<SystemTime> = None;
    let mut is_next = |at: SystemTime| next = Some(next.map_or(at, |next| next.min(at)));
    for entry in shared.videos.entries() {
        let Some((_, webhook)) = webhooks.iter().find(|(owner, _)| *owner == entry.account) else {
            continue;
        };
        let uid = &entry.video.uid;
        let known = shared.account.notices.get(&entry.account, uid);
        let notice = match known {
            Some(notice) => notice,
            None => match ending(shared, &entry, now) {
                Some(Ending::Past(at)) if at >= webhook.since => Notice {
                    attempts: 0,
                    due: Some(now),
                },
                Some(Ending::Future(at)) => {
                    is_next(at);
                    continue;
                }
                _ => continue,
            },
        };
        match notice.due {
            None => {}
            Some(due) if due > now => is_next(due),
            Some(_) => {
                if known.is_none() {
                    keep(shared, &entry, notice).await;
                }
                tell(shared, entry, webhook, notice, base, under_way);
            }
        }
    }
    next
}

/// When a video came, or comes, to its end.
enum Ending {
    Past(SystemTime),
    Future(SystemTime),
}

fn ending(shared: &Shared, entry: &Entry, now: SystemTime) -> Option<Ending> {
    if entry.failure.is_some() {
        return entry.video.modified.map(Ending::Past);
    }
    let (state, _) = entry.progress(shared.videos.encoding, now);
    let video = &entry.video;
    if state == VideoState::Error {
        // One that could not be fetched was never uploaded.
        return video.uploaded.or(video.modified).map(Ending::Past);
    }
    let uploaded = video.uploaded?;
    match entry.encoded_at(shared.videos.encoding) {
        Some(at) if at > now => Some(Ending::Future(at)),
        at if state == VideoState::Ready => Some(Ending::Past(at.unwrap_or(uploaded))),
        _ => None,
    }
}

/// Sends the news of one video, unless it is on its way or too much is.
fn tell(
    shared: &Arc<Shared>,
    entry: Entry,
    webhook: &Webhook,
    notice: Notice,
    base: &str,
    under_way: &UnderWay,
) {
    let name = (entry.account.clone(), entry.video.uid.clone());
    {
        let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.len() >= AT_ONCE || !under_way.insert(name.clone()) {
            return;
        }
    }
    let (shared, webhook, base, under_way) = (
        Arc::clone(shared),
        webhook.clone(),
        base.to_owned(),
        Arc::clone(under_way),
    );
    let stop = shared.stop.clone();
    let telling = async move {
        let has_arrived = send(&shared, &entry, &webhook, &base).await;
        let now = shared.clock.now();
        let attempts = notice.attempts.saturating_add(1);
        let due = again(&shared.hypotheses(), attempts).and_then(|wait| now.checked_add(wait));
        let due = due.filter(|_| !has_arrived);
        // A video that was deleted meanwhile leaves nothing behind.
        if shared
            .videos
            .entry(&entry.account, &entry.video.uid)
            .is_some()
        {
            keep(&shared, &entry, Notice { attempts, due }).await;
        }
        let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&name);
        drop(under_way);
        shared.videos.changed();
    };
    tokio::spawn(stop.run_until_cancelled_owned(telling));
}

/// How long to wait after so many attempts; none when it is enough.
fn again(hypotheses: &Hypotheses, attempts: u32) -> Option<Duration> {
    if attempts > hypotheses.webhook_retries {
        return None;
    }
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    Some(hypotheses.webhook_first_retry.saturating_mul(doubled))
}

async fn send(shared: &Shared, entry: &Entry, webhook: &Webhook, base: &str) -> bool {
    let now = shared.clock.now();
    let video = entry.view(shared.videos.encoding, base, now);
    let (Ok(body), Ok(uri)) = (serde_json::to_vec(&video), check_url(&webhook.url)) else {
        return false;
    };
    let Ok(signature) = HeaderValue::from_str(&webhook.sign(now, &body)) else {
        return false;
    };
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(SIGNATURE, signature);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let deadlines = Deadlines::default().with_response(PATIENCE);
    request.extensions_mut().insert(deadlines);
    let sending = shared.options.outbound.send(request);
    match tokio::time::timeout(PATIENCE, sending).await {
        Ok(Some(Ok(answer))) => answer.status().is_success(),
        Ok(Some(Err(error))) => {
            tracing::info!(%error, "a webhook was not reached");
            false
        }
        Ok(None) => {
            tracing::warn!("a webhook is set, and this emulator has no way out");
            false
        }
        Err(_) => false,
    }
}

async fn keep(shared: &Arc<Shared>, entry: &Entry, notice: Notice) {
    let (account, uid) = (entry.account.clone(), entry.video.uid.clone());
    let keeping = shared.blocking(move |shared| {
        let notices = &shared.account.notices;
        notices.put(&account, &uid, notice, shared.disk.as_ref())
    });
    if let Err(error) = keeping.await {
        tracing::warn!(%error, "the news of a video cannot be saved");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_it_is_enough() {
        let hypotheses = Hypotheses {
            webhook_retries: 3,
            webhook_first_retry: Duration::from_secs(60),
            ..Hypotheses::default()
        };
        let pauses: Vec<_> = (1..=5)
            .map(|attempts| again(&hypotheses, attempts).map(|pause| pause.as_secs()))
            .collect();
        assert_eq!(pauses, [Some(60), Some(120), Some(240), None, None]);
    }
}
