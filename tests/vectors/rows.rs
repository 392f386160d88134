//! The rows of this folder as values, and how an answer is judged. Each runner includes this file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Map, Value};

/// One file of rows each.
pub(crate) const SECTIONS: [&str; 12] = [
    "general",
    "head",
    "patch",
    "options",
    "creation",
    "metadata",
    "creation-with-upload",
    "expiration",
    "checksum",
    "termination",
    "concatenation",
    "defer-length",
];

/// Names of uploads and what stands for them in the texts of a row.
pub(crate) type Names = BTreeMap<String, String>;

/// A rule seen from one side.
pub(crate) struct Row {
    /// File, number and rule: where to look when it fails.
    pub(crate) at: String,
    pub(crate) rule: String,
    pub(crate) who: String,
    pub(crate) json: Value,
}

/// The workspace.
pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of this folder.
pub(crate) fn file(name: &str) -> Value {
    let path = workspace().join("tests/vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The rows of a section for one side, once for each value of `each`.
pub(crate) fn rows(section: &str, who: &str) -> Vec<Row> {
    let name = format!("{section}.json");
    let mut rows = Vec::new();
    for (index, json) in list(&file(&name)["rows"]).iter().enumerate() {
        let rule = text(&json["rule"]).to_owned();
        let at = format!("{name} row {} ({rule})", index + 1);
        keys(
            &at,
            json,
            "rule who says tusd each state request expect then client dialogue ends events",
        );
        assert!(text(&json["says"]).len() > 9, "{at}: says nothing");
        if text(&json["who"]) != who {
            continue;
        }
        let mut put = |at: String, json: Value| {
            let (rule, who) = (rule.clone(), who.to_owned());
            rows.push(Row {
                at,
                rule,
                who,
                json,
            });
        };
        match &json["each"] {
            Value::Null => put(at, json.clone()),
            each => {
                for value in list(each).iter().map(text) {
                    put(format!("{at} with {value:?}"), filled(json, value));
                }
            }
        }
    }
    rows
}

/// A request of a row.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) to: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) chunked: bool,
    pub(crate) trailers: Vec<(String, String)>,
    /// So much of the body comes, then the client is gone.
    pub(crate) cut_after: Option<usize>,
}

impl Request {
    pub(crate) fn of(at: &str, json: &Value, names: &Names) -> Self {
        keys(
            at,
            json,
            "method to headers body chunked trailers cut_after",
        );
        let method = text(&json["method"]).to_owned();
        let to = match json["to"].as_str() {
            Some(to) => to.to_owned(),
            None if ["POST", "OPTIONS"].contains(&method.as_str()) => "creation".to_owned(),
            None => "upload".to_owned(),
        };
        let body = bytes(&json["body"]);
        let chunked = json["chunked"] == true;
        let mut headers = Vec::new();
        let named = json["headers"].as_object().cloned().unwrap_or_default();
        let mut add = |name: &str, value: String| {
            if !named.keys().any(|known| known.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value));
            }
        };
        if method != "OPTIONS" {
            add("Tus-Resumable", "1.0.0".to_owned());
        }
        if method == "PATCH" {
            add("Content-Type", "application/offset+octet-stream".to_owned());
        }
        if chunked {
            add("Transfer-Encoding", "chunked".to_owned());
        } else if !json["body"].is_null() {
            add("Content-Length", body.len().to_string());
        }
        headers.extend(pairs(&named, names));
        Self {
            method,
            to,
            headers,
            body,
            chunked,
            trailers: pairs(json["trailers"].as_object().unwrap_or(&Map::new()), names),
            cut_after: json["cut_after"].as_u64().map(size),
        }
    }

    /// What of the body comes.
    pub(crate) fn arriving(&self) -> &[u8] {
        &self.body[..self.cut_after.unwrap_or(self.body.len())]
    }
}

/// An upload as a row describes it before its first request.
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) length: Option<u64>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) metadata: Option<String>,
    pub(crate) concat: Option<String>,
    pub(crate) expired: bool,
}

/// The uploads of a row, final ones last.
pub(crate) fn states(row: &Row) -> Vec<State> {
    let none = Map::new();
    let named = row.json["state"].as_object().unwrap_or(&none);
    let mut states: Vec<_> = named
        .iter()
        .filter(|(name, _)| *name != "server")
        .map(|(name, json)| {
            keys(&row.at, json, "length bytes metadata concat expired");
            State {
                name: name.clone(),
                length: (json["length"] != "deferred").then(|| number(&json["length"])),
                bytes: bytes(&json["bytes"]),
                metadata: json["metadata"].as_str().map(str::to_owned),
                concat: json["concat"].as_str().map(str::to_owned),
                expired: json["expired"] == true,
            }
        })
        .collect();
    states.sort_by_key(|state| state.is_final());
    states
}

impl State {
    pub(crate) fn is_final(&self) -> bool {
        self.concat.as_deref().is_some_and(|it| it != "partial")
    }
}

/// The requests of a row with what is expected of them.
pub(crate) fn steps(row: &Row) -> Vec<&Value> {
    let then = row.json["then"].as_array().into_iter().flatten();
    std::iter::once(&row.json).chain(then).collect()
}

/// One upload as it is, by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) length: Option<u64>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) type Snapshot = BTreeMap<String, Seen>;

/// What came of a request.
pub(crate) struct Came<'a> {
    /// `None` when there was no answer.
    pub(crate) status: Option<u16>,
    pub(crate) header: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) before: &'a Snapshot,
    pub(crate) after: &'a Snapshot,
    /// The path of the upload that the request is about, a created one included.
    pub(crate) about: &'a str,
}

