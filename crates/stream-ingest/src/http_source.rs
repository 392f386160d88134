//! [`HttpSource`]: a file behind a URL, read by ranges, so that it can be uploaded from here.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use http_transport::{Body, BoxFuture, Transport};
use resume_store::Evidence;
use stream_api::SourceUrl;
use tokio::sync::Mutex;
use tus_engine::{Buffer, Source, UploadLength};

use crate::preflight::{SourceError, SourceFacts, ask, facts, text, total};

/// Times that a broken read is begun again without a byte in between.
const ATTEMPTS: u32 = 6;

/// Before the second time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A file that a server answers by ranges. Reading on is one long answer; after a break, or for another offset, it is asked
/// for again from there. When its `ETag` or `Last-Modified` changes, reading fails: bytes of two files are never mixed.
pub struct HttpSource {
    transport: Arc<dyn Transport>,
    url: SourceUrl,
    length: u64,
    facts: SourceFacts,
    reading: Mutex<Option<Reading>>,
}

/// An answer that is being read.
struct Reading {
    offset: u64,
    body: Body,
    /// Of the last frame, what did not fit.
    rest: Bytes,
}

impl HttpSource {
    /// Asks for the file's length and whether it can be read by ranges. HEAD is not needed.
    ///
    /// # Errors
    /// [`SourceError`] when it cannot be read so.
    pub async fn open(transport: Arc<dyn Transport>, url: SourceUrl) -> Result<Self, SourceError> {
        let host = url.origin().host().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        let answer = ask(&transport, &url, Method::GET, headers).await?;
        let length = match answer.status() {
            StatusCode::PARTIAL_CONTENT => total(answer.headers()),
            // `bytes */0`: nothing to ask a part of.
            StatusCode::RANGE_NOT_SATISFIABLE => total(answer.headers()).filter(|it| *it == 0),
            status if status.is_success() => None,
            status => return Err(SourceError::Refused { host, status }),
        };
        Ok(Self {
            length: length.ok_or(SourceError::NoRanges { host })?,
            facts: SourceFacts {
                length,
                ranges: true,
                ..facts(answer.headers())
            },
            transport,
            url,
            reading: Mutex::new(None),
        })
    }

    /// What the source says of the file.
    #[must_use]
    pub fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    /// Whether a later run can know that it is the same file: the server says what changes with it.
    #[must_use]
    pub fn can_be_remembered(&self) -> bool {
        self.validator().is_some()
    }

    fn validator(&self) -> Option<&str> {
        let etag = self.facts.etag.as_deref();
        etag.or(self.facts.last_modified.as_deref())
    }

    /// Fills the buffer from `offset` on.
    async fn fill(&self, offset: u64, mut buffer: Buffer) -> io::Result<Bytes> {
        let mut reading = self.reading.lock().await;
        if reading.as_ref().is_none_or(|it| it.offset != offset) {
            *reading = None;
        }
        let left = self.length.saturating_sub(offset);
        let space = buffer.space().len();
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(space);
        let mut filled = 0;
        let mut broken = 0;
        let mut pause = FIRST_PAUSE;
        while filled < wanted {
            let at = offset + filled as u64;
            let read = self.some(&mut reading, at, &mut buffer.space()[filled..wanted]);
            match read.await {
                Ok(count) => {
                    filled += count;
                    (broken, pause) = (0, FIRST_PAUSE);
                }
                Err(error) => {
                    *reading = None;
                    broken += 1;
                    if broken == ATTEMPTS || error.kind() == io::ErrorKind::InvalidData {
                        return Err(error);
                    }
                    tracing::debug!(%error, at, "the source is asked again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
        Ok(buffer.freeze(filled))
    }

    /// At least one byte from `at` on.
    async fn some(
        &self,
        reading: &mut Option<Reading>,
        at: u64,
        space: &mut [u8],
    ) -> io::Result<usize> {
        if reading.is_none() {
            let body = self.beginning_at(at).await?;
            let rest = Bytes::new();
            *reading = Some(Reading {
                offset: at,
                body,
                rest,
            });
        }
        let Some(it) = reading else {
            return Err(broken("nothing is being read"));
        };
        while it.rest.is_empty() {
            let frame = it.body.frame().await;
            let frame = frame.ok_or_else(|| broken("the source's answer ended early"))?;
            let frame = frame.map_err(io::Error::other)?;
            it.rest = frame.into_data().unwrap_or_default();
        }
        let count = it.rest.len().min(space.len());
        space[..count].copy_from_slice(&it.rest.split_to(count));
        it.offset += count as u64;
        Ok(count)
    }

    /// The answer that begins at `at`.
    async fn beginning_at(&self, at: u64) -> io::Result<Body> {
        let mut headers = HeaderMap::new();
        let range = HeaderValue::try_from(format!("bytes={at}-")).map_err(io::Error::other)?;
        headers.insert(RANGE, range);
        // A weak tag is no reason to trust a part.
        if let Some(validator) = self.validator().filter(|it| !it.starts_with("W/"))
            && let Ok(value) = HeaderValue::from_str(validator)
        {
            headers.insert(IF_RANGE, value);
        }
        let answer = ask(&self.transport, &self.url, Method::GET, headers)
            .await
            .map_err(io::Error::other)?;
        let now = facts(answer.headers());
        let is_same = match (&self.facts.etag, &self.facts.last_modified) {
            (Some(etag), _) if answer.headers().contains_key(ETAG) => {
                now.etag.as_ref() == Some(etag)
            }
            (_, Some(_)) if now.last_modified.is_some() => {
                now.last_modified == self.facts.last_modified
            }
            _ => true,
        };
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if is_same => {
                let begins = text(answer.headers(), &CONTENT_RANGE);
                let wanted = format!("bytes {at}-");
                if begins.is_some_and(|it| it.trim_start().starts_with(&wanted))
                    && total(answer.headers()).is_none_or(|total| total == self.length)
                {
                    Ok(answer.into_body())
                } else {
                    Err(changed(
                        "the source answers another range than was asked for",
                    ))
                }
            }
            status if status.is_success() => {
                Err(changed("the source was changed while it was read"))
            }
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(changed("the source is not there any more, or shorter"))
            }
            status => Err(broken(&format!("the source answers {status}"))),
        }
    }
}

fn broken(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

/// No second look helps.
fn changed(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Source for HttpSource {
    fn length(&self) -> UploadLength {
        UploadLength::Known(self.length)
    }

    fn read_at(&self, offset: u64, buffer: Buffer) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(self.fill(offset, buffer))
    }

    fn evidence(&self) -> io::Result<Option<Evidence>> {
        let validator = self.validator();
        Ok(validator.map(|validator| Evidence::of_remote(self.length, validator)))
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource")
            .field("url", &self.url)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
