//! The plainest possible client and server, so that the tests trust nothing but sockets.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A name and a type, without which `tuspyserver` answers no HEAD.
const METADATA: &str = "filename YS5tb3Y=,filetype dmlkZW8vcXVpY2t0aW1l";

/// An answer: status, head in lower case, nothing of the body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found == name).then_some(value.trim())
        })
    }
}

/// A keep-alive HTTP/1.1 connection. Of a body it reads only a chunked one, which
/// even an empty answer of Node has.
pub(crate) struct Http {
    pub(crate) stream: TcpStream,
    address: SocketAddr,
    /// The last request was HEAD.
    without_body: bool,
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connected");
        Self {
            stream,
            address,
            without_body: false,
        }
    }

    /// Sends a head with `Host`, `Tus-Resumable` and `lines`, each of which ends in CRLF.
    pub(crate) async fn send(&mut self, request: &str, lines: &str, body: &[u8]) {
        self.without_body = request.starts_with("HEAD ");
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {}\r\nTus-Resumable: 1.0.0\r\n\
             Content-Length: {}\r\n{lines}\r\n",
            self.address,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).await.expect("sent");
        self.stream.write_all(body).await.expect("sent");
    }

    /// Sends these bytes as they are.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sent");
    }

    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await?);
        }
        let head = String::from_utf8(head)
            .expect("an ASCII head")
            .to_lowercase();
        if head.contains("transfer-encoding: chunked") && !self.without_body {
            let mut body = Vec::new();
            while !body.ends_with(b"0\r\n\r\n") {
                body.push(self.stream.read_u8().await?);
            }
        }
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Ok(Answer {
            status: status.expect("a status"),
            head,
        })
    }

    pub(crate) async fn ask(&mut self, request: &str, lines: &str, body: &[u8]) -> Answer {
        self.send(request, lines, body).await;
        self.answer().await.expect("an answer")
    }

    /// Creates an upload and returns the path of it.
    pub(crate) async fn create(&mut self, length: u64) -> String {
        self.create_at("/files/", length).await
    }

    /// As [`create`](Self::create), where uploads are created elsewhere.
    pub(crate) async fn create_at(&mut self, path: &str, length: u64) -> String {
        let lines = format!("Upload-Length: {length}\r\nUpload-Metadata: {METADATA}\r\n");
        let answer = self.ask(&format!("POST {path}"), &lines, b"").await;
        assert_eq!(answer.status, 201);
        let location = answer.header("location").expect("a location");
        let own = format!("http://{}", self.address);
        let path = location.strip_prefix(&own).unwrap_or(location);
        assert!(path.starts_with('/'), "{location} is not at {own}");
        path.to_owned()
    }

    pub(crate) async fn patch(&mut self, path: &str, offset: u64, body: &[u8]) -> Answer {
        let request = format!("PATCH {path}");
        self.ask(&request, &patch_lines(offset), body).await
    }

    /// The offset that the server knows.
    pub(crate) async fn offset(&mut self, path: &str) -> u64 {
        let answer = self.ask(&format!("HEAD {path}"), "", b"").await;
        assert_eq!(answer.status, 200);
        answer
            .header("upload-offset")
            .and_then(|offset| offset.parse().ok())
            .expect("an offset")
    }
}

pub(crate) fn patch_lines(offset: u64) -> String {
    format!("Upload-Offset: {offset}\r\nContent-Type: application/offset+octet-stream\r\n")
}

/// A listening socket of the test itself.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Accepts one connection and reads it to its end.
pub(crate) async fn read_one(listener: TcpListener) -> io::Result<Vec<u8>> {
    let (mut stream, _) = listener.accept().await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Accepts connections for as long as the runtime lives and echoes what they say.
pub(crate) fn echo(listener: TcpListener) {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                // A client that breaks off is what these tests are about.
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
}
