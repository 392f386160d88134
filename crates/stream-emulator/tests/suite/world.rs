//! What the tests of several groups need: a way out that is no network, forms, and requests in one line.

use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use http_transport::{Body, BoxFuture, FaultKind, Transport, TransportError};
use serde_json::Value;
use stream_emulator::{Emulator, EmulatorBuilder, EmulatorHandle};
use tokio::sync::mpsc;

use crate::api::VIDEOS;
use crate::wire::{Answer, TOKEN, send};

/// What the emulator asked of somebody else.
pub(crate) struct Asked {
    pub(crate) url: String,
    pub(crate) signature: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// A way out: each request is kept, and answered with what was put in.
pub(crate) struct Outside {
    answer: Mutex<Result<(StatusCode, Vec<u8>), FaultKind>>,
    asked: mpsc::UnboundedSender<Asked>,
}

impl Outside {
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Asked>) {
        let (asked, receiver) = mpsc::unbounded_channel();
        let answer = Mutex::new(Ok((StatusCode::OK, Vec::new())));
        (Arc::new(Self { answer, asked }), receiver)
    }

    pub(crate) fn answers(&self, status: u16, body: &[u8]) {
        let status = StatusCode::from_u16(status).expect("a status");
        *self.answer.lock().expect("no panic") = Ok((status, body.to_vec()));
    }

    pub(crate) fn is_gone(&self) {
        *self.answer.lock().expect("no panic") = Err(FaultKind::Connect);
    }
}

impl Transport for Outside {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let signature = head.headers.get("webhook-signature");
            let asked = Asked {
                url: head.uri.to_string(),
                signature: signature.map(|it| it.to_str().expect("text").to_owned()),
                body: body.collect(1 << 20).await?.to_vec(),
            };
            let _ = self.asked.send(asked);
            match &*self.answer.lock().expect("no panic") {
                Ok((status, body)) => {
                    let mut answer = Response::new(Body::from(body.clone()));
                    *answer.status_mut() = *status;
                    Ok(answer)
                }
                Err(kind) => Err(TransportError::new(*kind, "nobody is there")),
            }
        })
    }
}

pub(crate) async fn started(builder: EmulatorBuilder) -> EmulatorHandle {
    builder.start().await.expect("a server")
}

pub(crate) async fn plain() -> EmulatorHandle {
    started(Emulator::builder()).await
}

/// An operation, its path below `…/stream`.
pub(crate) async fn call(server: &EmulatorHandle, method: &str, path: &str) -> Answer {
    let path = format!("{VIDEOS}{path}");
    send(server, method, &path, &[TOKEN], b"")
        .await
        .expect("an answer")
}

/// The same with a body of JSON.
pub(crate) async fn call_with(
    server: &EmulatorHandle,
    method: &str,
    path: &str,
    body: &Value,
) -> Answer {
    let path = format!("{VIDEOS}{path}");
    let lines = [TOKEN, "Content-Type: application/json"];
    let body = body.to_string();
    send(server, method, &path, &lines, body.as_bytes())
        .await
        .expect("an answer")
}

/// The same with a form; a field named `file` is one.
pub(crate) async fn call_with_form(
    server: &EmulatorHandle,
    method: &str,
    path: &str,
    fields: &[(&str, &[u8])],
) -> Answer {
    let mut body = Vec::new();
    for (name, value) in fields {
        let file = if *name == "file" {
            "; filename=\"f\""
        } else {
            ""
        };
        let head =
            format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    let path = format!("{VIDEOS}{path}");
    let lines = [TOKEN, "Content-Type: multipart/form-data; boundary=edge"];
    send(server, method, &path, &lines, &body)
        .await
        .expect("an answer")
}

/// What an operation came to.
pub(crate) fn result(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["result"].clone()
}

/// Status and code of a refusal.
pub(crate) fn refusal(answer: &Answer) -> (u16, u64) {
    let code = answer.json()["errors"][0]["code"].as_u64();
    (answer.status, code.unwrap_or_default())
}
