//! `explain`: codes in words. Each kind has one table, and the tables stand with what they are about.

mod http;
mod word;

use serde_json::{Map, Value, json};
use stream_api::{Again, ERROR_CODES, ERROR_REASONS};

use super::args::ExplainArgs;
use super::console::{Console, harmless};
use super::exit::{self, CliError, Code};

/// How many known codes are named to somebody who asked for an unknown one.
const NEAR: usize = 3;

/// One row of any table.
#[derive(Debug)]
struct Explanation {
    kind: Kind,
    code: String,
    /// Another name for it.
    word: Option<&'static str>,
    /// The HTTP status that it comes with, if it is not one.
    status: Option<u16>,
    meaning: String,
    cause: &'static str,
    remedy: &'static str,
    again: Again,
    /// What `put` does about it by itself, request by request.
    handling: Vec<(&'static str, &'static str)>,
}

/// Numbers of different kinds never meet: exit codes are below 256 and no statuses, Stream's codes are above 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exit,
    Http,
    Stream,
    Reason,
    Word,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Exit,
        Self::Http,
        Self::Stream,
        Self::Reason,
        Self::Word,
    ];

    /// For people: one of them, and all of them.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Exit => ("exit code", "Exit codes"),
            Self::Http => ("HTTP status", "HTTP statuses"),
            Self::Stream => ("Stream's code", "Codes of Stream's API"),
            Self::Reason => (
                "Stream's reason",
                "Reasons why a video or a broadcast failed",
            ),
            Self::Word => ("word", "Words of --json"),
        }
    }

    /// For machines.
    fn word(self) -> &'static str {
        match self {
            Self::Exit => "exit-code",
            Self::Http => "http-status",
            Self::Stream => "stream-code",
            Self::Reason => "stream-reason",
            Self::Word => "word",
        }
    }
}

/// Explains one code, or lists all.
pub(crate) fn run(args: &ExplainArgs, console: &Console) -> Result<Code, CliError> {
    let all = all();
    let wanted = args.code.as_deref();
    let found: Vec<_> = all
        .iter()
        .filter(|row| wanted.is_none_or(|wanted| row.answers_to(wanted)))
        .collect();
    if let Some(wanted) = wanted.filter(|_| found.is_empty()) {
        return Err(unknown(wanted, &all));
    }
    if args.json {
        for row in found {
            console.json("explanation", row.fields());
        }
    } else if wanted.is_some() {
        for row in found {
            row.print(console);
        }
    } else {
        list(&all, console);
    }
    Ok(Code::Done)
}

fn list(all: &[Explanation], console: &Console) {
    for kind in Kind::ALL {
        console.out(format_args!("{}:", kind.names().1));
        let rows: Vec<_> = all.iter().filter(|row| row.kind == kind).collect();
        let width = rows.iter().map(|row| row.code.len()).max().unwrap_or(0);
        for row in rows {
            console.out(format_args!("  {:width$}  {}", row.code, row.meaning));
        }
    }
}

fn all() -> Vec<Explanation> {
    let exit = exit::TABLE.iter().map(|row| Explanation {
        kind: Kind::Exit,
        code: (row.code as u8).to_string(),
        word: Some(row.word),
        status: None,
        meaning: row.meaning.to_owned(),
        cause: row.cause,
        remedy: row.remedy,
        again: row.again,
        handling: Vec::new(),
    });
    let http = http::TABLE.iter().map(|row| Explanation {
        kind: Kind::Http,
        code: row.status.to_string(),
        word: None,
        status: None,
        meaning: row.meaning(),
        cause: row.cause,
        remedy: row.remedy,
        again: row.again,
        handling: row.handling().to_vec(),
    });
    let stream = ERROR_CODES.iter().map(|row| Explanation {
        kind: Kind::Stream,
        code: row.code.to_string(),
        word: None,
        status: row.status,
        meaning: row.meaning.to_owned(),
        cause: row.cause,
        remedy: row.remedy,
        again: row.again,
        handling: Vec::new(),
    });
    let reasons = ERROR_REASONS.iter().map(|row| Explanation {
        kind: Kind::Reason,
        code: row.code.to_owned(),
        word: None,
        status: None,
        meaning: row.meaning.to_owned(),
        cause: row.cause,
        remedy: row.remedy,
        again: row.again,
        handling: Vec::new(),
    });
    let words = word::TABLE.iter().map(|row| Explanation {
        kind: Kind::Word,
        code: row.word.to_owned(),
        word: None,
        status: None,
        meaning: row.meaning.to_owned(),
        cause: row.cause,
        remedy: row.remedy,
        again: row.again,
        handling: Vec::new(),
    });
    exit.chain(http)
        .chain(stream)
        .chain(reasons)
        .chain(words)
        .collect()
}

