//! [`Webhook`]: whom Stream tells when a video is ready, or has failed.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::lenient::{self, Unknown};
use crate::secret::{Secret, SourceUrl};

/// The account's webhook, its only one.
///
/// <https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "WebhookOnTheWire", into = "WebhookOnTheWire")]
#[non_exhaustive]
pub struct Webhook {
    /// Whom Stream tells. Written in both spellings, and read in either.
    pub notification_url: Option<Secret>,
    /// When it was set.
    pub modified: Option<SystemTime>,
    /// What the calls are signed with, in `Webhook-Signature`.
    pub secret: Option<Secret>,
    /// Fields that are not known here, verbatim.
    pub other: Unknown,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct WebhookOnTheWire {
    #[serde(
        rename = "notificationUrl",
        with = "lenient::any",
        skip_serializing_if = "Option::is_none"
    )]
    camel: Option<Secret>,
    #[serde(
        rename = "notification_url",
        with = "lenient::any",
        skip_serializing_if = "Option::is_none"
    )]
    snake: Option<Secret>,
    #[serde(with = "lenient::time", skip_serializing_if = "Option::is_none")]
    modified: Option<SystemTime>,
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    #[serde(flatten)]
    other: Unknown,
}

impl From<WebhookOnTheWire> for Webhook {
    fn from(wire: WebhookOnTheWire) -> Self {
        Self {
            notification_url: wire.camel.or(wire.snake),
            modified: wire.modified,
            secret: wire.secret,
            other: wire.other,
        }
    }
}

impl From<Webhook> for WebhookOnTheWire {
    fn from(webhook: Webhook) -> Self {
        Self {
            camel: webhook.notification_url.clone(),
            snake: webhook.notification_url,
            modified: webhook.modified,
            secret: webhook.secret,
            other: webhook.other,
        }
    }
}

/// Whom Stream is to tell: an address that the internet can reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SetWebhook {
    /// The address.
    #[serde(rename = "notificationUrl", alias = "notification_url")]
    pub notification_url: SourceUrl,
}

impl SetWebhook {
    /// Tells `notification_url`.
    #[must_use]
    pub fn new(notification_url: SourceUrl) -> Self {
        Self { notification_url }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn either_spelling_is_read_and_both_are_written() {
        for key in ["notificationUrl", "notification_url"] {
            let webhook: Webhook =
                serde_json::from_value(json!({ key: "https://a.example/hook", "secret": "hush" }))
                    .unwrap();
            let url = webhook.notification_url.as_ref().unwrap();
            assert_eq!(url.expose(), "https://a.example/hook");
            assert!(!format!("{webhook:?}").contains("hush"));
            let written = serde_json::to_value(&webhook).unwrap();
            assert_eq!(written["notificationUrl"], written["notification_url"]);
        }
    }
}
