//! [`Show`]: an answer as people read it.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::cli::console::{Console, harmless};

/// A column's head, and where its value lies in an element.
pub(super) type Column = (&'static str, &'static str);

/// How an answer is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Show {
    /// A line for each element of the list that lies there, or that the answer is.
    List(&'static str, &'static [Column]),
    /// A line for each field.
    Object,
    /// Nothing: it is enough that it is done.
    Quiet,
    /// These texts in one line, with tabs between.
    Texts(&'static [&'static str]),
    /// The answer is a text.
    Whole,
}

impl Show {
    pub(super) fn print(self, answer: &Value, console: &Console) {
        match self {
            Self::List(at, columns) => {
                let list = answer.pointer(at).unwrap_or(answer);
                match list.as_array().filter(|list| !list.is_empty()) {
                    Some(list) => console.out(table(list, columns)),
                    None => console.note("there is none"),
                }
            }
            Self::Object => console.out(lines(answer)),
            Self::Quiet => {}
            Self::Texts(at) => {
                let texts: Vec<_> = at.iter().map(|at| cell(answer.pointer(at))).collect();
                console.out(texts.join("\t"));
            }
            Self::Whole => console.out_bytes(answer.as_str().unwrap_or_default().as_bytes()),
        }
    }
}

/// One line for each, as wide as its texts are: an id that is broken over lines cannot be copied.
fn table(list: &[Value], columns: &[Column]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|(head, _)| *head));
    for element in list {
        table.add_row(columns.iter().map(|(_, at)| cell(element.pointer(at))));
    }
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1));
    }
    table.trim_fmt()
}

/// Each field by its path, without what is empty.
fn lines(answer: &Value) -> String {
    let mut found = Vec::new();
    flatten("", answer, &mut found);
    let width = found.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0) + 2;
    let lines: Vec<_> = found
        .into_iter()
        .map(|(name, text)| format!("{name:width$}{text}"))
        .collect();
    lines.join("\n")
}

fn flatten(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    let below = |name: &str| match path {
        "" => harmless(name),
        path => format!("{path}.{}", harmless(name)),
    };
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&below(name), value, found);
            }
        }
        Value::Array(elements) if elements.iter().any(|it| it.is_object() || it.is_array()) => {
            for (index, value) in elements.iter().enumerate() {
                flatten(&below(&index.to_string()), value, found);
            }
        }
        Value::Array(elements) if elements.is_empty() => {}
        Value::String(text) if text.is_empty() => {}
        value => found.push((path.to_owned(), cell(Some(value)))),
    }
}

/// One value in a few words.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::Bool(true)) => "yes".into(),
        Some(Value::Bool(false)) => "no".into(),
        Some(Value::String(text)) if text.is_empty() => "-".into(),
        Some(Value::String(text)) => harmless(text),
        Some(Value::Array(elements)) if elements.is_empty() => "-".into(),
        Some(Value::Array(elements)) => {
            let texts: Vec<_> = elements.iter().map(|it| cell(Some(it))).collect();
            texts.join(", ")
        }
        Some(other) => harmless(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_line_for_each_element() {
        let list = [
            json!({"uid": "a", "status": {"state": "ready"}, "meta": {"name": "x\u{1b}[2J"}}),
            json!({"uid": "bb", "readyToStream": false}),
        ];
        let columns: &[Column] = &[
            ("ID", "/uid"),
            ("STATE", "/status/state"),
            ("NAME", "/meta/name"),
        ];
        let text = table(&list, columns);
        let words: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(words[0], ["ID", "STATE", "NAME"]);
        assert_eq!(words[1], ["a", "ready", "x\\u{1b}[2J"]);
        assert_eq!(words[2], ["bb", "-", "-"]);
    }

    #[test]
    fn an_object_is_a_line_for_each_field_that_says_something() {
        let answer = json!({"uid": "a", "meta": {"name": "n"}, "allowedOrigins": ["x", "y"],
            "watermark": null, "creator": "", "list": [{"b": true}], "none": []});
        let text = lines(&answer);
        let words: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let wanted: [&[&str]; 4] = [
            &["uid", "a"],
            &["meta.name", "n"],
            &["allowedOrigins", "x,", "y"],
            &["list.0.b", "yes"],
        ];
        assert_eq!(words, wanted);
    }
}
