//! The catalogue of faults: one test per row, named by the row. Run all with `cargo test --test faults`, one with
//! `cargo test --test faults -- f03`; `UPDATE_DOCS=1` writes what was seen into `tests/FAULTS.md`.
//!
//! After every fault the same has to hold (`proof.rs`), and a judge that shares nothing with the client says so.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod answers;
mod disk;
mod network;
mod nth;
mod process;
mod proof;
mod report;
mod row;
mod server;
mod source;
mod state;
#[path = "../suite/world.rs"]
#[expect(dead_code, reason = "the suite needs more of it")]
mod world;

use libtest_mimic::Arguments;
use report::Report;
use row::Row;

/// Every row of the catalogue, in its order.
fn rows() -> Vec<Row> {
    let parts = [
        network::rows(),
        answers::rows(),
        state::rows(),
        server::rows(),
        nth::rows(),
        process::rows(),
        source::rows(),
    ];
    parts.into_iter().flatten().collect()
}

fn main() {
    let arguments = Arguments::from_args();
    let report = Report::default();
    let trials = rows().into_iter().map(|row| row.trial(&report)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if std::env::var_os("UPDATE_DOCS").is_some() && !conclusion.has_failed() {
        report.write();
    }
    conclusion.exit();
}
