//! The real servers and the client of npm start, survive, and agree with one another.

use std::time::Duration;

use test_support::peers::{self, CargoTus, NodeTus, Peer, PeerServer, PythonTus};
use test_support::{ChaosProxy, Process, Stream, TusNodeServer, fixtures};
use tokio::net::TcpStream;

use crate::wire::Http;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn node_comes_back_on_its_port_with_its_files() {
    comes_back::<NodeTus>().await;
}

#[tokio::test]
async fn python_comes_back_on_its_port_with_its_files() {
    comes_back::<PythonTus>().await;
}

#[tokio::test]
async fn the_crate_comes_back_on_its_port_with_its_files() {
    comes_back::<CargoTus>().await;
}

/// Kills and restarts it in the middle of an upload, which then goes on.
async fn comes_back<P: Peer>() {
    let dir = fixtures::temp_dir().expect("a temporary folder");
    let mut server = PeerServer::<P>::start(dir.path().join("store"))
        .await
        .expect("started");
    let address = server.addr();
    let mut client = Http::connect(address).await;
    let path = client.create_at(P::CREATION_PATH, 10).await;
    assert_eq!(client.patch(&path, 0, b"12345").await.status, 204);

    server.kill().await.expect("killed");
    TcpStream::connect(address)
        .await
        .expect_err("nobody listens");
    server.restart().await.expect("restarted");
    assert_eq!(server.addr(), address);

    let mut client = Http::connect(address).await;
    assert_eq!(client.offset(&path).await, 5);
    assert_eq!(client.patch(&path, 5, b"67890").await.status, 204);
    let files = server.stored_files().expect("listed");
    let [file] = &files[..] else {
        panic!("one file, not {files:?}")
    };
    assert_eq!(file.length, 10);
    assert_eq!(std::fs::read(&file.path).expect("read"), b"1234567890");
}

#[tokio::test]
async fn a_frozen_server_answers_only_once_it_is_thawed() {
    let dir = fixtures::temp_dir().expect("a temporary folder");
    let server = TusNodeServer::start(dir.path()).await.expect("started");
    let mut client = Http::connect(server.addr()).await;
    server.freeze();
    client.send("OPTIONS /files/", "", b"").await;
    let soon = Duration::from_millis(100);
    assert!(tokio::time::timeout(soon, client.answer()).await.is_err());
    server.thaw();
    assert_eq!(client.answer().await.expect("an answer").status, 204);
}

#[tokio::test]
async fn tus_js_client_resumes_after_breaking_off_and_stays_on_the_proxy() {
    let dir = fixtures::temp_dir().expect("a temporary folder");
    let file = dir.path().join("file.bin");
    fixtures::random_file(&file, 3_000_000, 11).expect("written");
    let server = TusNodeServer::start(dir.path().join("store"))
        .await
        .expect("started");
    let proxy = ChaosProxy::builder(server.addr())
        .start()
        .await
        .expect("started");

    let mut upload = tokio::task::spawn_blocking(|| peers::script("upload.mjs"))
        .await
        .expect("no panic")
        .expect("installed");
    upload.arg(proxy.url("/files/")).arg(&file);
    upload.args(["--chunk-size", "500000", "--abort-after", "1000000"]);
    let upload = Process::spawn(upload).expect("started");
    let is_json = |line: &str| line.starts_with('{');
    let line = upload
        .wait_for_line(Stream::Stdout, is_json, PATIENCE)
        .await
        .expect("a result");
    assert!(upload.wait(PATIENCE).await.expect("ended").success());

    let result: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(result["ok"], true);
    assert_eq!(result["bytes"], 3_000_000);
    assert_eq!(result["aborts"], 1);
    assert_eq!(result["requests"]["HEAD"], 1);
    let url = result["url"].as_str().expect("a URL");
    assert!(url.starts_with(&proxy.url("/files/")), "{url}");

    let files = server.stored_files().expect("listed");
    assert_eq!(files.len(), 1);
    assert_eq!(
        fixtures::sha256_file(&files[0].path).expect("read"),
        fixtures::sha256_file(&file).expect("read"),
    );
    assert!(proxy.counters().bytes_up > 3_000_000);
}
