//! The faults of [`ChaosProxy`], as its user turns them on and off.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::oneshot;

use super::accept::Command;
use super::state::{Break, Resets};
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
            state.resets = (bytes > 0).then_some(Resets {
                bytes,
                jitter: jitter.min(bytes),
                next: 0,
            });
            state.plan_reset();
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

    /// While on, connections are accepted and kept but not a byte is read or written: to a
    /// client it is a server that froze or a cable that was pulled. Off: all goes on.
    pub fn black_hole(&self, on: bool) {
        self.shared.change(|state| state.black_hole = on);
    }

    /// Once: forwards the request, throws the next answer away, then cuts (FIN). An answer
    /// `100 Continue` does not count.
    pub fn swallow_answer(&self) {
        self.shared.change(|state| state.swallow.push(None));
    }

    /// As [`swallow_answer`](Self::swallow_answer), but of the next request with `method`, as in
    /// `"PATCH"`. Requests must not be pipelined; no tus client does.
    pub fn swallow_answer_to(&self, method: &str) {
        self.shared
            .change(|state| state.swallow.push(Some(method.to_owned())));
    }

    /// Flips the lowest bit of byte number `at` of `direction`, counted from 0 over all that the
    /// proxy has read or will read in it. A byte that has passed already stays as it was.
    pub fn flip_byte(&self, direction: Direction, at: u64) {
        self.shared
            .change(|state| state.lane(direction).flips.push(at));
    }

    /// While on, connecting is refused: the listening socket is closed. Off: listens again on
    /// the same port. Open connections are not touched. Has taken effect when it returns.
    ///
    /// # Errors
    /// When the port cannot be listened on again.
    pub async fn refuse(&self, on: bool) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let command = Command::Refuse { on, done };
        let sent = self.commands.send(command).await.is_ok();
        match answer.await {
            Ok(result) if sent => result,
            _ => Err(io::Error::other("the proxy's runtime has ended")),
        }
    }

    /// Turns every fault off that has not struck yet, except [`refuse`](Self::refuse); rates,
    /// delays and target stay.
    pub fn calm(&self) {
        self.shared.change(|state| {
            for lane in &mut state.lanes {
                lane.break_at = None;
                lane.each_after = None;
                lane.flips.clear();
            }
            state.resets = None;
            state.swallow.clear();
            state.black_hole = false;
        });
    }
}
