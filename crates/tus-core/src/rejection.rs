//! The one table that ties a status to its meaning, and to what a client does about it.
//!
//! A server machine turns a [`Meaning`] into a status with it, a client machine turns a status into [`Advice`]. To change how
//! a status is treated, change its row: client, server and the rendered documentation follow.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

use Advice::{Doubt, GiveUp, Gone, Halve, Login, Resend, Sync, Throttled, Wait, WaitForLock};
use Meaning as M;

/// Which request an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The POST that creates an upload.
    Create,
    /// The HEAD that asks for the offset.
    Head,
    /// The OPTIONS that asks what the server offers.
    Options,
    /// The PATCH that carries a chunk.
    Patch,
    /// The DELETE that removes an upload.
    Terminate,
}

/// What a client does about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// The request may have been carried out in spite of the answer: ask the service before doing it again.
    Doubt,
    /// Nothing helps: stop, and tell why.
    GiveUp,
    /// The upload is not there any more: begin anew, once, if there is a way to.
    Gone,
    /// The chunk is too large: send a smaller one; stop if there is none.
    Halve,
    /// Credentials are missing, wrong or not allowed to do this: stop.
    Login,
    /// The bytes were damaged on the way: send the same chunk again, at most three times.
    Resend,
    /// Ask for the offset at once and continue from it; wait first if that did not help before.
    Sync,
    /// The service wants fewer requests: wait as it says, and hold back everybody who talks to it.
    Throttled,
    /// Wait, ask for the offset, go on. For a HEAD: wait and ask again.
    Wait,
    /// Somebody else holds the upload: wait. Costs time, not patience with refusals.
    WaitForLock,
}

/// What a server means by a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Meaning {
    /// A header is missing, twice there or malformed (gaps P-10, CR-05, CC-09).
    BadRequest,
    /// `Upload-Defer-Length` is not `1` (DL-03), or the length is changed after it was set (DL-05).
    BadLength,
    /// `Upload-Checksum` names an algorithm that the server has not (CK-07).
    UnsupportedChecksum,
    /// No credentials, or wrong ones.
    Unauthorized,
    /// Not allowed; also what some servers say of an upload that they do not know (H-03).
    Forbidden,
    /// PATCH on a final upload (CC-13).
    FinalUpload,
    /// No such upload (H-03, P-09).
    NotFound,
    /// The resource does not take this method.
    MethodNotAllowed,
    /// A proxy on the way wants credentials.
    ProxyUnauthorized,
    /// The server or something before it stopped waiting.
    RequestTimeout,
    /// `Upload-Offset` is not the upload's offset (P-05).
    OffsetMismatch,
    /// The upload expired or was terminated (EX-07, TM-03).
    Expired,
    /// `Tus-Resumable` is missing or not spoken here (G-03, G-05).
    UnsupportedVersion,
    /// Longer than `Tus-Max-Size` (CR-07), or bytes beyond `Upload-Length` (P-11).
    TooLarge,
    /// `Content-Type` is not `application/offset+octet-stream` (P-03).
    UnsupportedMediaType,
    /// Another request is writing (P-12).
    Locked,
    /// Sent too early.
    TooEarly,
    /// Too many requests.
    TooManyRequests,
    /// Request head too large.
    HeadTooLarge,
    /// The digest does not fit the bytes (CK-08).
    ChecksumMismatch,
    /// The server failed.
    Internal,
    /// The server does not do this at all.
    NotImplemented,
    /// A gateway got no good answer from the server.
    BadGateway,
    /// The server cannot answer now.
    Unavailable,
    /// A gateway got no answer in time.
    GatewayTimeout,
    /// The server's storage is full.
    InsufficientStorage,
}

/// One row: what a status means, and what to do when it answers a POST, a HEAD or a PATCH.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The status code.
    pub status: u16,
    /// What a server means by it.
    pub meaning: Meaning,
    /// Advice when it answers the creation.
    pub create: Advice,
    /// Advice when it answers HEAD.
    pub head: Advice,
    /// Advice when it answers PATCH.
    pub patch: Advice,
    /// The rule it comes from, or the reason for the advice.
    pub why: &'static str,
    /// The meaning in words: a lowercase fragment.
    pub text: &'static str,
}

