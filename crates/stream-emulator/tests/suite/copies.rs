//! Videos that are copied from a URL, through a way out that breaks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::StreamBody;
use http_transport::{Body, BoxFuture, FaultKind, Transport, TransportError};
use hyper::body::Frame;
use serde_json::{Value, json};
use stream_emulator::{Blobs, EmulatorHandle};
use tokio::sync::watch;

use crate::api::VIDEOS;
use crate::media::{ask, media, refusal, settled, strict};

const URL: &str = "https://source.example/a.mp4?signature=secret";

/// A source of one file, and what goes wrong with its next requests.
#[derive(Default)]
struct Origin {
    bytes: Vec<u8>,
    mishaps: Mutex<VecDeque<Mishap>>,
    asked: watch::Sender<Vec<String>>,
}

enum Mishap {
    /// None.
    Nothing,
    /// No connection.
    Refused,
    /// So many bytes of the answer come.
    Cut(usize),
    /// Another file lies there from now on.
    Changed,
    /// Only this status.
    Status(u16),
    /// No answer at all.
    Silence,
    /// Everything, whatever was asked.
    NoRanges,
    /// The file is somewhere else.
    Redirect,
}

impl Origin {
    fn of(bytes: Vec<u8>, mishaps: impl IntoIterator<Item = Mishap>) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            mishaps: Mutex::new(mishaps.into_iter().collect()),
            asked: watch::Sender::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    /// Waits for so many requests.
    async fn was_asked(&self, times: usize) {
        let mut asked = self.asked.subscribe();
        asked.wait_for(|asked| asked.len() >= times).await.unwrap();
    }

    fn answer(&self, request: &Request<Body>, mishap: Option<&Mishap>) -> Response<Body> {
        let len = self.bytes.len();
        let mut answer = Response::new(Body::Empty);
        let etag = if matches!(mishap, Some(Mishap::Changed)) {
            "\"2\""
        } else {
            "\"1\""
        };
        answer.headers_mut().insert(ETAG, etag.parse().unwrap());
        match mishap {
            Some(Mishap::Status(status)) => {
                *answer.status_mut() = StatusCode::from_u16(*status).unwrap();
                return answer;
            }
            Some(Mishap::Redirect) => {
                *answer.status_mut() = StatusCode::FOUND;
                answer
                    .headers_mut()
                    .insert(LOCATION, "/elsewhere".parse().unwrap());
                return answer;
            }
            _ => {}
        }
        if request.method() == Method::HEAD {
            answer.headers_mut().insert(CONTENT_LENGTH, len.into());
            return answer;
        }
        let range = request.headers()[RANGE].to_str().unwrap();
        let (from, to) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        if matches!(mishap, Some(Mishap::NoRanges)) {
            *answer.body_mut() = self.bytes.clone().into();
            return answer;
        }
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {from}-{to}/{len}");
        answer
            .headers_mut()
            .insert(CONTENT_RANGE, range.parse().unwrap());
        let part = Bytes::copy_from_slice(&self.bytes[from..=to]);
        *answer.body_mut() = match mishap {
            Some(Mishap::Cut(bytes)) => {
                let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                let frames = [Ok(Frame::data(part.slice(..*bytes))), Err(broken)];
                Body::wrap(StreamBody::new(futures_util::stream::iter(frames)))
            }
            _ => part.into(),
        };
        answer
    }
}

/// The tests keep a handle of what the server holds.
struct Out(Arc<Origin>);

impl Transport for Out {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let range = request
                .headers()
                .get(RANGE)
                .map_or("", |range| range.to_str().unwrap());
            let asked = format!("{} {} {range}", request.method(), request.uri().path());
            let asked = asked.trim().to_owned();
            self.0.asked.send_modify(|all| all.push(asked));
            let mishap = self.0.mishaps.lock().unwrap().pop_front();
            match &mishap {
                Some(Mishap::Refused) => Err(TransportError::new(FaultKind::Connect, "refused")),
                Some(Mishap::Silence) => std::future::pending().await,
                mishap => Ok(self.0.answer(&request, mishap.as_ref())),
            }
        })
    }
}

async fn server(origin: &Arc<Origin>) -> EmulatorHandle {
    let out = Arc::new(Out(Arc::clone(origin)));
    strict().outbound(out).start().await.unwrap()
}

