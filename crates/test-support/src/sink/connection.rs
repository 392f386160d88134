//! One connection of the sink: read a head, skip a body, answer, again.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;

use tokio_rustls::rustls::{ServerConnection, StreamOwned};

use super::head::{self, Head};
use super::tus::{Reply, Upload};
use super::{Shared, Totals};

/// The one buffer of a connection, and so the most that one read takes.
const BUFFER: usize = 256 * 1024;

/// The buffer begins at a multiple of this: to the address that an allocation of this size has, some kernels copy at half the
/// speed.
const LINE: usize = 64;

/// A longer head is refused.
const MAX_HEAD: usize = 64 * 1024;

/// Serves requests until the client closes, breaks, or asks to close.
pub(super) fn serve(shared: &Shared, socket: TcpStream) {
    // Answers are single small writes; waiting to merge them would only add latency.
    let _ = socket.set_nodelay(true);
    match &shared.conduct.tls {
        None => talk(shared, &socket, &socket),
        Some(config) => {
            let twin = socket.try_clone();
            let session = ServerConnection::new(config.clone());
            // Without either there is no connection; the client sees it closed.
            if let (Ok(twin), Ok(session)) = (twin, session) {
                talk(shared, StreamOwned::new(session, twin), &socket);
            }
        }
    }
}

fn talk(shared: &Shared, stream: impl Read + Write, socket: &TcpStream) {
    let mut memory = vec![0; BUFFER + LINE];
    let start = memory.as_ptr().align_offset(LINE).min(LINE);
    let mut connection = Connection {
        shared,
        stream,
        socket,
        buffer: &mut memory[start..start + BUFFER],
        start: 0,
        end: 0,
    };
    let mut first = true;
    // An error is a client that went away; its upload keeps the bytes that arrived.
    while let Ok(Some(head)) = connection.read_head() {
        if std::mem::take(&mut first) {
            shared.totals.connections.fetch_add(1, Ordering::Relaxed);
        }
        shared.totals.request(&head.method);
        match connection.answer(&head) {
            Ok(true) => {}
            Ok(false) => {
                connection.linger();
                return;
            }
            Err(_) => return,
        }
    }
}

struct Connection<'a, S> {
    shared: &'a Shared,
    /// What the requests are read from: the socket itself, or what TLS makes of it.
    stream: S,
    socket: &'a TcpStream,
    buffer: &'a mut [u8],
    /// The bytes `start..end` of the buffer were read and not used yet.
    start: usize,
    end: usize,
}

impl<S: Read + Write> Connection<'_, S> {
    /// Reads the next head; `None` at the end of the connection or after a refusal.
    fn read_head(&mut self) -> io::Result<Option<Head>> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        loop {
            let known = &self.buffer[..self.end];
            if let Some(length) = head::length(known) {
                self.start = length;
                let parsed = head::parse(&known[..length]);
                if parsed.is_none() {
                    self.write("400 Bad Request", "", true)?;
                }
                return Ok(parsed);
            }
            if self.end >= MAX_HEAD {
                self.write("431 Request Header Fields Too Large", "", true)?;
                return Ok(None);
            }
            match self.stream.read(&mut self.buffer[self.end..])? {
                0 => return Ok(None),
                n => self.end += n,
            }
        }
    }

    /// Handles one request; says whether the connection goes on.
    fn answer(&mut self, head: &Head) -> io::Result<bool> {
        let address;
        let host = match &head.host {
            Some(host) => host,
            None => {
                address = self.shared.address.to_string();
                &address
            }
        };
        if self.shared.refuses(head) {
            // As a proxy before a server does that is not there: at once, whatever still comes.
            self.write("503 Service Unavailable", "", true)?;
            return Ok(false);
        }
        match self.shared.uploads.decide(head, host) {
            Reply::Now(status, lines) => {
                // A client that waits for our consent is told no before it sends, and one whose
                // body has no length cannot be read past: both connections end here.
                let unskippable = head.chunked || self.unsent_body(head);
                if !unskippable {
                    self.skip(head.content_length, None)?;
                }
                let closes = head.closes || unskippable;
                self.write(status, &lines, closes)?;
                Ok(!closes)
            }
            Reply::Receive(upload, status, mut lines) => {
                if self.unsent_body(head) {
                    self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                let before = upload.offset();
                if let Err(broken) = self.skip(head.content_length, Some(&upload)) {
                    if self.shared.conduct.drops_broken {
                        upload.recede(before);
                    }
                    return Err(broken);
                }
                // blocking: a disk takes its time, and this thread is this client's alone.
                std::thread::sleep(self.shared.conduct.commit);
                lines += &format!("Upload-Offset: {}\r\n", upload.offset());
                self.write(status, &lines, head.closes)?;
                Ok(!head.closes)
            }
        }
    }

    /// Whether the client holds its body back until it hears `100 Continue`.
    fn unsent_body(&self, head: &Head) -> bool {
        head.expects_continue && head.content_length > 0 && self.start == self.end
    }

    /// Reads `length` bytes of body into nowhere, and lets them advance `upload`.
    fn skip(&mut self, length: u64, upload: Option<&Upload>) -> io::Result<()> {
        let Totals { body_bytes, .. } = &self.shared.totals;
        let shared = self.shared;
        let count = |n: usize| {
            shared.note_body(n);
            body_bytes.fetch_add(n as u64, Ordering::Relaxed);
            if let Some(upload) = upload {
                upload.advance(n as u64);
            }
        };
        let known = (self.end - self.start).min(usize::try_from(length).unwrap_or(usize::MAX));
        self.start += known;
        count(known);
        let mut left = length - known as u64;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            // The head in the buffer has been used: the body may overwrite all of it.
            match self.stream.read(&mut self.buffer[..want])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    count(n);
                    left -= n as u64;
                }
            }
        }
        Ok(())
    }

    /// Says that no more comes and reads until the client closes: closing over unread bytes would
    /// be a reset, which may overtake the answer.
    fn linger(&mut self) {
        if self.socket.shutdown(Shutdown::Write).is_ok() {
            while matches!(self.stream.read(self.buffer), Ok(1..)) {}
        }
    }

    fn write(&mut self, status: &str, lines: &str, closes: bool) -> io::Result<()> {
        // RFC 9110, 8.6: an answer 204 has no Content-Length.
        let length = if status.starts_with("204") {
            ""
        } else {
            "Content-Length: 0\r\n"
        };
        let connection = if closes { "Connection: close\r\n" } else { "" };
        let answer =
            format!("HTTP/1.1 {status}\r\nTus-Resumable: 1.0.0\r\n{lines}{length}{connection}\r\n");
        self.stream.write_all(answer.as_bytes())
    }
}
