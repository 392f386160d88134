//! A loopback port that stays ours while nothing listens on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A loopback port chosen by the kernel and kept for as long as this value lives.
///
/// While nobody listens on it, connecting is refused; a server that sets `SO_REUSEADDR` (std,
/// tokio and Node do) may listen, stop and listen again, and no other program is given the port
/// in between. That is what makes "down for a moment, back on the same address" safe to test.
#[derive(Debug)]
pub struct HeldPort {
    address: SocketAddr,
    /// Bound, never listening.
    _socket: Socket,
}

impl HeldPort {
    /// Takes a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When the kernel has no socket or no port left.
    pub fn new() -> io::Result<Self> {
        let socket = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("an IPv4 socket has an IP address"))?;
        Ok(Self {
            address,
            _socket: socket,
        })
    }

    /// The address that is held.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Listens on the held port. `receive_buffer` bytes become `SO_RCVBUF` of every accepted
    /// connection; it must be set before listening, or the first ones would escape it.
    pub(crate) fn listen(
        &self,
        receive_buffer: Option<usize>,
    ) -> io::Result<tokio::net::TcpListener> {
        let socket = bound(self.address)?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.set_nonblocking(true)?;
        socket.listen(1024)?;
        tokio::net::TcpListener::from_std(socket.into())
    }

    /// Listens on the held port with a queue that is full, for as long as both sockets live: Linux
    /// then drops every further SYN, so that connecting neither succeeds nor fails.
    pub(crate) fn listen_full(&self) -> io::Result<(Socket, Socket)> {
        let listening = bound(self.address)?;
        listening.listen(0)?;
        // A queue of length zero has room for one.
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        filler.connect(&self.address.into())?;
        Ok((listening, filler))
    }
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
