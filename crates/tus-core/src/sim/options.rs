//! [`Options`]: one run, expanded from its seed.

use std::time::Duration;

use crate::checksum::ChecksumAlgorithm;
use crate::chunk::ChunkRule;
use crate::client::ChecksumWish;
use crate::extension::Extension;
use crate::rejection::Phase;
use crate::retry::RetryPolicy;
use crate::sim::habits::Habits;
use crate::sim::{Mishap, Random};

/// Everything about a run that is decided before it begins. Print it with `{:#?}`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Where all chance comes from.
    pub seed: u64,
    /// Bytes of the source.
    pub length: u64,
    /// The client's rule for chunks.
    pub rule: ChunkRule,
    /// Bytes per PATCH that the client is asked to use at first.
    pub chunk_bytes: u64,
    /// What the client knows at its start.
    pub beginning: Beginning,
    /// What the client uses beyond the core of the protocol.
    pub wishes: Wishes,
    /// The client's patience.
    pub retry: RetryPolicy,
    /// The usual wait for an answer, multiplied by what the machine asks for.
    pub answer_timeout: Duration,
    /// How many bytes below the confirmed offset the source can read again; `None` for all, as a file can.
    pub window_bytes: Option<u64>,
    /// The client's wall clock is so many seconds ahead of the server's.
    pub wall_ahead_secs: i64,
    /// When the client's wall clock is set, and by how many seconds.
    pub jumps: Vec<(Duration, i64)>,
    /// True: nothing that happens may end the upload. False: it may fail, for a reason that happened.
    pub survivable: bool,
    /// Faults stop at this time; what was set in motion before may still arrive.
    pub faults_until: Duration,
    /// So many requests of a thousand meet a mishap before that.
    pub mishaps_per_mille: u64,
    /// The mishaps to choose from.
    pub mishaps: Vec<Mishap>,
    /// At so many of a thousand occasions the client's process dies, and another one begins from what was committed: before a
    /// request, during it, before its answer is digested, during a wait or a question, and before the end is written down.
    pub crashes_per_mille: u64,
    /// When the server falls, and for how long.
    pub falls: Vec<(Duration, Duration)>,
    /// How the server behaves.
    pub habits: Habits,
    /// What the service knows of doubtful creations.
    pub oracle: Oracle,
}

/// What the client knows at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beginning {
    /// Nothing.
    Fresh,
    /// An earlier process intended a creation.
    Intended {
        /// Whether the server carried it out.
        carried_out: bool,
    },
    /// An earlier process left an upload with so many bytes on the server.
    Resumed {
        /// Bytes on the server.
        stored: u64,
        /// Bytes that the record tells of.
        recorded: u64,
        /// How far the earlier process sent, as far as the record knows: 0 in one of an older kind.
        reached: u64,
    },
    /// An upload was made by somebody else; it cannot be made anew.
    OneTimeUrl,
}

/// What the client uses beyond the core of the protocol.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Wishes {
    /// It asks what the server offers before anything else.
    pub probe: bool,
    /// It knows what the server offers from the beginning.
    pub informed: bool,
    /// How chunks are protected.
    pub checksum: ChecksumWish,
    /// The source does not tell its length before its end.
    pub deferred: bool,
    /// Uploads of at most so many bytes go with their creation.
    pub one_request_bytes: u64,
    /// PATCH and DELETE travel as POST.
    pub method_override: bool,
    /// The user has the upload removed at this time.
    pub removed_at: Option<Duration>,
}

/// What the service knows of doubtful creations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Oracle {
    /// Everything, at once; it removes what a doubtful creation left.
    Truth,
    /// Nothing: plain tus.
    Blind,
    /// As [`Truth`](Self::Truth), but it sees a creation only so long after it was made, and at times says "not yet".
    Lags(Duration),
}

