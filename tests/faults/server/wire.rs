//! HTTP/1.1 by hand, as no honest client sends it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    /// `Upload-Offset`.
    pub(super) fn offset(&self) -> u64 {
        self.header("Upload-Offset").unwrap().parse().unwrap()
    }
}

/// The head of a request; `lines` are header lines.
pub(super) fn head(server: SocketAddr, method: &str, path: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\n{lines}\r\n")
}

/// Sends bytes and reads one answer, if one comes.
pub(super) async fn send(server: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(bytes).await.ok()?;
    read(&mut stream, bytes.starts_with(b"HEAD")).await
}

/// A tus request on a connection of its own.
pub(super) async fn tus(
    server: SocketAddr,
    method: &str,
    path: &str,
    lines: &[&str],
    body: &[u8],
) -> Answer {
    let length = format!("Content-Length: {}", body.len());
    let mut all = vec!["Tus-Resumable: 1.0.0", &length];
    all.extend(lines);
    let mut request = head(server, method, path, &all).into_bytes();
    request.extend(body);
    send(server, &request).await.unwrap()
}

/// A PATCH whose body may stop coming: `body` is sent of `length` bytes.
pub(super) fn patch(server: SocketAddr, path: &str, at: u64, length: u64, body: &[u8]) -> Vec<u8> {
    let (at, length) = (
        format!("Upload-Offset: {at}"),
        format!("Content-Length: {length}"),
    );
    let lines = [
        "Tus-Resumable: 1.0.0",
        "Content-Type: application/offset+octet-stream",
        &at,
        &length,
    ];
    let mut request = head(server, "PATCH", path, &lines).into_bytes();
    request.extend(body);
    request
}

/// Creates a generic upload; its path.
pub(super) async fn create(server: SocketAddr, lines: &[&str]) -> String {
    let answer = tus(server, "POST", "/files/", lines, b"").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let location = answer.header("Location").unwrap();
    location[location.find("/files/").unwrap()..].to_owned()
}

/// Reads one answer; none when the connection ends before it.
pub(super) async fn read(stream: &mut TcpStream, to_head: bool) -> Option<Answer> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut answer = Answer {
        status: head[9..12].parse().unwrap(),
        head,
        body: bytes.split_off(end),
    };
    let length = answer
        .header("Content-Length")
        .map_or(0, |length| length.parse().unwrap());
    while !to_head && answer.body.len() < length {
        if stream.read_buf(&mut answer.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(answer)
}
