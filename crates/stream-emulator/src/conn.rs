//! What lies between hyper and the socket: deadlines of heads, resets, and answers that end too soon.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How long a connection may stay open between two requests.
const IDLE: Duration = Duration::from_secs(120);

/// What the socket and the requests on it know of each other.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: AtomicUsize,
    reset: AtomicBool,
    /// Bytes that may still be sent.
    quota: AtomicU64,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            requests: AtomicUsize::new(0),
            reset: AtomicBool::new(false),
            quota: AtomicU64::new(u64::MAX),
        }
    }
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

    /// Breaks after so many more bytes were sent.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.quota.store(bytes, Ordering::Release);
    }

    /// Whether not all that is answered arrives.
    pub(crate) fn is_cut(&self) -> bool {
        self.quota.load(Ordering::Acquire) != u64::MAX
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
        let this = self.get_mut();
        if !this.connection.is_cut() {
            return Pin::new(&mut this.stream).poll_write(cx, bytes);
        }
        let quota = this.connection.quota.load(Ordering::Acquire);
        if quota == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let most = usize::try_from(quota)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, &bytes[..most]))?;
        this.connection.cut_after(quota - written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.connection.is_cut() {
            let piece = pieces.iter().find(|piece| !piece.is_empty());
            return self.poll_write(cx, piece.map_or(&[], |piece| piece));
        }
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
