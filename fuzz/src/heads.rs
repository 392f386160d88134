//! Heads of requests and answers, from bytes.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

/// One header per line, `name: value`; a line that is none is skipped.
pub(crate) fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        if let (Some(name), Some(value)) = (halves.next(), halves.next())
            && let Ok(name) = HeaderName::from_bytes(name)
            && let Ok(value) = HeaderValue::from_bytes(value.trim_ascii())
        {
            headers.append(name, value);
        }
    }
    headers
}

/// The bytes up to each newline.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n')
}

/// A day in 2027: no target looks at a clock.
pub(crate) fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}
