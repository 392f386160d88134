//! [`Webhook`]: where an account is told what became of its videos, and how that is signed.
//! <https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/>

use std::fmt;
use std::time::SystemTime;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::id;
use crate::log::rfc3339;

/// An account has one webhook, under this id.
pub(crate) const ID: &str = "webhook";

/// An account's webhook.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    pub(crate) modified: SystemTime,
    /// The text that news is signed with.
    pub(crate) secret: String,
    /// What came to its end before is not told.
    pub(crate) since: SystemTime,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook(…)")
    }
}

impl Webhook {
    /// Both spellings, as answers were seen to have them.
    pub(crate) fn view(&self) -> Value {
        json!({
            "notificationUrl": self.url,
            "notification_url": self.url,
            "modified": rfc3339(self.modified),
            "secret": self.secret,
        })
    }

    /// `Webhook-Signature` of a body that is sent at `now`.
    pub(crate) fn sign(&self, now: SystemTime, body: &[u8]) -> String {
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let time = since.unwrap_or_default().as_secs();
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(time.to_string().as_bytes());
        context.update(b".");
        context.update(body);
        format!("time={time},sig1={}", id::hex(context.sign().as_ref()))
    }
}

/// The news that a video came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// When it is sent next; none when it arrived, or was given up.
    pub(crate) due: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_signature_is_over_time_and_body_with_the_secrets_text() {
        let webhook = Webhook {
            url: String::new(),
            modified: SystemTime::UNIX_EPOCH,
            secret: "85011ed3a913c6ad5f9cf6c5573cc0a7".to_owned(),
            since: SystemTime::UNIX_EPOCH,
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_230_811_200);
        let wanted = "time=1230811200,\
            sig1=9f21cf1f5397488ffc3dbf431a0baa3d9e13746c2417e7a995cbb62f67bda76e";
        assert_eq!(webhook.sign(at, b"{}"), wanted);
        assert_eq!(format!("{webhook:?}"), "Webhook(…)");
    }
}
