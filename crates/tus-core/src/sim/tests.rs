//! Thousands of seeds in every run of the tests; any number by command, see [`Breach`].

use std::time::{Duration, Instant, SystemTime};

use super::*;

/// Runs of the pair. In a debug build on two cores a thousand take about a second.
const SEEDS: u64 = 10_000;
/// Runs of the operations.
const SEQUENCES: u64 = 3_000;

fn base() -> Now {
    Now {
        instant: Instant::now(),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
}

/// Runs `seeds` on all cores. The first breach of each ends the test with its options and its trace.
fn on_all_cores(seeds: u64, run: impl Fn(u64) -> Result<Report, Box<Breach>> + Sync) -> Report {
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    let work = |worker: u64| {
        let mut total = Report::default();
        for seed in (worker..seeds).step_by(workers as usize) {
            match run(seed) {
                Ok(report) => total.add(&report),
                Err(breach) if breach.operations => panic!("{breach}"),
                Err(breach) => panic!("{:#?}\n{breach}", Options::from_seed(breach.seed)),
            }
        }
        total
    };
    let mut total = Report::default();
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..workers).map(|n| scope.spawn(move || work(n))).collect();
        for thread in threads {
            total.add(&thread.join().expect("the breach is printed above"));
        }
    });
    total
}

#[test]
fn all_invariants_hold_for_ten_thousand_seeds() {
    let base = base();
    let total = on_all_cores(SEEDS, |seed| run(seed, base));
    println!("{total:#?}");
    // What never happens proves nothing.
    for mishap in Mishap::ALL {
        let often = total.befallen.get(&mishap).copied().unwrap_or(0);
        assert!(often > 50, "{mishap:?} befell {often} requests");
    }
    assert!(total.finished * 10 > SEEDS * 7, "most uploads finish");
    assert!(total.losses > 100 && total.rewinds > 100 && total.crashes > 500);
    assert!(total.realigned > 100 && total.overlooked > 10);
    for failure in [
        "Credentials",
        "Gone",
        "OneTimeUrl",
        "OutOfPatience",
        "Refused",
        "Vanished",
    ] {
        assert!(total.failures.contains_key(failure), "no {failure}");
    }
}

#[test]
fn nothing_panics_whatever_comes() {
    let base = base();
    on_all_cores(SEQUENCES, |seed| {
        operations::run(seed, base).map(|()| Report::default())
    });
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..50 {
        let trace = || Pair::new(Options::from_seed(seed), base()).trace();
        assert_eq!(trace(), trace(), "seed {seed}");
    }
}

#[test]
fn a_breach_says_how_to_see_it_again() {
    let breach = Breach {
        seed: 7,
        trace: (0..100).map(|line| format!("line {line}")).collect(),
        ..Breach::new("it holds", "it did not")
    };
    let text = breach.to_string();
    assert!(text.starts_with("seed 7: it should hold that it holds; it did not\n"));
    assert!(text.contains("line 99") && !text.contains("line 39\n"));
    assert!(text.contains("--example sim -- --from 7 --seeds 1"));
}