/// Everything that is not as the row wants it.
pub(crate) fn judge(at: &str, expect: &Value, names: &Names, came: &Came<'_>) -> Vec<String> {
    keys(at, expect, "status headers after");
    let mut wrong = Vec::new();
    let mut check = |right: bool, what: String| {
        if !right {
            wrong.push(format!("{at}: {what}"));
        }
    };
    let statuses: Vec<_> = match &expect["status"] {
        Value::Array(several) => several.iter().map(Value::as_u64).collect(),
        one => vec![one.as_u64()],
    };
    check(
        statuses.contains(&came.status.map(u64::from)),
        format!("status {:?}, not {}", came.status, expect["status"]),
    );
    let none = Map::new();
    for (name, wanted) in expect["headers"].as_object().unwrap_or(&none) {
        let found = (came.header)(name);
        check(
            matches(found.as_deref(), wanted, names),
            format!("{name} is {found:?}, not {wanted}"),
        );
    }
    let after = &expect["after"];
    if after.is_null() {
        check(
            came.before == came.after,
            "the state was changed".to_owned(),
        );
        return wrong;
    }
    keys(at, after, "length bytes gone count");
    let seen = came.after.get(came.about);
    if after["gone"] == true {
        check(seen.is_none(), "the upload is still there".to_owned());
    }
    if !after["length"].is_null() {
        let found = seen.map(|seen| seen.length);
        check(
            found == Some(after["length"].as_u64()),
            format!("the length is {found:?}, not {}", after["length"]),
        );
    }
    if !after["bytes"].is_null() {
        let found = seen.map(|seen| String::from_utf8_lossy(&seen.bytes));
        check(
            seen.is_some_and(|seen| seen.bytes == bytes(&after["bytes"])),
            format!("the bytes are {found:?}, not {}", after["bytes"]),
        );
    }
    if !after["count"].is_null() {
        let found = came.after.len();
        check(
            found == size(number(&after["count"])),
            format!("{found} uploads, not {}", after["count"]),
        );
    }
    wrong
}

/// Whether a header is as wanted.
pub(crate) fn matches(found: Option<&str>, wanted: &Value, names: &Names) -> bool {
    match wanted {
        Value::Bool(present) => found.is_some() == *present,
        Value::String(text) => found == Some(&*fill(text, names)),
        Value::Object(how) if how.contains_key("like") => {
            found.is_some_and(|found| like(found.as_bytes(), text(&how["like"]).as_bytes()))
        }
        Value::Object(how) if how.contains_key("lists") => found.is_some_and(|found| {
            let found: BTreeSet<_> = found.split(',').map(str::trim).collect();
            text(&how["lists"]).split(',').all(|it| found.contains(it))
        }),
        other => panic!("a header cannot be {other}"),
    }
}

/// `*` stands for any text, `?` for one character.
fn like(text: &[u8], pattern: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, _) => text.is_empty(),
        (Some(b'*'), _) => {
            like(text, &pattern[1..]) || (!text.is_empty() && like(&text[1..], pattern))
        }
        (Some(wanted), Some(found)) => {
            (wanted == found || *wanted == b'?') && like(&text[1..], &pattern[1..])
        }
        (Some(_), None) => false,
    }
}

/// The path of an upload among the names that rows use.
pub(crate) fn name(names: &mut Names, name: &str, path: &str) {
    let key = path.rsplit('/').next().unwrap_or_default();
    names.insert(format!("{name}.key"), key.to_owned());
    names.insert(name.to_owned(), path.to_owned());
}

/// Puts what it stands for in the place of each name.
pub(crate) fn fill(text: &str, names: &Names) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

/// Header lines; a list is a header that is there several times, null one that is left out.
pub(crate) fn pairs(headers: &Map<String, Value>, names: &Names) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in headers {
        let values = match value {
            Value::Null => &[][..],
            Value::Array(several) => several,
            one => std::slice::from_ref(one),
        };
        pairs.extend(
            values
                .iter()
                .map(|value| (name.clone(), fill(text(value), names))),
        );
    }
    pairs
}

/// A text, or `{"repeat": text, "count": n}`; nothing for null.
pub(crate) fn bytes(json: &Value) -> Vec<u8> {
    match json {
        Value::Null => Vec::new(),
        Value::String(text) => text.as_bytes().to_vec(),
        long => text(&long["repeat"])
            .repeat(size(number(&long["count"])))
            .into_bytes(),
    }
}

pub(crate) fn text(json: &Value) -> &str {
    json.as_str()
        .unwrap_or_else(|| panic!("a text, not {json}"))
}

pub(crate) fn list(json: &Value) -> &[Value] {
    json.as_array()
        .unwrap_or_else(|| panic!("a list, not {json}"))
}

pub(crate) fn number(json: &Value) -> u64 {
    json.as_u64()
        .unwrap_or_else(|| panic!("a number, not {json}"))
}

pub(crate) fn size(number: u64) -> usize {
    usize::try_from(number).expect("rows are small")
}

/// A misspelt key would make a row that holds nothing.
pub(crate) fn keys(at: &str, json: &Value, known: &str) {
    for key in json.as_object().into_iter().flatten().map(|(key, _)| key) {
        assert!(
            known.split(' ').any(|it| it == key),
            "{at}: what is {key:?}?"
        );
    }
}

/// The value with `{each}` replaced in all of its texts.
fn filled(json: &Value, each: &str) -> Value {
    match json {
        Value::String(text) => Value::String(text.replace("{each}", each)),
        Value::Array(items) => items.iter().map(|item| filled(item, each)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), filled(value, each)))
            .collect(),
        other => other.clone(),
    }
}
