//! [`Service`]: what one service knows beyond tus.

use std::collections::BTreeMap;
use std::future::ready;

use http::{HeaderName, Response};
use http_transport::BoxFuture;
use resume_store::Record;
use tus_core::ChunkRule;
use tus_core::client::{Creation, Reconciled, Verdict};

/// What a service knows that tus does not say. [`PlainTus`] knows nothing.
pub trait Service: Send + Sync {
    /// What it wants of the length of a chunk.
    fn chunk_rule(&self) -> ChunkRule {
        ChunkRule::FREE
    }

    /// Headers of the creation's answer to keep with the record.
    fn keep_headers(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// Whether it is worth asking what it offers with OPTIONS, once per creation URL. Default `true`.
    fn answers_options(&self) -> bool {
        true
    }

    /// Puts an upload's random key into its creation, so that [`reconcile`](Self::reconcile) finds what came of it. Default:
    /// nothing, for nobody could be asked.
    fn stamp(&self, key: &str, creation: &mut Creation) {
        let _ = (key, creation);
    }

    /// Whether [`reconcile`](Self::reconcile) can ever tell. The intent of a creation is then durable before the request leaves;
    /// else it is written while the request is under way, and speaks of a possible orphan at best. Default `false`.
    fn can_tell(&self) -> bool {
        false
    }

    /// Reads the body of a refusal, at most 64 KiB of it. `None`: the status says it all.
    fn read_error(&self, head: &Response<()>, body: &[u8]) -> Option<Verdict>;

    /// Finds out what became of an upload that is in doubt: a creation whose answer is unknown, or one that was gone after its
    /// last byte was sent.
    ///
    /// [`Reconciled::Absent`] promises that nothing is left of it: what can be neither used nor found again was removed.
    fn reconcile<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Finding>;

    /// Removes an upload that is given up, whole or not. `None`: there is no other way than tus's own DELETE.
    fn discard<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Option<bool>> {
        let _ = record;
        Box::pin(ready(None))
    }

    /// Removes what lost creations of an upload have left behind; asked when an upload that was in doubt has finished, for the
    /// service may have shown it too late for [`reconcile`](Self::reconcile). `false` if that could not be done.
    fn tidy<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, bool> {
        let _ = record;
        Box::pin(ready(true))
    }
}

/// The answer to [`Service::reconcile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What became of it.
    pub reconciled: Reconciled,
    /// What its answers would have told, such as `stream-media-id`.
    pub tags: BTreeMap<String, String>,
}

impl From<Reconciled> for Finding {
    fn from(reconciled: Reconciled) -> Self {
        Self {
            reconciled,
            tags: BTreeMap::new(),
        }
    }
}

/// Any tus server: chunks of any length, and nobody to ask about a doubt.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainTus;

impl Service for PlainTus {
    fn read_error(&self, head: &Response<()>, body: &[u8]) -> Option<Verdict> {
        let kind = tus_core::header::content_type(head.headers())?;
        if !kind.eq_ignore_ascii_case("text/plain") {
            return None;
        }
        let message = printable(&String::from_utf8_lossy(body));
        (!message.is_empty()).then_some(Verdict {
            kind: None,
            code: None,
            message,
        })
    }

    fn reconcile<'a>(&'a self, _: &'a Record) -> BoxFuture<'a, Finding> {
        Box::pin(ready(Reconciled::Unknown.into()))
    }
}

/// The longest text of a server that is repeated to people, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

/// A server's text as one short line that cannot move a terminal's cursor.
#[must_use]
pub fn printable(text: &str) -> String {
    let words = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_text_becomes_one_short_line_without_control_characters() {
        assert_eq!(
            printable("  no\u{1b}[31m such\r\n upload \n"),
            "no [31m such upload"
        );
        assert_eq!(printable(&"x".repeat(500)).chars().count(), 201);
    }

    #[test]
    fn a_plain_servers_words_are_repeated_and_its_pages_are_not() {
        let answer = |kind: &'static str| {
            let mut head = Response::new(());
            head.headers_mut()
                .insert("content-type", http::HeaderValue::from_static(kind));
            PlainTus
                .read_error(&head, b"upload not found\n")
                .map(|verdict| verdict.message)
        };
        assert_eq!(
            answer("text/plain; charset=utf-8").as_deref(),
            Some("upload not found")
        );
        assert_eq!(answer("text/html"), None);
    }
}
