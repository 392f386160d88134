//! [`CloudflareStream`]: what Stream knows beyond tus.

use std::time::Duration;

use http::{HeaderName, Response, StatusCode};
use http_transport::BoxFuture;
use resume_store::Record;
use serde_json::Value;
use stream_api::{Envelope, StreamClient, code};
use tus_core::ChunkRule;
use tus_core::client::{Creation, Reconciled, Verdict, VerdictKind};
use tus_engine::{Finding, Service, printable};

use crate::doubt::{Inquiry, UPLOAD_KEY};
use crate::limits::CHUNK_RULE;

/// The header that names the video: its uid is taken from here and never cut out of a URL.
/// <https://developers.cloudflare.com/stream/uploading-videos/resumable-uploads/>
pub const MEDIA_ID: HeaderName = HeaderName::from_static("stream-media-id");

/// How long after a look at the account that found nothing it is looked at once more. Its listing may lag.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Stream's chunk rule, its media id, its words, and how its account is asked about a doubt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CloudflareStream {
    account: Option<StreamClient>,
    look_again_after: Duration,
}

impl CloudflareStream {
    /// Stream without a look into the account, as for one-time URLs: a doubt is reported, and nothing is claimed.
    #[must_use]
    pub fn new() -> Self {
        Self {
            account: None,
            look_again_after: LOOK_AGAIN_AFTER,
        }
    }

    /// Stream whose account can be asked: a lost creation is found and removed before another is sent.
    #[must_use]
    pub fn with_account(account: StreamClient) -> Self {
        Self {
            account: Some(account),
            ..Self::new()
        }
    }

    /// How long to wait between two looks at the account, whose listing may lag. Default 2 s.
    #[must_use]
    pub fn look_again_after(self, look_again_after: Duration) -> Self {
        Self {
            look_again_after,
            ..self
        }
    }

    fn inquiry<'a>(&'a self, record: &'a Record) -> Option<Inquiry<'a>> {
        let client = self.account.as_ref()?;
        Some(Inquiry {
            client,
            record,
            look_again_after: self.look_again_after,
        })
    }
}

impl Default for CloudflareStream {
    fn default() -> Self {
        Self::new()
    }
}

impl Service for CloudflareStream {
    fn chunk_rule(&self) -> ChunkRule {
        CHUNK_RULE
    }

    // What Stream answers to OPTIONS is not public, and nothing it is known to do hangs on it.
    fn answers_options(&self) -> bool {
        false
    }

    fn keep_headers(&self) -> Vec<HeaderName> {
        vec![MEDIA_ID]
    }

    fn stamp(&self, key: &str, creation: &mut Creation) {
        if self.account.is_some() {
            // Refused only where the user's own metadata has the same key, which then stays.
            let _ = creation.metadata.insert(UPLOAD_KEY, key);
        }
    }

    fn can_tell(&self) -> bool {
        self.account.is_some()
    }

    fn read_error(&self, head: &Response<()>, body: &[u8]) -> Option<Verdict> {
        let Ok(envelope) = serde_json::from_slice::<Envelope<Value>>(body) else {
            return tus_engine::PlainTus.read_error(head, body);
        };
        // The useful text of a failure may stand among the messages.
        let first = envelope.errors.first().or(envelope.messages.first())?;
        let texts = envelope
            .errors
            .iter()
            .chain(&envelope.messages)
            .map(|message| message.message.as_str());
        let text = texts.collect::<Vec<_>>().join("; ");
        let kind = match first.code {
            code::AUTHENTICATION => Some(VerdictKind::Login),
            code::NOT_A_VIDEO => Some(VerdictKind::NotAVideo),
            code::NOT_FOUND => Some(VerdictKind::Gone),
            code::STORAGE_FULL => Some(VerdictKind::StorageFull),
            _ => in_words(head.status(), &text),
        };
        let message = printable(&text);
        Some(Verdict {
            kind,
            code: u32::try_from(first.code).ok(),
            message,
        })
    }

    fn reconcile<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            match self.inquiry(record) {
                Some(inquiry) => inquiry.settle().await,
                None => Reconciled::Unknown.into(),
            }
        })
    }

    fn discard<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Option<bool>> {
        Box::pin(async move {
            let inquiry = self.inquiry(record)?;
            let uid = record.tags.get(MEDIA_ID.as_str())?;
            Some(inquiry.discard(uid).await.unwrap_or(false))
        })
    }

    fn tidy<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match self.inquiry(record) {
                Some(inquiry) => inquiry.tidy().await.is_ok(),
                None => true,
            }
        })
    }
}

/// What a refusal says that has no code of its own: their numbers are not public, and a text outlives a number.
fn in_words(status: StatusCode, text: &str) -> Option<VerdictKind> {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["expired"]) {
        Some(VerdictKind::Expired)
    } else if says(&["already uploaded", "already been used", "already used"]) {
        Some(VerdictKind::AlreadyUsed)
    } else if says(&["storage capacity"]) {
        Some(VerdictKind::StorageFull)
    } else if matches!(status.as_u16(), 413 | 429) && says(&["queue", "encod"]) {
        Some(VerdictKind::QueueFull)
    } else if status == StatusCode::PAYLOAD_TOO_LARGE {
        Some(VerdictKind::TooLarge)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloudflares_envelope_is_read_for_code_and_words() {
        let body = br#"{"success":false,"errors":[{"code":10011,"message":"Storage capacity exceeded"}],"messages":null,"result":null}"#;
        let verdict = CloudflareStream::new()
            .read_error(&Response::new(()), body)
            .unwrap();
        assert_eq!(verdict.kind, Some(VerdictKind::StorageFull));
        assert_eq!(
            verdict.to_string(),
            "Storage capacity exceeded (code 10011)"
        );
    }

    #[test]
    fn an_answer_without_envelope_says_nothing() {
        assert_eq!(
            CloudflareStream::new().read_error(&Response::new(()), b"<html>"),
            None
        );
        assert_eq!(
            CloudflareStream::new().read_error(&Response::new(()), b"{}"),
            None
        );
    }
}
