//! Every header of tus 1.0.0: its name, how it is read, how it is written.
//!
//! Reading is strict: a header that is there twice, or that does not parse, is an error and never a guess (G-11, G-12).

use std::time::SystemTime;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::length::UploadLength;

/// The version of the protocol, the only one there is (G-02).
pub const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");

/// The `Content-Type` of every body that carries upload bytes (P-02, CW-04).
pub const OFFSET_OCTET_STREAM: HeaderValue =
    HeaderValue::from_static("application/offset+octet-stream");

/// `Tus-Resumable` (G-02).
pub const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// `Tus-Version` (G-06).
pub const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
/// `Tus-Extension` (G-07).
pub const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
/// `Tus-Max-Size` (G-09), bytes.
pub const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
/// `Tus-Checksum-Algorithm` (CK-02).
pub const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
/// `Upload-Offset` (G-11), bytes.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// `Upload-Length` (G-12), bytes.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// `Upload-Defer-Length` (DL-02).
pub const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
/// `Upload-Metadata` (MD-01).
pub const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// `Upload-Expires` (EX-02).
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// `Upload-Checksum` (CK-05).
pub const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
/// `Upload-Concat` (CC-02).
pub const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
/// `X-HTTP-Method-Override` (G-13).
pub const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// A header that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Its value is not what the header wants.
    #[error("{0} has an invalid value")]
    Invalid(HeaderName),
    /// It is there more than once.
    #[error("{0} is there more than once")]
    Repeated(HeaderName),
}

/// The text of a header that may be there once.
///
/// # Errors
/// [`HeaderError`] when it is there twice or is not visible ASCII.
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, HeaderError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(HeaderError::Repeated(name.clone()));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| HeaderError::Invalid(name.clone()))
}

/// A non-negative integer: digits only, no sign, no exponent, at most `u64::MAX`.
///
/// # Errors
/// [`HeaderError`] for everything else.
pub fn integer(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, HeaderError> {
    let Some(text) = text(headers, name)? else {
        return Ok(None);
    };
    parse_integer(text)
        .map(Some)
        .ok_or_else(|| HeaderError::Invalid(name.clone()))
}

/// `Upload-Offset` (G-11).
///
/// # Errors
/// As [`integer`].
pub fn upload_offset(headers: &HeaderMap) -> Result<Option<u64>, HeaderError> {
    integer(headers, &UPLOAD_OFFSET)
}

/// `Upload-Length` or `Upload-Defer-Length` (G-12, DL-02, DL-06); `None` when neither is there.
///
/// # Errors
/// As [`integer`]; also when the deferral is anything but `1` (DL-03), or when both are there (CR-05).
pub fn upload_length(headers: &HeaderMap) -> Result<Option<UploadLength>, HeaderError> {
    let length = integer(headers, &UPLOAD_LENGTH)?;
    match (length, text(headers, &UPLOAD_DEFER_LENGTH)?) {
        (Some(length), None) => Ok(Some(UploadLength::Known(length))),
        (None, Some("1")) => Ok(Some(UploadLength::Deferred)),
        (None, None) => Ok(None),
        (_, Some(_)) => Err(HeaderError::Invalid(UPLOAD_DEFER_LENGTH)),
    }
}

/// `Upload-Expires`, in any of the three forms of an HTTP date (EX-04).
///
/// # Errors
/// [`HeaderError`] when it is there and is not a date.
pub fn upload_expires(headers: &HeaderMap) -> Result<Option<SystemTime>, HeaderError> {
    let Some(text) = text(headers, &UPLOAD_EXPIRES)? else {
        return Ok(None);
    };
    httpdate::parse_http_date(text)
        .map(Some)
        .map_err(|_| HeaderError::Invalid(UPLOAD_EXPIRES))
}

/// The essence of `Content-Type`, without parameters.
#[must_use]
pub fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

/// Whether the body is an HTML page: what proxies, captive portals and login pages answer, and tus servers never do.
#[must_use]
pub fn is_html(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|kind| {
        kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
    })
}

/// A comma-separated list, blanks around the elements removed, empty elements left out (G-06, G-07).
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// `value` as a header value.
#[must_use]
pub fn from_integer(value: u64) -> HeaderValue {
    HeaderValue::from(value)
}

/// `time` as an IMF-fixdate (EX-04).
#[must_use]
pub fn from_time(time: SystemTime) -> HeaderValue {
    HeaderValue::try_from(httpdate::fmt_http_date(time)).expect("an HTTP date is visible ASCII")
}

pub(crate) fn parse_integer(text: &str) -> Option<u64> {
    // `u64::from_str` would also take a leading `+`.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn headers(pairs: &[(&HeaderName, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn an_integer_is_digits_and_nothing_else() {
        for bad in [
            "",
            "-1",
            "+1",
            "1e3",
            "0x1",
            " 1",
            "1.0",
            "18446744073709551616",
        ] {
            let map = headers(&[(&UPLOAD_OFFSET, bad)]);
            assert_eq!(
                upload_offset(&map),
                Err(HeaderError::Invalid(UPLOAD_OFFSET)),
                "{bad:?}"
            );
        }
        let map = headers(&[(&UPLOAD_OFFSET, "18446744073709551615")]);
        assert_eq!(upload_offset(&map), Ok(Some(u64::MAX)));
        assert_eq!(upload_offset(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn two_headers_are_never_one() {
        let map = headers(&[(&UPLOAD_OFFSET, "1"), (&UPLOAD_OFFSET, "1")]);
        assert_eq!(
            upload_offset(&map),
            Err(HeaderError::Repeated(UPLOAD_OFFSET))
        );
    }

    #[test]
    fn a_length_is_known_or_deferred_and_never_both() {
        assert_eq!(
            upload_length(&headers(&[(&UPLOAD_LENGTH, "7")])),
            Ok(Some(UploadLength::Known(7)))
        );
        assert_eq!(
            upload_length(&headers(&[(&UPLOAD_DEFER_LENGTH, "1")])),
            Ok(Some(UploadLength::Deferred))
        );
        assert_eq!(upload_length(&HeaderMap::new()), Ok(None));
        assert!(upload_length(&headers(&[(&UPLOAD_DEFER_LENGTH, "2")])).is_err());
        assert!(
            upload_length(&headers(&[
                (&UPLOAD_LENGTH, "7"),
                (&UPLOAD_DEFER_LENGTH, "1")
            ]))
            .is_err()
        );
    }

    #[test]
    fn an_expiry_is_read_in_all_three_forms_and_written_in_one() {
        let time = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(
                upload_expires(&headers(&[(&UPLOAD_EXPIRES, form)])),
                Ok(Some(time))
            );
        }
        assert_eq!(from_time(time), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn html_is_seen_whatever_its_parameters() {
        assert!(is_html(&headers(&[(
            &CONTENT_TYPE,
            "Text/HTML; charset=utf-8"
        )])));
        assert!(!is_html(&headers(&[(&CONTENT_TYPE, "application/json")])));
    }
}
