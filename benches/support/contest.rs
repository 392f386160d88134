//! Several programs doing the same work in turn, over and over, so that each pair of them shares the
//! machine's moods.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use test_support::fixtures::TempDir;
use test_support::stats::{median, paired};

use super::child::{Cost, PATIENCE, run_within};
use super::{Failure, Watch, say};

/// A program that is ready to run, and what it needs until it has ended.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) command: Command,
    /// Its state folder, removed after the run.
    pub(crate) state: Option<TempDir>,
}

impl From<Command> for Prepared {
    fn from(command: Command) -> Self {
        Self {
            command,
            state: None,
        }
    }
}

type Prepare<'a> = Box<dyn Fn() -> Result<Prepared, Failure> + 'a>;
type Check<'a> = Box<dyn Fn() -> Result<(), Failure> + 'a>;

/// Programs that do the same work.
pub(crate) struct Contest<'a> {
    entries: Vec<(&'static str, Prepare<'a>)>,
    check: Check<'a>,
    patience: Duration,
    beside: Vec<u32>,
}

impl<'a> Contest<'a> {
    /// A contest in which `check` says after each run whether the work was done, and forgets it.
    pub(crate) fn new(check: impl Fn() -> Result<(), Failure> + 'a) -> Self {
        Self {
            entries: Vec::new(),
            check: Box::new(check),
            patience: PATIENCE,
            beside: Vec::new(),
        }
    }

    /// Another program. Put next to each other those that are compared.
    pub(crate) fn entry(
        mut self,
        name: &'static str,
        prepare: impl Fn() -> Result<Prepared, Failure> + 'a,
    ) -> Self {
        self.entries.push((name, Box::new(prepare)));
        self
    }

    /// A process of ours that runs beside all of them, such as their server.
    pub(crate) fn beside(mut self, pid: u32) -> Self {
        self.beside.push(pid);
        self
    }

    /// How long one run may take. Default: [`PATIENCE`].
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs everything once to warm up, which is not counted, and then `rounds` times. A round that
    /// others disturbed is done again, `again` times at most.
    pub(crate) async fn run(&self, rounds: usize, again: usize) -> Result<Results, Failure> {
        self.round(false).await?;
        self.run_warm(rounds, again).await
    }

    /// As [`run`](Self::run) without the round that warms up.
    pub(crate) async fn run_warm(&self, rounds: usize, again: usize) -> Result<Results, Failure> {
        let mut results = Results::default();
        for number in 0..rounds {
            for attempt in 0..=again {
                if attempt > 0 {
                    // Whoever disturbed is given a moment to finish; a build is not waited for.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                let watch = Watch::start(&self.beside)?;
                // ABBA: what changes steadily is to the good of each of a pair in turn.
                let costs = self.round(number % 2 == 1).await?;
                let disturbance = watch.disturbance()?;
                let walls: Vec<String> = costs
                    .iter()
                    .map(|(name, cost)| format!("{name} {:.3} s", cost.wall))
                    .collect();
                let remark = match &disturbance {
                    Some(what) if attempt < again => format!("; {what}, again"),
                    Some(what) => format!("; {what}, taken as it is"),
                    None => String::new(),
                };
                say(format_args!("round {number}: {}{remark}", walls.join(", ")));
                if disturbance.is_none() || attempt == again {
                    results.disturbed += usize::from(disturbance.is_some());
                    for (name, cost) in costs {
                        results.costs.entry(name).or_default().push(cost);
                    }
                    break;
                }
            }
        }
        if results.disturbed > 0 {
            say(format_args!(
                "{} of {rounds} rounds were disturbed: trust the CPU figures more than the others",
                results.disturbed
            ));
        }
        Ok(results)
    }

    async fn round(&self, backwards: bool) -> Result<Vec<(&'static str, Cost)>, Failure> {
        let mut costs = Vec::new();
        for place in 0..self.entries.len() {
            let place = if backwards {
                self.entries.len() - 1 - place
            } else {
                place
            };
            let (name, prepare) = &self.entries[place];
            let Prepared { command, state } = prepare()?;
            let run = run_within(command, false, self.patience).await?;
            drop(state);
            (self.check)().map_err(|why| format!("{name}: {why}"))?;
            costs.push((*name, run.cost));
        }
        Ok(costs)
    }
}

/// What every program cost in every round.
#[derive(Debug, Default)]
pub(crate) struct Results {
    costs: BTreeMap<&'static str, Vec<Cost>>,
    disturbed: usize,
}

impl Results {
    fn each(&self, name: &str, part: fn(&Cost) -> f64) -> Vec<f64> {
        let costs = self.costs.get(name).map(Vec::as_slice);
        costs.unwrap_or_default().iter().map(part).collect()
    }

    /// Wall seconds of one program in each round.
    pub(crate) fn walls(&self, name: &str) -> Vec<f64> {
        self.each(name, |cost| cost.wall)
    }

    /// How many times as fast as `peer` one program was, in each round.
    pub(crate) fn speed(&self, name: &str, peer: &str) -> Vec<f64> {
        paired(&self.walls(peer), &self.walls(name))
    }

    /// How many times the CPU time of `peer` one program took, in each round.
    pub(crate) fn cpu(&self, name: &str, peer: &str) -> Vec<f64> {
        let seconds = |name| self.each(name, |cost| cost.cpu);
        paired(&seconds(name), &seconds(peer))
    }

    /// Tells what each program needed for `bytes`, as medians.
    pub(crate) fn tell(&self, bytes: u64) {
        let mib = bytes as f64 / f64::from(1 << 20);
        for name in self.costs.keys() {
            let wall = median(&self.walls(name));
            let cpu = median(&self.each(name, |cost| cost.cpu));
            let switches = median(&self.each(name, |cost| cost.switches as f64));
            say(format_args!(
                "{name:>12}: {:6.0} MiB/s  {:.3} CPU s/GiB  {switches:.0} context switches",
                mib / wall,
                cpu * 1024.0 / mib,
            ));
        }
    }
}
