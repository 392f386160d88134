//! The transport that breaks things breaks exactly what its plan says.

use std::sync::Mutex;

use http::{Method, Request, Response};
use http_transport::{
    Body, BoxFuture, Certainty, FaultKind, Loss, LossPlan, LossyTransport, Transport,
    TransportError,
};

use crate::{Zeros, request};

/// Reads bodies to their end and notes how far it came.
#[derive(Default)]
struct Sink {
    received: Mutex<Vec<u64>>,
}

impl Sink {
    fn note(&self, bytes: u64) {
        self.received.lock().expect("unpoisoned").push(bytes);
    }
}

impl Transport for Sink {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let mut body = std::pin::pin!(request.into_body());
            let mut received = 0;
            while let Some(frame) =
                std::future::poll_fn(|cx| http_body::Body::poll_frame(body.as_mut(), cx)).await
            {
                let Ok(frame) = frame else {
                    self.note(received);
                    return Err(TransportError::new(FaultKind::Source, "a broken body")
                        .with_bytes_sent(received));
                };
                received += frame.into_data().map_or(0, |data| data.len() as u64);
            }
            self.note(received);
            Ok(Response::new(Body::Empty))
        })
    }
}

#[tokio::test]
async fn each_loss_is_what_it_says() {
    let plan = LossPlan::default()
        .with(2, Loss::BeforeSending)
        .with(3, Loss::AfterBodyBytes(300_000))
        .with(4, Loss::Answer)
        .with(5, Loss::AfterBodyBytes(2_000_000));
    let lossy = LossyTransport::new(Sink::default(), plan);
    let mut answers = Vec::new();
    for _ in 0..6 {
        let request = request(Method::PATCH, "http://host/", Zeros::body(1_000_000));
        answers.push(
            lossy
                .send(request)
                .await
                .map(|_| ())
                .map_err(|error| (error.certainty(), error.bytes_sent())),
        );
    }
    let maybe = |bytes| Err((Certainty::MaybeSent, bytes));
    assert_eq!(
        answers,
        [
            Ok(()),
            Err((Certainty::NotSent, 0)),
            maybe(300_000),
            maybe(1_000_000),
            maybe(1_000_000),
            Ok(()),
        ]
    );
    assert_eq!(lossy.requests(), 6);
}

#[test]
fn the_same_seed_loses_the_same_requests() {
    let plan = |seed| {
        let plan = LossPlan::seeded(seed, 30, 1000);
        (1..=1000).map(|n| plan.loss(n)).collect::<Vec<_>>()
    };
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
    let lost = plan(7).iter().flatten().count();
    assert!((200..400).contains(&lost), "{lost}");
    assert!(plan(7).contains(&Some(Loss::BeforeSending)));
    assert!(plan(7).contains(&Some(Loss::Answer)));
}
