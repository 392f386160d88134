//! The ways in which a connection ends by order.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use super::Direction;
use super::lane::READ;
use super::log::ConnectionEnd;
use super::shared::Shared;
use super::state::Break;

/// Waits until a switch ends the connections that were open at `(cut, reset)`.
pub(super) async fn ordered_break(shared: &Shared, (cut, reset): (u64, u64)) -> Break {
    let mut changes = shared.watch_changes();
    loop {
        let view = shared.view(Direction::Up);
        if view.reset_epoch != reset {
            return Break::Reset;
        }
        if view.cut_epoch != cut {
            return Break::Cut;
        }
        if changes.changed().await.is_err() {
            return Break::Reset;
        }
    }
}

/// Ends connection `number` by order.
pub(super) async fn end(
    shared: &Shared,
    number: u64,
    kind: Break,
    client: &TcpStream,
    server: Option<&TcpStream>,
) {
    match kind {
        Break::Reset => {
            reset(client);
            server.into_iter().for_each(reset);
            shared.note(number, |record, _| record.end = ConnectionEnd::Reset);
            shared.tally(|counters| counters.resets += 1);
        }
        Break::Cut | Break::HalfClose => {
            finish(client);
            server.into_iter().for_each(finish);
            shared.note(number, |record, _| record.end = ConnectionEnd::Cut);
            shared.tally(|counters| counters.cuts += 1);
            let view = shared.view(Direction::Up);
            let drained = async {
                let answers = async {
                    if let Some(server) = server {
                        drain(shared, number, server, Direction::Down).await;
                    }
                };
                tokio::join!(drain(shared, number, client, Direction::Up), answers);
            };
            tokio::select! {
                () = drained => {}
                // A second cut cannot cut more; a reset can.
                () = ordered_reset(shared, view.reset_epoch) => {
                    reset(client);
                    server.into_iter().for_each(reset);
                }
            }
        }
    }
}

async fn ordered_reset(shared: &Shared, epoch: u64) {
    let mut changes = shared.watch_changes();
    while shared.view(Direction::Up).reset_epoch == epoch {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Makes the coming close of `stream` an RST.
pub(super) fn reset(stream: &TcpStream) {
    // It fails only for a socket whose peer has reset it already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Sends FIN.
pub(super) fn finish(stream: &TcpStream) {
    // It fails only for a socket that is no longer connected.
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
}

/// Reads until the peer closes, so that our own close is no RST.
async fn drain(shared: &Shared, number: u64, from: &TcpStream, direction: Direction) {
    let mut buffer = vec![0; READ];
    while from.readable().await.is_ok() {
        match from.try_read(&mut buffer) {
            Ok(n @ 1..) => sleep_until(shared.discard(direction, number, n)).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => break,
        }
    }
    if direction == Direction::Up {
        client_ended(shared, number);
    }
}

/// Notes that the client has closed or died.
pub(super) fn client_ended(shared: &Shared, number: u64) {
    shared.note(number, |record, now| {
        record.client_ended.get_or_insert(now);
    });
}
