//! [`Mishap`]: what can go wrong with one request.

use crate::rejection::Phase;

/// What the link, a proxy or the server does to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mishap {
    /// It is carried out, and the connection breaks before the answer comes.
    AnswerLost,
    /// 423, though nobody of ours holds the upload.
    Busy,
    /// The connection breaks in the middle of the body; the server sees it soon.
    Cut,
    /// 460: the body arrived damaged.
    Damaged,
    /// It arrives twice: the second time later.
    Duplicate,
    /// 429 or 503 with a `Retry-After` beyond anybody's patience.
    FarAway,
    /// A service without room refuses the creation in words that say so.
    Full,
    /// The client sees the connection break, the server does not: it holds the lock, and bytes may still trickle in.
    HalfOpen,
    /// 204 that took no byte.
    Idle,
    /// A refusal whose body ends things, whatever its status.
    Judged,
    /// It arrives only after the client stopped waiting for the answer.
    Late,
    /// 404 or 410 from somebody who does not know the upload, though it is there.
    Lost,
    /// It is carried out, and the answer's `Upload-Offset` is missing, doubled, or cannot be.
    Nonsense,
    /// A status that ends things: 400, 401, 403, 405, 412, 415, 431, 501.
    Permanent,
    /// 200 with a login page.
    Portal,
    /// It is carried out, and a proxy answers 502 or 504.
    ProxyFailed,
    /// 307 or 308 to another host, which may be gone soon.
    Redirected,
    /// The connection is refused.
    Refused,
    /// It leaves and never arrives; the connection breaks.
    RequestLost,
    /// It is carried out, and no answer ever comes.
    Silence,
    /// HEAD is answered with an offset that was true earlier.
    Stale,
    /// A 5xx, 408 or 425 instead of carrying it out, with or without `Retry-After`.
    Storm,
    /// 408 in the middle of the body.
    TimedOut,
    /// 429, with or without `Retry-After` in seconds, as a date, or as garbage.
    TooMany,
    /// A certificate that is not trusted.
    Untrusted,
}

impl Mishap {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::AnswerLost,
        Self::Busy,
        Self::Cut,
        Self::Damaged,
        Self::Duplicate,
        Self::FarAway,
        Self::Full,
        Self::HalfOpen,
        Self::Idle,
        Self::Judged,
        Self::Late,
        Self::Lost,
        Self::Nonsense,
        Self::Permanent,
        Self::Portal,
        Self::ProxyFailed,
        Self::Redirected,
        Self::Refused,
        Self::RequestLost,
        Self::Silence,
        Self::Stale,
        Self::Storm,
        Self::TimedOut,
        Self::TooMany,
        Self::Untrusted,
    ];

    /// Whether it may rightly end an upload. The others may never, however many there are, if patience lasts.
    #[must_use]
    pub fn is_harsh(self) -> bool {
        matches!(
            self,
            Self::Damaged
                | Self::FarAway
                | Self::Judged
                | Self::Lost
                | Self::Permanent
                | Self::Portal
                | Self::Stale
                | Self::Untrusted
        )
    }

    /// Whether it can befall a request of `phase`.
    #[must_use]
    pub fn befalls(self, phase: Phase, has_body: bool) -> bool {
        match self {
            Self::Cut | Self::HalfOpen | Self::TimedOut => has_body,
            Self::Damaged | Self::Idle | Self::Nonsense => phase == Phase::Patch && has_body,
            // A doubled creation is made by the link, not by the client: there is nothing that the client could do.
            Self::Duplicate => phase != Phase::Create,
            Self::Full => phase == Phase::Create,
            // What is said to be gone needs no removal, though it is there.
            Self::Judged => phase != Phase::Terminate,
            Self::Lost | Self::Stale => phase == Phase::Head,
            _ => true,
        }
    }
}
