//! One connection: two pumps that carry its bytes.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until};

use super::Direction;
use super::ending::{client_ended, end, finish, ordered_break, reset};
use super::lane::READ;
use super::log::ConnectionEnd;
use super::passage::{Fate, Passage};
use super::shared::{Load, Shared, Taken, View};
use super::state::{Break, Hole};

/// Serves `client` until either side or a switch ends the connection.
pub(super) async fn run(shared: Arc<Shared>, client: TcpStream, passage: Passage) {
    let number = passage.number;
    let _open = Open(&shared, number);
    // A view now, so that a switch turned from here on finds this connection.
    let view = shared.view(Direction::Up);
    let epochs = (view.cut_epoch, view.reset_epoch);
    let doomed_to_freeze = passage.doom.freeze;
    let connecting = async {
        if doomed_to_freeze {
            std::future::pending::<()>().await;
        }
        while_frozen(&shared).await;
        connect(&shared).await
    };
    let server = tokio::select! {
        server = connecting => server,
        kind = ordered_break(&shared, epochs) => {
            end(&shared, number, kind, &client, None).await;
            return;
        }
    };
    let server_broke = |client: &TcpStream| {
        // The nearest to "connection refused" that an accepted connection can get.
        reset(client);
        shared.note(number, |record, _| record.end = ConnectionEnd::ServerBroke);
    };
    let Ok(server) = server else {
        return server_broke(&client);
    };
    let link = Link {
        shared: &shared,
        number,
        born: Instant::now(),
        handshake: view.handshake,
        passage: Mutex::new(passage),
        server_broke: AtomicBool::new(false),
    };
    tokio::select! {
        outcome = link.carry(&client, &server) => match outcome {
            Outcome::Closed => {}
            Outcome::ServerBroke => server_broke(&client),
            Outcome::Broken(kind) => end(&shared, number, kind, &client, Some(&server)).await,
        },
        kind = ordered_break(&shared, epochs) => {
            end(&shared, number, kind, &client, Some(&server)).await;
        }
    }
}

/// Counts the connection as open for as long as it lives.
struct Open<'a>(&'a Shared, u64);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dismiss(self.1);
    }
}

async fn while_frozen(shared: &Shared) {
    let mut changes = shared.watch_changes();
    while shared.view(Direction::Up).hole == Hole::Frozen {
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

/// Sends a request to the server on a connection of its own, until the server answers.
async fn replay(shared: &Shared, request: &[u8]) -> io::Result<()> {
    let mut server = connect(shared).await?;
    server.write_all(request).await?;
    let mut answer = [0; 4096];
    if server.read(&mut answer).await? > 0 {
        shared.tally(|counters| counters.duplicates += 1);
    }
    Ok(())
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
    /// Kept back until answers were released more often than this.
    held_in: Option<u64>,
}

struct Link<'a> {
    shared: &'a Shared,
    number: u64,
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
            if parcels.is_empty() {
                match ending.take() {
                    Some(Outcome::Broken(Break::HalfClose)) => {
                        deaf = true;
                        finish(to);
                    }
                    Some(ending) => return self.close(ending, to),
                    None => {}
                }
            }
            let frozen = view.hole == Hole::Frozen;
            let may_read = ending.is_none() && held < view.capacity && !frozen;
            let next = parcels.front().filter(|parcel| parcel.is_free(&view));
            let may_write = next.is_some() && !frozen;
            tokio::select! {
                _ = changes.changed() => {}
                readable = readable_after(ready_at, from), if may_read => {
                    let taken = readable.and_then(|()| {
                        let read = |buffer: &mut [u8]| from.try_read(buffer);
                        self.shared.take(direction, &self.passage, &mut buffer, read)
                    });
                    match taken {
                        Ok(Taken::End) => ending = Some(self.ended(direction)),
                        Ok(Taken::Broken(kind)) => ending = Some(Outcome::Broken(kind)),
                        Ok(Taken::Bytes(load)) => {
                            ready_at = load.ready_at;
                            ending = load.then.map(Outcome::Broken);
                            if let Some(parcel) = self.pack(load, &buffer).await {
                                held += parcel.bytes.len();
                                parcels.push_back(parcel);
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        // A client that died is a client that closed: what it sent still counts.
                        Err(_) if direction == Direction::Up => {
                            ending = Some(self.ended(direction));
                        }
                        Err(_) => ending = Some(Outcome::ServerBroke),
                    }
                }
                writable = writable_after(next, to), if may_write => {
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

    fn ended(&self, direction: Direction) -> Outcome {
        if direction == Direction::Up {
            client_ended(self.shared, self.number);
        }
        Outcome::Closed
    }

    /// Makes a parcel of what was read into `buffer`; none of what is thrown away.
    async fn pack(&self, load: Load, buffer: &[u8]) -> Option<Parcel> {
        if let Some(request) = &load.replay {
            // A server that does not take the copy has not been sent it twice, and is not counted.
            let _ = replay(self.shared, request).await;
        }
        let start = (self.born + self.handshake).max(Instant::now());
        let parcel = |bytes| Parcel {
            bytes,
            written: 0,
            due: start + load.delay,
            held_in: None,
        };
        let bytes = &buffer[..load.len];
        match load.fate {
            Fate::Forward => Some(parcel(bytes.to_vec())),
            Fate::Hold(releases) => Some(Parcel {
                held_in: Some(releases),
                ..parcel(bytes.to_vec())
            }),
            Fate::Splice(bytes) => Some(parcel(bytes)),
            Fate::Swallow | Fate::Vanish => None,
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

impl Parcel {
    fn is_free(&self, view: &View) -> bool {
        self.held_in.is_none_or(|before| before < view.releases)
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
