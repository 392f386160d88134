//! The task that takes connections in and owns the tasks that serve them.

use std::io;
use std::sync::Arc;

use socket2::Socket;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::link;
use super::shared::Shared;
use crate::HeldPort;

/// What only the owner of the listening socket can do: turn to another manner of listening.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) manner: Manner,
    pub(super) done: oneshot::Sender<io::Result<()>>,
}

/// How new connections are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Accept,
    /// Not at all: the kernel does not answer their SYN.
    Ignore,
    /// Nobody listens, and the kernel says so.
    Refuse,
}

/// The listening socket, in one of its manners.
#[derive(Debug)]
enum Door {
    Open(TcpListener),
    /// A full queue of length zero: whoever is not in it is not heard.
    Full(#[expect(dead_code, reason = "held open")] (Socket, Socket)),
    Closed,
}

impl Door {
    async fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Self::Open(listener) => listener.accept().await.map(|(client, _)| client),
            Self::Full(_) | Self::Closed => std::future::pending().await,
        }
    }

    fn turn(&mut self, manner: Manner, port: &HeldPort, buffer: Option<usize>) -> io::Result<()> {
        match (manner, &self) {
            (Manner::Accept, Self::Open(_)) | (Manner::Ignore, Self::Full(_)) => {}
            (Manner::Accept, _) => {
                // Closed first: two sockets cannot listen on one port.
                *self = Self::Closed;
                *self = Self::Open(port.listen(buffer)?);
            }
            (Manner::Ignore, _) => {
                *self = Self::Closed;
                *self = Self::Full(port.listen_full()?);
            }
            (Manner::Refuse, _) => *self = Self::Closed,
        }
        Ok(())
    }
}

/// Runs until it is aborted or the proxy is gone; its connections end with it.
pub(super) async fn run(
    shared: Arc<Shared>,
    port: HeldPort,
    listener: TcpListener,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut door = Door::Open(listener);
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some(Command { manner, done }) = command else { return };
                let result = door.turn(manner, &port, shared.socket_buffer);
                // Whoever asked may have given up waiting; the switch is turned all the same.
                let _ = done.send(result);
            }
            accepted = door.accept() => {
                // A failed accept concerns a client that is gone already.
                if let Ok(client) = accepted {
                    let passage = shared.admit();
                    links.spawn(link::run(Arc::clone(&shared), client, passage));
                }
            }
            Some(_) = links.join_next() => {}
        }
    }
}
