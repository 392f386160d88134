//! [`CloudflareStream`]: what Stream knows beyond tus.

use http::{HeaderName, Response};
use http_transport::BoxFuture;
use resume_store::Record;
use serde_json::Value;
use stream_api::{Envelope, code};
use tus_core::ChunkRule;
use tus_core::client::{Reconciled, Verdict, VerdictKind};
use tus_engine::{Service, printable};

use crate::limits::CHUNK_RULE;

/// The header that names the video: its uid is taken from here and never cut out of a URL.
/// <https://developers.cloudflare.com/stream/uploading-videos/resumable-uploads/>
pub const MEDIA_ID: HeaderName = HeaderName::from_static("stream-media-id");

/// Stream's chunk rule, its media id, and its words.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CloudflareStream;

impl CloudflareStream {
    /// Stream as documented.
    #[must_use]
    pub fn new() -> Self {
        Self
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
        let kind = match first.code {
            code::AUTHENTICATION => Some(VerdictKind::Login),
            code::NOT_A_VIDEO => Some(VerdictKind::NotAVideo),
            code::NOT_FOUND => Some(VerdictKind::Gone),
            code::STORAGE_FULL => Some(VerdictKind::StorageFull),
            _ => None,
        };
        let message = printable(&texts.collect::<Vec<_>>().join("; "));
        Some(Verdict {
            kind,
            code: u32::try_from(first.code).ok(),
            message,
        })
    }

    fn reconcile<'a>(&'a self, _: &'a Record) -> BoxFuture<'a, Reconciled> {
        // Without a look into the account a doubt stays one: it is reported, and nothing is claimed.
        Box::pin(std::future::ready(Reconciled::Unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloudflares_envelope_is_read_for_code_and_words() {
        let body = br#"{"success":false,"errors":[{"code":10011,"message":"Storage capacity exceeded"}],"messages":null,"result":null}"#;
        let verdict = CloudflareStream
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
            CloudflareStream.read_error(&Response::new(()), b"<html>"),
            None
        );
        assert_eq!(CloudflareStream.read_error(&Response::new(()), b"{}"), None);
    }
}
