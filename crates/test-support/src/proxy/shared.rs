//! [`Shared`]: the proxy's state behind one lock, so that counts and faults are exact over all
//! connections.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::lane::Lane;
use super::log::{ConnectionEnd, ConnectionRecord};
use super::passage::{Fate, Passage, flip};
use super::plan::ChaosPlan;
use super::state::{Break, Hole, State};
use super::{Direction, ProxyCounters};

/// The outcome of one read.
#[derive(Debug)]
pub(super) enum Taken {
    /// The sender has finished.
    End,
    /// The connection must break before its next byte.
    Broken(Break),
    /// Bytes are in the buffer.
    Bytes(Load),
}

/// Bytes that were read, and what to do with them.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) len: usize,
    pub(super) fate: Fate,
    /// Send this to the server first, and wait for it to be answered.
    pub(super) replay: Option<Vec<u8>>,
    /// Forward not before this has passed.
    pub(super) delay: Duration,
    /// Read again not before.
    pub(super) ready_at: Instant,
    /// Then break.
    pub(super) then: Option<Break>,
}

/// A direction's settings as one connection needs them between two steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) hole: Hole,
    pub(super) half_close_epoch: u64,
    /// Bytes that may be under way inside the proxy.
    pub(super) capacity: usize,
    pub(super) cut_epoch: u64,
    pub(super) reset_epoch: u64,
    pub(super) releases: u64,
    pub(super) target: SocketAddr,
    /// One round trip.
    pub(super) handshake: Duration,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    start: Instant,
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
        plan: ChaosPlan,
        socket_buffer: Option<usize>,
    ) -> Self {
        Self {
            state: Mutex::new(State::new(target, lanes, seed, plan)),
            start: Instant::now(),
            counters: watch::Sender::new(ProxyCounters::default()),
            changes: watch::Sender::new(()),
            socket_buffer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn counters(&self) -> ProxyCounters {
        self.lock().counters
    }

    pub(super) fn connections(&self) -> Vec<ConnectionRecord> {
        self.lock().log.clone()
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

    /// Takes a connection in: gives it a number, and the faults that the plan has for it.
    pub(super) fn admit(&self) -> Passage {
        let mut state = self.lock();
        state.counters.connections += 1;
        state.counters.open_connections += 1;
        let number = state.counters.connections;
        state.log.push(ConnectionRecord {
            number,
            accepted: self.elapsed(),
            ..ConnectionRecord::default()
        });
        let doom = state.plan.draw(number);
        self.counters.send_replace(state.counters);
        Passage::new(number, doom)
    }

    /// Adds to the log of connection `number`.
    pub(super) fn note(&self, number: u64, note: impl FnOnce(&mut ConnectionRecord, Duration)) {
        note(self.lock().record(number), self.elapsed());
    }

    /// Takes a connection out.
    pub(super) fn dismiss(&self, number: u64) {
        let mut state = self.lock();
        let record = state.record(number);
        record.ended = Some(self.elapsed());
        if record.end == ConnectionEnd::Open {
            record.end = ConnectionEnd::Closed;
        }
        state.counters.open_connections -= 1;
        self.counters.send_replace(state.counters);
    }

    pub(super) fn view(&self, direction: Direction) -> View {
        let state = self.lock();
        let lane = &state.lanes[direction as usize];
        View {
            hole: state.hole,
            half_close_epoch: lane.half_close_epoch,
            capacity: lane.capacity(),
            cut_epoch: state.cut_epoch,
            reset_epoch: state.reset_epoch,
            releases: state.orders.releases,
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
        let mut allowed = state.lane(direction).read_limit(buffer.len());
        let next_break = state.next_break(direction, &passage);
        if let Some((left, kind)) = next_break {
            if left == 0 {
                state.disarm_reached(direction, &mut passage);
                return Ok(Taken::Broken(kind));
            }
            allowed = allowed.min(usize::try_from(left).unwrap_or(allowed));
        }

        let len = read(&mut buffer[..allowed])?;
        let at = self.elapsed();
        if len == 0 {
            return Ok(Taken::End);
        }
        let bytes = &mut buffer[..len];
        let first = state.bytes(direction);
        passage.pass(direction, len as u64);
        let ready_at = state.count(direction, passage.number, len, at);
        let mut then = next_break
            .filter(|(left, _)| *left == len as u64)
            .map(|(_, kind)| kind);
        if then.is_some() {
            state.disarm_reached(direction, &mut passage);
        }
        let (mut fate, mut replay) = match direction {
            Direction::Up => {
                state.see_request(&mut passage, bytes, at);
                (Fate::Forward, None)
            }
            Direction::Down => state.see_answer(&mut passage, bytes, at),
        };
        if state.hole == Hole::Swallowing || passage.doom.swallow {
            (fate, replay) = (Fate::Vanish, None);
        }
        if matches!(fate, Fate::Swallow | Fate::Splice(_)) {
            then = then.or(Some(Break::Cut));
        }
        let flipped = flip(&mut state.lane(direction).flips, first, bytes);
        state.counters.flips += flipped;
        self.counters.send_replace(state.counters);
        Ok(Taken::Bytes(Load {
            len,
            fate,
            replay,
            delay: state.lanes[direction as usize].delay,
            ready_at,
            then,
        }))
    }

    /// Counts bytes that are read only to be thrown away, and returns when to read the next.
    pub(super) fn discard(&self, direction: Direction, number: u64, n: usize) -> Instant {
        let mut state = self.lock();
        let ready_at = state.count(direction, number, n, self.elapsed());
        self.counters.send_replace(state.counters);
        ready_at
    }
}
