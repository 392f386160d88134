//! Every switch and counter of the proxy, behind one lock, so that counts and faults are exact
//! over all connections.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::passage::Passage;
use super::{Direction, ProxyCounters};
use crate::Random;

/// How much a limited direction may catch up after a late timer; it bounds every burst, too.
const SLACK: Duration = Duration::from_millis(20);

/// Bytes of one connection under way in a delay without a rate.
const MAX_UNDER_WAY: usize = 64 << 20;

/// The most that one read takes.
pub(super) const READ: usize = 64 * 1024;

/// How a connection ends by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// FIN to both sides.
    Cut,
    /// RST to both sides.
    Reset,
}

/// Settings and faults of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// Bytes per second.
    pub(super) rate: Option<u64>,
    pub(super) delay: Duration,
    /// Total count at which the connection at hand breaks, once.
    pub(super) break_at: Option<(u64, Break)>,
    /// Count of its own at which each connection breaks.
    pub(super) each_after: Option<(u64, Break)>,
    /// Total positions of bytes to spoil.
    pub(super) flips: Vec<u64>,
    pub(super) half_close_epoch: u64,
    /// When the rate lets the next byte through.
    free_at: Option<Instant>,
}

/// Random resets; positions are counted on bytes from clients.
#[derive(Debug)]
pub(super) struct Resets {
    pub(super) bytes: u64,
    pub(super) jitter: u64,
    pub(super) next: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) target: SocketAddr,
    pub(super) lanes: [Lane; 2],
    pub(super) black_hole: bool,
    /// Answers to swallow, each with the method it must answer.
    pub(super) swallow: Vec<Option<String>>,
    pub(super) resets: Option<Resets>,
    pub(super) cut_epoch: u64,
    pub(super) reset_epoch: u64,
    counters: ProxyCounters,
    random: Random,
}

impl State {
    pub(super) fn lane(&mut self, direction: Direction) -> &mut Lane {
        &mut self.lanes[direction as usize]
    }

    pub(super) fn bytes(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Up => self.counters.bytes_up,
            Direction::Down => self.counters.bytes_down,
        }
    }

    /// Draws the place of the next random reset, at least one byte ahead.
    pub(super) fn plan_reset(&mut self) {
        if let Some(resets) = &mut self.resets {
            let drawn = self.random.below(2 * resets.jitter + 1);
            let distance = (resets.bytes - resets.jitter + drawn).max(1);
            resets.next = self.counters.bytes_up + distance;
        }
    }

    /// Counts `n` bytes and returns when the rate lets the next ones be read.
    fn count(&mut self, direction: Direction, n: usize) -> Instant {
        match direction {
            Direction::Up => self.counters.bytes_up += n as u64,
            Direction::Down => self.counters.bytes_down += n as u64,
        }
        let now = Instant::now();
        let lane = self.lane(direction);
        let Some(rate) = lane.rate else { return now };
        let start = match lane.free_at {
            // A timer that rang late is made up for; an idle second is not.
            Some(at) => at.max(now.checked_sub(SLACK).unwrap_or(now)),
            None => now,
        };
        let next = start + Duration::from_secs_f64(n as f64 / rate.max(1) as f64);
        lane.free_at = Some(next);
        next
    }

    /// The nearest place where a connection that has carried `passed` bytes must break, as bytes
    /// from here.
    fn next_break(&self, direction: Direction, passed: u64) -> Option<(u64, Break)> {
        let lane = &self.lanes[direction as usize];
        let total = self.bytes(direction);
        let once = lane
            .break_at
            .map(|(at, kind)| (at.saturating_sub(total), kind));
        let each = lane
            .each_after
            .map(|(n, kind)| (n.saturating_sub(passed), kind));
        let random = match (&self.resets, direction) {
            (Some(resets), Direction::Up) => {
                Some((resets.next.saturating_sub(total), Break::Reset))
            }
            _ => None,
        };
        [once, each, random]
            .into_iter()
            .flatten()
            .min_by_key(|(left, _)| *left)
    }

    /// Disarms the faults that strike only once at a place, after they were reached.
    fn disarm_reached(&mut self, direction: Direction) {
        let total = self.bytes(direction);
        let lane = self.lane(direction);
        if lane.break_at.is_some_and(|(at, _)| at <= total) {
            lane.break_at = None;
        }
        let reached = self
            .resets
            .as_ref()
            .is_some_and(|resets| resets.next <= total);
        if reached && direction == Direction::Up {
            self.plan_reset();
        }
    }
}

/// The outcome of one read.
#[derive(Debug)]
pub(super) enum Taken {
    /// The sender has finished.
    End,
    /// The connection must break before its next byte.
    Broken(Break),
    /// `len` bytes are in the buffer, to be dropped when `swallowed`, else forwarded not before
    /// `delay` has passed; read again not before `ready_at`; then break if `then` says so.
    Bytes {
        len: usize,
        swallowed: bool,
        delay: Duration,
        ready_at: Instant,
        then: Option<Break>,
    },
}

