//! Bodies with their faults: what comes of a request, and what goes of an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_transport::{Body, BoxError};
use tokio::time::{Instant, Sleep};

use crate::conn::InRequest;

/// The body of a request: counted, and cut, stalled or slowed down where a fault says so.
pub(crate) struct Received {
    body: Body,
    count: Arc<AtomicU64>,
    fault: BodyFault,
    _request: Option<InRequest>,
}

/// What a fault does to a body. Numbers are bytes.
#[derive(Debug)]
pub(crate) enum BodyFault {
    None,
    Cut(u64),
    Stall(u64),
    Drip(Drip),
}

/// A body that is read slowly, ten times a second.
#[derive(Debug)]
pub(crate) struct Drip {
    bytes_per_second: u64,
    held: Bytes,
    pause: Pin<Box<Sleep>>,
}

impl BodyFault {
    pub(crate) fn drip(bytes_per_second: u64) -> Self {
        Self::Drip(Drip {
            bytes_per_second: bytes_per_second.max(1),
            held: Bytes::new(),
            pause: Box::pin(tokio::time::sleep(Duration::ZERO)),
        })
    }
}

impl Received {
    pub(crate) fn new(
        body: Body,
        count: Arc<AtomicU64>,
        fault: BodyFault,
        request: Option<InRequest>,
    ) -> Self {
        Self {
            body,
            count,
            fault,
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
        match &mut this.fault {
            BodyFault::Cut(0) => return Poll::Ready(Some(Err("cut by a fault".into()))),
            BodyFault::Stall(0) => return Poll::Pending,
            BodyFault::Drip(drip) => ready!(drip.pause.as_mut().poll(cx)),
            _ => {}
        }
        let held = match &mut this.fault {
            BodyFault::Drip(drip) => std::mem::take(&mut drip.held),
            _ => Bytes::new(),
        };
        let mut data = if held.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        } else {
            held
        };
        match &mut this.fault {
            BodyFault::None => {}
            BodyFault::Cut(left) | BodyFault::Stall(left) => {
                let take = (*left).min(data.len() as u64);
                *left -= take;
                data.truncate(usize::try_from(take).unwrap_or(usize::MAX));
            }
            BodyFault::Drip(drip) => drip.hold_back(&mut data),
        }
        this.count.fetch_add(data.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        !matches!(&self.fault, BodyFault::Drip(drip) if !drip.held.is_empty())
            && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drip {
    /// Leaves what may come now, and pauses for as long as it takes.
    fn hold_back(&mut self, data: &mut Bytes) {
        let piece = usize::try_from(self.bytes_per_second / 10).unwrap_or(usize::MAX);
        self.held = data.split_off(piece.clamp(1, data.len().max(1)).min(data.len()));
        let takes =
            Duration::from_secs(1).mul_f64(data.len() as f64 / self.bytes_per_second as f64);
        self.pause.as_mut().reset(Instant::now() + takes);
    }
}

/// The beginning of the body of an answer, and then an error.
pub(crate) struct HalfBody {
    body: Body,
    left: u64,
    flushed: bool,
}

impl HalfBody {
    pub(crate) fn new(body: Body, after_bytes: u64) -> Self {
        Self {
            body,
            left: after_bytes,
            flushed: false,
        }
    }
}

impl HttpBody for HalfBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.left == 0 {
            if !this.flushed {
                // hyper sends what it has when a body makes it wait, and forgets it when one fails.
                this.flushed = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Some(Err("cut by a fault".into())));
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| {
                frame.map_data(|mut data| {
                    let take = this.left.min(data.len() as u64);
                    this.left -= take;
                    data.truncate(usize::try_from(take).unwrap_or(usize::MAX));
                    data
                })
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.left > 0
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
