//! What servers answer, said by a transport in their name: what one upload learns, and what all of them heed.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_transport::{
    Body, BoxError, BoxFuture, Deadlines, Protocol, ReqwestTransport, Transport, TransportError,
};
use resume_store::Record;
use test_support::NullSink;
use tus_engine::{
    BytesSource, Creation, Failure, Finding, NewUpload, RetryPolicy, Service, UploadError,
    UploadUrl, Uploader, UploaderOptions, Verdict,
};

type Answer = Box<dyn Fn(&Method, &HeaderMap) -> Option<Response<Body>> + Send + Sync>;

/// Answers what it wants to itself, and leaves the rest to the server.
struct Answering {
    answer: Answer,
    inner: ReqwestTransport,
}

impl Transport for Answering {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        match (self.answer)(request.method(), request.headers()) {
            Some(answer) => Box::pin(std::future::ready(Ok(answer))),
            None => self.inner.send(request),
        }
    }
}

fn uploader(
    options: UploaderOptions,
    answer: impl Fn(&Method, &HeaderMap) -> Option<Response<Body>> + Send + Sync + 'static,
) -> Uploader {
    let transport = Answering {
        answer: Box::new(answer),
        inner: ReqwestTransport::new(Protocol::Http1).unwrap(),
    };
    let builder = Uploader::builder(Arc::new(transport)).options(options);
    builder.build().unwrap()
}

fn refusal(status: u16, body: Body) -> Response<Body> {
    Response::builder().status(status).body(body).unwrap()
}

fn new(sink: &NullSink) -> NewUpload {
    let url = UploadUrl::parse(&sink.creation_url()).unwrap();
    NewUpload::new(Creation::new(url), "/footage/a.mov")
}

fn bytes(len: usize) -> Arc<BytesSource> {
    Arc::new(BytesSource::new(vec![7; len]))
}

/// A body that always is about to say more.
struct Dripping;

impl http_body::Body for Dripping {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn the_words_of_a_refusal_are_not_waited_for_without_end() {
    let sink = NullSink::start().unwrap();
    let refusals = AtomicU64::new(1);
    let stall = Duration::from_millis(100);
    let options = UploaderOptions::default().with_deadlines(Deadlines::default().with_stall(stall));
    let uploader = uploader(options, move |method, _| {
        let left = |left: u64| left.checked_sub(1);
        let refused = method == Method::PATCH
            && refusals
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
                .is_ok();
        refused.then(|| refusal(500, Body::wrap(Dripping)))
    });
    let handle = uploader.upload(bytes(2 * 1024 * 1024), new(&sink));
    handle.join().await.unwrap();
}

/// A service that never says what became of an upload.
struct Silent;

impl Service for Silent {
    fn read_error(&self, _: &Response<()>, _: &[u8]) -> Option<Verdict> {
        None
    }

    fn reconcile<'a>(&'a self, _: &'a Record) -> BoxFuture<'a, Finding> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_service_that_never_says_what_became_of_an_upload_is_not_asked_beyond_patience() {
    let sink = NullSink::start().unwrap();
    let retry = RetryPolicy::DEFAULT.with_patience(Duration::from_millis(200));
    let transport = Answering {
        answer: Box::new(|method, _| (method == Method::POST).then(|| refusal(500, Body::Empty))),
        inner: ReqwestTransport::new(Protocol::Http1).unwrap(),
    };
    let uploader = Uploader::builder(Arc::new(transport))
        .service(Arc::new(Silent))
        .options(UploaderOptions::default().with_retry(retry))
        .build()
        .unwrap();
    let handle = uploader.upload(bytes(10), new(&sink));
    let error = handle.join().await.unwrap_err();
    let UploadError::GaveUp { failure, .. } = error else {
        panic!("{error}");
    };
    assert!(
        matches!(failure, Failure::OutOfPatience { .. }),
        "{failure}"
    );
}

#[tokio::test]
async fn a_wait_beyond_patience_keeps_the_others_away_as_well() {
    let sink = NullSink::start().unwrap();
    let uploader = uploader(UploaderOptions::default(), |method, _| {
        (method == Method::POST).then(|| {
            let mut busy = refusal(429, Body::Empty);
            busy.headers_mut().insert(RETRY_AFTER, 99_999.into());
            busy
        })
    });
    let mut asked = Vec::new();
    for _ in 0..2 {
        let handle = uploader.upload(bytes(10), new(&sink));
        let error = handle.join().await.unwrap_err();
        assert!(error.is_resumable());
        let UploadError::GaveUp {
            failure: Failure::ComeBack { after, .. },
            ..
        } = error
        else {
            panic!("{error}");
        };
        asked.push(after);
    }
    assert_eq!(asked[0], Duration::from_secs(99_999));
    // Counted from the first refusal: the second upload did not ask again.
    assert!(asked[1] < asked[0]);
}

#[tokio::test]
async fn a_chunk_size_that_was_taken_after_a_refusal_is_where_the_next_upload_begins() {
    const TAKEN: u64 = 512 * 1024;
    let sink = NullSink::start().unwrap();
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let uploader = {
        let sizes = Arc::clone(&sizes);
        uploader(UploaderOptions::default(), move |method, headers| {
            if method != Method::PATCH {
                return None;
            }
            let size: u64 = headers[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
            sizes.lock().unwrap().push(size);
            (size > TAKEN).then(|| refusal(413, Body::Empty))
        })
    };
    for _ in 0..2 {
        let handle = uploader.upload(bytes(2 * 1024 * 1024), new(&sink));
        handle.join().await.unwrap();
    }
    let sizes = sizes.lock().unwrap().clone();
    assert_eq!(sizes[..2], [4 * TAKEN, 2 * TAKEN], "refused");
    assert_eq!(sizes[2..], [TAKEN; 8]);
}