/// A direction's settings as one connection needs them between two steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) black_hole: bool,
    pub(super) half_close_epoch: u64,
    /// Bytes that may be under way inside the proxy.
    pub(super) capacity: usize,
    pub(super) cut_epoch: u64,
    pub(super) reset_epoch: u64,
    pub(super) target: SocketAddr,
    /// One round trip.
    pub(super) handshake: Duration,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    counters: watch::Sender<ProxyCounters>,
    changes: watch::Sender<()>,
    /// Size of socket buffers in bytes; the kernel's choice when absent.
    pub(super) socket_buffer: Option<usize>,
}

impl Shared {
    pub(super) fn new(
        target: SocketAddr,
        lanes: [Lane; 2],
        seed: u64,
        socket_buffer: Option<usize>,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                target,
                lanes,
                black_hole: false,
                swallow: Vec::new(),
                resets: None,
                cut_epoch: 0,
                reset_epoch: 0,
                counters: ProxyCounters::default(),
                random: Random::new(seed),
            }),
            counters: watch::Sender::new(ProxyCounters::default()),
            changes: watch::Sender::new(()),
            socket_buffer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    pub(super) fn counters(&self) -> ProxyCounters {
        self.lock().counters
    }

    pub(super) fn watch_counters(&self) -> watch::Receiver<ProxyCounters> {
        self.counters.subscribe()
    }

    pub(super) fn watch_changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Turns a switch and wakes every connection.
    pub(super) fn change(&self, switch: impl FnOnce(&mut State)) {
        switch(&mut self.lock());
        self.changes.send_replace(());
    }

    /// Changes counters and wakes who waits for them.
    pub(super) fn tally(&self, count: impl FnOnce(&mut ProxyCounters)) {
        let mut state = self.lock();
        count(&mut state.counters);
        // Published under the lock: counters are seen in the order in which they grew.
        self.counters.send_replace(state.counters);
    }

    pub(super) fn view(&self, direction: Direction) -> View {
        let state = self.lock();
        let lane = &state.lanes[direction as usize];
        let capacity = match lane.rate {
            _ if lane.delay.is_zero() => READ,
            Some(rate) => READ + (rate as f64 * lane.delay.as_secs_f64()) as usize,
            None => MAX_UNDER_WAY,
        };
        View {
            black_hole: state.black_hole,
            half_close_epoch: lane.half_close_epoch,
            capacity,
            cut_epoch: state.cut_epoch,
            reset_epoch: state.reset_epoch,
            target: state.target,
            handshake: state.lanes.iter().map(|lane| lane.delay).sum(),
        }
    }

    /// Reads with `read` as many bytes as rate and faults allow, and applies the faults to them.
    pub(super) fn take(
        &self,
        direction: Direction,
        passage: &Mutex<Passage>,
        buffer: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Taken> {
        let mut state = self.lock();
        let mut passage = passage.lock().expect("no holder of this lock panics");
        let passed = passage.passed(direction);
        let mut allowed = buffer.len();
        if let Some(rate) = state.lanes[direction as usize].rate {
            // Ten milliseconds at a time flow evenly and cost few timers.
            let even = usize::try_from(rate / 100).unwrap_or(allowed);
            allowed = allowed.min(even.max(256));
        }
        let next_break = state.next_break(direction, passed);
        if let Some((left, kind)) = next_break {
            if left == 0 {
                state.disarm_reached(direction);
                return Ok(Taken::Broken(kind));
            }
            allowed = allowed.min(usize::try_from(left).unwrap_or(allowed));
        }

        let len = read(&mut buffer[..allowed])?;
        if len == 0 {
            return Ok(Taken::End);
        }
        let bytes = &mut buffer[..len];
        let first = state.bytes(direction);
        state.lane(direction).flips.retain(|at| {
            let place = at.checked_sub(first).and_then(|i| usize::try_from(i).ok());
            match place.and_then(|i| bytes.get_mut(i)) {
                Some(byte) => {
                    *byte ^= 1;
                    false
                }
                None => true,
            }
        });

        passage.pass(direction, len as u64);
        let ready_at = state.count(direction, len);
        let mut then = next_break
            .filter(|(left, _)| *left == len as u64)
            .map(|(_, kind)| kind);
        if then.is_some() {
            state.disarm_reached(direction);
        }
        let swallowed = match direction {
            Direction::Up => {
                passage.see_request(bytes);
                false
            }
            Direction::Down => {
                passage.see_answer();
                passage.swallows(&mut state.swallow, bytes)
            }
        };
        if swallowed {
            state.counters.swallowed_answers += 1;
            then = then.or(Some(Break::Cut));
        }
        self.counters.send_replace(state.counters);
        Ok(Taken::Bytes {
            len,
            swallowed,
            delay: state.lanes[direction as usize].delay,
            ready_at,
            then,
        })
    }

    /// Counts bytes that are read only to be thrown away, and returns when to read the next.
    pub(super) fn discard(&self, direction: Direction, n: usize) -> Instant {
        let mut state = self.lock();
        let ready_at = state.count(direction, n);
        self.counters.send_replace(state.counters);
        ready_at
    }
}
