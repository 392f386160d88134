//! The null sink speaks tus well enough for every client, and counts right.

use std::process::Command;
use std::time::Duration;

use test_support::{NullSink, Process, SinkUpload, Stream, TestCa, fixtures};
use tokio::io::AsyncWriteExt as _;

use crate::wire::{Http, patch_lines};

fn upload(sink: &NullSink, index: usize) -> SinkUpload {
    sink.uploads()[index]
}

#[tokio::test]
async fn an_upload_is_created_filled_and_found_again() {
    let sink = NullSink::start().expect("started");
    let mut client = Http::connect(sink.addr()).await;

    let offer = client.ask("OPTIONS /files/", "", b"").await;
    assert_eq!(offer.status, 204);
    assert_eq!(offer.header("tus-version"), Some("1.0.0"));
    assert_eq!(offer.header("tus-extension"), Some("creation"));

    let path = client.create(1_000_000).await;
    assert_eq!(client.offset(&path).await, 0);
    let answer = client.patch(&path, 0, &[1; 600_000]).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("upload-offset"), Some("600000"));
    assert_eq!(client.offset(&path).await, 600_000);
    assert_eq!(
        client.patch(&path, 600_000, &[2; 400_000]).await.status,
        204
    );

    let uploaded = upload(&sink, 0);
    assert_eq!(
        (uploaded.length, uploaded.offset),
        (Some(1_000_000), 1_000_000)
    );
    let counters = sink.counters();
    assert_eq!(counters.body_bytes, 1_000_000);
    assert_eq!((counters.options, counters.posts), (1, 1));
    assert_eq!((counters.heads, counters.patches), (2, 2));
    assert_eq!(counters.requests(), 6);
    assert_eq!((counters.handshakes, counters.connections), (1, 1));
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_the_connection_goes_on() {
    let sink = NullSink::start().expect("started");
    let mut client = Http::connect(sink.addr()).await;
    let path = client.create(10).await;
    let patch = format!("PATCH {path}");
    let offset_only = "Upload-Offset: 0\r\n";
    for (request, lines, status) in [
        ("PATCH /files/77", patch_lines(0), 404),
        ("HEAD /files/77", String::new(), 404),
        (&patch, patch_lines(3), 409),
        (&patch, offset_only.to_owned(), 415),
        ("POST /files/", String::new(), 400),
        ("POST /files/", "Upload-Defer-Length: 1\r\n".to_owned(), 400),
        (&format!("DELETE {path}"), String::new(), 405),
        ("PUT /files/", String::new(), 405),
    ] {
        assert_eq!(
            client.ask(request, &lines, b"body").await.status,
            status,
            "{request}"
        );
    }
    assert_eq!(client.patch(&path, 0, &[0; 11]).await.status, 413);
    assert_eq!(client.patch(&path, 0, &[0; 10]).await.status, 204);

    client
        .stream
        .write_all(format!("HEAD {path} HTTP/1.1\r\n\r\n").as_bytes())
        .await
        .expect("sent");
    assert_eq!(client.answer().await.expect("an answer").status, 412);
    client
        .stream
        .write_all(b"nonsense\r\n\r\n")
        .await
        .expect("sent");
    assert_eq!(client.answer().await.expect("an answer").status, 400);
}

#[tokio::test]
async fn the_bytes_of_a_broken_patch_are_kept() {
    let sink = NullSink::start().expect("started");
    let mut client = Http::connect(sink.addr()).await;
    let path = client.create(1000).await;
    let lines = patch_lines(0);
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nTus-Resumable: 1.0.0\r\nContent-Length: 1000\r\n{lines}\r\n"
    );
    client
        .stream
        .write_all(head.as_bytes())
        .await
        .expect("sent");
    client.stream.write_all(&[0; 400]).await.expect("sent");
    client.stream.shutdown().await.expect("ended");
    assert!(client.answer().await.is_err());
    let mut again = Http::connect(sink.addr()).await;
    assert_eq!(again.offset(&path).await, 400);
}

#[tokio::test]
async fn extensions_work_once_they_are_offered() {
    let sink = NullSink::builder()
        .extensions([
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "concatenation",
            "termination",
        ])
        .start()
        .expect("started");
    let mut client = Http::connect(sink.addr()).await;
    let mut parts = Vec::new();
    for length in [3, 4] {
        let lines = format!(
            "Upload-Length: {length}\r\nUpload-Concat: partial\r\n\
             Content-Type: application/offset+octet-stream\r\n"
        );
        let answer = client.ask("POST /files/", &lines, &b"abcd"[..length]).await;
        assert_eq!(answer.status, 201);
        let expected = length.to_string();
        assert_eq!(answer.header("upload-offset"), Some(expected.as_str()));
        parts.push(answer.header("location").expect("a location").to_owned());
    }
    let lines = format!("Upload-Concat: final;{}\r\n", parts.join(" "));
    assert_eq!(client.ask("POST /files/", &lines, b"").await.status, 201);
    let joined = upload(&sink, 2);
    assert_eq!((joined.length, joined.offset), (Some(7), 7));

    let deferred = client
        .ask("POST /files/", "Upload-Defer-Length: 1\r\n", b"")
        .await;
    assert_eq!(deferred.status, 201);
    assert_eq!(upload(&sink, 3).length, None);
    let lines = format!("{}Upload-Length: 2\r\n", patch_lines(0));
    assert_eq!(
        client.ask("PATCH /files/3", &lines, b"ab").await.status,
        204
    );
    assert_eq!(upload(&sink, 3).length, Some(2));

    assert_eq!(client.ask("DELETE /files/3", "", b"").await.status, 204);
    assert_eq!(client.ask("HEAD /files/3", "", b"").await.status, 404);
}

