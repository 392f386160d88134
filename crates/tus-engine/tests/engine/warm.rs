//! A connection that is there before the first upload is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_transport::{
    Body, BoxFuture, Credentials, FaultKind, Loss, LossPlan, LossyTransport, Origin, Protocol,
    ReqwestTransport, Transport, TransportError,
};
use test_support::NullSink;
use tus_engine::{
    BytesSource, Creation, Finding, NewUpload, Service, UploadUrl, Uploader, UploaderBuilder,
    Verdict,
};

fn url(sink: &NullSink) -> UploadUrl {
    UploadUrl::parse(&sink.creation_url()).unwrap()
}

fn builder(transport: impl Transport + 'static) -> UploaderBuilder {
    Uploader::builder(Arc::new(transport))
}

fn transport() -> ReqwestTransport {
    ReqwestTransport::new(Protocol::Http1).unwrap()
}

async fn send_one(uploader: &Uploader, sink: &NullSink) {
    let source = Arc::new(BytesSource::new(vec![7; 2 * 1024 * 1024]));
    let new = NewUpload::new(Creation::new(url(sink)), "/footage/a.mov");
    uploader.upload(source, new).join().await.unwrap();
}

#[tokio::test]
async fn the_first_upload_has_the_connection_and_the_answer_that_were_there_before_it() {
    let sink = NullSink::start().unwrap();
    let builder = builder(transport());
    builder.warm(&url(&sink)).await;
    let counters = sink.counters();
    assert_eq!((counters.options, counters.connections), (1, 1));
    let uploader = builder.build().unwrap();
    send_one(&uploader, &sink).await;
    let counters = sink.counters();
    assert_eq!((counters.options, counters.posts), (1, 1));
    assert_eq!(counters.handshakes, 1, "the same connection");
}

#[tokio::test]
async fn an_upload_that_begins_meanwhile_waits_for_the_answer_and_does_not_ask_again() {
    let sink = NullSink::start().unwrap();
    let uploader = builder(transport()).build().unwrap();
    let creation_url = url(&sink);
    tokio::join!(uploader.warm(&creation_url), send_one(&uploader, &sink));
    assert_eq!(sink.counters().options, 1);
}

#[tokio::test]
async fn a_connection_that_cannot_be_warmed_harms_no_upload() {
    let sink = NullSink::start().unwrap();
    let plan = LossPlan::default().with(1, Loss::BeforeSending);
    let builder = builder(LossyTransport::new(transport(), plan));
    builder.warm(&url(&sink)).await;
    assert_eq!(sink.counters().requests(), 0);
    send_one(&builder.build().unwrap(), &sink).await;
    assert_eq!(sink.counters().options, 1, "now the upload asks");
}

/// A service that is not asked what it offers.
struct Unasked;

impl Service for Unasked {
    fn answers_options(&self) -> bool {
        false
    }

    fn read_error(&self, _: &Response<()>, _: &[u8]) -> Option<Verdict> {
        None
    }

    fn reconcile<'a>(&'a self, _: &'a resume_store::Record) -> BoxFuture<'a, Finding> {
        Box::pin(std::future::ready(tus_engine::Reconciled::Unknown.into()))
    }
}

/// Writes requests down, and answers none.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Method>>>, Arc<AtomicUsize>);

impl Transport for Heard {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        self.0.lock().unwrap().push(request.method().clone());
        let authorized = request.headers().contains_key("authorization");
        self.1.fetch_add(authorized.into(), Ordering::SeqCst);
        let refused = TransportError::new(FaultKind::Connect, "nobody there");
        Box::pin(std::future::ready(Err(refused)))
    }
}

#[tokio::test]
async fn a_service_that_is_asked_nothing_gets_a_connection_and_no_credentials() {
    let heard = Heard::default();
    let origin = Origin::parse("https://api.example").unwrap();
    let credentials = Credentials::bearer(&"secret".into(), origin).unwrap();
    let builder = builder(heard.clone())
        .service(Arc::new(Unasked))
        .credentials(credentials);
    let url = UploadUrl::parse("https://api.example/stream").unwrap();
    builder.warm(&url).await;
    assert_eq!(*heard.0.lock().unwrap(), [Method::OPTIONS]);
    assert_eq!(heard.1.load(Ordering::SeqCst), 0);
}
