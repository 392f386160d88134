//! [`Pair`]: the two machines, joined.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::client::{Now, Outcome, Step, Upload};
use crate::sim::Random;
use crate::sim::checker::Checker;
use crate::sim::options::{Beginning, Options};
use crate::sim::process::{client, may_die_of, planted};
use crate::sim::report::{Breach, Report};
use crate::sim::site::Site;
use crate::sim::store::{Record, Store};
use crate::sim::world::{Happening, World};

/// Requests after which a run is a loop, whatever else it is.
const MAX_REQUESTS: u32 = 20_000;
/// How long the world goes on after the client has ended, so that what is late arrives.
const AFTERMATH: Duration = Duration::from_secs(24 * 3600);

/// A client machine and a server machine over a link that loses things, in virtual time.
///
/// ```
/// use std::time::{Duration, Instant, SystemTime};
/// use tus_core::client::Now;
/// use tus_core::sim::{Options, Pair};
///
/// let base = Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH };
/// let report = Pair::new(Options::from_seed(7), base).run().expect("all invariants hold");
/// assert!(report.requests > 0);
/// ```
#[derive(Debug)]
pub struct Pair {
    pub(super) options: Options,
    pub(super) base: Now,
    pub(super) world: World,
    pub(super) checker: Checker,
    pub(super) client: Upload,
    pub(super) store: Store,
    /// What befalls requests.
    pub(super) mishaps: Random,
    /// Everything else.
    pub(super) random: Random,
    pub(super) report: Report,
    pub(super) idle_after_faults: u32,
    /// When the user has the upload removed.
    pub(super) removed_at: Option<Duration>,
}

impl Pair {
    /// A pair at its start. `base` is where virtual time begins: any instant will do. Runs are alike to the last byte if
    /// its wall clock is the same too.
    #[must_use]
    pub fn new(options: Options, base: Now) -> Self {
        let mut random = Random::new(options.seed);
        let source: Arc<[u8]> = (0..options.length).map(|_| random.draw() as u8).collect();
        let mut site = Site::new(options.habits.clone(), Arc::clone(&source), random.split());
        let length = options.length;
        let mut owes = false;
        let record = match options.beginning {
            Beginning::Fresh => Record::Nothing,
            Beginning::Intended { carried_out } => {
                if carried_out {
                    let _ = site.plant(0, options.wishes.deferred, base.wall);
                }
                owes = true;
                Record::Intent
            }
            Beginning::Resumed {
                stored,
                recorded,
                reached,
            } => {
                owes = true;
                let stored = stored.min(length);
                planted(
                    &mut site,
                    stored,
                    recorded.min(length),
                    reached,
                    &options,
                    base,
                )
            }
            Beginning::OneTimeUrl => {
                owes = true;
                site.one_time = true;
                planted(&mut site, 0, 0, 0, &options, base)
            }
        };
        let mut world = World::new(site, source, base.wall, random.split());
        for (at, downtime) in &options.falls {
            world.after(*at, Happening::Falls(*downtime));
        }
        let mut checker = Checker::new(&options);
        checker.owes = owes;
        let client = client(&options, &record, 0);
        Self {
            mishaps: random.split(),
            random,
            base,
            world,
            checker,
            client,
            store: Store::new(record),
            report: Report {
                runs: 1,
                ..Report::default()
            },
            idle_after_faults: 0,
            removed_at: options.wishes.removed_at,
            options,
        }
    }

