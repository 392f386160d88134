//! What is typed in many verbs alike: addresses and secrets that need not stand in the process list, times, switches.

use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Map, Value};
use stream_api::SourceUrl;

use crate::cli::exit::{CliError, Code};
use crate::cli::place::{from_stdin, private_text};

/// The text itself, what the file after `@` holds, or what comes from stdin for `-`.
pub(super) fn text(given: &str, option: &str) -> Result<String, CliError> {
    let text = match (given, given.strip_prefix('@')) {
        ("-", _) => from_stdin(option)?,
        (_, Some(file)) => private_text(Path::new(file), &format!("{option} @"), Code::Local)?,
        _ => given.to_owned(),
    };
    Ok(text.trim().to_owned())
}

/// An address, given as [`text`] may be.
pub(super) fn url(given: &str, option: &str) -> Result<SourceUrl, CliError> {
    SourceUrl::parse(&text(given, option)?)
        .map_err(|error| CliError::usage(format!("{option}: {error}")))
}

/// Whether it looks like an address, and not like a path.
pub(super) fn is_url(given: &str) -> bool {
    given.starts_with("http://") || given.starts_with("https://")
}

/// A time on the wall.
pub(super) fn time(time: Timestamp) -> SystemTime {
    SystemTime::from(time)
}

/// A number of days, or never.
pub(super) fn days_or_never(text: &str) -> Result<Option<u32>, String> {
    match text {
        "never" => Ok(None),
        days => days
            .parse()
            .map(Some)
            .map_err(|_| "a number of days, or never".into()),
    }
}

/// Entries for `meta`: the name, and what was given as KEY=VALUE.
pub(super) fn meta(name: Option<String>, entries: Vec<(String, String)>) -> Map<String, Value> {
    let name = name.map(|name| ("name".to_owned(), name));
    name.into_iter()
        .chain(entries)
        .map(|(key, value)| (key, Value::String(value)))
        .collect()
}
