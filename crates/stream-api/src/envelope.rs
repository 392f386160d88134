//! [`Envelope`]: what Cloudflare wraps around every answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient;

/// Cloudflare's codes that this project acts on or answers with. They are not HTTP statuses.
pub mod code {
    /// The credentials are missing, wrong, or not allowed to do this.
    pub const AUTHENTICATION: u64 = 10000;
    /// No such resource or operation.
    pub const NOT_FOUND: u64 = 10003;
    /// The body is not JSON that can be read.
    pub const DECODING: u64 = 10004;
    /// The request is not acceptable; the details may stand in `messages`.
    pub const BAD_REQUEST: u64 = 10005;
    /// The account's storage is used up.
    pub const STORAGE_FULL: u64 = 10011;
    /// What was uploaded is not a video.
    pub const NOT_A_VIDEO: u64 = 10059;
}

/// An answer: `{success, errors, messages, result}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Whether the operation succeeded.
    #[serde(default)]
    pub success: bool,
    /// Why it did not. Also read when it is `null`.
    #[serde(default, deserialize_with = "lenient::list")]
    pub errors: Vec<Message>,
    /// Details, sometimes the only useful text of a failure. Cloudflare answers `null` as well.
    #[serde(default, deserialize_with = "lenient::list")]
    pub messages: Vec<Message>,
    /// What was asked for; `None` on failure.
    #[serde(default = "none")]
    pub result: Option<T>,
    /// What stands beside the four, such as the `total` and `range` of a listing.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One error or message, code and text verbatim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Cloudflare's number; 0 where there is none.
    #[serde(default)]
    pub code: u64,
    /// The text.
    #[serde(default)]
    pub message: String,
    /// Where it is explained, if the answer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation_url: Option<String>,
}

impl<T> Envelope<T> {
    /// A success.
    #[must_use]
    pub fn ok(result: T) -> Self {
        Self {
            success: true,
            errors: Vec::new(),
            messages: Vec::new(),
            result: Some(result),
            other: Map::new(),
        }
    }

    /// A failure with one error.
    #[must_use]
    pub fn error(code: u64, message: impl Into<String>) -> Self {
        Self {
            success: false,
            errors: vec![Message::new(code, message)],
            messages: Vec::new(),
            result: None,
            other: Map::new(),
        }
    }
}

impl Message {
    /// A message without documentation.
    #[must_use]
    pub fn new(code: u64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            documentation_url: None,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

// A derived default would ask for `T: Default`.
fn none<T>() -> Option<T> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_may_be_null_or_missing_and_the_rest_is_kept() {
        let text = r#"{"result":null,"success":false,"messages":null,"range":"1000",
            "errors":[{"code":10003,"message":"Not Found"}]}"#;
        let read: Envelope<Value> = serde_json::from_str(text).unwrap();
        assert_eq!(read.errors, [Message::new(10003, "Not Found")]);
        assert!(read.messages.is_empty());
        assert_eq!(read.other["range"], "1000");
        let bare: Envelope<Value> = serde_json::from_str("{}").unwrap();
        assert!(!bare.success);
    }

    #[test]
    fn a_failure_is_written_with_a_null_result() {
        let text = serde_json::to_value(Envelope::<Value>::error(10005, "Bad Request")).unwrap();
        assert_eq!(text["result"], Value::Null);
        assert_eq!(text["errors"][0]["code"], 10005);
        assert_eq!(text["success"], false);
    }
}
