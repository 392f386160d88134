//! [`Console`]: stdout and stderr, which may both be closed at any time without harm.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::exit::CliError;

/// The two streams. What cannot be written is dropped: an upload does not end because nobody reads along.
#[derive(Debug, Clone, Default)]
pub(crate) struct Console;

impl Console {
    pub(crate) fn new() -> Self {
        Self
    }

    /// One line of results.
    pub(crate) fn out(&self, line: impl Display) {
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }

    /// One JSON line: `event`, the time, and the fields of an object.
    pub(crate) fn json(&self, event: &str, fields: Value) {
        let mut line = Map::new();
        line.insert("event".into(), event.into());
        line.insert("time".into(), Timestamp::now().to_string().into());
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        self.out(plain(&Value::Object(line)));
    }

    /// One JSON line: the value as it is.
    pub(crate) fn value(&self, value: &Value) {
        self.out(plain(value));
    }

    pub(crate) fn out_bytes(&self, bytes: &[u8]) {
        let _ = io::stdout().lock().write_all(bytes);
    }

    /// One line for people, and never two: it may hold a path or a server's words.
    pub(crate) fn note(&self, line: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{}", harmless(&line.to_string()));
    }

    /// What went wrong, and what to do about it.
    pub(crate) fn error(&self, error: &CliError) {
        self.note(format_args!("error: {}", error.message));
        if let Some(hint) = &error.hint {
            self.note(format_args!("  hint: {hint}"));
        }
    }

    /// Whether somebody watches.
    pub(crate) fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }
}

/// Text for a terminal: control characters, which could move the cursor or hide words, are shown as escapes, and so are those
/// that turn the direction of text, which make `exe.4pm` of `mp4.exe`.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// JSON for a terminal as well: what serde leaves of such characters is escaped, and means the same to whoever parses it.
fn plain(value: &Value) -> String {
    let mut text = value.to_string();
    if text.contains(is_harmful) {
        let escape = |c: char| {
            if is_harmful(c) {
                format!("\\u{:04x}", u32::from(c))
            } else {
                c.to_string()
            }
        };
        text = text.chars().map(escape).collect();
    }
    text
}

/// Control characters, and those that turn the direction of text. None lies beyond four hexadecimal digits.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_drive_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\nb é.mp4"), "a\\u{1b}[2J\\nb é.mp4");
        assert_eq!(harmless("mp4\u{202e}4pm.sh"), "mp4\\u{202e}4pm.sh");
    }

    #[test]
    fn a_line_of_json_holds_no_raw_control_character_and_means_the_same() {
        let value = Value::from("\u{1b}[2J\u{9b}2J\u{7f}\n\u{202e}é");
        let line = plain(&value);
        assert!(!line.chars().any(is_harmful), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }
}
