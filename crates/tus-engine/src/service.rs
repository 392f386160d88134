//! [`Service`]: what one service knows beyond tus.

use http::{HeaderName, Response};
use http_transport::BoxFuture;
use resume_store::Record;
use tus_core::ChunkRule;
use tus_core::client::{Reconciled, Verdict};

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

    /// Reads the body of a refusal, at most 64 KiB of it. `None`: the status says it all.
    fn read_error(&self, head: &Response<()>, body: &[u8]) -> Option<Verdict>;

    /// Finds out what became of a creation whose answer is unknown.
    fn reconcile<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Reconciled>;
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

    fn reconcile<'a>(&'a self, _: &'a Record) -> BoxFuture<'a, Reconciled> {
        Box::pin(std::future::ready(Reconciled::Unknown))
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
