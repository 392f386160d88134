//! One connection of a fake server: read a head, decide, read of the body what the reply wants,
//! say it.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::reply::{End, Piece};
use super::{FakeRequest, Reply, Script, Shared, tls};
use crate::http1::{Follower, Part, RequestHead, head_length};

/// A longer head is not read.
const MAX_HEAD: usize = 1 << 20;

/// The most that one read takes.
const READ: usize = 64 * 1024;

/// What is spoken below HTTP.
#[derive(Clone)]
pub(super) enum Speech {
    Plain,
    Tls(TlsAcceptor),
    /// A handshake that offers TLS 1.1, and nothing after it.
    Tls11,
}

/// Serves requests until the client or a reply ends the connection.
pub(super) async fn serve(
    shared: Arc<Shared>,
    script: Arc<Script>,
    speech: Speech,
    scheme: &'static str,
    stream: TcpStream,
) {
    let number = shared.connect();
    // Answers are small writes; waiting to merge them would only add latency.
    let _ = stream.set_nodelay(true);
    let wire = match speech {
        Speech::Plain => Wire::Plain(stream),
        Speech::Tls(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => Wire::Tls(Box::new(stream)),
            // A client that does not believe the certificate: what the test is about.
            Err(_) => return,
        },
        Speech::Tls11 => return tls::offer_1_1(stream).await,
    };
    let mut connection = Connection {
        shared,
        script,
        scheme,
        number,
        wire,
        unread: Vec::new(),
    };
    // An error is a client that went away.
    while let Ok(true) = connection.exchange().await {}
}

/// The stream, plain or sealed.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Sends half of what `bytes` become on the wire.
    async fn write_half(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(&bytes[..bytes.len() / 2]).await,
            Self::Tls(stream) => {
                let (socket, session) = stream.get_mut();
                session.writer().write_all(bytes)?;
                let mut sealed = Vec::new();
                session.write_tls(&mut sealed)?;
                socket.write_all(&sealed[..sealed.len() / 2]).await
            }
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        }
    }

    fn reset_on_close(&self) -> io::Result<()> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        SockRef::from(stream).set_linger(Some(Duration::ZERO))
    }
}

struct Connection {
    shared: Arc<Shared>,
    script: Arc<Script>,
    scheme: &'static str,
    number: u64,
    wire: Wire,
    /// Read from the wire and not used yet.
    unread: Vec<u8>,
}

impl Connection {
    /// One request and its reply; says whether the connection goes on.
    async fn exchange(&mut self) -> io::Result<bool> {
        let Some((bytes, head)) = self.read_head().await? else {
            return Ok(false);
        };
        let request = self.shared.record(self.number, head);
        let (reply, counter) = self.decide(&request);
        let mut body = Body::new(&bytes, counter);
        let expects = request.header("Expect").is_some() && reply.after != Some(0);
        if expects && !body.ended {
            self.wire
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        if !self.read_body(&request, &mut body, reply.after).await? {
            return Ok(false);
        }
        for piece in &reply.pieces {
            self.say(piece).await?;
        }
        match reply.end {
            End::KeepAlive => self.read_body(&request, &mut body, None).await,
            End::Close => {
                self.wire.shutdown().await?;
                self.read_body(&request, &mut body, None).await?;
                while self.wire.read(&mut [0; 4096]).await? > 0 {}
                Ok(false)
            }
            End::Drop => Ok(false),
            End::Reset => {
                self.wire.reset_on_close()?;
                Ok(false)
            }
            End::Hang => std::future::pending().await,
        }
    }

    fn decide(&self, request: &FakeRequest) -> (Reply, Option<Arc<AtomicU64>>) {
        let honest = &self.shared.honest;
        if let Some(reply) = self.script.reply(request) {
            let kept = reply.keeps_body.then(|| honest.offset_of(&request.target));
            return (reply, kept.flatten());
        }
        let host = request.header("Host").unwrap_or("localhost");
        let base = format!("{}://{host}", self.scheme);
        let (answer, counter) = honest.answer(request, &base);
        (answer.into(), counter)
    }

    /// Reads the next head; `None` at the end of the connection and for what is no HTTP/1.
    async fn read_head(&mut self) -> io::Result<Option<(Vec<u8>, RequestHead)>> {
        loop {
            if let Some(length) = head_length(&self.unread) {
                let rest = self.unread.split_off(length);
                let bytes = std::mem::replace(&mut self.unread, rest);
                let head = RequestHead::parse(&bytes);
                return Ok(head.map(|head| (bytes, head)));
            }
            if self.unread.len() > MAX_HEAD || !self.read_more(READ).await? {
                return Ok(None);
            }
        }
    }

    /// Reads at most `most` bytes more; says whether there were any.
    async fn read_more(&mut self, most: usize) -> io::Result<bool> {
        let mut buffer = vec![0; most];
        let n = self.wire.read(&mut buffer).await?;
        self.unread.extend_from_slice(&buffer[..n]);
        Ok(n > 0)
    }

    /// Reads the body up to `limit` bytes of it, or all; says whether it came that far.
    async fn read_body(
        &mut self,
        request: &FakeRequest,
        body: &mut Body,
        limit: Option<u64>,
    ) -> io::Result<bool> {
        while !body.ended && limit.is_none_or(|limit| body.read < limit) {
            let left = limit.map_or(READ as u64, |limit| limit - body.read);
            let most = usize::try_from(left).unwrap_or(READ).min(READ);
            if self.unread.is_empty() && !self.read_more(most).await? {
                return Ok(false);
            }
            let piece = most.min(self.unread.len());
            let taken = body.take(&self.unread[..piece]);
            self.unread.drain(..taken);
            self.shared.count_body(request, taken as u64);
        }
        Ok(true)
    }

    async fn say(&mut self, piece: &Piece) -> io::Result<()> {
        match piece {
            Piece::Bytes(bytes) => self.wire.write_all(bytes).await,
            Piece::Half(bytes) => self.wire.write_half(bytes).await,
            Piece::Pause(pause) => {
                tokio::time::sleep(*pause).await;
                Ok(())
            }
            Piece::Repeat(bytes, times) => {
                for _ in 0..*times {
                    self.wire.write_all(bytes).await?;
                }
                Ok(())
            }
        }
    }
}

/// A body that is being read.
struct Body {
    follower: Follower,
    read: u64,
    ended: bool,
    counter: Option<Arc<AtomicU64>>,
}

impl Body {
    fn new(head: &[u8], counter: Option<Arc<AtomicU64>>) -> Self {
        let mut follower = Follower::default();
        let ended = follower.follow(head).contains(&Part::Ended);
        Self {
            follower,
            read: 0,
            ended,
            counter,
        }
    }

    /// Takes what of `bytes` belongs to it, and says how much that is.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for part in self.follower.follow(bytes) {
            match part {
                Part::Body(range) if !self.ended => taken = range.end,
                Part::Ended => self.ended = true,
                Part::Begun { .. } | Part::Body(_) => {}
            }
        }
        self.read += taken as u64;
        if let Some(counter) = &self.counter {
            counter.fetch_add(taken as u64, Ordering::AcqRel);
        }
        taken
    }
}
