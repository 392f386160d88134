//! Both machines under any sequence of operations, and joined over a lossy link: the simulator, its seeds chosen by coverage.
use std::sync::OnceLock;
use std::time::Instant;

use tus_core::client::Now;
use tus_core::sim;

use crate::heads;

static BASE: OnceLock<Now> = OnceLock::new();

pub(crate) fn run(bytes: &[u8]) {
    let Some(seed) = bytes.first_chunk().copied().map(u64::from_le_bytes) else {
        return;
    };
    let base = *BASE.get_or_init(|| Now {
        instant: Instant::now(),
        wall: heads::wall(),
    });
    if let Err(breach) = sim::operations::run(seed, base) {
        panic!("{breach}");
    }
    if let Err(breach) = sim::run(seed, base) {
        panic!("{breach}");
    }
}
