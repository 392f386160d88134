//! What a server is asked before anything is sent, and what goes along.

use std::sync::{Arc, Mutex};

use http_transport::{
    Body, BoxFuture, Credentials, FaultKind, Loss, LossPlan, LossyTransport, Origin, Transport,
    TransportError,
};
use test_support::NullSink;
use tus_engine::{Creation, NewUpload, UploadUrl, Uploader, UploaderBuilder};

use crate::support::{Gate, Heard, MIB, bytes, new, transport, uploader};

#[tokio::test]
async fn a_lost_question_for_extensions_holds_nobody_up() {
    let sink = NullSink::start().unwrap();
    let plan = LossPlan::default().with(1, Loss::Answer);
    let heard = Arc::new(Heard::default());
    let uploader = uploader(LossyTransport::new(transport(), plan))
        .events(heard.clone())
        .build()
        .unwrap();
    let gate = Arc::new(Gate::new(4 * MIB, 2 * MIB));
    let first = uploader.upload(gate.clone(), new(&sink));
    heard.acked(2 * MIB as u64).await;
    let url = UploadUrl::parse(&sink.creation_url()).unwrap();
    let second = NewUpload::new(Creation::new(url), "/footage/b");
    uploader.upload(bytes(MIB), second).join().await.unwrap();
    gate.release();
    first.join().await.unwrap();
}

#[tokio::test]
async fn each_origin_gets_its_own_credentials_whatever_their_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (origin, stranger) = (
        Origin::parse("http://127.0.0.1:1").unwrap(),
        Origin::parse("http://127.0.0.1:2").unwrap(),
    );
    let bearer = |token: &str, origin| Credentials::bearer(&token.into(), origin).unwrap();
    for credentials in [
        [
            bearer("ours", origin.clone()),
            bearer("theirs", stranger.clone()),
        ],
        [bearer("theirs", stranger), bearer("ours", origin)],
    ] {
        let uploader = credentials
            .into_iter()
            .fold(
                Uploader::builder(Arc::new(Seen(seen.clone()))),
                UploaderBuilder::credentials,
            )
            .build()
            .unwrap();
        uploader
            .capabilities(&UploadUrl::parse("http://127.0.0.1:1/files/").unwrap())
            .await;
    }
    assert_eq!(*seen.lock().unwrap(), ["Bearer ours", "Bearer ours"]);
}

/// Keeps the credentials that requests carry, and answers none.
struct Seen(Arc<Mutex<Vec<String>>>);

impl Transport for Seen {
    fn send(
        &self,
        request: http::Request<Body>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        let token = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        self.0.lock().unwrap().push(token);
        Box::pin(std::future::ready(Err(TransportError::new(
            FaultKind::Connect,
            "nobody there",
        ))))
    }
}