async fn copy(server: &EmulatorHandle, body: &Value) -> Value {
    let answer = ask(server, "POST", &format!("{VIDEOS}/copy"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["result"].clone()
}

/// The video, once it is no longer being fetched.
async fn fetched(server: &EmulatorHandle, copy: &Value) -> Value {
    settled(server, copy["uid"].as_str().unwrap()).await
}

#[tokio::test]
async fn a_video_is_fetched_from_its_url() {
    let origin = Origin::of(media("clip.mp4"), []);
    let server = server(&origin).await;
    let body = json!({ "input": URL, "meta": { "name": "n" }, "creator": "c" });
    let begun = copy(&server, &body).await;
    assert_eq!(begun["status"]["state"], "downloading");
    assert_eq!(begun["size"], 69_162.0, "HEAD tells it before the answer");
    assert_eq!(begun["duration"], -1.0);
    assert_eq!(begun["meta"]["downloaded-from"], URL);
    let video = fetched(&server, &begun).await;
    assert_eq!(video["status"]["state"], "ready", "{video}");
    assert_eq!(video["duration"], 2.0);
    assert_eq!(video["creator"], "c");
    let bytes = server
        .content(begun["uid"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(bytes.unwrap(), origin.bytes);
    assert_eq!(origin.asked()[0], "HEAD /a.mp4");
}

#[tokio::test]
async fn what_breaks_goes_on_where_it_broke() {
    use Mishap::{Cut, Nothing, Redirect, Refused, Status};
    // Two HEADs, one for the answer and one for the fetching; then GETs.
    let mishaps = [
        Redirect,
        Nothing,
        Nothing,
        Cut(1000),
        Refused,
        Status(503),
        Cut(500),
    ];
    let origin = Origin::of(media("clip.mp4"), mishaps);
    let server = server(&origin).await;
    let begun = copy(&server, &json!({ "url": URL })).await;
    let video = fetched(&server, &begun).await;
    let asked = origin.asked();
    assert_eq!(video["status"]["state"], "ready", "{video}: {asked:?}");
    let bytes = server
        .content(begun["uid"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(bytes.unwrap(), origin.bytes);
    let ranges: Vec<_> = asked
        .iter()
        .filter_map(|it| it.split("bytes=").nth(1))
        .collect();
    let expected = [
        "0-69161",
        "1000-69161",
        "1000-69161",
        "1000-69161",
        "1500-69161",
    ];
    assert_eq!(ranges, expected);
}

#[tokio::test]
async fn a_source_that_is_not_as_stream_wants_it_fails() {
    for (mishaps, part) in [
        (
            vec![Mishap::Status(403), Mishap::Status(403)],
            "HEAD with 403",
        ),
        (
            vec![Mishap::Redirect, Mishap::Status(404), Mishap::Status(404)],
            "404",
        ),
    ] {
        assert_fails(mishaps, part).await;
    }
    // The first HEAD is for the answer, the second for the fetching.
    let after = |mishap| vec![Mishap::Nothing, Mishap::Nothing, mishap];
    assert_fails(after(Mishap::NoRanges), "does not answer a range").await;
    assert_fails(after(Mishap::Changed), "changed").await;
    assert_fails(after(Mishap::Status(401)), "GET with 401").await;
}

async fn assert_fails(mishaps: Vec<Mishap>, part: &str) {
    let origin = Origin::of(media("clip.mp4"), mishaps);
    let server = server(&origin).await;
    let begun = copy(&server, &json!({ "input": URL })).await;
    let video = fetched(&server, &begun).await;
    assert_eq!(video["status"]["state"], "error", "{video}");
    assert_eq!(video["status"]["errorReasonCode"], "ERR_FETCH_ORIGIN_ERROR");
    let text = video["status"]["errorReasonText"].as_str().unwrap();
    assert!(text.contains(part), "{text}");
}

#[tokio::test]
async fn what_is_no_url_is_refused_before_anything_is_made() {
    let origin = Origin::of(Vec::new(), []);
    let server = server(&origin).await;
    let path = format!("{VIDEOS}/copy");
    for (body, code) in [
        (json!({}), 10005),
        (json!({ "input": "no url" }), 10010),
        (json!({ "input": "file:///etc/passwd" }), 10010),
        (json!({ "input": 7 }), 10010),
        (json!({ "input": URL, "creator": 7 }), 10004),
    ] {
        let answer = ask(&server, "POST", &path, &body).await;
        assert_eq!(refusal(&answer).1, code, "{body}");
    }
    assert!(server.videos().is_empty() && origin.asked().is_empty());
    let shut_in = strict().start().await.unwrap();
    let answer = ask(&shut_in, "POST", &path, &json!({ "input": URL })).await;
    assert!(refusal(&answer).2.contains("no way out"));
}

#[tokio::test]
async fn a_copy_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = || Blobs::Dir(directory.path().to_owned());
    let mishaps = [
        Mishap::Nothing,
        Mishap::Nothing,
        Mishap::Cut(1000),
        Mishap::Silence,
    ];
    let origin = Origin::of(media("clip.mp4"), mishaps);
    let out = || Arc::new(Out(Arc::clone(&origin)));
    let server = strict()
        .blobs(blobs())
        .outbound(out())
        .start()
        .await
        .unwrap();
    let begun = copy(&server, &json!({ "input": URL })).await;
    origin.was_asked(4).await;
    server.shutdown().await.unwrap();
    let server = strict()
        .blobs(blobs())
        .outbound(out())
        .start()
        .await
        .unwrap();
    let video = fetched(&server, &begun).await;
    assert_eq!(video["status"]["state"], "ready", "{video}");
    let asked = origin.asked();
    assert_eq!(
        asked.last().unwrap(),
        "GET /a.mp4 bytes=1000-69161",
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_copy_that_is_deleted_is_fetched_no_further() {
    let origin = Origin::of(
        media("clip.mp4"),
        [Mishap::Nothing, Mishap::Nothing, Mishap::Silence],
    );
    let server = server(&origin).await;
    let begun = copy(&server, &json!({ "input": URL })).await;
    let path = format!("{VIDEOS}/{}", begun["uid"].as_str().unwrap());
    let answer = ask(&server, "DELETE", &path, &json!({})).await;
    assert_eq!(answer.status, 200);
    assert!(server.videos().is_empty() && server.uploads().is_empty());
    // Which would wait for the source for ever, were it still fetched.
    server.shutdown().await.unwrap();
}
