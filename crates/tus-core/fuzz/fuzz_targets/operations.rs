//! Both machines under any sequence of operations, and joined over a lossy link: the simulator, its seeds chosen by coverage.
#![no_main]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use libfuzzer_sys::fuzz_target;
use tus_core::client::Now;
use tus_core::sim;

static BASE: OnceLock<Now> = OnceLock::new();

fuzz_target!(|seed: u64| {
    let base = *BASE.get_or_init(|| Now {
        instant: Instant::now(),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    });
    if let Err(breach) = sim::operations::run(seed, base) {
        panic!("{breach}");
    }
    if let Err(breach) = sim::run(seed, base) {
        panic!("{breach}");
    }
});
