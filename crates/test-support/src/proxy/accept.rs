//! The task that takes connections in and owns the tasks that serve them.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::link;
use super::state::Shared;
use crate::HeldPort;

/// What only the owner of the listening socket can do.
#[derive(Debug)]
pub(super) enum Command {
    /// Closes the listening socket, or opens it again on the same port.
    Refuse {
        on: bool,
        done: oneshot::Sender<io::Result<()>>,
    },
}

/// Runs until it is aborted or the proxy is gone; its connections end with it.
pub(super) async fn run(
    shared: Arc<Shared>,
    port: HeldPort,
    listener: TcpListener,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut listener = Some(listener);
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some(Command::Refuse { on, done }) = command else { return };
                let result = refuse(&mut listener, on, &port, &shared);
                // Whoever asked may have given up waiting; the switch is turned all the same.
                let _ = done.send(result);
            }
            accepted = accept(listener.as_ref()) => {
                // A failed accept concerns a client that is gone already.
                if let Ok(client) = accepted {
                    shared.tally(|counters| {
                        counters.connections += 1;
                        counters.open_connections += 1;
                    });
                    links.spawn(link::run(Arc::clone(&shared), client));
                }
            }
            Some(_) = links.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

fn refuse(
    listener: &mut Option<TcpListener>,
    on: bool,
    port: &HeldPort,
    shared: &Shared,
) -> io::Result<()> {
    if on {
        *listener = None;
    } else if listener.is_none() {
        *listener = Some(port.listen(shared.socket_buffer)?);
    }
    Ok(())
}
