//! Whether a text is WebVTT, as captions have to be, and a text of our own that is.
//!
//! The file's structure is checked (<https://www.w3.org/TR/webvtt1/#file-structure>): signature, blocks,
//! cue timings. What stands inside a cue, and how it is styled, is the player's affair.

use std::time::Duration;

/// Checks a file.
///
/// # Errors
/// What is wrong, and in which line, counted from 1.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the file is not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = lines(text).enumerate();
    let signature = lines.next().map_or("", |(_, line)| line);
    let rest = signature.strip_prefix("WEBVTT");
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return Err("the file does not begin with WEBVTT".to_owned());
    }
    if rest.is_some_and(|rest| rest.contains("-->")) {
        return Err("line 1: there is a cue timing in the signature".to_owned());
    }
    // A header may follow the signature, up to the first empty line.
    let mut block = Block::Header;
    let mut cues_begin = Duration::ZERO;
    for (at, line) in lines {
        let here = |what: &str| Err(format!("line {}: {what}", at + 1));
        if line.is_empty() {
            match block {
                Block::Identifier => return here("a cue has no timing"),
                _ => block = Block::None,
            }
            continue;
        }
        let is_timing = line.contains("-->");
        block = match block {
            Block::Header if is_timing => {
                return here("there is no empty line before the first cue");
            }
            Block::None if is_timing => Block::Cue,
            Block::None if is_word(line, "NOTE") => Block::Note,
            Block::None if is_word(line, "STYLE") || is_word(line, "REGION") => Block::Note,
            Block::None => Block::Identifier,
            Block::Identifier if is_timing => Block::Cue,
            Block::Identifier => return here("a cue has no timing"),
            Block::Cue | Block::Note if is_timing => {
                return here("there is no empty line before a timing");
            }
            same => {
                block = same;
                continue;
            }
        };
        if !is_timing {
            continue;
        }
        match timing(line) {
            None => return here("the timing is not HH:MM:SS.mmm --> HH:MM:SS.mmm"),
            Some((start, end)) if end <= start => return here("a cue ends before it begins"),
            Some((start, _)) if start < cues_begin => {
                return here("a cue begins before the one above it");
            }
            Some((start, _)) => cues_begin = start,
        }
    }
    match block {
        Block::Identifier => Err("the last cue has no timing".to_owned()),
        _ => Ok(()),
    }
}

/// A file with one cue over the whole of a video.
pub(crate) fn one_cue(lasts: Duration, text: &str) -> String {
    let lasts = lasts.max(Duration::from_millis(1));
    let (seconds, millis) = (lasts.as_secs(), lasts.subsec_millis());
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!(
        "WEBVTT\n\n1\n00:00:00.000 --> {hours:02}:{minutes:02}:{seconds:02}.{millis:03}\n{text}\n"
    )
}

#[derive(Debug, Clone, Copy)]
enum Block {
    Cue,
    Header,
    Identifier,
    None,
    Note,
}

fn is_word(line: &str, word: &str) -> bool {
    line.strip_prefix(word)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Lines end with LF, CR LF or CR.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\r')
    })
}

/// Both ends of a timing; settings after it are not looked at.
fn timing(line: &str) -> Option<(Duration, Duration)> {
    let (start, rest) = line.split_once("-->")?;
    if !start.ends_with([' ', '\t']) || !rest.starts_with([' ', '\t']) || rest.contains("-->") {
        return None;
    }
    let end = rest.split_ascii_whitespace().next()?;
    Some((timestamp(start.trim())?, timestamp(end)?))
}

/// `MM:SS.mmm`, with hours of two or more digits before it if there are any.
fn timestamp(text: &str) -> Option<Duration> {
    let (clock, millis) = text.split_once('.')?;
    let digits = |text: &str, least: usize, most: usize| -> Option<u64> {
        let is_fine = (least..=most).contains(&text.len());
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        (is_fine && is_number).then(|| text.parse().ok())?
    };
    let mut parts = clock.rsplit(':');
    let seconds = digits(parts.next()?, 2, 2).filter(|seconds| *seconds < 60)?;
    let minutes = digits(parts.next()?, 2, 2).filter(|minutes| *minutes < 60)?;
    let hours = parts.next().map_or(Some(0), |hours| digits(hours, 2, 6))?;
    if parts.next().is_some() {
        return None;
    }
    let millis = digits(millis, 3, 3)?;
    let seconds = hours * 3600 + minutes * 60 + seconds;
    Some(Duration::from_millis(seconds * 1000 + millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_all_shapes_pass() {
        for text in [
            "WEBVTT",
            "\u{feff}WEBVTT - a title\nKind: captions\n\n",
            "WEBVTT\n\n00:01.000 --> 00:02.000\nhello",
            "WEBVTT\r\n\r\nintro\r\n00:00:01.000 --> 100:00:02.000 align:start\r\nhello\r\nthere\r\n",
            "WEBVTT\n\nNOTE a remark\nin two lines\n\nSTYLE\n::cue { color: red }\n\n00:01.000 --> 00:02.000\na\n\n00:01.000 --> 00:03.000\nb\n",
            "WEBVTT\r\r00:01.000 --> 00:02.000\rhello\r",
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_webvtt_is_refused_with_its_line() {
        for (text, part) in [
            ("", "WEBVTT"),
            ("WEBVTTX", "WEBVTT"),
            ("1\n00:00:01,000 --> 00:00:02,000\nsubrip", "WEBVTT"),
            ("WEBVTT\n00:01.000 --> 00:02.000\na", "line 2"),
            ("WEBVTT\n\n00:00:01,000 --> 00:00:02,000\na", "line 3"),
            ("WEBVTT\n\n00:03.000 --> 00:02.000\na", "ends before"),
            ("WEBVTT\n\n00:61.000 --> 02:02.000\na", "line 3"),
            ("WEBVTT\n\n00:01.000-->00:02.000\na", "line 3"),
            ("WEBVTT\n\nlost\n\n00:01.000 --> 00:02.000\na", "line 4"),
            ("WEBVTT\n\nlost", "last cue"),
            (
                "WEBVTT\n\n00:05.000 --> 00:06.000\na\n\n00:01.000 --> 00:02.000\nb",
                "above",
            ),
        ] {
            let error = check(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        assert!(check(b"WEBVTT\n\n\xff").is_err());
    }

    #[test]
    fn a_text_of_our_own_passes_its_check() {
        for lasts in [Duration::ZERO, Duration::from_millis(3_723_004)] {
            let text = one_cue(lasts, "hello");
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
        let text = one_cue(Duration::from_millis(3_723_004), "x");
        assert!(text.contains("01:02:03.004"), "{text}");
    }
}
