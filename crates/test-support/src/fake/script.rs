//! [`Script`]: which request is answered how.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::{FakeRequest, Reply};

/// What can stand in a row of a [`Script`]: a [`Reply`], or a function that makes one.
pub trait IntoReply: Send + Sync + 'static {
    /// The reply to `request`, whose body has not been read yet.
    fn reply(&self, request: &FakeRequest) -> Reply;
}

impl IntoReply for Reply {
    fn reply(&self, _: &FakeRequest) -> Reply {
        self.clone()
    }
}

impl<F: Fn(&FakeRequest) -> Reply + Send + Sync + 'static> IntoReply for F {
    fn reply(&self, request: &FakeRequest) -> Reply {
        self(request)
    }
}

/// Rows of replies. The first row that fits a request answers it; where none does, the honest
/// tus server below answers.
///
/// ```
/// use test_support::{Reply, Script};
///
/// let script = Script::new()
///     .times_to(5, "PATCH", Reply::tus(423))
///     .on(9, Reply::html(200))
///     .always_to("HEAD", |request: &test_support::FakeRequest| {
///         Reply::tus(200).header("Upload-Offset", request.number.to_string())
///     });
/// # drop(script);
/// ```
#[derive(Debug, Default)]
pub struct Script {
    rows: Mutex<Vec<Row>>,
}

struct Row {
    number: Option<u64>,
    method: Option<String>,
    left: u64,
    reply: Box<dyn IntoReply>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("number", &self.number)
            .field("method", &self.method)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Script {
    /// No rows: honest.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers request `number`, counted from 1 over all connections.
    #[must_use]
    pub fn on(self, number: u64, reply: impl IntoReply) -> Self {
        self.row(Some(number), None, 1, reply)
    }

    /// Answers the next request that no earlier row fits.
    #[must_use]
    pub fn next(self, reply: impl IntoReply) -> Self {
        self.row(None, None, 1, reply)
    }

    /// Answers the next request with `method`.
    #[must_use]
    pub fn next_to(self, method: &str, reply: impl IntoReply) -> Self {
        self.row(None, Some(method), 1, reply)
    }

    /// Answers the next `times` requests with `method`.
    #[must_use]
    pub fn times_to(self, times: u64, method: &str, reply: impl IntoReply) -> Self {
        self.row(None, Some(method), times, reply)
    }

    /// Answers every request with `method`.
    #[must_use]
    pub fn always_to(self, method: &str, reply: impl IntoReply) -> Self {
        self.row(None, Some(method), u64::MAX, reply)
    }

    /// Answers every request.
    #[must_use]
    pub fn always(self, reply: impl IntoReply) -> Self {
        self.row(None, None, u64::MAX, reply)
    }

    fn row(
        mut self,
        number: Option<u64>,
        method: Option<&str>,
        left: u64,
        reply: impl IntoReply,
    ) -> Self {
        let row = Row {
            number,
            method: method.map(str::to_owned),
            left,
            reply: Box::new(reply),
        };
        let rows = self.rows.get_mut();
        rows.unwrap_or_else(PoisonError::into_inner).push(row);
        self
    }

    /// The scripted reply to `request`, if a row fits.
    pub(super) fn reply(&self, request: &FakeRequest) -> Option<Reply> {
        // A panic in a row's function fails its test; the other connections may go on.
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.iter_mut().find(|row| {
            row.left > 0
                && row.number.is_none_or(|number| number == request.number)
                && row
                    .method
                    .as_ref()
                    .is_none_or(|method| *method == request.method)
        })?;
        row.left -= 1;
        Some(row.reply.reply(request))
    }
}
