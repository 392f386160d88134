//! The answers: how each decision ends, and how a refusal is told.

use std::time::SystemTime;

use http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use http::{Response, StatusCode};

use crate::extension::ServerCapabilities;
use crate::header;
use crate::length::UploadLength;
use crate::rejection::{Meaning, Rejection};
use crate::server::append::Append;
use crate::server::{UploadInfo, UploadKind};

/// OPTIONS: say what the server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options(pub(super) ServerCapabilities);

impl Options {
    /// The answer (O-02, O-03).
    #[must_use]
    pub fn done(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::NO_CONTENT;
        self.0.write(response.headers_mut());
        response
    }
}

/// POST: make an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The upload as it is before its first byte.
    pub info: UploadInfo,
    /// The first bytes, if the request carries any (CW-03). When they are refused, the upload is
    /// not made either.
    pub body: Option<Append>,
}

impl Create {
    /// The answer: where the upload is (CR-08, CR-09), and how far, if bytes came along (CW-06).
    ///
    /// # Panics
    /// When `location` is not visible ASCII: the caller makes it, and not from a request's text.
    #[must_use]
    pub fn done(&self, location: &str, info: &UploadInfo) -> Response<()> {
        let mut response = created(location);
        info.write_progress(response.headers_mut());
        if self.body.is_none() {
            // Only an answer to bytes acknowledges an offset.
            response.headers_mut().remove(header::UPLOAD_OFFSET);
        }
        response
    }
}

/// HEAD: say how far the upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head;

impl Head {
    /// The answer (H-01, H-02, H-04, H-05).
    #[must_use]
    pub fn done(self, info: &UploadInfo) -> Response<()> {
        let mut response = answer(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        info.write_progress(headers);
        info.write_description(headers);
        response
    }
}

/// DELETE: remove the upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminate;

impl Terminate {
    /// The answer (TM-02).
    #[must_use]
    pub fn done(self) -> Response<()> {
        answer(StatusCode::NO_CONTENT)
    }
}

/// POST of a final upload: join partial ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The URLs of the parts in order, absolute or relative to the creation URL (CC-03, CC-04). One
    /// may be there several times (CC-12).
    pub parts: Vec<String>,
    pub(super) info: UploadInfo,
    pub(super) accepts_unfinished: bool,
    pub(super) max_size_bytes: Option<u64>,
}

impl Join {
    /// Checks the parts, `None` for one that is not there, and makes the final upload of them: the
    /// length is the sum (CC-05), nothing of their metadata is carried over (CC-11). It is complete
    /// when they all are; otherwise the caller completes it when the last of them is (CC-08).
    ///
    /// # Errors
    /// [`Meaning::BadRequest`] for a part that is not there or expired, is no partial upload, or is
    /// unfinished where that is not offered (CC-09); [`Meaning::TooLarge`] for a sum beyond the
    /// maximum.
    pub fn check<'a>(
        &self,
        parts: impl IntoIterator<Item = Option<&'a UploadInfo>>,
        now: SystemTime,
    ) -> Result<UploadInfo, Rejection> {
        let max = self.max_size_bytes.unwrap_or(u64::MAX);
        let mut sum = Some(0_u64);
        let mut complete = true;
        for part in parts {
            let part = part
                .filter(|part| part.kind == UploadKind::Partial && !part.is_expired(now))
                .ok_or_else(|| {
                    Rejection::because(Meaning::BadRequest, "a part is not a partial upload")
                })?;
            if !part.is_complete() && !self.accepts_unfinished {
                return Err(Rejection::because(
                    Meaning::BadRequest,
                    "a part is unfinished",
                ));
            }
            complete &= part.is_complete();
            sum = match (sum, part.length.known()) {
                (Some(sum), Some(length)) => Some(
                    sum.checked_add(length)
                        .filter(|sum| *sum <= max)
                        .ok_or(over_max(max))?,
                ),
                _ => None,
            };
        }
        let length = sum.map_or(UploadLength::Deferred, UploadLength::Known);
        let offset = sum.filter(|_| complete).unwrap_or(0);
        Ok(UploadInfo {
            length,
            offset,
            ..self.info.clone()
        })
    }

    /// The answer: where the final upload is (CR-08, CR-09).
    ///
    /// # Panics
    /// As [`Create::done`].
    #[must_use]
    pub fn done(&self, location: &str) -> Response<()> {
        created(location)
    }
}

/// The answer to a request that is turned down: status and headers; the text of the body is
/// the rejection's `Display`.
#[must_use]
pub fn refusal(rejection: &Rejection) -> Response<()> {
    let mut response = answer(rejection.status());
    if rejection.meaning == Meaning::UnsupportedVersion {
        response
            .headers_mut()
            .insert(header::TUS_VERSION, header::VERSION); // G-03
    }
    response
}

/// As [`refusal`], of a request about `info`: it tells when that upload expires, which every answer
/// to PATCH has to (EX-02).
#[must_use]
pub fn refusal_about(rejection: &Rejection, info: &UploadInfo) -> Response<()> {
    let mut response = refusal(rejection);
    // What is gone does not expire any more.
    if !matches!(rejection.meaning, Meaning::Expired | Meaning::NotFound) {
        info.write_expiry(response.headers_mut());
    }
    response
}

/// An answer with the version, which all but the one to OPTIONS carry (G-02).
pub(crate) fn answer(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::TUS_RESUMABLE, header::VERSION);
    response
}

fn created(location: &str) -> Response<()> {
    let mut response = answer(StatusCode::CREATED);
    let location = HeaderValue::from_str(location).expect("a location is visible ASCII");
    response.headers_mut().insert(LOCATION, location);
    response
}

pub(super) fn over_max(max: u64) -> Rejection {
    Rejection::because(
        Meaning::TooLarge,
        format!("this server takes at most {max} bytes"),
    )
}
