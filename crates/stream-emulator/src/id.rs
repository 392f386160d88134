//! Ids: made of 128 random bits, and checked before they come near a path.

use std::fmt::Write;
use std::io;

/// 32 lower-case hexadecimal digits, as Stream's own ids in practice.
pub(crate) fn new() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

/// Whether `id` may be looked up and joined to a path: `[A-Za-z0-9_-]{16,64}`, so neither `..` nor a
/// separator nor anything percent-encoded.
pub(crate) fn is_valid(id: &str) -> bool {
    (16..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string does not fail");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids_are_valid_and_never_alike() {
        let (one, other) = (new().unwrap(), new().unwrap());
        assert!(is_valid(&one) && is_valid(&other) && one != other);
    }

    #[test]
    fn nothing_that_could_leave_a_directory_is_an_id() {
        let long = "a".repeat(65);
        for bad in [
            "",
            "..",
            "short",
            "../../../../etc/passwd",
            "aaaaaaaaaaaaaaa/",
            "%2e%2e%2f%2e%2e%2f%2e%2e",
            "aaaaaaaaaaaaaaa\0",
            &long,
        ] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }
}