impl Explanation {
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.code.as_str()).chain(self.word)
    }

    fn answers_to(&self, wanted: &str) -> bool {
        let wanted = plain(wanted);
        self.names().any(|name| plain(name) == wanted)
    }

    fn print(&self, console: &Console) {
        let beside = match (self.word, self.status) {
            (Some(word), _) => format!(" ({word})"),
            (None, Some(status)) => format!(" (HTTP {status})"),
            (None, None) => String::new(),
        };
        let (kind, code) = (self.kind.names().0, &self.code);
        console.out(format_args!("{kind} {code}{beside}: {}", self.meaning));
        console.out(format_args!("  cause:   {}", self.cause));
        console.out(format_args!("  remedy:  {}", self.remedy));
        console.out(format_args!("  again:   {}", again_words(self.again)));
        if let [first, rest @ ..] = self.handling.as_slice() {
            let told = if rest.iter().all(|other| other.1 == first.1) {
                first.1.to_owned()
            } else {
                let each: Vec<_> = self
                    .handling
                    .iter()
                    .map(|(request, words)| format!("{request}: {words}"))
                    .collect();
                each.join("; ")
            };
            console.out(format_args!("  put:     {told}"));
        }
    }

    fn fields(&self) -> Value {
        let code = match self.code.parse::<u64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(self.code.as_str()),
        };
        let handling: Map<_, _> = self
            .handling
            .iter()
            .map(|(request, words)| (request.to_lowercase(), Value::from(*words)))
            .collect();
        json!({
            "kind": self.kind.word(),
            "code": code,
            "word": self.word,
            "status": self.status,
            "meaning": self.meaning,
            "cause": self.cause,
            "remedy": self.remedy,
            "again": match self.again {
                Again::Yes => "yes",
                Again::No => "no",
                _ => "after-remedy",
            },
            "handling": handling,
        })
    }
}

fn again_words(again: Again) -> &'static str {
    match again {
        Again::Yes => "yes, the same command helps as it is",
        Again::No => "running it again changes nothing",
        _ => "only once the remedy was applied",
    }
}

/// Case and the two ways to join words do not matter.
fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace('_', "-")
}

fn unknown(wanted: &str, all: &[Explanation]) -> CliError {
    let mut near: Vec<_> = all
        .iter()
        .flat_map(Explanation::names)
        .filter_map(|name| Some((distance(wanted, name)?, name)))
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    let mut names: Vec<_> = near.into_iter().map(|(_, name)| name).collect();
    names.dedup();
    names.truncate(NEAR);
    CliError::usage(format!("nothing is known of {}", harmless(wanted))).hint(format!(
        "near it are {}; `stream-upload explain` lists all",
        names.join(", ")
    ))
}

/// How far a name is from what was asked for; `None` where a number and a word are compared.
fn distance(wanted: &str, name: &str) -> Option<u64> {
    match (wanted.trim().parse::<u64>(), name.parse::<u64>()) {
        (Ok(wanted), Ok(name)) => Some(wanted.abs_diff(name)),
        (Err(_), Err(_)) => {
            let likeness = strsim::jaro_winkler(&plain(wanted), &plain(name));
            Some(((1.0 - likeness) * 1000.0) as u64)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_name_has_one_kind_only() {
        let mut kinds = HashMap::new();
        for row in all() {
            for name in row.names() {
                let first = *kinds.entry(plain(name)).or_insert(row.kind);
                assert_eq!(first, row.kind, "{name}");
            }
        }
    }

    #[test]
    fn every_row_says_what_it_means_why_and_what_to_do() {
        for row in all() {
            for text in [row.meaning.as_str(), row.cause, row.remedy] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{row:?}");
            }
        }
    }

    #[test]
    fn an_unknown_code_leads_to_the_nearest_known_ones() {
        let hint = |wanted| unknown(wanted, &all()).hint.unwrap();
        assert!(hint("411").contains("410, 412"), "{}", hint("411"));
        assert!(hint("bussy").contains("busy"), "{}", hint("bussy"));
        assert!(
            hint("NON_VIDEO").contains("ERR_NON_VIDEO"),
            "{}",
            hint("NON_VIDEO")
        );
    }
}
