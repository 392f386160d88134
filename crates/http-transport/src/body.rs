//! [`Body`]: what a request carries out and what an answer carries in.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use crate::{FaultKind, TransportError};

/// Any error, as bodies carry it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Most bytes of an error answer worth reading, for [`Body::collect`]: 64 KiB.
pub const ERROR_BODY_LIMIT: u64 = 64 * 1024;
/// Most bytes of an answer of a tus server worth reading, for [`Body::collect`]: 1 MiB.
pub const TUS_BODY_LIMIT: u64 = 1024 * 1024;
/// Most bytes of an answer of an API worth reading, for [`Body::collect`]: 16 MiB.
pub const API_BODY_LIMIT: u64 = 16 * 1024 * 1024;

/// The body of a request or of a response.
///
/// Exhaustive on purpose: there is no fourth way to hold bytes, and callers match on it.
#[derive(Default)]
pub enum Body {
    /// No bytes at all.
    #[default]
    Empty,
    /// Bytes already in memory.
    Bytes(Bytes),
    /// Bytes that arrive in frames; made by [`Body::wrap`].
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// Takes any [`http_body::Body`]. Frames pass through as they are, without a copy, and so does
    /// the size hint: with an exact one the request is sent with `Content-Length`.
    pub fn wrap<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Stream(body.map_err(Into::into).boxed_unsync())
    }

    /// The number of bytes still to come, where it is known.
    pub fn exact_len(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// Reads the whole body into memory, up to `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`FaultKind::TooLarge`] when there is more than `limit`; it is noticed before anything is
    /// read where the length is announced. Otherwise what interrupted the stream.
    pub async fn collect(self, limit: u64) -> Result<Bytes, TransportError> {
        let mut body = match self {
            Self::Empty => return Ok(Bytes::new()),
            Self::Bytes(bytes) if bytes.len() as u64 > limit => return Err(too_large(limit)),
            Self::Bytes(bytes) => return Ok(bytes),
            Self::Stream(stream) if stream.size_hint().lower() > limit => {
                return Err(too_large(limit));
            }
            Self::Stream(stream) => stream,
        };

        // Most answers are one frame; only a second one makes a copy.
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(interrupted)?.into_data() else {
                continue;
            };
            if (first.len() + rest.len() + data.len()) as u64 > limit {
                return Err(too_large(limit));
            }
            if first.is_empty() && rest.is_empty() {
                first = data;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&first);
                    first.clear();
                    first = Bytes::new();
                }
                rest.extend_from_slice(&data);
            }
        }
        Ok(if rest.is_empty() {
            first
        } else {
            rest.freeze()
        })
    }
}

fn too_large(limit: u64) -> TransportError {
    TransportError::new(
        FaultKind::TooLarge,
        format!("the answer's body is larger than the {limit} bytes accepted here"),
    )
}

fn interrupted(error: BoxError) -> TransportError {
    // A transport's own bodies fail with its own error: keep its kind.
    match error.downcast::<TransportError>() {
        Ok(error) => *error,
        Err(error) => {
            TransportError::new(FaultKind::Interrupted, "the body broke off").with_source(error)
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Stream(stream) => Poll::Ready(ready!(Pin::new(stream).poll_frame(cx))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the content: an API answer may carry a one-time upload URL.
        let name = match self {
            Self::Empty => "Empty",
            Self::Bytes(_) => "Bytes",
            Self::Stream(_) => "Stream",
        };
        f.debug_struct(name)
            .field("len", &self.exact_len())
            .finish_non_exhaustive()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Bytes(bytes)
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    struct Frames(VecDeque<&'static str>);

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            let next = self.0.pop_front();
            Poll::Ready(next.map(|text| Ok(Frame::data(text.into()))))
        }
    }

    #[tokio::test]
    async fn every_frame_of_a_body_is_collected() {
        for count in 0..6 {
            let frames = &["a", "bc", "", "def", "g", "hi"][..count];
            let body = Body::wrap(Frames(frames.iter().copied().collect()));
            assert_eq!(body.collect(100).await.unwrap(), frames.concat());
        }
    }
}
