//! What the tests and benches of this workspace stand on, and nothing that ships.
//!
//! - [`ChaosProxy`]: a TCP proxy on loopback that counts, slows, cuts, resets and lies on command.
//! - [`FakeServer`], [`FakeH2Server`]: servers that lie by script, over TCP, TLS and HTTP/2.
//! - [`NullSink`]: a tus server that counts and discards, to measure clients against.
//! - [`Checker`]: the judge of what a server holds and of what must not leak.
//! - [`fixtures`]: seeded files of any length, digests, temporary folders, the real videos.
//! - [`Process`]: a child process that cannot outlive its test.
//! - [`VethPair`]: two machines with a cable that can be pulled.
//! - [`Link`]: two machines far apart, with a real round-trip time, loss, rate and queue.
//! - [`Strace`]: a process whose n-th system call fails, is late, or is its last.
//! - [`TusNodeServer`], [`TusPyServer`], [`TusServer`]: real servers of npm, PyPI and crates.io,
//!   killed, frozen and restarted at will.
//! - [`stats`], [`readings`]: medians and their uncertainty, and what measuring programs print.
//!
//! Everything listens on loopback and on a port the kernel chose, takes its randomness from a
//! seed, and stops when it is dropped. Waiting is always for an event, never for a while.

mod checker;
mod fake;
pub mod fixtures;
mod http1;
mod link;
mod netns;
pub mod peers;
mod port;
mod process;
mod proxy;
mod random;
pub mod readings;
mod sink;
pub mod stats;
mod strace;

pub use checker::{Checker, Violation};
pub use fake::{
    FakeH2Server, FakeRequest, FakeServer, H2Act, H2Reply, H2Settings, Identity, IntoReply, Reply,
    Script, TestCa,
};
pub use link::{Link, LinkPlan};
pub use netns::{Namespace, Side, VethPair};
pub use peers::{Peer, PeerServer, StoredFile, TusNodeServer, TusPyServer, TusServer};
pub use port::HeldPort;
pub use process::{Process, Stream};
pub use proxy::{
    ChaosPlan, ChaosProxy, ChaosProxyBuilder, ConnectionEnd, ConnectionFault, ConnectionRecord,
    Direction, ProxyCounters, RequestSeen,
};
pub use random::{Random, RandomBytes};
pub use sink::{NullSink, NullSinkBuilder, SinkCounters, SinkUpload};
pub use strace::{Calls, Injection, Strace};
