//! Figures: one JSON line each as soon as it is known, and a table of all at the end.

use std::fmt;
use std::io::Write as _;

use super::stats::{confidence, median};

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
    target: Target,
    /// Whether missing the target fails the gate, or is only shown.
    gated: bool,
    note: String,
}

impl Figure {
    /// A figure that the gate holds to its target.
    pub(crate) fn gated(name: impl Into<String>, sample: Vec<f64>, target: Target) -> Self {
        Self {
            name: name.into(),
            sample,
            target,
            gated: true,
            note: String::new(),
        }
    }

    /// A figure whose target is an aim for later: a miss is shown and fails nothing.
    pub(crate) fn aimed(name: impl Into<String>, sample: Vec<f64>, target: Target) -> Self {
        Self {
            gated: false,
            ..Self::gated(name, sample, target)
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
    rows: Vec<[String; 7]>,
    missed: bool,
}

impl Report {
    pub(crate) fn new(bench: &'static str) -> Self {
        Self {
            bench,
            rows: Vec::new(),
            missed: false,
        }
    }

    /// Whether a gated figure missed its target.
    pub(crate) fn missed(&self) -> bool {
        self.missed
    }

    /// Judges a figure, prints its JSON line and keeps it for the table.
    ///
    /// # Errors
    /// When standard output is gone.
    pub(crate) fn add(&mut self, figure: Figure) -> std::io::Result<()> {
        let Figure {
            name,
            sample,
            target,
            gated,
            note,
        } = figure;
        let middle = median(&sample);
        let interval = confidence(&sample);
        let pass = target.holds(interval);
        let (low, high) = interval;
        let line = serde_json::json!({
            "name": format!("{}.{name}", self.bench),
            "n": sample.len(),
            "ratio_median": rounded(middle),
            "ci_lo": rounded(low),
            "ci_hi": rounded(high),
            "target": target.number(),
            "pass": pass,
        });
        writeln!(std::io::stdout(), "{line}")?;
        self.missed |= gated && !pass;
        let verdict = match (pass, gated) {
            (true, _) => "ok",
            (false, true) => "MISSED",
            (false, false) => "MISSED (aim)",
        };
        self.rows.push([
            name,
            sample.len().to_string(),
            format!("{middle:.3}"),
            format!("{low:.3}..{high:.3}"),
            target.to_string(),
            verdict.to_owned(),
            note,
        ]);
        Ok(())
    }

    /// Prints all figures for people.
    pub(crate) fn table(&self) {
        let titles = ["figure", "n", "median", "95 % CI", "target", "", ""].map(str::to_owned);
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&titles]);
            cells
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: [usize; 7] = std::array::from_fn(width);
        for row in [&titles].into_iter().chain(&self.rows) {
            let cells = row.iter().zip(widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            say(format_args!("{}", line.join("  ").trim_end()));
        }
    }
}

/// Four digits after the point: what follows is noise, and makes two runs hard to compare by eye.
fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

/// A line for people, on standard error. That it cannot be written stops no measurement.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
