//! Calls of the webhook: whether one is from Stream, and what it says.
//!
//! <https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/>

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::op::videos::Video;
use crate::secret::Secret;

/// The header that a call is signed in.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// How old a call may be, unless somebody wants it otherwise: 5 minutes.
pub const WEBHOOK_AGE: Duration = Duration::from_secs(300);

/// Why a call is not to be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The body is no video.
    #[error("the call is from Stream, and its body cannot be read")]
    Body(#[source] serde_json::Error),
    /// The header cannot be read.
    #[error("the signature has no time, or no sum of 64 hexadecimal digits")]
    Malformed,
    /// It was signed with another secret, or something was changed.
    #[error("the signature does not fit: it was made with another secret, or the call was changed")]
    Mismatch,
    /// It was signed too long ago, or later than now.
    #[error("the call was signed at another time: it is repeated, or a clock is wrong")]
    TooOld,
}

/// Checks a call. `header` is the value of [`WEBHOOK_SIGNATURE`], `body` its bytes as they came, `secret`
/// what setting the webhook answered. Returns when it was signed. Takes the same time wherever sums
/// differ.
///
/// # Errors
/// [`WebhookError`]; answer such a call 401 or 403, and do nothing.
pub fn verify(
    header: &str,
    body: &[u8],
    secret: &Secret,
    now: SystemTime,
    most_age: Duration,
) -> Result<SystemTime, WebhookError> {
    let (mut time, mut sum) = (None, None);
    for item in header.split(',') {
        match item.split_once('=') {
            Some((name, value)) if name.trim() == "time" => time = Some(value.trim()),
            Some((name, value)) if name.trim() == "sig1" => sum = Some(value.trim()),
            _ => {}
        }
    }
    let text = time.ok_or(WebhookError::Malformed)?;
    let given = sum.and_then(from_hex).ok_or(WebhookError::Malformed)?;
    let seconds: u64 = text.parse().map_err(|_| WebhookError::Malformed)?;
    let signed = SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .ok_or(WebhookError::Malformed)?;
    let wanted = tag(secret, text, body);
    verify_slices_are_equal(wanted.as_ref(), &given).map_err(|_| WebhookError::Mismatch)?;
    let apart = now
        .duration_since(signed)
        .unwrap_or_else(|error| error.duration());
    if apart > most_age {
        return Err(WebhookError::TooOld);
    }
    Ok(signed)
}

/// [Checks](verify) a call, and reads the video that it is about: ready, or failed.
///
/// # Errors
/// [`WebhookError`].
pub fn receive(
    header: &str,
    body: &[u8],
    secret: &Secret,
    now: SystemTime,
) -> Result<Video, WebhookError> {
    verify(header, body, secret, now, WEBHOOK_AGE)?;
    serde_json::from_slice(body).map_err(WebhookError::Body)
}

/// The value of [`WEBHOOK_SIGNATURE`] for a call that is made at `time`.
#[must_use]
pub fn signature(secret: &Secret, time: SystemTime, body: &[u8]) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs()).to_string();
    let sum = tag(secret, &seconds, body);
    let digits: String = sum.as_ref().iter().map(|it| format!("{it:02x}")).collect();
    format!("time={seconds},sig1={digits}")
}

/// The key is the secret's text, not what its digits mean.
fn tag(secret: &Secret, time: &str, body: &[u8]) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(time.as_bytes());
    context.update(b".");
    context.update(body);
    context.sign()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "9f21cf1f5397488ffc3dbf431a0baa3d9e13746c2417e7a995cbb62f67bda76e";

    fn secret() -> Secret {
        Secret::new("85011ed3a913c6ad5f9cf6c5573cc0a7")
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_vector_is_made_and_accepted() {
        let header = format!("time=1230811200,sig1={SUM}");
        assert_eq!(signature(&secret(), at(1_230_811_200), b"{}"), header);
        let signed = verify(&header, b"{}", &secret(), at(1_230_811_210), WEBHOOK_AGE);
        assert_eq!(signed.unwrap(), at(1_230_811_200));
        let video = receive(&header, b"{}", &secret(), at(1_230_811_200)).unwrap();
        assert_eq!(video, Video::default());
    }

    #[test]
    fn a_call_that_was_changed_or_repeated_late_is_refused() {
        let header = format!("time=1230811200, sig1={SUM}");
        let check = |header: &str, body: &[u8], secret: &Secret, now| {
            verify(header, body, secret, at(now), WEBHOOK_AGE).map(drop)
        };
        let now = 1_230_811_200;
        check(&header, b"{}", &secret(), now).unwrap();
        let mismatch = |it| matches!(it, Err(WebhookError::Mismatch));
        assert!(mismatch(check(&header, b"{ }", &secret(), now)));
        assert!(mismatch(check(&header, b"{}", &Secret::new("x"), now)));
        let moved = format!("time=1230811201,sig1={SUM}");
        assert!(mismatch(check(&moved, b"{}", &secret(), now)));
        for late in [now + 301, now - 301] {
            let ended = check(&header, b"{}", &secret(), late);
            assert!(matches!(ended, Err(WebhookError::TooOld)));
        }
        for text in [
            "",
            "time=1",
            "sig1=",
            "time=x,sig1=y",
            "time=99999999999999999999,sig1=",
            "é",
        ] {
            let ended = check(text, b"{}", &secret(), now);
            assert!(matches!(ended, Err(WebhookError::Malformed)), "{text}");
        }
    }
}
