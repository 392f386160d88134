//! npm `tus-js-client`, which we did not write, against the emulator: every way in which the field's client uploads.

use std::path::{Path, PathBuf};

use serde_json::Value;
use stream_emulator::EmulatorHandle;
use test_support::{Process, fixtures, peers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{MIB, World, emulator, end};

const SIZE: u64 = 3_000_000;

struct Bench {
    world: World,
    server: EmulatorHandle,
    source: PathBuf,
}

/// What the client said at its end.
struct Said(Value);

impl Said {
    fn requests(&self, method: &str) -> u64 {
        self.0["requests"][method].as_u64().unwrap_or(0)
    }

    fn url(&self) -> &str {
        self.0["url"].as_str().unwrap()
    }
}

impl Bench {
    async fn new() -> Self {
        let world = World::new();
        Self {
            source: world.random_file("clip.mov", SIZE),
            server: emulator().start().await.unwrap(),
            world,
        }
    }

    /// Runs the client to its end, which must be a good one.
    async fn upload(&self, arguments: &[&str]) -> Said {
        upload(&self.server.tus_url(), &self.source, arguments).await
    }

    /// The server has so many uploads, and the one at `url` is the source.
    async fn assert_stored(&self, url: &str, uploads: usize) {
        assert_eq!(self.server.uploads().len(), uploads);
        let id = url.rsplit('/').next().unwrap();
        self.assert_is_source(id).await;
    }

    async fn assert_is_source(&self, id: &str) {
        let found = self.server.sha256(id).await.unwrap();
        assert_eq!(found, Some(fixtures::sha256_file(&self.source).unwrap()));
        let uploads = self.server.uploads();
        assert!(uploads.iter().all(|upload| upload.complete), "{uploads:?}");
    }
}

async fn upload(endpoint: &str, source: &Path, arguments: &[&str]) -> Said {
    let mut command = tokio::task::spawn_blocking(|| peers::script("upload.mjs"))
        .await
        .unwrap()
        .unwrap();
    command.arg(endpoint).arg(source).args(arguments);
    let ended = end(&Process::spawn(command).unwrap()).await.expect(0);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(said["ok"], true, "{said}");
    Said(said)
}

#[tokio::test]
async fn a_file_arrives_in_one_patch() {
    let bench = Bench::new().await;
    let said = bench.upload(&["--metadata", "name=clip.mov"]).await;
    assert_eq!((said.requests("POST"), said.requests("PATCH")), (1, 1));
    let metadata = bench.server.uploads().remove(0).metadata;
    assert_eq!(metadata.as_deref(), Some("name Y2xpcC5tb3Y="));
    bench.assert_stored(said.url(), 1).await;
}

#[tokio::test]
async fn a_file_arrives_in_chunks() {
    let bench = Bench::new().await;
    let said = bench.upload(&["--chunk-size", "700000"]).await;
    assert_eq!((said.requests("POST"), said.requests("PATCH")), (1, 5));
    bench.assert_stored(said.url(), 1).await;
}

#[tokio::test]
async fn four_parts_are_sent_at_once_and_joined() {
    let bench = Bench::new().await;
    let arguments = ["--parallel", "4", "--metadata", "name=clip.mov"];
    let said = bench.upload(&arguments).await;
    assert_eq!((said.requests("POST"), said.requests("PATCH")), (5, 4));
    // The parts stay: the text lets the server decide (CC-12).
    bench.assert_stored(said.url(), 5).await;
    let uploads = bench.server.uploads();
    let named = uploads.iter().filter(|upload| upload.metadata.is_some());
    assert_eq!(named.count(), 1, "the metadata belongs to the whole");
}

#[tokio::test]
async fn a_file_arrives_with_its_creation() {
    let bench = Bench::new().await;
    let said = bench.upload(&["--with-upload"]).await;
    assert_eq!((said.requests("POST"), said.requests("PATCH")), (1, 0));
    bench.assert_stored(said.url(), 1).await;
}

#[tokio::test]
async fn the_rest_of_a_file_follows_its_creation() {
    let bench = Bench::new().await;
    let arguments = ["--with-upload", "--chunk-size", "1000000"];
    let said = bench.upload(&arguments).await;
    assert_eq!((said.requests("POST"), said.requests("PATCH")), (1, 2));
    bench.assert_stored(said.url(), 1).await;
}

#[tokio::test]
async fn a_stream_of_unknown_length_tells_it_last() {
    let bench = Bench::new().await;
    // No divisor of the size: this client waits forever for the end of a stream whose last chunk is full.
    let said = bench
        .upload(&["--deferred", "--chunk-size", "700000"])
        .await;
    assert_eq!(said.requests("POST"), 1);
    assert_eq!(bench.server.uploads()[0].length, Some(SIZE));
    bench.assert_stored(said.url(), 1).await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_gone() {
    let bench = Bench::new().await;
    let arguments = ["--chunk-size", "500000", "--terminate-after", "1000000"];
    let said = bench.upload(&arguments).await;
    assert_eq!(said.0["stopped"], true);
    assert_eq!(said.requests("DELETE"), 1);
    assert!(bench.server.uploads().is_empty());
    let path = said.url().strip_prefix(&bench.server.url()).unwrap();
    let status = head(&bench.server, path).await;
    assert!([404, 410].contains(&status), "{status}");
}

#[tokio::test]
async fn a_paused_upload_goes_on_where_the_server_stands() {
    let bench = Bench::new().await;
    let said = bench
        .upload(&[
            "--chunk-size",
            "500000",
            "--abort-after",
            "900000",
            "--abort-after",
            "2000000",
        ])
        .await;
    assert_eq!(said.0["aborts"], 2);
    assert_eq!((said.requests("POST"), said.requests("HEAD")), (1, 2));
    bench.assert_stored(said.url(), 1).await;
}

#[tokio::test]
async fn a_remembered_upload_is_found_by_the_next_run() {
    let bench = Bench::new().await;
    let memory = bench.world.path("uploads.json");
    let common = [
        "--chunk-size",
        "500000",
        "--remember",
        memory.to_str().unwrap(),
    ];
    let first = bench
        .upload(&[&common[..], &["--stop-after", "1000000"]].concat())
        .await;
    assert_eq!(first.0["stopped"], true);
    let kept = bench.server.uploads()[0].offset;
    assert!((1_000_000..SIZE).contains(&kept), "{kept}");
    let second = bench.upload(&common).await;
    assert_eq!((second.requests("POST"), second.requests("HEAD")), (0, 1));
    assert_eq!(second.url(), first.url());
    bench.assert_stored(second.url(), 1).await;
}

#[tokio::test]
async fn an_upload_goes_on_from_its_url() {
    let bench = Bench::new().await;
    let chunks = ["--chunk-size", "500000"];
    let first = bench
        .upload(&[&chunks[..], &["--stop-after", "1000000"]].concat())
        .await;
    let second = bench
        .upload(&[&chunks[..], &["--upload-url", first.url()]].concat())
        .await;
    assert_eq!((second.requests("POST"), second.requests("HEAD")), (0, 1));
    bench.assert_stored(first.url(), 1).await;
}

#[tokio::test]
async fn a_video_arrives_on_streams_path_and_is_named_by_its_media_id() {
    let mut bench = Bench::new().await;
    bench.source = bench.world.random_file("long.mov", 12 * MIB + 3);
    let endpoint = format!("{}/accounts/acct/stream", bench.server.api_url());
    let arguments = [
        "--token",
        bench.server.token(),
        "--chunk-size",
        "5242880",
        "--metadata",
        "name=long.mov",
    ];
    let said = upload(&endpoint, &bench.source, &arguments).await;
    assert_eq!((said.requests("POST"), said.requests("PATCH")), (1, 3));
    let id = said.0["headers"]["stream-media-id"].as_str().unwrap();
    let videos = bench.server.videos();
    assert_eq!((videos.len(), videos[0].video.uid.as_str()), (1, id));
    assert_eq!(videos[0].video.name(), Some("long.mov"));
    assert_eq!(bench.server.uploads().len(), 1);
    bench.assert_is_source(id).await;
}

/// The status of HEAD, asked by hand.
async fn head(server: &EmulatorHandle, path: &str) -> u16 {
    let address = server.addr();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "HEAD {path} HTTP/1.1\r\nHost: {address}\r\nTus-Resumable: 1.0.0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer[9..12].parse().unwrap()
}
