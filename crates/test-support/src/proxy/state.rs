//! Every switch and counter of the proxy as plain data, and how they act on bytes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::lane::Lane;
use super::log::{ConnectionRecord, RequestSeen};
use super::passage::{Fate, Orders, Passage, flip};
use super::plan::ChaosPlan;
use super::{Direction, ProxyCounters};
use crate::Random;

/// How a connection, or one direction of it, ends by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// FIN to both sides.
    Cut,
    /// FIN to the receiver of one direction.
    HalfClose,
    /// RST to both sides.
    Reset,
}

/// What becomes of the bytes of all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hole {
    /// They are forwarded.
    #[default]
    None,
    /// They are not even read.
    Frozen,
    /// They are read and thrown away.
    Swallowing,
}

/// Something that happens again and again, about every `bytes` bytes from clients.
#[derive(Debug)]
pub(super) struct Recurring {
    pub(super) bytes: u64,
    pub(super) jitter: u64,
    pub(super) next: u64,
}

impl Recurring {
    /// Draws the next place, at least one byte after `from`.
    pub(super) fn plan(&mut self, from: u64, random: &mut Random) {
        let drawn = random.below(2 * self.jitter + 1);
        self.next = from + (self.bytes - self.jitter + drawn).max(1);
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) target: SocketAddr,
    pub(super) lanes: [Lane; 2],
    pub(super) hole: Hole,
    pub(super) orders: Orders,
    pub(super) plan: ChaosPlan,
    /// Counted on all bytes from clients.
    pub(super) resets: Option<Recurring>,
    /// Counted on the bytes of request bodies.
    pub(super) body_flips: Option<Recurring>,
    pub(super) cut_epoch: u64,
    pub(super) reset_epoch: u64,
    pub(super) random: Random,
    pub(super) counters: ProxyCounters,
    pub(super) log: Vec<ConnectionRecord>,
}

impl State {
    pub(super) fn new(target: SocketAddr, lanes: [Lane; 2], seed: u64, plan: ChaosPlan) -> Self {
        Self {
            target,
            lanes,
            hole: Hole::None,
            orders: Orders::default(),
            plan,
            resets: None,
            body_flips: None,
            cut_epoch: 0,
            reset_epoch: 0,
            random: Random::new(seed),
            counters: ProxyCounters::default(),
            log: Vec::new(),
        }
    }

    pub(super) fn lane(&mut self, direction: Direction) -> &mut Lane {
        &mut self.lanes[direction as usize]
    }

    pub(super) fn bytes(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Up => self.counters.bytes_up,
            Direction::Down => self.counters.bytes_down,
        }
    }

    /// Bytes of request bodies until now.
    pub(super) fn body_bytes(&self) -> u64 {
        self.counters.body_up
    }

    /// Counts `n` bytes of a connection and returns when the rate lets the next ones be read.
    pub(super) fn count(
        &mut self,
        direction: Direction,
        number: u64,
        n: usize,
        at: Duration,
    ) -> Instant {
        let record = self.record(number);
        match direction {
            Direction::Up => {
                record.bytes_up += n as u64;
                record.last_up = Some(at);
                self.counters.bytes_up += n as u64;
            }
            Direction::Down => {
                record.bytes_down += n as u64;
                record.last_down = Some(at);
                self.counters.bytes_down += n as u64;
            }
        }
        self.lane(direction).spend(n, Instant::now())
    }

    pub(super) fn record(&mut self, number: u64) -> &mut ConnectionRecord {
        let index = usize::try_from(number - 1).expect("connections are counted from 1");
        &mut self.log[index]
    }

    /// The nearest place where a connection must break, as bytes from here.
    pub(super) fn next_break(
        &self,
        direction: Direction,
        passage: &Passage,
    ) -> Option<(u64, Break)> {
        let lane = &self.lanes[direction as usize];
        let total = self.bytes(direction);
        let passed = passage.passed(direction);
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
        [once, each, random, passage.next_break(direction)]
            .into_iter()
            .flatten()
            .min_by_key(|(left, _)| *left)
    }

    /// Disarms the faults that strike only once at a place, after they were reached.
    pub(super) fn disarm_reached(&mut self, direction: Direction, passage: &mut Passage) {
        let total = self.bytes(direction);
        passage.disarm_reached(direction);
        let lane = self.lane(direction);
        if lane.break_at.is_some_and(|(at, _)| at <= total) {
            lane.break_at = None;
        }
        if let Some(resets) = &mut self.resets
            && direction == Direction::Up
            && resets.next <= total
        {
            resets.plan(total, &mut self.random);
        }
    }

    /// Follows the requests in bytes from a client, and spoils their bodies as ordered.
    pub(super) fn see_request(&mut self, passage: &mut Passage, bytes: &mut [u8], at: Duration) {
        let (begun, bodies) = passage.see_request(bytes, &mut self.orders);
        for method in begun {
            self.record(passage.number).requests.push(RequestSeen {
                method,
                begun: at,
                answered: None,
                body: 0,
            });
        }
        for range in bodies {
            self.counters.flips += passage.flip_body(bytes, &range);
            let (first, length) = (self.counters.body_up, range.len() as u64);
            while let Some(flips) = &mut self.body_flips
                && flips.next < first + length
            {
                let place = flips.next;
                flips.plan(place, &mut self.random);
                self.counters.flips += flip(&mut vec![place], first, &mut bytes[range.clone()]);
            }
            self.counters.body_up += length;
            let record = self.record(passage.number);
            record.body_up += length;
            if let Some(request) = record.requests.last_mut() {
                request.body += length;
            }
        }
    }

    /// Decides on bytes from the server: what becomes of them, and the request that is sent to
    /// the server once more first.
    pub(super) fn see_answer(
        &mut self,
        passage: &mut Passage,
        bytes: &[u8],
        at: Duration,
    ) -> (Fate, Option<Vec<u8>>) {
        if !passage.begins_answer(bytes) {
            return (Fate::Forward, None);
        }
        if let Some(request) = self.record(passage.number).requests.last_mut() {
            request.answered = Some(at);
        }
        let fate = passage.fate(&mut self.orders);
        match fate {
            Fate::Forward | Fate::Vanish => {}
            Fate::Hold(_) => self.counters.held_answers += 1,
            Fate::Splice(_) => self.counters.spliced_answers += 1,
            Fate::Swallow => self.counters.swallowed_answers += 1,
        }
        (fate, passage.take_copy())
    }
}
