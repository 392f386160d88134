//! Figures: one JSON line each as soon as it is known, and a table of all at the end.

use std::fmt;
use std::io::Write as _;

use serde_json::{Value, json};
use test_support::stats::{confidence, median};

/// What a ratio is held against. The whole confidence interval must be on the good side of it: a
/// median that is good by luck does not pass.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

impl Target {
    fn number(self) -> f64 {
        match self {
            Self::AtLeast(number) | Self::AtMost(number) => number,
        }
    }

    fn holds(self, (low, high): (f64, f64)) -> bool {
        match self {
            Self::AtLeast(number) => low >= number,
            Self::AtMost(number) => high <= number,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(number) => write!(f, ">= {number:.2}"),
            Self::AtMost(number) => write!(f, "<= {number:.2}"),
        }
    }
}

/// One measured ratio and its verdict.
#[derive(Debug)]
pub(crate) struct Figure {
    name: String,
    sample: Vec<f64>,
    target: Option<Target>,
    /// Whether missing the target fails the gate, or is only shown.
    gated: bool,
    note: String,
}

impl Figure {
    /// A figure that the gate holds to its target.
    pub(crate) fn gated(name: impl Into<String>, sample: Vec<f64>, target: Target) -> Self {
        Self {
            target: Some(target),
            gated: true,
            ..Self::told(name, sample)
        }
    }

    /// A figure whose target is an aim for later: a miss is shown and fails nothing.
    pub(crate) fn aimed(name: impl Into<String>, sample: Vec<f64>, target: Target) -> Self {
        Self {
            target: Some(target),
            ..Self::told(name, sample)
        }
    }

    /// A figure without a target, for whoever wants to know.
    pub(crate) fn told(name: impl Into<String>, sample: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            sample,
            target: None,
            gated: false,
            note: String::new(),
        }
    }

    /// Adds a word for the table, such as the absolute numbers behind the ratio.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// The figures of one bench.
#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    lines: Vec<Value>,
}

impl Report {
    pub(crate) fn new(bench: &'static str) -> Self {
        Self {
            bench,
            lines: Vec::new(),
        }
    }

    /// Whether a gated figure missed its target.
    pub(crate) fn missed(&self) -> bool {
        missed(&self.lines)
    }

    /// Judges a figure, prints its JSON line and keeps it for the table.
    ///
    /// # Errors
    /// When there is nothing to judge, or standard output is gone.
    pub(crate) fn add(&mut self, figure: Figure) -> std::io::Result<()> {
        let Figure {
            name,
            sample,
            target,
            gated,
            note,
        } = figure;
        if sample.is_empty() {
            let text = format!("{name} has no sample");
            return Err(std::io::Error::other(text));
        }
        let interval = confidence(&sample);
        self.print(json!({
            "name": format!("{}.{name}", self.bench),
            "n": sample.len(),
            "ratio_median": rounded(median(&sample)),
            "ci_lo": rounded(interval.0),
            "ci_hi": rounded(interval.1),
            "target": target.map(Target::number),
            "pass": target.map(|target| target.holds(interval)),
            "gated": gated,
            "wanted": target.map(|target| target.to_string()),
            "note": note,
        }))
    }

    /// Says that something could not be measured here, which is neither a pass nor a miss.
    ///
    /// # Errors
    /// When standard output is gone.
    pub(crate) fn skip(&mut self, name: &str, why: &str) -> std::io::Result<()> {
        self.print(json!({
            "name": format!("{}.{name}", self.bench),
            "n": 0,
            "skipped": why,
        }))
    }

    fn print(&mut self, line: Value) -> std::io::Result<()> {
        writeln!(std::io::stdout(), "{line}")?;
        self.lines.push(line);
        Ok(())
    }

    /// Prints all figures for people.
    pub(crate) fn table(&self) {
        table(&self.lines);
    }
}

/// Whether a gated figure of these lines missed its target.
pub(crate) fn missed(lines: &[Value]) -> bool {
    lines
        .iter()
        .any(|line| line["gated"] == true && line["pass"] == false)
}

/// Prints the figures of these lines for people.
pub(crate) fn table(lines: &[Value]) {
    let titles = ["figure", "n", "median", "95 % CI", "target", "", ""].map(str::to_owned);
    let rows: Vec<[String; 7]> = lines.iter().map(row).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&titles]);
        cells.map(|row| row[column].chars().count()).max()
    };
    let widths: [usize; 7] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for row in [&titles].into_iter().chain(&rows) {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        say(format_args!("{}", line.join("  ").trim_end()));
    }
}

fn row(line: &Value) -> [String; 7] {
    let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let number = |field: &str| line[field].as_f64().unwrap_or(f64::NAN);
    if let Some(why) = line["skipped"].as_str() {
        let empty = String::new;
        let why = format!("skipped: {why}");
        return [
            text("name"),
            "0".into(),
            empty(),
            empty(),
            empty(),
            why,
            empty(),
        ];
    }
    let verdict = match (line["pass"].as_bool(), line["gated"] == true) {
        (None, _) => "",
        (Some(true), _) => "ok",
        (Some(false), true) => "MISSED",
        (Some(false), false) => "MISSED (aim)",
    };
    [
        text("name"),
        line["n"].to_string(),
        format!("{:.3}", number("ratio_median")),
        format!("{:.3}..{:.3}", number("ci_lo"), number("ci_hi")),
        text("wanted"),
        verdict.to_owned(),
        text("note"),
    ]
}

/// Four digits after the point: what follows is noise, and makes two runs hard to compare by eye.
fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

/// A line for people, on standard error. That it cannot be written stops no measurement.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
