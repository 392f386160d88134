//! The faults of [`ChaosProxy`], as its user turns them on and off.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::oneshot;

use super::accept::{Command, Manner};
use super::passage::Wanted;
use super::plan::ChaosPlan;
use super::state::{Break, Hole, Recurring, State};
use super::{ChaosProxy, Direction};

impl ChaosProxy {
    /// Forwards *new* connections to `target`: the server came back on another port.
    pub fn set_target(&self, target: SocketAddr) {
        self.shared.change(|state| state.target = target);
    }

    /// Changes a direction's rate in bytes per second, `None` for no limit. Socket buffers stay
    /// as the builder made them.
    pub fn set_rate(&self, direction: Direction, bytes_per_second: Option<u64>) {
        self.shared
            .change(|state| state.lane(direction).rate = bytes_per_second);
    }

    /// Changes a direction's one-way latency, for bytes read from now on.
    pub fn set_delay(&self, direction: Direction, one_way: Duration) {
        self.shared
            .change(|state| state.lane(direction).delay = one_way);
    }

    /// Ends every open connection with FIN to both sides.
    ///
    /// What either side still sends is read, counted and thrown away until it closes, too:
    /// closing a socket with unread bytes would make the kernel send RST instead.
    pub fn cut_all(&self) {
        self.shared.change(|state| state.cut_epoch += 1);
    }

    /// Ends every open connection with RST to both sides (`SO_LINGER` 0). What the proxy or the
    /// kernel still held for either side is lost, as it is when a link breaks.
    pub fn reset_all(&self) {
        self.shared.change(|state| state.reset_epoch += 1);
    }

