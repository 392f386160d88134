//! [`InProcess`]: the emulator as a transport, without a socket.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response};
use http_transport::{Body, BoxFuture, FaultKind, Transport, TransportError};

use crate::conn::Connection;
use crate::handler;
use crate::server::Shared;

/// Sends requests straight to the handlers of a running emulator: for benches that are to measure
/// anything but sockets. What a fault does to a connection arrives as a [`TransportError`].
///
/// Deadlines of a request are not observed, and limits of heads do not apply.
#[derive(Clone)]
pub struct InProcess {
    shared: Arc<Shared>,
}

impl InProcess {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Transport for InProcess {
    fn send(
        &self,
        mut request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            if self.shared.stop.is_cancelled() {
                return Err(TransportError::new(
                    FaultKind::Connect,
                    "the emulator was stopped",
                ));
            }
            if let Some(authority) = request.uri().authority()
                && let Ok(host) = HeaderValue::from_str(authority.as_str())
            {
                request.headers_mut().insert(HOST, host);
            }
            // What a socket's client would say of its body.
            match request.body().exact_len() {
                Some(0) => {}
                Some(len) => {
                    request
                        .headers_mut()
                        .insert(CONTENT_LENGTH, HeaderValue::from(len));
                }
                None => {
                    let chunked = HeaderValue::from_static("chunked");
                    request.headers_mut().insert(TRANSFER_ENCODING, chunked);
                }
            }
            let connection = Arc::new(Connection::default());
            let in_request = connection.request();
            match handler::handle(&self.shared, request, &connection, in_request).await {
                Ok(answer) if !connection.is_cut() => Ok(answer),
                _ => Err(TransportError::new(
                    FaultKind::Interrupted,
                    handler::Cut.to_string(),
                )),
            }
        })
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}
