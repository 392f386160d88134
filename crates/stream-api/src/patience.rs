//! [`Patience`]: when a request that failed is sent again, and when that is enough.
//!
//! *Whether* a request may be sent twice is decided here, by its row of the table and by what is known of the first one:
//! nobody who brings patience can make two videos of one. The time belongs to whoever calls.

use http::{Method, StatusCode};
use http_transport::{BoxFuture, Certainty};

use crate::client::StreamClient;
use crate::endpoints::Op;
use crate::error::Error;

/// Brings time to a [`StreamClient`]: see [`StreamClient::with_patience`].
pub trait Patience: Send + Sync {
    /// A request is about to be sent for the first time.
    fn begin(&self) -> Box<dyn Attempts>;
}

/// The attempts at one request.
pub trait Attempts: Send {
    /// The last attempt at `op` ended with `error`, and another one does no harm. Returns when it is time for that one, with
    /// `false` when there shall be none.
    fn again<'a>(&'a mut self, op: Op, error: &'a Error) -> BoxFuture<'a, bool>;
}

/// One request of a client, as often as it is sent.
pub(crate) struct Repeat {
    op: Op,
    attempts: Option<Box<dyn Attempts>>,
    /// An attempt may have been carried out without an answer.
    doubt: bool,
}

impl Repeat {
    pub(crate) fn new(client: &StreamClient, op: Op) -> Self {
        Self {
            op,
            attempts: client.patience().map(Patience::begin),
            doubt: false,
        }
    }

    /// Returns when it is time for another attempt.
    ///
    /// # Errors
    /// `error` itself, when there shall be none.
    pub(crate) async fn after(&mut self, error: Error) -> Result<(), Error> {
        let Some(attempts) = &mut self.attempts else {
            return Err(error);
        };
        match effect(&error) {
            Effect::Final => return Err(error),
            Effect::NotDone => {}
            Effect::Unknown if self.op.endpoint().is_repeatable() => self.doubt = true,
            Effect::Unknown => return Err(error),
        }
        if attempts.again(self.op, &error).await {
            Ok(())
        } else {
            Err(error)
        }
    }

    /// Whether `error` says that an earlier attempt has done what was wanted: what is deleted is not there.
    pub(crate) fn is_done_by(&self, error: &Error) -> bool {
        self.doubt && self.op.endpoint().method == Method::DELETE && error.is_not_found()
    }
}

/// What an attempt that failed has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Another attempt would end the same way.
    Final,
    /// Nothing.
    NotDone,
    /// All of it, or nothing.
    Unknown,
}

fn effect(error: &Error) -> Effect {
    match error {
        Error::Api { status, .. } => match *status {
            StatusCode::TOO_MANY_REQUESTS => Effect::NotDone,
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Effect::Final,
            status if status.is_server_error() => Effect::Unknown,
            StatusCode::REQUEST_TIMEOUT => Effect::Unknown,
            _ => Effect::Final,
        },
        Error::Transport(fault) => match fault.certainty() {
            Certainty::NotSent => Effect::NotDone,
            Certainty::MaybeSent => Effect::Unknown,
            Certainty::Permanent => Effect::Final,
        },
        _ => Effect::Final,
    }
}

impl Error {
    /// Whether the request may have been carried out although it failed. For what [is not
    /// repeatable](crate::Endpoint::is_repeatable) somebody should look before it is sent again.
    #[must_use]
    pub fn is_doubt(&self) -> bool {
        effect(self) == Effect::Unknown || matches!(self, Self::Decode { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use http_transport::{Body, Credentials, FaultKind, Origin, Transport, TransportError};
    use serde_json::{Value, json};

    use super::*;

    /// Answers with these statuses, 0 for a broken connection and 1 for none, and then with success.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<VecDeque<u16>>,
        requests: AtomicUsize,
    }

    impl Transport for Scripted {
        fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let status = self.answers.lock().unwrap().pop_front().unwrap_or(200);
            Box::pin(async move {
                let kind = match status {
                    0 => FaultKind::Interrupted,
                    1 => FaultKind::Connect,
                    _ => {
                        let body = json!({"success": status == 200, "result": {}}).to_string();
                        let answer = Response::builder().status(status);
                        return Ok(answer.body(Body::from(body)).unwrap());
                    }
                };
                Err(TransportError::new(kind, "by plan"))
            })
        }
    }

    /// So many further attempts, without a pause.
    struct Times(usize);

    impl Patience for Times {
        fn begin(&self) -> Box<dyn Attempts> {
            Box::new(Self(self.0))
        }
    }

    impl Attempts for Times {
        fn again<'a>(&'a mut self, _: Op, _: &'a Error) -> BoxFuture<'a, bool> {
            let again = self.0 > 0;
            self.0 = self.0.saturating_sub(1);
            Box::pin(std::future::ready(again))
        }
    }

    async fn sent(op: Op, answers: &[u16], patience: Option<usize>) -> (bool, usize) {
        let scripted = Arc::new(Scripted::default());
        scripted.answers.lock().unwrap().extend(answers);
        let base = "http://127.0.0.1:1/client/v4";
        let credentials = Credentials::new(Origin::parse(base).unwrap());
        let transport = Arc::clone(&scripted) as Arc<dyn Transport>;
        let mut client = StreamClient::new(transport, base, "a", credentials).unwrap();
        if let Some(times) = patience {
            client = client.with_patience(Arc::new(Times(times)));
        }
        let ids = vec!["x"; op.endpoint().parameters().count() - 1];
        let ended = client.call::<Value>(op, &ids, &[], None).await;
        (ended.is_ok(), scripted.requests.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_changes_nothing_by_being_done_twice_is_sent_until_it_is_answered() {
        for op in [
            Op::VideosGet,
            Op::VideosEdit,
            Op::WebhookSet,
            Op::KeysDelete,
        ] {
            let answers = [503, 0, 429, 1, 408];
            assert_eq!(sent(op, &answers, Some(9)).await, (true, 6), "{op:?}");
        }
    }

    #[tokio::test]
    async fn a_creation_is_sent_again_only_where_nothing_was_made() {
        for op in [Op::CopyCreate, Op::KeysCreate, Op::ClipCreate] {
            assert_eq!(sent(op, &[429, 1], Some(9)).await, (true, 3), "{op:?}");
            for status in [0, 408, 500, 503] {
                let ended = sent(op, &[429, status], Some(9)).await;
                assert_eq!(ended, (false, 2), "{op:?} {status}");
            }
        }
    }

    #[tokio::test]
    async fn a_refusal_for_good_and_a_client_without_patience_end_at_once() {
        assert_eq!(sent(Op::VideosGet, &[404], Some(9)).await, (false, 1));
        assert_eq!(sent(Op::VideosGet, &[501], Some(9)).await, (false, 1));
        assert_eq!(sent(Op::VideosGet, &[503], None).await, (false, 1));
        assert_eq!(sent(Op::VideosGet, &[503; 9], Some(2)).await, (false, 3));
    }

    #[tokio::test]
    async fn a_deletion_whose_answer_was_lost_is_done_when_there_is_nothing_left() {
        assert_eq!(sent(Op::VideosDelete, &[0, 404], Some(9)).await, (true, 2));
        let refused = sent(Op::VideosDelete, &[429, 404], Some(9)).await;
        assert_eq!(refused, (false, 2), "nothing was done before");
    }
}
