//! One connection: two pumps, and the ways in which it ends.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until};

use super::Direction;
use super::passage::Passage;
use super::state::{Break, READ, Shared, Taken};

/// Serves `client` until either side or a switch ends the connection.
pub(super) async fn run(shared: Arc<Shared>, client: TcpStream) {
    let _open = Open(&shared);
    // A view now, so that a switch turned from here on finds this connection.
    let view = shared.view(Direction::Up);
    let epochs = (view.cut_epoch, view.reset_epoch);
    let connecting = async {
        while_black_hole(&shared).await;
        connect(&shared).await
    };
    let server = tokio::select! {
        server = connecting => server,
        kind = ordered_break(&shared, epochs) => {
            end(&shared, kind, &client, None).await;
            return;
        }
    };
    let Ok(server) = server else {
        // The nearest to "connection refused" that an accepted connection can get.
        reset(&client);
        return;
    };
    let link = Link {
        shared: &shared,
        born: Instant::now(),
        handshake: view.handshake,
        passage: Mutex::default(),
        server_broke: AtomicBool::new(false),
    };
    tokio::select! {
        outcome = link.carry(&client, &server) => match outcome {
            Outcome::Closed => {}
            Outcome::ServerBroke => reset(&client),
            Outcome::Broken(kind) => end(&shared, kind, &client, Some(&server)).await,
        },
        kind = ordered_break(&shared, epochs) => {
            end(&shared, kind, &client, Some(&server)).await;
        }
    }
}

/// Counts the connection as open for as long as it lives.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.tally(|counters| counters.open_connections -= 1);
    }
}