const fn row(
    status: u16,
    meaning: Meaning,
    create: Advice,
    head: Advice,
    patch: Advice,
    why: &'static str,
    text: &'static str,
) -> Row {
    Row {
        status,
        meaning,
        create,
        head,
        patch,
        why,
        text,
    }
}

/// The table. Where a status stands in several rows, the first one is what a client reads; each meaning stands once.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    //  status meaning                 create     head         patch        why, text
    row(400, M::BadRequest,            GiveUp,    GiveUp,      Sync,        "CR-05, P-10; at an odd offset the alignment ladder", "the request is malformed"),
    row(400, M::BadLength,             GiveUp,    GiveUp,      Sync,        "DL-03, DL-05", "the length is invalid or was changed"),
    row(400, M::UnsupportedChecksum,   GiveUp,    GiveUp,      Sync,        "CK-07", "the checksum algorithm is not supported"),
    row(401, M::Unauthorized,          Login,     Login,       Login,       "RFC 9110 15.5.2", "credentials are missing or wrong"),
    row(403, M::Forbidden,             Login,     Login,       Sync,        "H-03: may mean unknown; the body decides, HEAD on PATCH", "not allowed"),
    row(403, M::FinalUpload,           Login,     Login,       Sync,        "CC-13", "a final upload takes no PATCH"),
    row(404, M::NotFound,              GiveUp,    Gone,        Sync,        "H-03, P-09: confirmed by HEAD first", "no such upload"),
    row(405, M::MethodNotAllowed,      GiveUp,    GiveUp,      GiveUp,      "RFC 9110 15.5.6", "the method is not allowed here"),
    row(407, M::ProxyUnauthorized,     Login,     Login,       Login,       "RFC 9110 15.5.8", "the proxy on the way wants credentials"),
    row(408, M::RequestTimeout,        Doubt,     Wait,        Wait,        "seen on long PATCHes", "the server stopped waiting for the request"),
    row(409, M::OffsetMismatch,        GiveUp,    Wait,        Sync,        "P-05; the third time somebody else writes", "the offset is not the upload's"),
    row(410, M::Expired,               GiveUp,    Gone,        Sync,        "H-03, EX-07, TM-03", "the upload expired or was terminated"),
    row(412, M::UnsupportedVersion,    GiveUp,    GiveUp,      GiveUp,      "G-03", "this version of tus is not spoken here"),
    row(413, M::TooLarge,              GiveUp,    GiveUp,      Halve,       "CR-07, P-11; down to the rule's smallest, or 64 KiB", "too large"),
    row(415, M::UnsupportedMediaType,  GiveUp,    GiveUp,      GiveUp,      "P-03, CW-04", "the content type is not accepted"),
    row(423, M::Locked,                WaitForLock, WaitForLock, WaitForLock, "P-12; at most a quarter of an hour", "another request is using the upload"),
    row(425, M::TooEarly,              Doubt,     Wait,        Wait,        "RFC 8470", "sent too early"),
    row(429, M::TooManyRequests,       Throttled, Throttled,   Throttled,   "refused before it was done: safe to repeat", "too many requests"),
    row(431, M::HeadTooLarge,          GiveUp,    GiveUp,      GiveUp,      "RFC 6585", "the request head is too large"),
    row(460, M::ChecksumMismatch,      GiveUp,    GiveUp,      Resend,      "CK-08, CK-10", "the checksum does not match"),
    row(500, M::Internal,              Doubt,     Wait,        Wait,        "a failed HEAD is never a reason to create anew", "the server failed"),
    row(501, M::NotImplemented,        GiveUp,    GiveUp,      GiveUp,      "RFC 9110 15.6.2", "the server does not do this"),
    row(502, M::BadGateway,            Doubt,     Wait,        Wait,        "as 500", "a gateway got no good answer from the server"),
    row(503, M::Unavailable,           Doubt,     Wait,        Wait,        "as 500; Retry-After is obeyed", "the server is not available"),
    row(504, M::GatewayTimeout,        Doubt,     Wait,        Wait,        "as 500", "a gateway got no answer in time"),
    row(507, M::InsufficientStorage,   GiveUp,    Wait,        Wait,        "space may come back", "the server's storage is full"),
];

