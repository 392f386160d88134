//! HTTP/1.1 by hand over one TCP connection per request.

use std::collections::HashMap;
use std::io;

use stream_emulator::EmulatorHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(&name.to_ascii_lowercase())
            .map(String::as_str)
    }

    pub(crate) fn offset(&self) -> Option<u64> {
        self.header("upload-offset")
            .map(|offset| offset.parse().expect("digits"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON answer")
    }

    /// Path and query of `Location`.
    pub(crate) fn location(&self) -> String {
        let location = self.header("location").expect("a Location");
        let rest = location.strip_prefix("http://").expect("an absolute URL");
        rest[rest.find('/').expect("a path")..].to_owned()
    }
}

/// The head of a request as text; `extra` are header lines.
pub(crate) fn head(server: &EmulatorHandle, method: &str, path: &str, extra: &[&str]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", server.addr());
    for line in extra {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}

pub(crate) async fn connect(server: &EmulatorHandle) -> TcpStream {
    TcpStream::connect(server.addr())
        .await
        .expect("the server listens")
}

/// Sends raw bytes and reads one answer.
pub(crate) async fn raw(server: &EmulatorHandle, bytes: &[u8]) -> io::Result<Answer> {
    let mut stream = connect(server).await;
    stream.write_all(bytes).await?;
    read_answer(&mut stream, bytes.starts_with(b"HEAD")).await
}

/// A request with `Content-Length`, on a connection of its own.
pub(crate) async fn send(
    server: &EmulatorHandle,
    method: &str,
    path: &str,
    extra: &[&str],
    body: &[u8],
) -> io::Result<Answer> {
    let length = format!("Content-Length: {}", body.len());
    let mut lines = extra.to_vec();
    if !body.is_empty() {
        lines.push(&length);
    }
    let mut stream = connect(server).await;
    stream
        .write_all(head(server, method, path, &lines).as_bytes())
        .await?;
    let (mut reader, mut writer) = stream.split();
    // Both at once, as a client has to: the server may answer before it has read everything.
    let writing = async {
        let _ = writer.write_all(body).await;
    };
    let reading = read_answer(&mut reader, method == "HEAD");
    let ((), answer) = tokio::join!(writing, reading);
    answer
}

/// As [`send`], with `Tus-Resumable`, and an answer that must come.
pub(crate) async fn tus(
    server: &EmulatorHandle,
    method: &str,
    path: &str,
    extra: &[&str],
    body: &[u8],
) -> Answer {
    let mut lines = vec!["Tus-Resumable: 1.0.0"];
    lines.extend(extra);
    send(server, method, path, &lines, body)
        .await
        .expect("an answer")
}

/// A PATCH with its content type.
pub(crate) async fn patch(
    server: &EmulatorHandle,
    path: &str,
    offset: u64,
    extra: &[&str],
    body: &[u8],
) -> Answer {
    let offset = format!("Upload-Offset: {offset}");
    let mut lines = vec![
        "Content-Type: application/offset+octet-stream",
        offset.as_str(),
    ];
    lines.extend(extra);
    tus(server, "PATCH", path, &lines, body).await
}

/// HEAD of an upload.
pub(crate) async fn offset(server: &EmulatorHandle, path: &str) -> Option<u64> {
    tus(server, "HEAD", path, &[TOKEN], b"").await.offset()
}

/// Creates a generic upload and returns its path.
pub(crate) async fn create(server: &EmulatorHandle, length: u64) -> String {
    let length = format!("Upload-Length: {length}");
    let answer = tus(server, "POST", "/files/", &[&length], b"").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.location()
}

/// Reads one answer; an error when the connection ends before it.
pub(crate) async fn read_answer<R>(stream: &mut R, to_head: bool) -> io::Result<Answer>
where
    R: AsyncReadExt + Unpin,
{
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let text = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII head");
    let mut lines = text.lines();
    let status = lines
        .next()
        .and_then(|line| line.get(9..12))
        .expect("a status line");
    let status: u16 = status.parse().expect("a status");
    if status == 100 {
        return Box::pin(read_answer(stream, to_head)).await;
    }
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = bytes[end..].to_vec();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().expect("digits"));
    while !to_head && body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

pub(crate) const TOKEN: &str = "Authorization: Bearer local";

/// Bytes that differ everywhere, without a random source.
pub(crate) fn footage(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        })
        .collect()
}
