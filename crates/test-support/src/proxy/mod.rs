//! [`ChaosProxy`]: the network between client and server, at its worst and on command.
//!
//! `state` holds every switch and counter, `lane` those of one direction, `shared` puts a lock
//! around them; `switches` turns them, and `plan` decides ahead what each connection suffers.
//! `accept` takes connections in, `link` carries the bytes of one and `ending` breaks it off;
//! `passage` knows where in the dialogue it is, and `log` is what is told of it afterwards.

mod accept;
mod ending;
mod lane;
mod link;
mod log;
mod passage;
mod plan;
mod shared;
mod state;
mod switches;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::HeldPort;
use lane::Lane;
use shared::Shared;

pub use log::{ConnectionEnd, ConnectionRecord, RequestSeen};
pub use plan::{ChaosPlan, ConnectionFault};

/// Socket buffers in bytes once a rate is set: what the kernel may hold on either side of the
/// proxy is then small beside any chunk, so that the counters tell what really travelled.
const SMALL_SOCKET_BUFFER: usize = 128 * 1024;

/// One way through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server: requests.
    Up,
    /// From the server to the client: answers.
    Down,
}

/// What a [`ChaosProxy`] has seen since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyCounters {
    /// Bytes read from clients, forwarded or not.
    pub bytes_up: u64,
    /// Bytes read from the server, forwarded or not.
    pub bytes_down: u64,
    /// Bytes of request bodies among `bytes_up`, as far as clients speak HTTP/1.
    pub body_up: u64,
    /// Bytes written to the server's socket; a request's copy is not among them.
    pub forwarded_up: u64,
    /// Bytes written to clients' sockets.
    pub forwarded_down: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub open_connections: u64,
    /// Connections ended with FIN by a switch of the proxy.
    pub cuts: u64,
    /// Connections ended with RST by a switch of the proxy.
    pub resets: u64,
    /// Answers read from the server and thrown away.
    pub swallowed_answers: u64,
    /// Answers replaced by other bytes.
    pub spliced_answers: u64,
    /// Answers that were kept back, released or not.
    pub held_answers: u64,
    /// Requests that the server has answered twice.
    pub duplicates: u64,
    /// Bits that were flipped.
    pub flips: u64,
}

/// How a [`ChaosProxy`] starts; from [`ChaosProxy::builder`].
#[derive(Clone, Debug)]
pub struct ChaosProxyBuilder {
    target: SocketAddr,
    lanes: [Lane; 2],
    seed: u64,
    plan: ChaosPlan,
    patience: Duration,
}

impl ChaosProxyBuilder {
    /// Limits client → server to `bytes_per_second`, shared by all connections. Default: no
    /// limit. With any limit, socket buffers are held to 128 KiB.
    #[must_use]
    pub fn rate_up(mut self, bytes_per_second: u64) -> Self {
        self.lanes[Direction::Up as usize].rate = Some(bytes_per_second);
        self
    }

    /// Limits server → client to `bytes_per_second`, shared by all connections. Default: no
    /// limit. With any limit, socket buffers are held to 128 KiB.
    #[must_use]
    pub fn rate_down(mut self, bytes_per_second: u64) -> Self {
        self.lanes[Direction::Down as usize].rate = Some(bytes_per_second);
        self
    }

    /// Holds every byte back for `one_way`, in both directions; a round trip costs twice that.
    /// Default: zero.
    ///
    /// Throughput does not suffer: up to 64 MiB per connection (or what the rate lets into the
    /// delay) are under way at once. The first bytes of a connection wait one round trip more,
    /// as they would for the handshake.
    #[must_use]
    pub fn delay(mut self, one_way: Duration) -> Self {
        for lane in &mut self.lanes {
            lane.delay = one_way;
        }
        self
    }

    /// Plans what each connection suffers. Default: nothing.
    #[must_use]
    pub fn plan(mut self, plan: ChaosPlan) -> Self {
        self.plan = plan;
        self
    }

    /// Seeds what is random apart from the plan: [`ChaosProxy::reset_every`] and
    /// [`ChaosProxy::flip_bodies`]. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long [`ChaosProxy::wait_until`] waits before it panics. Default: 10 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Listens on a free port of 127.0.0.1 and starts to forward. Must be called in a tokio
    /// runtime, whose tasks the proxy uses.
    ///
    /// # Errors
    /// When no loopback port can be listened on.
    #[expect(
        clippy::unused_async,
        reason = "asynchronous so that it cannot be called outside the runtime it needs"
    )]
    pub async fn start(self) -> io::Result<ChaosProxy> {
        let small = self.lanes.iter().any(|lane| lane.rate.is_some());
        let buffer = small.then_some(SMALL_SOCKET_BUFFER);
        let port = HeldPort::new()?;
        let address = port.addr();
        let listener = port.listen(buffer)?;
        let shared = Shared::new(self.target, self.lanes, self.seed, self.plan, buffer);
        let shared = Arc::new(shared);
        let (commands, inbox) = mpsc::channel(1);
        let task = tokio::spawn(accept::run(Arc::clone(&shared), port, listener, inbox));
        Ok(ChaosProxy {
            shared,
            address,
            patience: self.patience,
            commands,
            task,
        })
    }
}

/// A TCP proxy on 127.0.0.1, on a port the kernel chose, that forwards to one target and spoils
/// it on command: see the switches below, each usable at any moment.
///
/// Its accounting is exact: a byte is counted under the same lock that decides its fate. A client
/// that closes or dies is treated fairly, whatever was read from it is still forwarded and then
/// FIN; a server that dies by reset resets the client, too. Connecting succeeds even when the
/// target is down; the connection is then reset.
///
/// Dropping the proxy stops all its tasks and closes all its sockets.
#[derive(Debug)]
pub struct ChaosProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    patience: Duration,
    commands: mpsc::Sender<accept::Command>,
    task: JoinHandle<()>,
}

impl ChaosProxy {
    /// Begins a proxy to `target`, with no fault at all.
    #[must_use]
    pub fn builder(target: SocketAddr) -> ChaosProxyBuilder {
        ChaosProxyBuilder {
            target,
            lanes: [Lane::default(), Lane::default()],
            seed: 0,
            plan: ChaosPlan::default(),
            patience: Duration::from_secs(10),
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `path` at this proxy, as in `http://127.0.0.1:40123/files/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// What has passed until now.
    #[must_use]
    pub fn counters(&self) -> ProxyCounters {
        self.shared.counters()
    }

    /// What became of each connection, in the order of acceptance.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionRecord> {
        self.shared.connections()
    }

    /// Time since the proxy started, on the clock of [`connections`](Self::connections).
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.elapsed()
    }

    /// Waits until `condition` holds for the counters, and returns those it held for.
    ///
    /// # Panics
    /// When it does not hold within the patience of the builder.
    pub async fn wait_until(&self, condition: impl Fn(&ProxyCounters) -> bool) -> ProxyCounters {
        let mut counters = self.shared.watch_counters();
        let waited = tokio::time::timeout(self.patience, counters.wait_for(condition)).await;
        match waited {
            Ok(found) => *found.expect("the proxy owns the sending half"),
            Err(_) => panic!(
                "the proxy on {} did not come to the awaited state within {:?}; it stands at {:?}",
                self.address,
                self.patience,
                self.counters(),
            ),
        }
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        // The accepting task owns the connections' tasks, so they end with it.
        self.task.abort();
    }
}
