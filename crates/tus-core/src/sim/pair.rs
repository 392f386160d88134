//! [`Pair`]: the two machines, joined.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::client::{Event, Exchange, Fault, Now, Outcome, Step, Upload, Verdict, VerdictKind};
use crate::rejection::Phase;
use crate::sim::checker::Checker;
use crate::sim::options::{Beginning, Options};
use crate::sim::process::{client, may_die_of, planted};
use crate::sim::report::{Breach, Report};
use crate::sim::send::Sending;
use crate::sim::site::{ALIAS, Site};
use crate::sim::store::{Record, Store};
use crate::sim::world::{Happening, Heard, World};
use crate::sim::{Mishap, Random};

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
    mishaps: Random,
    /// Everything else.
    pub(super) random: Random,
    pub(super) report: Report,
    idle_after_faults: u32,
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

    fn exchange(&mut self, exchange: &Exchange) -> Result<(), Breach> {
        let time = self.world.time;
        self.writes_down(exchange);
        self.checker.agrees(self.client.offset())?;
        self.checker.sends(exchange, time)?;
        self.report.sent(exchange);
        let len = exchange.chunk.map_or(0, |chunk| chunk.len);
        let mishap = self
            .draw(exchange.phase, len > 0)
            .filter(|mishap| *mishap != Mishap::Redirected || !is_alias(exchange));
        let number = self.world.number();
        self.world.note(|| {
            let (method, chunk) = (exchange.method(), exchange.chunk);
            format!("client   sends {number}: {method} {chunk:?}, befallen by {mishap:?}")
        });
        let before = self.report.confirmations;
        let most = if len == 0 { 0 } else { 2_000 };
        let spread = self.random.millis(0, most);
        let factor = exchange.answer_factor;
        let deadline = time + spread + self.options.answer_timeout.saturating_mul(factor);
        Sending {
            exchange,
            number,
            deadline,
            spread,
            body_limit: self.options.habits.body_limit,
            random: &mut self.mishaps,
            damaged: false,
        }
        .send(mishap, &mut self.world);
        let crash = self.dies().then(|| time + self.random.millis(0, 3_000));
        let until = crash.map_or(deadline, |crash| crash.min(deadline));
        let heard = match self.world.pass(until, Some(number))? {
            Some(heard) => heard,
            None if crash == Some(until) => {
                self.crash();
                return Ok(());
            }
            None => Heard::Fault(Fault::NoAnswer),
        };
        if self.dies() {
            // Before it could write down what it heard.
            self.crash();
            return Ok(());
        }
        self.feed(exchange, &heard)?;
        let idle = self.report.confirmations == before;
        if idle && self.time_is_up() {
            self.idle_after_faults += 1;
            if self.checker.last_status == Some(423) {
                // Neither it nor the question that follows counts.
                self.idle_after_faults = self.idle_after_faults.saturating_sub(2);
            }
        }
        Ok(())
    }

    fn feed(&mut self, exchange: &Exchange, heard: &Heard) -> Result<(), Breach> {
        let now = self.now();
        self.checker
            .hears(exchange, heard, (self.world.time, now.wall));
        self.world.note(|| match heard {
            Heard::Answer(answer) => {
                let (status, headers) = (answer.status().as_u16(), answer.headers());
                format!("client   hears {status} {headers:?}")
            }
            Heard::Fault(fault) => format!("client   hears {fault:?}"),
        });
        match heard {
            Heard::Answer(answer) => {
                self.report.answered(answer.status());
                let kind = answer.extensions().get::<VerdictKind>();
                let verdict = kind.map(|kind| Verdict {
                    kind: Some(*kind),
                    code: None,
                    message: format!("{kind:?}"),
                });
                self.client.on_response(answer, verdict, now);
            }
            Heard::Fault(fault) => {
                self.report.faulted(*fault);
                self.client.on_fault(*fault, now);
            }
        }
        self.drain()
    }

    pub(super) fn drain(&mut self) -> Result<(), Breach> {
        while let Some(event) = self.client.poll_event() {
            self.world.note(|| format!("client   tells {event:?}"));
            self.checker.happened(&event, self.world.time)?;
            self.report.happened(&event);
            match &event {
                Event::Created { url, .. } => self.store.commit(Record::Upload {
                    url: url.as_ref().clone(),
                    offset: 0,
                    reached: self.client.reached(),
                }),
                Event::Acked { offset } => {
                    self.store.note(*offset, self.client.reached());
                    // A journal merges: the newest offset need not be on the disk yet.
                    if self.random.chance(700) {
                        self.store.flush();
                    }
                }
                Event::Recreating { .. } => self.store.commit(Record::Intent),
                _ => {}
            }
            if let (Event::Acked { offset }, Some(window)) = (&event, self.options.window_bytes) {
                let from = offset.saturating_sub(window);
                self.client.forget_below(from);
                self.checker.available_from = self.checker.available_from.max(from);
            }
        }
        if self.random.chance(50) {
            // A driver that adapts.
            let least = self.options.length / 40;
            let most = self.options.length;
            self.client.set_chunk_bytes(self.random.within(least, most));
        }
        Ok(())
    }

    /// A source of unknown length is read: somewhat further than wanted, or not so far, and at last to its end.
    fn read(&mut self, until: u64) -> Result<(), Breach> {
        let takes = self.random.millis(0, 3_000);
        self.world.pass(self.world.time + takes, None)?;
        let more = self.random.below(2 * self.options.chunk_bytes);
        let read_to = &mut self.checker.read_to;
        // A read that brings nothing is the end.
        let is_end = *read_to == self.options.length || self.random.chance(300);
        *read_to = until
            .max(*read_to)
            .saturating_add(more)
            .min(self.options.length);
        let is_end = is_end && *read_to == self.options.length;
        self.client.on_available(*read_to, is_end);
        self.drain()
    }

    fn draw(&mut self, phase: Phase, has_body: bool) -> Option<Mishap> {
        let chosen = self.mishaps.chance(self.options.mishaps_per_mille);
        let which = self.mishaps.draw();
        if !chosen || self.time_is_up() {
            return None;
        }
        let mut possible = self.options.mishaps.iter().copied();
        let count = possible
            .clone()
            .filter(|mishap| self.options.allows(*mishap, phase, has_body))
            .count() as u64;
        let mishap = possible
            .by_ref()
            .filter(|mishap| self.options.allows(*mishap, phase, has_body))
            .nth(which.checked_rem(count)? as usize)?;
        self.report.befell(mishap);
        Some(mishap)
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

/// Whether it was redirected already.
fn is_alias(exchange: &Exchange) -> bool {
    exchange.url.uri().host() == Some(ALIAS)
}
