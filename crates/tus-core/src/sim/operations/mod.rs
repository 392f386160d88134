//! The machines fed with anything whatsoever: no world behind it, no sense in it.
//!
//! [`run`] expands a seed into a sequence of operations on the client machine (answers that no server gives, faults, words of
//! a service, jumps in time, calls at the wrong moment) and of request heads for the server machine. Whatever comes: no
//! panic, a step that does not change until the machine is fed, waits within bounds, and no endless haste.

mod client;
mod server;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::client::Now;
use crate::sim::{Breach, Random};

/// Runs one seed against both machines.
///
/// # Errors
/// [`Breach`], with the operations before it as its trace.
pub fn run(seed: u64, base: Now) -> Result<(), Box<Breach>> {
    let mut random = Random::new(seed);
    let mut trace = Vec::new();
    let whole = AssertUnwindSafe(|| {
        client::run(&mut random, base, &mut trace)?;
        server::run(&mut random, base.wall, &mut trace)
    });
    let found =
        catch_unwind(whole).unwrap_or_else(|_| Err(Breach::new("nothing panics", "it did")));
    found.map_err(|breach| {
        Box::new(Breach {
            seed,
            trace,
            operations: true,
            ..breach
        })
    })
}
