//! What `ReqwestTransport` does on a real socket, against servers that misbehave on purpose.

mod answers;
mod bodies;
mod credentials;
mod deadlines;
mod failures;
mod lines;
mod lossy;
mod server;
mod tls;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Frame, SizeHint};
use http_transport::{Body, BoxError, Deadlines, Protocol, ReqwestTransport};

/// Part of every URL the tests use; no error may repeat it.
const CANARY: &str = "canary-5d41402a";

fn transport() -> ReqwestTransport {
    transport_with(Deadlines::default())
}

fn transport_with(deadlines: Deadlines) -> ReqwestTransport {
    ReqwestTransport::builder(Protocol::Http1)
        .system_proxy(false)
        .deadlines(deadlines)
        .build()
        .expect("a transport")
}

/// Short enough for a test, long enough for a busy machine.
fn short() -> Deadlines {
    Deadlines::default()
        .with_connect(Duration::from_secs(5))
        .with_response(Duration::from_millis(400))
        .with_stall(Duration::from_millis(400))
}

fn request(method: Method, url: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(url)
        .body(body.into())
        .expect("a request")
}

/// A path that is a secret, as upload URLs are.
fn secret_path() -> String {
    format!("/files/{CANARY}?token={CANARY}")
}

/// Zeros in 256 KiB frames, as the engine's pooled buffers are, ending after `given` of the
/// `announced` bytes, well or badly.
struct Zeros {
    announced: u64,
    given: u64,
    error: Option<&'static str>,
}

impl Zeros {
    fn body(length: u64) -> Body {
        Body::wrap(Self {
            announced: length,
            given: length,
            error: None,
        })
    }

    fn broken(announced: u64, given: u64, error: Option<&'static str>) -> Body {
        Body::wrap(Self {
            announced,
            given,
            error,
        })
    }
}

impl http_body::Body for Zeros {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        static PAGE: [u8; 256 * 1024] = [0; 256 * 1024];
        if self.given == 0 {
            return Poll::Ready(self.error.take().map(|error| Err(error.into())));
        }
        let len = self.given.min(PAGE.len() as u64);
        self.given -= len;
        self.announced -= len;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(
            &PAGE[..len as usize],
        )))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