    /// Once: after `bytes` more bytes of all connections together in `direction`, cuts (FIN) the
    /// connection that carried the last of them. Exactly those bytes are forwarded.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.break_after(direction, bytes, Break::Cut);
    }

    /// As [`cut_after`](Self::cut_after), but with RST.
    pub fn reset_after(&self, direction: Direction, bytes: u64) {
        self.break_after(direction, bytes, Break::Reset);
    }

    fn break_after(&self, direction: Direction, bytes: u64, kind: Break) {
        self.shared.change(|state| {
            let at = state.bytes(direction) + bytes;
            state.lane(direction).break_at = Some((at, kind));
        });
    }

    /// Cuts (FIN) every connection, present and future, after its first `bytes` bytes in
    /// `direction`; `None` ends it.
    pub fn cut_each_after(&self, direction: Direction, bytes: Option<u64>) {
        self.shared
            .change(|state| state.lane(direction).each_after = bytes.map(|n| (n, Break::Cut)));
    }

    /// As [`cut_each_after`](Self::cut_each_after), but with RST.
    pub fn reset_each_after(&self, direction: Direction, bytes: Option<u64>) {
        self.shared
            .change(|state| state.lane(direction).each_after = bytes.map(|n| (n, Break::Reset)));
    }

    /// Again and again: resets the connection that carries the next `bytes` ± `jitter` bytes
    /// from clients, where the seed decides each distance. `bytes` of 0 ends it.
    pub fn reset_every(&self, bytes: u64, jitter: u64) {
        self.shared.change(|state| {
            let from = state.bytes(Direction::Up);
            state.resets = recurring(state, from, bytes, jitter);
        });
    }

    /// Ends one direction of every open connection: its receiver sees FIN, and what still comes
    /// is read, counted and thrown away. The other direction goes on.
    ///
    /// `Down` is a server that says no more but still takes bytes; `Up` a client that stopped in
    /// the middle of a body and still listens.
    pub fn half_close(&self, direction: Direction) {
        self.shared
            .change(|state| state.lane(direction).half_close_epoch += 1);
    }

    /// Plans the faults of connections that are accepted from now on; replaces the plan that was.
    pub fn set_plan(&self, plan: ChaosPlan) {
        self.shared.change(|state| state.plan = plan);
    }

    /// While on, connections are accepted and kept but not a byte is read or written: to a
    /// client it is a server that froze or a cable that was pulled. Off: all goes on.
    pub fn black_hole(&self, on: bool) {
        let hole = if on { Hole::Frozen } else { Hole::None };
        self.shared.change(|state| state.hole = hole);
    }

    /// While on, whatever either side says is read and thrown away: to a client it is a server
    /// that takes everything and never answers. What was lost so does not come back.
    pub fn swallow_all(&self, on: bool) {
        let hole = if on { Hole::Swallowing } else { Hole::None };
        self.shared.change(|state| state.hole = hole);
    }

    /// Once: forwards the request, throws the next answer away, then cuts (FIN). An answer
    /// `100 Continue` does not count.
    pub fn swallow_answer(&self) {
        self.shared
            .change(|state| state.orders.swallow.push(Wanted(None)));
    }

    /// As [`swallow_answer`](Self::swallow_answer), but of the next request with `method`, as in
    /// `"PATCH"`. Requests must not be pipelined; no tus client does.
    pub fn swallow_answer_to(&self, method: &str) {
        self.shared
            .change(|state| state.orders.swallow.push(only(method)));
    }

    /// Once: the next answer to a request with `method` is replaced by `bytes`, then FIN. The
    /// server has done what it was asked.
    pub fn splice_answer_to(&self, method: &str, bytes: impl Into<Vec<u8>>) {
        let order = (only(method), bytes.into());
        self.shared.change(|state| state.orders.splice.push(order));
    }

    /// Until [`release_answers`](Self::release_answers): answers to requests with `method` are
    /// read, counted as held, and kept back. The client waits, and may be killed meanwhile.
    pub fn hold_answers_to(&self, method: &str) {
        self.shared
            .change(|state| state.orders.hold = Some(only(method)));
    }

    /// Lets the answers go that are held, and holds no more.
    pub fn release_answers(&self) {
        self.shared.change(release);
    }

    /// Once: the next request with `method` reaches the server twice: its bytes are sent again on
    /// a connection of their own when the first answer comes, which the client hears only once
    /// the copy is answered, too. Requests of more than 64 MiB are not sent twice.
    pub fn duplicate(&self, method: &str) {
        self.shared
            .change(|state| state.orders.duplicate.push(only(method)));
    }

    /// Flips the lowest bit of byte number `at` of `direction`, counted from 0 over all that the
    /// proxy has read or will read in it, heads too. A byte that has passed already stays as it
    /// was.
    pub fn flip_byte(&self, direction: Direction, at: u64) {
        self.shared
            .change(|state| state.lane(direction).flips.push(at));
    }

    /// Once: flips one bit of the byte that comes `after` further bytes of request bodies, never
    /// one of a head.
    pub fn flip_body_byte(&self, after: u64) {
        self.shared.change(|state| {
            let next = state.body_bytes() + after;
            // Never again: the next place lies beyond all bytes that will come.
            let (bytes, jitter) = (u64::MAX / 2, 0);
            state.body_flips = Some(Recurring {
                bytes,
                jitter,
                next,
            });
        });
    }

    /// Again and again: flips one bit of request bodies about every `bytes` bytes, where the seed
    /// decides each distance, from 1 to twice that. `bytes` of 0 ends it.
    pub fn flip_bodies(&self, bytes: u64) {
        self.shared.change(|state| {
            let from = state.body_bytes();
            state.body_flips = recurring(state, from, bytes, bytes);
        });
    }

    /// While on, connecting is refused: the listening socket is closed. Off: listens again on
    /// the same port. Open connections are not touched. Has taken effect when it returns.
    ///
    /// # Errors
    /// When the port cannot be listened on again.
    pub async fn refuse(&self, on: bool) -> io::Result<()> {
        self.listen(if on { Manner::Refuse } else { Manner::Accept })
            .await
    }

    /// While on, connecting is not answered at all: the kernel drops each SYN, as a firewall or
    /// a dead host does. Off: listens again on the same port. Open connections are not touched.
    /// Has taken effect when it returns. Linux only.
    ///
    /// # Errors
    /// When the port cannot be listened on again.
    pub async fn ignore_connects(&self, on: bool) -> io::Result<()> {
        self.listen(if on { Manner::Ignore } else { Manner::Accept })
            .await
    }

    async fn listen(&self, manner: Manner) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let sent = self.commands.send(Command { manner, done }).await.is_ok();
        match answer.await {
            Ok(result) if sent => result,
            _ => Err(io::Error::other("the proxy's runtime has ended")),
        }
    }

    /// Turns every fault off that has not struck yet, lets held answers go and forgets the plan,
    /// except [`refuse`](Self::refuse) and [`ignore_connects`](Self::ignore_connects); rates,
    /// delays and target stay.
    pub fn calm(&self) {
        self.shared.change(|state| {
            for lane in &mut state.lanes {
                lane.break_at = None;
                lane.each_after = None;
                lane.flips.clear();
            }
            state.resets = None;
            state.body_flips = None;
            state.orders.swallow.clear();
            state.orders.splice.clear();
            state.orders.duplicate.clear();
            release(state);
            state.plan = ChaosPlan::default();
            state.hole = Hole::None;
        });
    }
}

fn only(method: &str) -> Wanted {
    Wanted(Some(method.to_owned()))
}

fn release(state: &mut State) {
    state.orders.hold = None;
    state.orders.releases += 1;
}

/// Something about every `bytes` bytes, beginning after `from`; nothing for 0.
fn recurring(state: &mut State, from: u64, bytes: u64, jitter: u64) -> Option<Recurring> {
    let mut recurring = Recurring {
        bytes,
        jitter: jitter.min(bytes),
        next: 0,
    };
    recurring.plan(from, &mut state.random);
    (bytes > 0).then_some(recurring)
}