impl Options {
    /// Expands a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        // Apart from the run's own numbers, which begin at the seed itself.
        let random = &mut Random::new(seed ^ 0x5eed_0f0f_ca11_ab1e);
        let survivable = random.chance(600);
        let length = match random.below(20) {
            0 => 0,
            1 => 1,
            2..=6 => random.within(2, 64),
            7..=17 => random.within(65, 4096),
            _ => random.within(4097, 40_000),
        };
        let chunks = random.within(1, 16);
        let chunk_bytes = length.div_ceil(chunks).max(1);
        let rule = rule(random, chunk_bytes);
        let mishaps = Mishap::ALL
            .into_iter()
            .filter(|mishap| (!survivable || !mishap.is_harsh()) && random.chance(450))
            .collect::<Vec<_>>();
        // Where nothing may end the upload, no lock is held for longer than any should.
        let minutes = if survivable { 13 } else { 20 };
        let faults_until = random.millis(0, minutes * 60_000);
        let habits = Habits::draw(random, survivable, &rule, length);
        let oracle = match random.below(3) {
            0 => Oracle::Truth,
            1 => Oracle::Blind,
            _ => Oracle::Lags(random.millis(0, 120_000)),
        };
        let beginning = match random.below(10) {
            0 => Beginning::Intended {
                carried_out: random.chance(500),
            },
            1 | 2 => Beginning::Resumed {
                stored: random.below(length + 1),
                recorded: random.below(length + 1),
                reached: random.pick(&[0, length, length]),
            },
            3 => Beginning::OneTimeUrl,
            _ => Beginning::Fresh,
        };
        let most_falls = if habits.durable || !survivable { 6 } else { 2 };
        let falls = (0..random.below(most_falls + 1))
            .map(|_| {
                let at = random.millis(0, faults_until.as_millis() as u64);
                (at, random.millis(0, 30_000))
            })
            .collect();
        let mut options = Self {
            seed,
            length,
            rule,
            chunk_bytes,
            beginning,
            wishes: Wishes::draw(random, length, faults_until),
            retry: retry(random, survivable),
            answer_timeout: random.millis(2_000, 60_000),
            window_bytes: random.chance(100).then(|| random.below(length + 1)),
            wall_ahead_secs: 0,
            jumps: Vec::new(),
            survivable,
            faults_until,
            mishaps_per_mille: random.pick(&[0, 30, 100, 300, 600, 900]),
            mishaps,
            crashes_per_mille: random.pick(&[0, 0, 0, 0, 20, 100]),
            falls,
            habits,
            oracle,
        };
        if !survivable && random.chance(200) {
            options.wall_ahead_secs = random.within(0, 172_800) as i64 - 86_400;
        }
        // An hour's wait is survived, a month's is not.
        let farthest = if survivable { 3_600 } else { 2_600_000 };
        for _ in 0..random.pick(&[0, 0, 1, 3]) {
            let at = random.millis(0, faults_until.as_millis() as u64);
            let by = random.within(0, 2 * farthest) as i64 - farthest as i64;
            options.jumps.push((at, by));
        }
        options.keep_promise();
        options
    }

    /// Where nothing may end the upload, nothing is put together that must.
    fn keep_promise(&mut self) {
        if !self.survivable {
            return;
        }
        if !self.habits.durable {
            // A pipe cannot go back to what the server lost.
            self.window_bytes = None;
            // A record that tells more than the server has is one loss more.
            if let Beginning::Resumed {
                stored, recorded, ..
            } = &mut self.beginning
            {
                *recorded = (*recorded).min(*stored);
            }
        }
        self.habits.keep_promise(&self.rule);
        if let Beginning::Resumed {
            stored, reached, ..
        } = &mut self.beginning
            && *stored == self.length
        {
            *reached = self.length;
        }
        if self.window_bytes.is_some() {
            if self.oracle != Oracle::Truth {
                self.habits.forgets_finished = None;
            }
            // Nor can it begin anew in another process, or at what a record does not tell.
            self.crashes_per_mille = 0;
            self.beginning = Beginning::Fresh;
        }
        let wishes = &mut self.wishes;
        if wishes.deferred {
            // The length is told by and by: nothing to be created with.
            wishes.one_request_bytes = 0;
            self.habits.offers = self.habits.offers.with(Extension::CreationDeferLength);
        }
        if wishes.removed_at.is_some() {
            self.habits.offers = self.habits.offers.with(Extension::Termination);
        }
        if let ChecksumWish::Required(_) = wishes.checksum {
            self.habits.offers = self.habits.offers.with(Extension::Checksum);
            if self.beginning == Beginning::OneTimeUrl {
                wishes.informed = true;
            }
            wishes.probe |= !wishes.informed;
        }
        if let (Some(_), Oracle::Lags(_)) = (self.habits.forgets_finished, self.oracle) {
            // It may take its time, but it must not lie: each lie makes one upload more.
            self.oracle = Oracle::Lags(Duration::ZERO);
        }
        if !self.habits.durable {
            // An answer that makes no sense twice for the same bytes is no tus server's.
            self.mishaps.retain(|mishap| *mishap != Mishap::Nonsense);
        }
        // Where nobody can tell, an upload that vanished stays so. And a new process that does not know the length cannot know
        // that all bytes were sent.
        let forgetful = self.wishes.deferred
            && (self.crashes_per_mille > 0 || self.beginning != Beginning::Fresh);
        if self.oracle == Oracle::Blind || forgetful {
            self.habits.forgets_finished = None;
        }
    }

    /// Whether the records that the client finds tell honestly whether all bytes were sent.
    pub(super) fn remembers(&self) -> bool {
        match self.beginning {
            Beginning::Resumed {
                stored, reached, ..
            } => stored < self.length || reached == self.length,
            _ => true,
        }
    }

    /// Whether `mishap` may befall a request of `phase` in this run.
    pub(super) fn allows(&self, mishap: Mishap, phase: Phase, has_body: bool) -> bool {
        // Where nobody can tell, two lost creations rightly end an upload.
        let unclear = phase == Phase::Create
            && self.oracle == Oracle::Blind
            && matches!(
                mishap,
                Mishap::AnswerLost | Mishap::RequestLost | Mishap::Silence | Mishap::Late
            );
        mishap.befalls(phase, has_body) && !(self.survivable && unclear)
    }
}

