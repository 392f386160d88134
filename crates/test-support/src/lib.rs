//! What the tests and benches of this workspace stand on, and nothing that ships.
//!
//! - [`ChaosProxy`]: a TCP proxy on loopback that counts, slows, cuts, resets and lies on command.
//! - [`NullSink`]: a tus server that counts and discards, to measure clients against.
//! - [`fixtures`]: seeded files of any length, digests, temporary folders, the real videos.
//! - [`Process`]: a child process that cannot outlive its test.
//! - [`TusNodeServer`], [`TusPyServer`], [`TusServer`]: real servers of npm, PyPI and crates.io,
//!   killed, frozen and restarted at will.
//!
//! Everything listens on loopback and on a port the kernel chose, takes its randomness from a
//! seed, and stops when it is dropped. Waiting is always for an event, never for a while.

pub mod fixtures;
mod http1;
pub mod peers;
mod port;
mod process;
mod proxy;
mod random;
mod sink;

pub use peers::{Peer, PeerServer, StoredFile, TusNodeServer, TusPyServer, TusServer};
pub use port::HeldPort;
pub use process::{Process, Stream};
pub use proxy::{
    ChaosPlan, ChaosProxy, ChaosProxyBuilder, ConnectionEnd, ConnectionFault, ConnectionRecord,
    Direction, ProxyCounters, RequestSeen,
};
pub use random::{Random, RandomBytes};
pub use sink::{NullSink, NullSinkBuilder, SinkCounters, SinkUpload};
