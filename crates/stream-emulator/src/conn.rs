//! What lies between hyper and the socket: deadlines of heads, resets, and the body of a request
//! with its faults.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_transport::{Body, BoxError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How long a connection may stay open between two requests.
const IDLE: Duration = Duration::from_secs(120);

/// What the socket and the requests on it know of each other.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    requests: AtomicUsize,
    reset: AtomicBool,
}

impl Connection {
    /// A request has begun; its head has come.
    pub(crate) fn request(self: &Arc<Self>) -> InRequest {
        self.requests.fetch_add(1, Ordering::AcqRel);
        InRequest(Arc::clone(self))
    }

    /// Closes with RST instead of FIN.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
    }
}

/// While one of these is alive, the deadlines of heads do not apply.
#[derive(Debug)]
pub(crate) struct InRequest(Arc<Connection>);

impl Clone for InRequest {
    fn clone(&self) -> Self {
        self.0.request()
    }
}

impl Drop for InRequest {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A socket with deadlines for heads. hyper's own timeout also closes a connection that is idle
/// between two requests, at the very moment at which a client may send the next one; this one starts
/// with the first byte of a head.
pub(crate) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
    head_timeout: Duration,
    deadline: Pin<Box<Sleep>>,
    phase: Phase,
}

#[derive(PartialEq, Eq)]
enum Phase {
    /// Before a head, or within one.
    Head,
    Idle,
    Request,
}

impl Socket {
    pub(crate) fn new(
        stream: TcpStream,
        connection: Arc<Connection>,
        head_timeout: Duration,
    ) -> Self {
        let deadline = Box::pin(tokio::time::sleep(head_timeout));
        Self {
            stream,
            connection,
            head_timeout,
            deadline,
            phase: Phase::Head,
        }
    }

    fn enter(&mut self, phase: Phase, time: Duration) {
        self.phase = phase;
        self.deadline.as_mut().reset(Instant::now() + time);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let in_request = this.connection.requests.load(Ordering::Acquire) > 0;
        if in_request {
            this.phase = Phase::Request;
        } else if this.phase == Phase::Request {
            this.enter(Phase::Idle, IDLE);
        }
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                if this.phase == Phase::Idle {
                    let time = this.head_timeout;
                    this.enter(Phase::Head, time);
                }
                Poll::Ready(result)
            }
            Poll::Pending if in_request => Poll::Pending,
            Poll::Pending => {
                ready!(this.deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Acquire) {
            // Whatever comes of it: the socket is closed in the next moment.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// The body of a request: counted, and cut or stalled where a fault says so.
pub(crate) struct Received {
    body: Body,
    count: Arc<AtomicU64>,
    end: BodyEnd,
    _request: Option<InRequest>,
}

/// Where a fault ends a body, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BodyEnd {
    Never,
    Cut(u64),
    Stall(u64),
}

impl Received {
    pub(crate) fn new(
        body: Body,
        count: Arc<AtomicU64>,
        end: BodyEnd,
        request: Option<InRequest>,
    ) -> Self {
        Self {
            body,
            count,
            end,
            _request: request,
        }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match this.end {
            BodyEnd::Cut(0) => return Poll::Ready(Some(Err("cut by a fault".into()))),
            BodyEnd::Stall(0) => return Poll::Pending,
            _ => {}
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let Some(Ok(frame)) = frame else {
            return Poll::Ready(frame);
        };
        let mut data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return Poll::Ready(Some(Ok(frame))),
        };
        if let BodyEnd::Cut(left) | BodyEnd::Stall(left) = &mut this.end {
            let take = (*left).min(data.len() as u64);
            *left -= take;
            data.truncate(usize::try_from(take).unwrap_or(usize::MAX));
        }
        this.count.fetch_add(data.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, which keeps the deadlines of heads away until it is sent.
pub(crate) struct Sent {
    pub(crate) body: Body,
    pub(crate) _request: InRequest,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