impl Wishes {
    fn draw(random: &mut Random, length: u64, faults_until: Duration) -> Self {
        let checksum = match random.below(10) {
            0 | 1 => ChecksumWish::Offered,
            2 => ChecksumWish::Required(ChecksumAlgorithm::Crc32),
            _ => ChecksumWish::Never,
        };
        Self {
            probe: random.chance(200),
            informed: random.chance(300),
            checksum,
            deferred: random.chance(150),
            one_request_bytes: if random.chance(200) { length } else { 0 },
            method_override: random.chance(100),
            removed_at: random
                .chance(50)
                .then(|| faults_until.mul_f64(random.below(1000) as f64 / 1000.0)),
        }
    }
}

fn rule(random: &mut Random, chunk_bytes: u64) -> ChunkRule {
    if random.chance(500) {
        return ChunkRule::FREE;
    }
    let multiple_of_bytes = random.within(1, chunk_bytes.clamp(1, 64));
    let min_bytes = random.within(1, chunk_bytes / multiple_of_bytes) * multiple_of_bytes;
    let max_bytes = min_bytes * random.within(1, 4);
    ChunkRule {
        min_bytes,
        max_bytes,
        multiple_of_bytes,
        preferred_bytes: max_bytes,
    }
}

fn retry(random: &mut Random, survivable: bool) -> RetryPolicy {
    let first = random.millis(1, 2_000);
    let most = first.max(random.millis(1_000, 60_000));
    let policy = RetryPolicy::DEFAULT.with_waits(first, most);
    if survivable {
        // Longer than the longest wait for an answer: sixteen times five times a minute.
        return policy
            .with_patience(Duration::from_secs(6 * 3600))
            .with_max_refusals(u32::MAX);
    }
    let most_patience = random.pick(&[20_000, 120_000, 600_000, 3_600_000]);
    policy
        .with_patience(random.millis(1_000, most_patience))
        .with_max_refusals(random.within(0, 12) as u32)
}
