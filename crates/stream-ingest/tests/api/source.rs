//! A file behind a URL, and whether Stream could fetch it.

use std::sync::{Arc, Mutex};

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, RANGE};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_transport::{Body, BoxError, BoxFuture, Transport, TransportError};
use stream_api::SourceUrl;
use stream_ingest::{HttpSource, SourceError, check_source};
use tus_engine::{BUFFER_BYTES, BufferPool, Source as _};

/// A server with one file.
struct Server {
    content: Vec<u8>,
    etag: Mutex<&'static str>,
    head: StatusCode,
    ranges: bool,
    /// Answers break after so many bytes.
    breaks_after: usize,
    requests: Mutex<Vec<String>>,
}

impl Server {
    fn new(length: usize) -> Self {
        Self {
            content: (0..length).map(|it| (it / 7 % 251) as u8).collect(),
            etag: Mutex::new("\"one\""),
            head: StatusCode::OK,
            ranges: true,
            breaks_after: usize::MAX,
            requests: Mutex::default(),
        }
    }
}

/// Frames of 100 kB, and a break.
struct Frames {
    bytes: bytes::Bytes,
    left: usize,
}

impl http_body::Body for Frames {
    type Data = bytes::Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<bytes::Bytes>, BoxError>>> {
        if self.bytes.is_empty() {
            return std::task::Poll::Ready(None);
        }
        if self.left == 0 {
            return std::task::Poll::Ready(Some(Err("it broke off".into())));
        }
        let count = self.bytes.len().min(100_000).min(self.left);
        self.left -= count;
        let bytes = self.bytes.split_to(count);
        std::task::Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Transport for Server {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let range = request
            .headers()
            .get(RANGE)
            .map(|it| it.to_str().unwrap().to_owned());
        let line = format!("{} {}", request.method(), range.as_deref().unwrap_or("-"));
        self.requests.lock().unwrap().push(line);
        let mut answer = Response::new(Body::Empty);
        let headers = answer.headers_mut();
        headers.insert(ETAG, self.etag.lock().unwrap().parse().unwrap());
        if request.method() == Method::HEAD {
            headers.insert(CONTENT_LENGTH, self.content.len().into());
            *answer.status_mut() = self.head;
            return Box::pin(async move { Ok(answer) });
        }
        let range = range.filter(|_| self.ranges);
        let (from, to) = match range.as_deref().and_then(|it| it.strip_prefix("bytes=")) {
            Some(range) => {
                let (from, to) = range.split_once('-').unwrap();
                let from: usize = from.parse().unwrap();
                let to = to.parse().map_or(self.content.len(), |to: usize| to + 1);
                let range = format!("bytes {from}-{}/{}", to - 1, self.content.len());
                headers.insert(CONTENT_RANGE, range.parse().unwrap());
                *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
                (from, to)
            }
            None => (0, self.content.len()),
        };
        let bytes = bytes::Bytes::copy_from_slice(&self.content[from..to]);
        *answer.body_mut() = Body::wrap(Frames {
            bytes,
            left: self.breaks_after,
        });
        Box::pin(async move { Ok(answer) })
    }
}

fn url() -> SourceUrl {
    SourceUrl::parse("http://192.0.2.1/a.mp4?X-Amz-Signature=hush").unwrap()
}

async fn open(server: &Arc<Server>) -> HttpSource {
    HttpSource::open(Arc::<Server>::clone(server), url())
        .await
        .unwrap()
}

async fn read(source: &HttpSource, offset: u64) -> std::io::Result<bytes::Bytes> {
    let pool = BufferPool::new(BUFFER_BYTES);
    source.read_at(offset, pool.take().await).await
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_in_one_answer_and_from_any_offset() {
    let server = Arc::new(Server::new(1_700_000));
    let source = open(&server).await;
    let mut whole = Vec::new();
    while whole.len() < 1_700_000 {
        whole.extend_from_slice(&read(&source, whole.len() as u64).await.unwrap());
    }
    assert_eq!(whole, server.content);
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests, ["GET bytes=0-0", "GET bytes=0-"]);
    let part = read(&source, 123_456).await.unwrap();
    assert_eq!(part[..], server.content[123_456..123_456 + BUFFER_BYTES]);
}

#[tokio::test(start_paused = true)]
async fn a_break_is_gone_on_from_and_a_change_is_not() {
    let server = Arc::new(Server {
        breaks_after: 150_000,
        ..Server::new(900_000)
    });
    let source = open(&server).await;
    let first = read(&source, 0).await.unwrap();
    assert_eq!(first[..], server.content[..BUFFER_BYTES]);
    let same = source.evidence().unwrap().unwrap();
    *server.etag.lock().unwrap() = "\"two\"";
    let error = read(&source, 800_000).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    let now = open(&server).await.evidence().unwrap().unwrap();
    assert_eq!(same.compare(&now), resume_store::Resemblance::Changed);
    assert!(!format!("{source:?}").contains("hush"));
}

async fn check(server: Server, public: bool) -> Result<Option<u64>, SourceError> {
    let transport: Arc<dyn Transport> = Arc::new(server);
    check_source(&transport, &url(), public)
        .await
        .map(|facts| facts.length)
}

#[tokio::test(start_paused = true)]
async fn what_stream_could_not_fetch_is_told_before_stream_is_asked() {
    assert_eq!(check(Server::new(9), false).await.unwrap(), Some(9));
    let told = check(
        Server {
            head: StatusCode::FORBIDDEN,
            ..Server::new(9)
        },
        false,
    )
    .await;
    let told = told.unwrap_err();
    assert!(matches!(told, SourceError::NoHead { .. }) && told.can_be_fetched_here());
    assert!(!told.to_string().contains("hush"));
    let told = check(
        Server {
            ranges: false,
            ..Server::new(9)
        },
        false,
    )
    .await;
    assert!(matches!(told, Err(SourceError::NoRanges { .. })));
    let told = check(
        Server {
            head: StatusCode::NOT_FOUND,
            ..Server::new(9)
        },
        false,
    )
    .await;
    assert!(matches!(told, Err(SourceError::Refused { .. })));
    // 192.0.2.0/24 is for documentation.
    let told = check(Server::new(9), true).await;
    assert!(matches!(told, Err(SourceError::NotPublic { .. })));
}
