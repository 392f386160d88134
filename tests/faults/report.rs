//! What was seen, row by row, for `tests/FAULTS.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::row::{Ended, Seen};

/// How one row ended.
pub(crate) enum Outcome {
    Survived(Seen),
    /// The reason why it cannot run on this machine.
    NotHere(String),
}

impl Outcome {
    pub(crate) fn of(ended: Ended) -> Self {
        match ended {
            Ok(seen) => Self::Survived(seen),
            Err(why) => Self::NotHere(why),
        }
    }
}

/// Gathers what the rows have seen.
#[derive(Clone, Default)]
pub(crate) struct Report {
    rows: Arc<Mutex<BTreeMap<&'static str, (&'static str, Outcome)>>>,
}

impl Report {
    pub(crate) fn add(&self, id: &'static str, injected: &'static str, outcome: Outcome) {
        self.rows.lock().unwrap().insert(id, (injected, outcome));
    }

    /// Writes the table.
    pub(crate) fn write(&self) {
        let rows = self.rows.lock().unwrap();
        let survived = rows
            .values()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Survived(_)))
            .count();
        let mut text = format!(
            "# Faults\n\nWritten by `UPDATE_DOCS=1 cargo test --test faults`. {survived} of {} rows survived; a row that cannot run \
             on the machine says why.\n\n\
             | row | how injected | times | result | re-sent per break, median (max) | noticed after | remark |\n\
             |---|---|---|---|---|---|---|\n",
            rows.len()
        );
        for (id, (injected, outcome)) in rows.iter() {
            let line = match outcome {
                Outcome::Survived(seen) => format!(
                    "| {id} | {injected} | {} | survived | {} | {} | {} |",
                    seen.times,
                    bytes(&seen.resent),
                    times(&seen.noticed),
                    seen.remark.as_deref().unwrap_or("")
                ),
                Outcome::NotHere(why) => format!("| {id} | {injected} | 0 | not run | | | {why} |"),
            };
            writeln!(text, "{line}").unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/FAULTS.md");
        std::fs::write(path, text).unwrap();
    }
}

fn bytes(all: &[u64]) -> String {
    let show = |bytes: u64| match bytes {
        0 => "0".to_owned(),
        few if few < 10_240 => format!("{few} B"),
        more => format!("{} KiB", more.div_ceil(1024)),
    };
    median_and_max(all)
        .map(|(median, max)| format!("{} ({})", show(median), show(max)))
        .unwrap_or_default()
}

fn times(all: &[Duration]) -> String {
    let millis: Vec<_> = all
        .iter()
        .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        .collect();
    median_and_max(&millis)
        .map(|(median, max)| format!("{median} ms ({max} ms)"))
        .unwrap_or_default()
}

fn median_and_max(all: &[u64]) -> Option<(u64, u64)> {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}
