//! [`LossyTransport`]: breaks what passes through it, by plan.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{Body, BoxError, BoxFuture, FaultKind, Transport, TransportError};

/// Wraps a transport and spoils the requests that a [`LossPlan`] names. The same plan and the same
/// order of requests give the same losses.
#[derive(Debug)]
pub struct LossyTransport<T> {
    inner: T,
    plan: LossPlan,
    requests: AtomicU64,
}

impl<T> LossyTransport<T> {
    /// Spoils what goes through `inner`.
    pub fn new(inner: T, plan: LossPlan) -> Self {
        Self {
            inner,
            plan,
            requests: AtomicU64::new(0),
        }
    }

    /// How many requests were asked of it, spoiled ones included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl<T: Transport> Transport for LossyTransport<T> {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let loss = self.plan.loss(number);
        Box::pin(async move {
            match loss {
                None => self.inner.send(request).await,
                Some(Loss::BeforeSending) => Err(TransportError::new(
                    FaultKind::Connect,
                    "connection refused by plan",
                )),
                Some(Loss::AfterBodyBytes(limit)) => {
                    let length = request.body().exact_len().unwrap_or(limit);
                    let cut = request.map(|body| Body::wrap(CutBody::new(body, limit)));
                    // The inner transport calls this a fault of the source; to its caller it is a
                    // broken connection. A body shorter than the limit loses its answer instead.
                    let sent = match self.inner.send(cut).await {
                        Ok(_) => limit.min(length),
                        Err(error) if error.kind() == FaultKind::Source => error.bytes_sent(),
                        Err(error) => return Err(error),
                    };
                    Err(
                        TransportError::new(FaultKind::Interrupted, "connection cut by plan")
                            .with_bytes_sent(sent),
                    )
                }
                Some(Loss::Answer) => {
                    let length = request.body().exact_len().unwrap_or(0);
                    self.inner.send(request).await?;
                    Err(
                        TransportError::new(FaultKind::Interrupted, "answer dropped by plan")
                            .with_bytes_sent(length),
                    )
                }
            }
        })
    }
}

/// How one request is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// The server does everything, and its answer never arrives.
    Answer,
    /// The connection breaks after this many bytes of the request's body. If the body is not
    /// longer than that, the same as [`Self::Answer`].
    AfterBodyBytes(u64),
    /// No connection is made.
    BeforeSending,
}

/// Which requests are spoiled, counted from 1. Default: none.
///
/// ```
/// use http_transport::{Loss, LossPlan};
///
/// let plan = LossPlan::default()
///     .with(1, Loss::BeforeSending)
///     .with(3, Loss::AfterBodyBytes(1000));
/// assert_eq!(plan.loss(3), Some(Loss::AfterBodyBytes(1000)));
/// assert_eq!(plan.loss(2), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct LossPlan {
    planned: BTreeMap<u64, Loss>,
    chance: Option<Chance>,
}

#[derive(Clone, Copy, Debug)]
struct Chance {
    seed: u64,
    percent: u8,
    largest_cut: u64,
}

impl LossPlan {
    /// Spoils `percent` of all requests, as `seed` decides; cuts fall below `largest_cut` bytes.
    pub fn seeded(seed: u64, percent: u8, largest_cut: u64) -> Self {
        Self {
            planned: BTreeMap::new(),
            chance: Some(Chance {
                seed,
                percent,
                largest_cut: largest_cut.max(1),
            }),
        }
    }

    /// Spoils the request of this number (the first is 1), whatever the seed says.
    #[must_use]
    pub fn with(mut self, number: u64, loss: Loss) -> Self {
        self.planned.insert(number, loss);
        self
    }

    /// What happens to the request of this number.
    pub fn loss(&self, number: u64) -> Option<Loss> {
        if let Some(loss) = self.planned.get(&number) {
            return Some(*loss);
        }
        let chance = self.chance?;
        let dice = mix(chance.seed ^ mix(number));
        if dice % 100 >= u64::from(chance.percent) {
            return None;
        }
        let dice = mix(dice);
        Some(match dice % 3 {
            0 => Loss::BeforeSending,
            1 => Loss::AfterBodyBytes(mix(dice) % chance.largest_cut),
            _ => Loss::Answer,
        })
    }
}

/// SplitMix64's output function: enough randomness to spread losses, and no dependency.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Announces the whole length, gives only the first bytes, then fails.
struct CutBody {
    inner: Body,
    announced: SizeHint,
    left: u64,
}

impl CutBody {
    fn new(inner: Body, limit: u64) -> Self {
        Self {
            announced: inner.size_hint(),
            inner,
            left: limit,
        }
    }
}

impl HttpBody for CutBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.left == 0 && !this.inner.is_end_stream() {
            return Poll::Ready(Some(Err("cut by plan".into())));
        }
        let item = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        Poll::Ready(item.map(|frame| {
            frame.map(|frame| {
                frame.map_data(|mut data| {
                    data.truncate(usize::try_from(this.left).unwrap_or(usize::MAX));
                    this.left -= data.len() as u64;
                    data
                })
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.announced
    }
}
