//! A simulator: the client machine and the server machine in virtual time, over a link that loses things.
//!
//! Everything about a run follows from one seed: the upload, the habits of the server, what befalls which request, when the
//! server falls and the client dies, what of its store it finds again, how its clock is set. After every step the invariants are held against what really happened, which the
//! simulator knows and the client does not:
//!
//! - the bytes on the server are the source's, at any time and at the end;
//! - the server's offset never exceeds what it stored, and nothing is confirmed that the server did not say;
//! - no PATCH without a fresh offset: each begins at what the last answer told, with nothing in between;
//! - no second creation without a reported doubt, and no second whole upload unless the service was wrong;
//! - a chunk keeps the rule and lies within what the source still has;
//! - waits are bounded, announced waits are kept, and what makes no progress is separated by waits;
//! - the number of requests is bounded by what went wrong;
//! - once faults stop the upload ends; it fails only for a reason that happened.
//!
//! [`run`] runs one seed, [`operations::run`] feeds the machines with anything whatsoever.

mod bodies;
mod checker;
mod habits;
mod hearing;
mod judge;
mod mishap;
pub mod operations;
mod options;
mod oracle;
mod pair;
mod process;
mod random;
mod report;
mod send;
mod site;
mod store;
#[cfg(test)]
mod tests;
mod turns;
mod world;

pub use habits::{Grid, Habits, Locks, Wants};
pub use mishap::Mishap;
pub use options::{Beginning, Options, Oracle, Wishes};
pub use pair::Pair;
pub use random::Random;
pub use report::{Breach, Report};

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::client::Now;

/// Runs the seed; after a breach once more, with a trace.
///
/// # Errors
/// [`Breach`], whose `Display` says all that is needed to look into it.
pub fn run(seed: u64, base: Now) -> Result<Report, Box<Breach>> {
    let options = Options::from_seed(seed);
    let pair = AssertUnwindSafe(|| Pair::new(options.clone(), base).run());
    let found = catch_unwind(pair).unwrap_or_else(|_| {
        Err(Breach {
            seed,
            ..Breach::new("nothing panics", "it did")
        })
    });
    found.map_err(|first| {
        let again = AssertUnwindSafe(|| Pair::new(options, base).traced().run());
        let traced = catch_unwind(again).ok().and_then(Result::err);
        Box::new(traced.unwrap_or(first))
    })
}