async fn while_black_hole(shared: &Shared) {
    let mut changes = shared.watch_changes();
    while shared.view(Direction::Up).black_hole {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn connect(shared: &Shared) -> io::Result<TcpStream> {
    let target = shared.view(Direction::Up).target;
    let socket = if target.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(bytes) = shared.socket_buffer {
        let socket = SockRef::from(&socket);
        socket.set_send_buffer_size(bytes)?;
        socket.set_recv_buffer_size(bytes)?;
    }
    let server = socket.connect(target).await?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Waits until a switch ends the connections that were open at `(cut, reset)`.
async fn ordered_break(shared: &Shared, (cut, reset): (u64, u64)) -> Break {
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

/// Ends a connection by order.
async fn end(shared: &Shared, kind: Break, client: &TcpStream, server: Option<&TcpStream>) {
    match kind {
        Break::Reset => {
            reset(client);
            server.into_iter().for_each(reset);
            shared.tally(|counters| counters.resets += 1);
        }
        Break::Cut => {
            finish(client);
            server.into_iter().for_each(finish);
            shared.tally(|counters| counters.cuts += 1);
            let view = shared.view(Direction::Up);
            let drained = async {
                let answers = async {
                    if let Some(server) = server {
                        drain(shared, server, Direction::Down).await;
                    }
                };
                tokio::join!(drain(shared, client, Direction::Up), answers);
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
fn reset(stream: &TcpStream) {
    // It fails only for a socket whose peer has reset it already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Sends FIN.
fn finish(stream: &TcpStream) {
    // It fails only for a socket that is no longer connected.
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
}

/// Reads until the peer closes, so that our own close is no RST.
async fn drain(shared: &Shared, from: &TcpStream, direction: Direction) {
    let mut buffer = vec![0; READ];
    while from.readable().await.is_ok() {
        match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => sleep_until(shared.discard(direction, n)).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// How the carrying of bytes ended.
enum Outcome {
    /// Both directions have finished.
    Closed,
    /// A fault struck.
    Broken(Break),
    /// The server reset the connection; the client is owed the same.
    ServerBroke,
}

/// Bytes on their way.
struct Parcel {
    bytes: Vec<u8>,
    written: usize,
    due: Instant,
}

struct Link<'a> {
    shared: &'a Shared,
    born: Instant,
    handshake: Duration,
    passage: Mutex<Passage>,
    /// Seen by the pump that writes to the server, for the one that reads from it: the kernel
    /// reports a reset to only one of them.
    server_broke: AtomicBool,
}

impl Link<'_> {
    /// Carries bytes both ways until both are finished or the connection breaks.
    async fn carry(&self, client: &TcpStream, server: &TcpStream) -> Outcome {
        // It only fails for a client that is gone, which the pump will notice.
        let _ = client.set_nodelay(true);
        let up = self.pump(Direction::Up, client, server);
        let down = self.pump(Direction::Down, server, client);
        tokio::pin!(up, down);
        let (mut up_ended, mut down_ended) = (false, false);
        while !(up_ended && down_ended) {
            let (outcome, ended) = tokio::select! {
                outcome = &mut up, if !up_ended => (outcome, &mut up_ended),
                outcome = &mut down, if !down_ended => (outcome, &mut down_ended),
            };
            match outcome {
                Outcome::Closed => *ended = true,
                broken => return broken,
            }
        }
        Outcome::Closed
    }

    async fn pump(&self, direction: Direction, from: &TcpStream, to: &TcpStream) -> Outcome {
        let mut changes = self.shared.watch_changes();
        let half_close_epoch = self.shared.view(direction).half_close_epoch;
        let mut buffer = vec![0; READ];
        let mut parcels: VecDeque<Parcel> = VecDeque::new();
        let mut held = 0;
        let mut ready_at = Instant::now();
        let mut deaf = false;
        let mut ending = None;
        loop {
            let view = self.shared.view(direction);
            if view.half_close_epoch != half_close_epoch && !deaf {
                deaf = true;
                finish(to);
            }
            if deaf {
                parcels.clear();
                held = 0;
            }
            if parcels.is_empty()
                && let Some(ending) = ending
            {
                return self.close(ending, to);
            }
            let may_read = ending.is_none() && held < view.capacity && !view.black_hole;
            let may_write = !view.black_hole;
            tokio::select! {
                _ = changes.changed() => {}
                readable = readable_after(ready_at, from), if may_read => {
                    let taken = readable.and_then(|()| {
                        let read = |buffer: &mut [u8]| from.try_read(buffer);
                        self.shared.take(direction, &self.passage, &mut buffer, read)
                    });
                    match taken {
                        Ok(Taken::End) => ending = Some(Outcome::Closed),
                        Ok(Taken::Broken(kind)) => ending = Some(Outcome::Broken(kind)),
                        Ok(Taken::Bytes { len, swallowed, delay, ready_at: next, then }) => {
                            ready_at = next;
                            ending = then.map(Outcome::Broken);
                            if !swallowed {
                                held += len;
                                let start = (self.born + self.handshake).max(Instant::now());
                                parcels.push_back(Parcel {
                                    bytes: buffer[..len].to_vec(),
                                    written: 0,
                                    due: start + delay,
                                });
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        // A client that died is a client that closed: what it sent still counts.
                        Err(_) if direction == Direction::Up => ending = Some(Outcome::Closed),
                        Err(_) => ending = Some(Outcome::ServerBroke),
                    }
                }
                writable = writable_after(parcels.front(), to), if may_write => {
                    let written = match parcels.front() {
                        Some(parcel) => writable
                            .and_then(|()| to.try_write(&parcel.bytes[parcel.written..])),
                        None => Ok(0),
                    };
                    match written {
                        Ok(n) => {
                            held -= n;
                            self.advance(direction, &mut parcels, n);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) if direction == Direction::Up => {
                            self.server_broke.store(true, Ordering::Relaxed);
                            return Outcome::Closed;
                        }
                        // The client is gone; the server may still finish what it says.
                        Err(_) => deaf = true,
                    }
                }
            }
        }
    }

    fn advance(&self, direction: Direction, parcels: &mut VecDeque<Parcel>, n: usize) {
        if let Some(parcel) = parcels.front_mut() {
            parcel.written += n;
            if parcel.written == parcel.bytes.len() {
                parcels.pop_front();
            }
        }
        self.shared.tally(|counters| match direction {
            Direction::Up => counters.forwarded_up += n as u64,
            Direction::Down => counters.forwarded_down += n as u64,
        });
    }

    fn close(&self, ending: Outcome, to: &TcpStream) -> Outcome {
        match ending {
            Outcome::Closed if self.server_broke.load(Ordering::Relaxed) => Outcome::ServerBroke,
            Outcome::Closed => {
                finish(to);
                Outcome::Closed
            }
            broken => broken,
        }
    }
}

async fn readable_after(ready_at: Instant, from: &TcpStream) -> io::Result<()> {
    if ready_at > Instant::now() {
        sleep_until(ready_at).await;
    }
    from.readable().await
}

async fn writable_after(parcel: Option<&Parcel>, to: &TcpStream) -> io::Result<()> {
    let Some(parcel) = parcel else {
        return std::future::pending().await;
    };
    if parcel.due > Instant::now() {
        sleep_until(parcel.due).await;
    }
    to.writable().await
}
