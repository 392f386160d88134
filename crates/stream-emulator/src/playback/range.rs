//! `Range` (RFC 9110, section 14): one part, or all of it.

use http::HeaderValue;

/// What a request wants of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: no range, or one that may be ignored.
    All,
    /// A range that lies behind the end.
    Nothing,
    /// From this byte to that one, which is the last.
    Part(u64, u64),
}

/// Several ranges at once, and units other than bytes, are answered with everything, as they may be.
pub(super) fn wanted(header: Option<&HeaderValue>, len: u64) -> Wanted {
    let range = header.and_then(|range| range.to_str().ok());
    let Some((from, to)) = range
        .and_then(|range| range.trim().strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Wanted::All;
    };
    let (from, to) = (from.trim(), to.trim());
    let number = |text: &str| text.parse::<u64>().ok();
    match (from.is_empty(), to.is_empty()) {
        // The last so many bytes.
        (true, false) => match number(to) {
            Some(0) => Wanted::Nothing,
            Some(_) if len == 0 => Wanted::Nothing,
            Some(last) => Wanted::Part(len.saturating_sub(last), len - 1),
            None => Wanted::All,
        },
        (false, _) => match (number(from), number(to)) {
            (Some(from), _) if from >= len => Wanted::Nothing,
            (Some(from), None) if to.is_empty() => Wanted::Part(from, len - 1),
            (Some(from), Some(to)) if to >= from => Wanted::Part(from, to.min(len - 1)),
            _ => Wanted::All,
        },
        (true, true) => Wanted::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_has_it() {
        use Wanted::{All, Nothing, Part};
        for (text, len, expected) in [
            ("bytes=0-", 10, Part(0, 9)),
            ("bytes=2-4", 10, Part(2, 4)),
            ("bytes=2-400", 10, Part(2, 9)),
            ("bytes=-3", 10, Part(7, 9)),
            ("bytes=-30", 10, Part(0, 9)),
            ("bytes=10-", 10, Nothing),
            ("bytes=-0", 10, Nothing),
            ("bytes=0-", 0, Nothing),
            ("bytes=-1", 0, Nothing),
            ("bytes=4-2", 10, All),
            ("bytes=0-1,3-4", 10, All),
            ("bytes=a-b", 10, All),
            ("bytes=-", 10, All),
            ("lines=0-1", 10, All),
            ("bytes=99999999999999999999-", 10, All),
        ] {
            let header = HeaderValue::from_static(text);
            assert_eq!(wanted(Some(&header), len), expected, "{text}");
        }
        assert_eq!(wanted(None, 10), All);
    }
}