impl Meaning {
    /// The row of this meaning.
    ///
    /// # Panics
    /// Never: a test holds that each meaning has its row.
    #[must_use]
    pub fn row(self) -> &'static Row {
        TABLE
            .iter()
            .find(|row| row.meaning == self)
            .expect("each meaning has its row")
    }

    /// The status that says it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).expect("the table holds valid statuses")
    }
}

/// What a client reads in `status`, if the table knows it.
#[must_use]
pub fn row_of(status: StatusCode) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.status == status.as_u16())
}

/// What to do about `status` as the answer to a request of `phase`. A status that the table does not know is treated like
/// its class: 5xx (520–530 among them, a proxy's own words) like 500, everything else stops.
#[must_use]
pub fn advice(phase: Phase, status: StatusCode) -> Advice {
    let known = row_of(status);
    let row = match known {
        Some(row) => row,
        None if status.is_server_error() => Meaning::Internal.row(),
        None => return GiveUp,
    };
    match phase {
        Phase::Create => row.create,
        // A termination is as harmless to repeat as a question, and what is gone needs none.
        Phase::Head | Phase::Options | Phase::Terminate => row.head,
        Phase::Patch => row.patch,
    }
}

/// A request that a server turns down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What is meant.
    pub meaning: Meaning,
    /// What exactly was wrong, if that helps: a lowercase fragment without secrets.
    pub detail: Option<Cow<'static, str>>,
}

impl Rejection {
    /// A rejection that says what exactly was wrong.
    #[must_use]
    pub fn because(meaning: Meaning, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            meaning,
            detail: Some(detail.into()),
        }
    }

    /// The status that answers the request.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.meaning.status()
    }
}

impl From<Meaning> for Rejection {
    fn from(meaning: Meaning) -> Self {
        Self {
            meaning,
            detail: None,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning.row().text)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).unwrap()
    }

    #[test]
    fn each_meaning_stands_once_and_the_table_is_in_order() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(
                TABLE
                    .iter()
                    .filter(|other| other.meaning == row.meaning)
                    .count(),
                1,
                "{row:?}"
            );
            assert!(
                index == 0 || TABLE[index - 1].status <= row.status,
                "{row:?}"
            );
            assert_eq!(row.meaning.status().as_u16(), row.status);
        }
    }

    /// The table in words, as the documentation has it. Written anew with `UPDATE_DOCS=1 cargo test -p tus-core`.
    #[test]
    fn the_documentation_shows_the_table() {
        let mut text = String::from(
            "| status | meaning | creation | HEAD, DELETE | PATCH | why |\n|---|---|---|---|---|---|\n",
        );
        for row in TABLE {
            let Row {
                status,
                text: meaning,
                create,
                head,
                patch,
                why,
                ..
            } = row;
            text +=
                &format!("| {status} | {meaning} | {create:?} | {head:?} | {patch:?} | {why} |\n");
        }
        text += "| other 5xx | a proxy's own words, 520 to 530 among them | Doubt | Wait | Wait | as 500 |\n\n";
        text += "After the last byte was sent, a 4xx that would end things on HEAD is asked about first: the upload may be \
                 complete. What the body says comes before the status.\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/STATUSES.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let shown = std::fs::read_to_string(path).unwrap();
        assert!(
            shown == text,
            "STATUSES.md is out of date: UPDATE_DOCS=1 cargo test -p tus-core"
        );
    }

    #[test]
    fn rows_of_one_status_give_one_advice() {
        for row in TABLE {
            let read = row_of(status(row.status)).unwrap();
            assert_eq!(
                (row.create, row.head, row.patch),
                (read.create, read.head, read.patch),
                "{row:?}"
            );
        }
    }

    #[test]
    fn no_failed_head_ever_creates_anew_but_404_and_410() {
        for code in 400..600 {
            let gone = advice(Phase::Head, status(code)) == Gone;
            assert_eq!(gone, code == 404 || code == 410, "{code}");
        }
    }

    #[test]
    fn an_unknown_5xx_is_waited_out_and_any_other_stranger_stops() {
        assert_eq!(advice(Phase::Patch, status(522)), Wait);
        assert_eq!(advice(Phase::Create, status(520)), Doubt);
        assert_eq!(advice(Phase::Patch, status(418)), GiveUp);
        assert_eq!(advice(Phase::Head, status(302)), GiveUp);
    }
}
