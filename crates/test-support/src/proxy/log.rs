//! What became of each connection, with times.

use std::time::Duration;

/// One connection of a [`ChaosProxy`](super::ChaosProxy). Times count from the proxy's start, as
/// [`ChaosProxy::elapsed`](super::ChaosProxy::elapsed) does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionRecord {
    /// From 1, in the order of acceptance.
    pub number: u64,
    /// When it was accepted.
    pub accepted: Duration,
    /// When its client closed or died, as far as that was seen: a frozen proxy sees nothing.
    pub client_ended: Option<Duration>,
    /// When both its sockets were done with.
    pub ended: Option<Duration>,
    /// When the last byte came from the client.
    pub last_up: Option<Duration>,
    /// When the last byte came from the server.
    pub last_down: Option<Duration>,
    /// Bytes read from the client.
    pub bytes_up: u64,
    /// Bytes read from the server.
    pub bytes_down: u64,
    /// Bytes of request bodies among `bytes_up`: what re-sending costs, without the heads.
    pub body_up: u64,
    /// Its requests, as far as it speaks HTTP/1.
    pub requests: Vec<RequestSeen>,
    /// How it ended.
    pub end: ConnectionEnd,
}

/// One request on its way through the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestSeen {
    /// As in `"PATCH"`.
    pub method: String,
    /// When its head was complete.
    pub begun: Duration,
    /// When the first byte of its answer came from the server; interim answers do not count.
    pub answered: Option<Duration>,
    /// Bytes of its body.
    pub body: u64,
}

/// How a connection ended. Exhaustive: a match must think of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// It has not.
    #[default]
    Open,
    /// Both sides were through with it.
    Closed,
    /// A switch or the plan ended it with FIN.
    Cut,
    /// A switch or the plan ended it with RST.
    Reset,
    /// The server could not be reached or broke it off.
    ServerBroke,
}
