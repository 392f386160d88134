//! `state prune`: forgets what is of no use any more, and says what that was.

use std::time::SystemTime;

use resume_store::{PruneOptions, SledStore};
use serde_json::json;

use super::record::Remembered;
use super::{failed, look, named};
use crate::cli::args::StatePruneArgs;
use crate::cli::console::Console;
use crate::cli::exit::{CliError, Code};

pub(super) fn run(
    store: &SledStore,
    args: &StatePruneArgs,
    console: &Console,
) -> Result<Code, CliError> {
    let mut options = PruneOptions::default();
    if args.dry_run {
        options = options.with_dry_run();
    }
    if let Some(age) = args.older_than {
        options = options.with_unfinished_after(age).with_damaged_after(age);
    }
    for which in &args.forget {
        for one in named(look(store)?, which)? {
            options = options.with_named(one.fingerprint);
        }
    }
    let report = store.prune(&options, SystemTime::now()).map_err(failed)?;

    let records: Vec<_> = report
        .records
        .into_iter()
        .map(|(fingerprint, record)| Remembered::new(fingerprint, record, None))
        .collect();
    let (trails, leases, busy) = (report.trails.len(), report.leases.len(), report.busy.len());
    if args.json {
        for one in &records {
            console.json("pruned", one.fields());
        }
        let fields = json!({
            "dry_run": args.dry_run,
            "records": records.len(),
            "trails": trails,
            "leases": leases,
            "damaged": report.damaged,
            "busy": busy,
        });
        console.json("summary", fields);
        return Ok(Code::Done);
    }
    let (forgot, removed) = if args.dry_run {
        ("would forget", "would remove")
    } else {
        ("forgot", "removed")
    };
    for one in &records {
        console.out(format_args!(
            "{forgot} {} upload of {} to {}",
            one.state(),
            one.source(),
            one.destination()
        ));
    }
    for path in &report.damaged {
        console.out(format_args!("{removed} {}", path.display()));
    }
    if trails + leases > 0 {
        console.out(format_args!(
            "{removed} {} that no upload needs",
            count(trails + leases, "leftover file")
        ));
    }
    if busy > 0 {
        console.note(format_args!(
            "left alone, for it is in use: {}",
            count(busy, "upload")
        ));
    }
    if records.is_empty() && report.damaged.is_empty() && trails + leases == 0 {
        console.note("nothing to forget");
    }
    Ok(Code::Done)
}

fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}