    /// Keeps a trace, for [`Breach::trace`].
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.world.trace = Some(Vec::new());
        self
    }

    /// Runs to the end and tells what happened, whether or not all is well: one line each, virtual seconds first.
    #[must_use]
    pub fn trace(self) -> Vec<String> {
        let mut pair = self.traced();
        let found = pair.drive();
        let mut lines = pair.world.trace.take().unwrap_or_default();
        lines.extend(found.err().map(|breach| breach.to_string()));
        lines
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// [`Breach`]: which invariant does not hold, and where.
    pub fn run(mut self) -> Result<Report, Breach> {
        match self.drive() {
            Ok(()) => Ok(self.report),
            Err(breach) => Err(Breach {
                seed: self.options.seed,
                trace: self.world.trace.take().unwrap_or_default(),
                ..breach
            }),
        }
    }

    fn drive(&mut self) -> Result<(), Breach> {
        let outcome = loop {
            if self.report.requests > MAX_REQUESTS {
                return Err(Breach::new(
                    "the number of requests is bounded",
                    "it is a loop",
                ));
            }
            if let Some(at) = self.removed_at
                && self.world.time >= at
            {
                self.removed_at = None;
                self.client.terminate();
                self.checker.removes();
                self.drain()?;
            }
            let step = self.step()?;
            if may_die_of(&step) && self.dies() {
                self.die_of(&step)?;
            } else if let Step::Send(exchange) = step {
                self.exchange(&exchange)?;
            } else if let Step::WaitUntil(until) = step {
                let until = until.saturating_duration_since(self.base.instant);
                if until <= self.world.time {
                    return Err(Breach::new("a wait ends in the future", "it does not"));
                }
                self.world.pass(until, None)?;
            } else if let Step::Done(outcome) = step {
                break outcome;
            } else if let Step::Read { until } = step {
                self.read(until)?;
            } else {
                self.reconcile()?;
            }
        };
        self.world.note(|| format!("client   ends: {outcome:?}"));
        self.report.ended(&outcome, self.world.time);
        self.judge(&self.options, &outcome)?;
        self.judge_counts(&self.report, &self.options, self.idle_after_faults)?;
        let url = self.client.url().map(|url| url.uri().path().to_owned());
        let finished = outcome == Outcome::Finished;
        if outcome == Outcome::Terminated {
            self.judge_removal(url.as_deref())?;
        }
        self.judge_bytes(finished, url.as_deref())?;
        while !self.world.is_idle() {
            self.world.pass(self.world.time + AFTERMATH, None)?;
        }
        self.judge_bytes(finished, url.as_deref())?;
        let reached = self.world.site.uploads.iter();
        let whole = reached.filter(|upload| !upload.removed && upload.info.is_complete());
        let complete = whole.count() as u32;
        self.judge_twins(complete)?;
        self.report.complete_uploads = complete;
        self.report.creations = self.world.site.creations;
        self.report.losses = self.world.site.losses;
        Ok(())
    }

    /// What the client wants, asked twice: the answer must not change until it is fed.
    fn step(&mut self) -> Result<Step, Breach> {
        let now = self.now();
        let step = self.client.step(now);
        let again = self.client.step(now);
        let same = match (&step, &again) {
            (Step::Send(one), Step::Send(other)) => {
                (one.phase, one.chunk, one.answer_factor, &one.url)
                    == (other.phase, other.chunk, other.answer_factor, &other.url)
            }
            (Step::WaitUntil(one), Step::WaitUntil(other)) => one == other,
            (Step::Done(one), Step::Done(other)) => one == other,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        };
        if same {
            Ok(step)
        } else {
            Err(Breach::new(
                "a step is the same until the machine is fed",
                format!("{step:?}, then {again:?}"),
            ))
        }
    }

    pub(super) fn time_is_up(&self) -> bool {
        self.world.time >= self.options.faults_until
    }

    pub(super) fn now(&self) -> Now {
        let wall = self.world.wall();
        let jumps = self.options.jumps.iter();
        let jumped = jumps.filter(|(at, _)| *at <= self.world.time);
        let secs = self.options.wall_ahead_secs + jumped.map(|(_, by)| by).sum::<i64>();
        let ahead = Duration::from_secs(secs.unsigned_abs());
        let wall = if secs < 0 {
            wall.checked_sub(ahead).unwrap_or(SystemTime::UNIX_EPOCH)
        } else {
            wall + ahead
        };
        Now {
            instant: self.base.instant + self.world.time,
            wall,
        }
    }
}
