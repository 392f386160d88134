//! Replies of servers that are broken, in the way, or malicious.

use std::io::{self, Read as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Reply;

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in to the network</title></head>\n\
                    <body><form action=\"/login\"><input name=\"room\"></form></body></html>\n";

impl Reply {
    /// A page for people: what a captive portal or a proxy says in a server's name.
    #[must_use]
    pub fn html(status: u16) -> Self {
        Self::body(status, "text/html; charset=utf-8", PAGE)
    }

    /// A redirection (or a creation) that points to `location`, whatever it is.
    #[must_use]
    pub fn located(status: u16, location: impl AsRef<[u8]>) -> Self {
        Self::tus(status).header("Location", location)
    }

    /// One header that never ends.
    #[must_use]
    pub fn endless_header() -> Self {
        Self::raw("HTTP/1.1 200 OK\r\nX-Endless: ").then_repeat([b'a'; 4096], u64::MAX)
    }

    /// A head of `count` headers, complete and useless.
    #[must_use]
    pub fn many_headers(status: u16, count: u64) -> Self {
        Self::raw(format!("HTTP/1.1 {status} Scripted\r\n"))
            .then_repeat("X-Many: 1\r\n", count)
            .then("Content-Length: 0\r\n\r\n")
    }

    /// A body of `length` zero bytes, announced as such.
    #[must_use]
    pub fn huge_body(status: u16, length: u64) -> Self {
        const PIECE: usize = 64 * 1024;
        let rest = usize::try_from(length % PIECE as u64).unwrap_or(0);
        Self::raw(format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Length: {length}\r\n\r\n"
        ))
        .then_repeat([0; PIECE], length / PIECE as u64)
        .then(vec![0; rest])
    }

    /// A chunked body without a last chunk, at full speed.
    #[must_use]
    pub fn endless_chunks(status: u16) -> Self {
        let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
        Self::raw(format!(
            "HTTP/1.1 {status} Scripted\r\nTransfer-Encoding: chunked\r\n\r\n"
        ))
        .then_repeat(chunk, u64::MAX)
    }

    /// `body` with a `Content-Length` of `claimed`, then FIN.
    #[must_use]
    pub fn lying_length(status: u16, claimed: u64, body: impl AsRef<[u8]>) -> Self {
        Self::raw(format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Length: {claimed}\r\n\r\n"
        ))
        .then(body)
        .then_close()
    }

    /// A `gzip` body that unpacks to `length` zero bytes, a thousandth of that on the wire.
    ///
    /// # Errors
    /// Never in fact: it is written to memory.
    pub fn gzip_bomb(status: u16, length: u64) -> io::Result<Self> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        io::copy(&mut io::repeat(0).take(length), &mut packed)?;
        Ok(Self::body(status, "application/json", packed.finish()?)
            .header("Content-Encoding", "gzip"))
    }
}
