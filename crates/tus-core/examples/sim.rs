//! Any number of simulated uploads.
//!
//! ```sh
//! cargo run --release -p tus-core --features sim --example sim -- --seeds 1000000 --from 0
//! ```
//!
//! With `--operations` the machines are fed with anything whatsoever instead of being joined. With `--trace` and one seed, the
//! options and the trace are printed even if all is well.
#![expect(clippy::print_stdout, reason = "a command prints")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use tus_core::client::Now;
use tus_core::sim::{self, Options, Pair, Report};

fn main() -> ExitCode {
    let mut from = 0_u64;
    let mut seeds = 10_000_u64;
    let mut trace = false;
    let mut operations = false;
    let mut understood = true;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse().ok());
        match arg.as_str() {
            "--from" => understood &= number().map(|n| from = n).is_some(),
            "--seeds" => understood &= number().map(|n| seeds = n).is_some(),
            "--trace" => trace = true,
            "--operations" => operations = true,
            _ => understood = false,
        }
    }
    if !understood {
        println!("usage: sim [--seeds N] [--from SEED] [--trace] [--operations]");
        return ExitCode::from(2);
    }
    let base = Now {
        instant: Instant::now(),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    };
    let began = Instant::now();
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let work = |worker: u64| {
        let mut total = Report::default();
        let mut breaches = BTreeMap::<&str, (u64, Box<sim::Breach>)>::new();
        for n in (worker..seeds).step_by(workers as usize) {
            let seed = from.wrapping_add(n);
            let found = if operations {
                sim::operations::run(seed, base).map(|()| Report::default())
            } else {
                sim::run(seed, base)
            };
            match found {
                Ok(report) => total.add(&report),
                Err(breach) => {
                    let entry = breaches.entry(breach.invariant).or_insert((0, breach));
                    entry.0 += 1;
                }
            }
        }
        (total, breaches)
    };
    let mut total = Report::default();
    let mut broken = 0;
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..workers).map(|n| scope.spawn(move || work(n))).collect();
        for thread in threads {
            let Ok((report, breaches)) = thread.join() else {
                broken += 1;
                continue;
            };
            total.add(&report);
            for (count, breach) in breaches.into_values() {
                broken += count;
                if !operations {
                    println!("{:#?}", Options::from_seed(breach.seed));
                }
                println!("{breach}({count} of this kind)\n");
            }
        }
    });
    if trace && seeds == 1 {
        println!("{:#?}", Options::from_seed(from));
        for line in Pair::new(Options::from_seed(from), base).trace() {
            println!("{line}");
        }
    }
    println!("{total:#?}");
    let took = began.elapsed();
    let speed = seeds as f64 / took.as_secs_f64();
    println!("{seeds} seeds in {took:.1?}: {speed:.0}/s; {broken} broken");
    if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
