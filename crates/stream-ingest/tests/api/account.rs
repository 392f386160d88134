//! An account in memory, as a transport.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_transport::{Body, BoxFuture, Credentials, FaultKind, Origin, Transport, TransportError};
use serde_json::{Value, json};
use stream_api::StreamClient;
use tokio::sync::Notify;

pub(crate) const BASE: &str = "https://api.example/client/v4";

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// It is never sent.
    NotSent,
    /// It is done, and its answer is lost.
    LostAnswer,
    /// It is not done, and nobody can tell.
    LostRequest,
    /// It is answered so, and not done.
    Status(u16),
}

#[derive(Default)]
pub(crate) struct Account {
    state: Mutex<Accounts>,
    asked: Notify,
}

#[derive(Default)]
pub(crate) struct Accounts {
    pub(crate) videos: BTreeMap<String, Value>,
    /// Method and path of every request, in order.
    pub(crate) requests: Vec<String>,
    /// What happens to the next creations.
    pub(crate) mishaps: Vec<Mishap>,
    /// Runs before a creation is answered.
    made: u64,
    /// Headers of the next answers.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Account {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn with<T>(&self, see: impl FnOnce(&mut Accounts) -> T) -> T {
        see(&mut self.state.lock().unwrap())
    }

    pub(crate) fn requests(&self, of: &str) -> usize {
        self.with(|it| {
            it.requests
                .iter()
                .filter(|line| line.starts_with(of))
                .count()
        })
    }

    /// Returns when so many requests have come.
    pub(crate) async fn reached(&self, requests: usize) {
        loop {
            let asked = self.asked.notified();
            if self.with(|it| it.requests.len()) >= requests {
                return;
            }
            asked.await;
        }
    }

    pub(crate) fn client(self: &Arc<Self>) -> StreamClient {
        let credentials = Credentials::new(Origin::parse(BASE).unwrap());
        StreamClient::new(Arc::<Self>::clone(self), BASE, "acc", credentials).unwrap()
    }

    fn answer(&self, method: &Method, path: &str, query: &str, body: &[u8]) -> (StatusCode, Value) {
        let ok = |result: Value| {
            (
                StatusCode::OK,
                json!({"success": true, "errors": [], "messages": null, "result": result}),
            )
        };
        let missing = || {
            let error = json!([{"code": 10003, "message": "Not Found"}]);
            (
                StatusCode::NOT_FOUND,
                json!({"success": false, "errors": error, "result": null}),
            )
        };
        let rest = path.strip_prefix("/client/v4/accounts/acc/stream").unwrap();
        self.with(|it| match (method.as_str(), rest) {
            ("GET", "") => {
                let ids = query.split('&').find_map(|pair| pair.strip_prefix("id="));
                let ids = ids.map(|ids| ids.replace("%2C", ","));
                let wanted = |uid: &str| {
                    ids.as_ref()
                        .is_none_or(|ids| ids.split(',').any(|it| it == uid))
                };
                let found = it.videos.iter().filter(|(uid, _)| wanted(uid));
                ok(found.map(|(_, video)| video.clone()).collect())
            }
            ("POST", "/copy") => {
                let wish: Value = serde_json::from_slice(body).unwrap();
                it.made += 1;
                let uid = format!("v{}", it.made);
                let created = format!(
                    "2026-01-01T00:{:02}:{:02}Z",
                    it.made / 60 % 60,
                    it.made % 60
                );
                let video = json!({"uid": uid, "meta": wish["meta"], "created": created,
                    "status": {"state": "downloading"}, "readyToStream": false});
                it.videos.insert(uid, video.clone());
                ok(video)
            }
            ("GET", other) => match it.videos.get(other.trim_start_matches('/')) {
                Some(video) => ok(video.clone()),
                None => missing(),
            },
            _ => missing(),
        })
    }
}

impl Transport for Account {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect(1 << 20).await?;
            let creates = head.method == Method::POST;
            let mishap = self.with(|it| {
                it.requests
                    .push(format!("{} {}", head.method, head.uri.path()));
                (creates && !it.mishaps.is_empty()).then(|| it.mishaps.remove(0))
            });
            self.asked.notify_waiters();
            // A moment in which a process may be killed, before the request and behind it.
            tokio::task::yield_now().await;
            let fault = |kind| Err(TransportError::new(kind, "by plan"));
            let (status, text) = match mishap {
                Some(Mishap::NotSent) => return fault(FaultKind::Connect),
                Some(Mishap::LostRequest) => return fault(FaultKind::Interrupted),
                Some(Mishap::Status(status)) => (
                    StatusCode::from_u16(status).unwrap(),
                    json!({"success": false}),
                ),
                _ => self.answer(
                    &head.method,
                    head.uri.path(),
                    head.uri.query().unwrap_or(""),
                    &body,
                ),
            };
            tokio::task::yield_now().await;
            if mishap == Some(Mishap::LostAnswer) {
                return fault(FaultKind::Interrupted);
            }
            let mut answer = Response::new(Body::from(text.to_string()));
            *answer.status_mut() = status;
            for (name, value) in self.with(|it| std::mem::take(&mut it.headers)) {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            Ok(answer)
        })
    }
}