#[tokio::test]
async fn curl_sends_one_gibibyte_in_one_patch() {
    let sink = NullSink::start().expect("started");
    let dir = fixtures::temp_dir().expect("a temporary folder");
    let file = dir.path().join("large.bin");
    fixtures::sparse_file(&file, 1 << 30).expect("created");
    let mut client = Http::connect(sink.addr()).await;
    let path = client.create(1 << 30).await;

    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--request", "PATCH"])
        .args([
            "--write-out",
            "%{http_code}\n",
            "--header",
            "Tus-Resumable: 1.0.0",
        ])
        .args([
            "--header",
            "Upload-Offset: 0",
            "--header",
            "Expect: 100-continue",
        ])
        .args(["--header", "Content-Type: application/offset+octet-stream"])
        .arg("--upload-file")
        .arg(&file)
        .arg(format!("http://{}{path}", sink.addr()));
    let curl = Process::spawn(curl).expect("curl is needed: apt-get install curl");
    let status = curl.wait(Duration::from_secs(60)).await.expect("ended");
    assert!(status.success(), "{:?}", curl.lines(Stream::Stderr));
    assert_eq!(curl.lines(Stream::Stdout), ["204"]);
    assert_eq!(upload(&sink, 0).offset, 1 << 30);
    assert_eq!(sink.counters().body_bytes, 1 << 30);
}

#[tokio::test]
async fn a_refused_client_that_waits_for_consent_keeps_its_body() {
    let sink = NullSink::start().expect("started");
    let mut client = Http::connect(sink.addr()).await;
    let head = "PATCH /files/9 HTTP/1.1\r\nTus-Resumable: 1.0.0\r\nExpect: 100-continue\r\n\
                Content-Length: 1000000\r\nUpload-Offset: 0\r\n\
                Content-Type: application/offset+octet-stream\r\n\r\n";
    client
        .stream
        .write_all(head.as_bytes())
        .await
        .expect("sent");
    assert_eq!(client.answer().await.expect("an answer").status, 404);
    assert_eq!(sink.counters().body_bytes, 0);
}

/// Sends half of a body and leaves; returns when the sink has noticed.
async fn break_off(sink: &NullSink, path: &str) {
    let mut client = Http::connect(sink.addr()).await;
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nContent-Length: 1000\r\n{}\r\n",
        patch_lines(0)
    );
    client.send_raw(head.as_bytes()).await;
    client.send_raw(&[1; 500]).await;
    while sink.counters().body_bytes < 500 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_sink_that_drops_what_broke_is_where_it_was_before() {
    for (drops, left) in [(false, 500), (true, 0)] {
        let mut sink = NullSink::builder();
        if drops {
            sink = sink.drops_broken();
        }
        let sink = sink.start().expect("started");
        let path = Http::connect(sink.addr()).await.create(1000).await;
        break_off(&sink, &path).await;
        while upload(&sink, 0).offset != left {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_refused_patch_is_503_and_ends_the_connection_without_its_body() {
    let sink = NullSink::builder().refuses(0..1, 1.0, 1);
    let sink = sink.start().expect("started");
    let mut client = Http::connect(sink.addr()).await;
    let path = client.create(10).await;
    let answer = client.patch(&path, 0, &[1; 10]).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(upload(&sink, 0).offset, 0);
    let mut client = Http::connect(sink.addr()).await;
    assert_eq!(client.patch(&path, 0, &[1; 10]).await.status, 204);
}

#[tokio::test]
async fn the_first_byte_of_a_body_is_noted_once_it_is_awaited() {
    let sink = NullSink::start().expect("started");
    let mut client = Http::connect(sink.addr()).await;
    let path = client.create(20).await;
    client.patch(&path, 0, &[1; 10]).await;
    assert_eq!(sink.body_came(), None, "nobody waited");
    sink.await_body();
    assert_eq!(sink.body_came(), None);
    client.patch(&path, 10, &[1; 10]).await;
    assert!(sink.body_came().is_some());
}

#[tokio::test]
async fn over_tls_it_is_the_same_server() {
    let authority = TestCa::new().expect("an authority");
    let folder = fixtures::temp_dir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("written");
    let identity = authority.localhost().expect("a certificate");
    let sink = NullSink::builder().tls(&identity).expect("a key");
    let sink = sink.start().expect("started");
    assert!(sink.creation_url().starts_with("https://"));
    let mut curl = Command::new("curl");
    curl.args(["-q", "-s", "-i", "-X", "POST", "-H", "Tus-Resumable: 1.0.0"]);
    curl.args(["-H", "Upload-Length: 10", "--cacert"]).arg(&ca);
    curl.arg(sink.creation_url());
    let curl = Process::spawn(curl).expect("started");
    let ended = curl.wait(Duration::from_secs(20)).await.expect("ended");
    assert!(ended.success());
    let said = curl.lines(Stream::Stdout).join("\n");
    assert!(
        said.contains(&format!("https://{}/files/0", sink.addr())),
        "{said}"
    );
}
