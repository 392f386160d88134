//! [`Line`]: the command line with an emulator behind it, and [`Shelf`]: whoever holds what the emulator fetches.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use http::{HeaderName, Method, Request};
use http_transport::{Body, Protocol, ReqwestTransport, Transport};
use serde_json::Value;
use stream_api::endpoints::{Found, TABLE, find};
use stream_emulator::{EmulatorBuilder, EmulatorHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Ended, World, emulator, run};

pub(crate) const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0";

/// The groups of the table that the tests below go through, each to its last row.
pub(crate) const GROUPS: [&str; 14] = [
    "audio_tracks",
    "captions",
    "clip",
    "copy",
    "direct_upload",
    "downloads",
    "embed",
    "keys",
    "live_inputs",
    "outputs",
    "token",
    "videos",
    "watermarks",
    "webhook",
];

/// The command line, and the emulator behind it.
pub(crate) struct Line {
    pub(crate) world: World,
    pub(crate) emulator: EmulatorHandle,
}

impl Line {
    pub(crate) async fn new() -> Self {
        let outside = ReqwestTransport::new(Protocol::Http1).unwrap();
        Self::with(emulator().outbound(Arc::new(outside))).await
    }

    pub(crate) async fn with(emulator: EmulatorBuilder) -> Self {
        Self {
            world: World::new(),
            emulator: emulator.start().await.unwrap(),
        }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.world.command();
        command
            .env("STREAM_API_URL", self.emulator.api_url())
            .env("STREAM_API_TOKEN", self.emulator.token())
            .env("CLOUDFLARE_ACCOUNT_ID", "acct")
            .args(words);
        command
    }

    pub(crate) async fn run(&self, words: &[&str]) -> Ended {
        run(self.command(words)).await
    }

    /// What the API answered: one line of JSON.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> impl Future<Output = Value> {
        let mut command = self.command(words);
        command.arg("--json");
        let words = words.join(" ");
        async move {
            let ended = run(command).await.expect(0);
            serde_json::from_str(&ended.stdout)
                .unwrap_or_else(|error| panic!("{words}: {error}: {}", ended.stdout))
        }
    }

    /// A video with a picture and a sound.
    pub(crate) async fn video(&self) -> String {
        let video = self.json(&["video", "upload", &clip()]).await;
        video["uid"].as_str().unwrap().to_owned()
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.world.path(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Makes a video that nothing is uploaded for, without the command line: where many are wanted.
    pub(crate) async fn create(&self) {
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = Method::POST;
        let url = format!("{}/accounts/acct/stream", self.emulator.api_url());
        *request.uri_mut() = url.parse().unwrap();
        let authorization = format!("Bearer {}", self.emulator.token());
        for (name, value) in [
            ("tus-resumable", "1.0.0"),
            ("upload-length", "5"),
            ("authorization", authorization.as_str()),
        ] {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let answer = self.emulator.transport().send(request).await.unwrap();
        assert_eq!(answer.status(), 201);
    }

    /// Each row of this group was asked for, with success.
    #[track_caller]
    pub(crate) fn assert_reached(&self, group: &str) {
        let mut reached = Vec::new();
        for request in self.emulator.requests() {
            let path = request.path.split('?').next().unwrap();
            let path = path.strip_prefix("/client/v4").unwrap_or(path);
            let method = request.method.parse().unwrap();
            if let Found::Endpoint(row, _) = find(&method, path)
                && request.status.is_some_and(|status| status < 300)
            {
                reached.push((&row.method, row.path));
            }
        }
        assert!(GROUPS.contains(&group));
        for row in rows(group) {
            assert!(reached.contains(&(&row.method, row.path)), "{}", row.id);
        }
    }
}

pub(crate) fn rows(group: &str) -> impl Iterator<Item = &'static stream_api::Endpoint> {
    TABLE
        .iter()
        .filter(move |row| row.id.split('.').next() == Some(group))
}

pub(crate) fn clip() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media/clip.mp4");
    path.to_str().unwrap().to_owned()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

/// Whoever holds files that others fetch: answers HEAD, GET and one range, and notes what was asked for.
pub(crate) struct Shelf {
    address: SocketAddr,
    ranges: Arc<Mutex<Vec<Option<u64>>>>,
}

impl Shelf {
    pub(crate) async fn new(files: &[(&'static str, Vec<u8>)]) -> Self {
        let files: Arc<HashMap<_, _>> = Arc::new(files.iter().cloned().collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ranges = Arc::new(Mutex::default());
        let asked = Arc::clone(&ranges);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&files), Arc::clone(&asked)));
            }
        });
        Self { address, ranges }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Where the answers so far began, in their order; none for a whole file.
    pub(crate) fn ranges(&self) -> Vec<Option<u64>> {
        self.ranges.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    files: Arc<HashMap<&'static str, Vec<u8>>>,
    asked: Arc<Mutex<Vec<Option<u64>>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let name = path.trim_start_matches('/').split('?').next().unwrap();
    let Some(file) = files.get(name) else {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(answer).await;
        return;
    };
    let range = head
        .lines()
        .filter_map(|line| line.split_once(": bytes="))
        .find_map(|(name, range)| name.eq_ignore_ascii_case("range").then_some(range));
    let (first, status, extra, bytes) = match range.and_then(|range| range.split_once('-')) {
        None => (None, "200 OK", String::new(), file.as_slice()),
        Some((first, last)) => {
            let first: usize = first.parse().unwrap();
            let end = last.parse().map_or(file.len(), |last: usize| last + 1);
            let end = end.min(file.len());
            let range = format!(
                "Content-Range: bytes {first}-{}/{}\r\n",
                end - 1,
                file.len()
            );
            let bytes = &file[first..end];
            (Some(first as u64), "206 Partial Content", range, bytes)
        }
    };
    asked.lock().unwrap().push(first);
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nETag: \"{name}\"\r\n{extra}Connection: close\r\n\r\n",
        bytes.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    if method != "HEAD" {
        let _ = stream.write_all(bytes).await;
    }
}
