//! What the lying server says, and what it remembers.

use std::io::{ErrorKind, Read as _};
use std::time::{Duration, Instant};

use test_support::{FakeRequest, FakeServer, Reply, Script};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::{Http, patch_lines};

const PATIENCE: Duration = Duration::from_secs(10);

async fn scripted(script: Script) -> FakeServer {
    FakeServer::start(script).await.expect("started")
}

/// Asks with these bytes and hears up to `most` bytes of the answer.
async fn hear(server: &FakeServer, request: &str, most: u64) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server.addr()).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut heard = Vec::new();
    stream.take(most).read_to_end(&mut heard).await?;
    Ok(heard)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn without_a_script_it_is_an_honest_tus_server() {
    let server = scripted(Script::new()).await;
    let mut client = Http::connect(server.addr()).await;
    let path = client.create(10).await;
    assert_eq!(client.patch(&path, 0, b"12345").await.status, 204);
    assert_eq!(client.offset(&path).await, 5);
    assert_eq!(client.patch(&path, 0, b"12345").await.status, 409);
    assert_eq!(client.patch(&path, 5, b"67890").await.status, 204);
    assert_eq!(server.uploads(), [(Some(10), 10)]);
    let delete = format!("DELETE {path}");
    assert_eq!(client.ask(&delete, "", b"").await.status, 204);
    assert_eq!(server.uploads(), []);
}

#[tokio::test]
async fn rows_answer_by_method_by_number_and_in_order() {
    let script = Script::new()
        .on(3, Reply::status(418))
        .times_to(2, "HEAD", Reply::tus(423))
        .next_to("HEAD", |request: &FakeRequest| {
            Reply::tus(200).header("Upload-Offset", request.number.to_string())
        });
    let server = scripted(script).await;
    let mut client = Http::connect(server.addr()).await;
    let path = client.create(10).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.ask(&format!("HEAD {path}"), "", b"").await.status);
    }
    assert_eq!(statuses, [423, 418, 423]);
    assert_eq!(client.offset(&path).await, 5);
    assert_eq!(client.offset(&path).await, 0);
}

#[tokio::test]
async fn requests_are_remembered_with_their_heads_and_the_length_of_their_bodies() {
    let server = scripted(Script::new()).await;
    let mut client = Http::connect(server.addr()).await;
    let path = client.create(10).await;
    let lines = format!("Authorization: Bearer canary\r\n{}", patch_lines(0));
    client.ask(&format!("PATCH {path}"), &lines, b"12345").await;
    let requests = server.requests();
    assert_eq!(requests[1].target, path);
    assert_eq!(requests[1].body_bytes, 5);
    assert_eq!(requests[1].header("authorization"), Some("Bearer canary"));
    assert!(requests[1].is_authorized() && !requests[0].is_authorized());
    assert!(requests[0].at <= requests[1].at);
    assert!(!format!("{requests:?}").contains("canary"));
}

#[tokio::test]
async fn an_early_answer_comes_after_so_much_of_the_body_and_no_more() {
    let early = Reply::tus(413).after(1024).then_close();
    let server = scripted(Script::new().always_to("PATCH", early)).await;
    let mut client = Http::connect(server.addr()).await;
    let path = client.create(1 << 20).await;
    let lines = format!("{}Content-Length: 1048576\r\n", patch_lines(0));
    let head = format!("PATCH {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    let mut stream = TcpStream::connect(server.addr()).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&[0; 1023]).await.expect("sent");
    server
        .wait_until(PATIENCE, |requests| {
            requests.last().is_some_and(|it| it.body_bytes == 1023)
        })
        .await;
    stream.write_all(&[0; 1]).await.expect("sent");
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.expect("FIN");
    assert!(heard.starts_with("HTTP/1.1 413"), "{heard}");
}

#[tokio::test]
async fn an_early_answer_can_end_in_a_reset() {
    let early = Reply::tus(401).after(1).then_reset();
    let server = scripted(Script::new().always(early)).await;
    let request = "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\na";
    let mut stream = TcpStream::connect(server.addr()).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut heard = Vec::new();
    let error = stream.read_to_end(&mut heard).await.expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_body_can_be_kept_though_the_answer_lies() {
    let lie = Reply::tus(500).keeping_body();
    let server = scripted(Script::new().next_to("PATCH", lie)).await;
    let mut client = Http::connect(server.addr()).await;
    let path = client.create(5).await;
    assert_eq!(client.patch(&path, 0, b"12345").await.status, 500);
    assert_eq!(client.offset(&path).await, 5);
}

#[tokio::test]
async fn a_pause_is_kept() {
    let pause = Duration::from_millis(120);
    let server = scripted(Script::new().next(Reply::tus(200).pause_before(pause))).await;
    let start = Instant::now();
    let mut client = Http::connect(server.addr()).await;
    client.ask("OPTIONS /", "", b"").await;
    assert!(start.elapsed() >= pause);
}

#[tokio::test]
async fn header_values_go_out_byte_by_byte() {
    let value = b"a\x1b[31m\0\r\nX-Smuggled: \xff";
    let server = scripted(Script::new().next(Reply::tus(200).header("X-Bad", value).then_close()));
    let heard = hear(&server.await, GET, 4096).await.expect("an answer");
    let wanted = [b"X-Bad: ", &value[..]].concat();
    assert!(heard.windows(wanted.len()).any(|it| it == wanted));
    assert!(heard.ends_with(b"\r\n\r\n"));
}

#[tokio::test]
async fn endless_things_do_not_end() {
    for reply in [Reply::endless_header(), Reply::endless_chunks(200)] {
        let server = scripted(Script::new().always(reply)).await;
        let heard = hear(&server, GET, 3 << 20).await.expect("no end");
        assert_eq!(heard.len(), 3 << 20);
    }
}

#[tokio::test]
async fn many_headers_are_as_many_as_said() {
    let script = Script::new().always(Reply::many_headers(200, 100_000).then_close());
    let server = scripted(script).await;
    let heard = hear(&server, GET, u64::MAX).await.expect("an answer");
    let lines = heard.split(|byte| *byte == b'\n').count();
    // The status line, the length, the empty line, and what follows the last line break.
    assert_eq!(lines, 100_000 + 4);
}

#[tokio::test]
async fn a_huge_body_has_the_length_it_says() {
    let server = scripted(Script::new().always(Reply::huge_body(500, 1_000_001).then_close()));
    let heard = hear(&server.await, GET, u64::MAX).await.expect("an answer");
    let head = heard.windows(4).position(|it| it == b"\r\n\r\n");
    assert_eq!(heard.len() - head.expect("a head") - 4, 1_000_001);
}

#[tokio::test]
async fn a_lying_length_is_cut_short_by_fin() {
    let server = scripted(Script::new().always(Reply::lying_length(200, 100, "short"))).await;
    let heard = hear(&server, GET, u64::MAX).await.expect("FIN");
    assert!(heard.ends_with(b"Content-Length: 100\r\n\r\nshort"));
}

#[tokio::test]
async fn a_bomb_is_small_until_it_is_unpacked() {
    let bomb = Reply::gzip_bomb(200, 4 << 20).expect("packed").then_close();
    let server = scripted(Script::new().always(bomb)).await;
    let heard = hear(&server, GET, u64::MAX).await.expect("an answer");
    assert!(heard.len() < 8192);
    let head = heard.windows(4).position(|it| it == b"\r\n\r\n");
    let body = &heard[head.expect("a head") + 4..];
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(body)
        .read_to_end(&mut unpacked)
        .expect("gzip");
    assert_eq!(unpacked.len(), 4 << 20);
}

#[tokio::test]
async fn a_page_and_a_redirection_look_like_their_kind() {
    let script = Script::new()
        .next(Reply::html(200))
        .next(Reply::located(308, "//evil.example/"));
    let server = scripted(script).await;
    let mut client = Http::connect(server.addr()).await;
    let page = client.ask("HEAD /", "", b"").await;
    assert!(
        page.header("content-type")
            .is_some_and(|it| it.starts_with("text/html"))
    );
    drop(client);
    let mut client = Http::connect(server.addr()).await;
    let moved = client.ask("PATCH /", "", b"").await;
    assert_eq!(moved.header("location"), Some("//evil.example/"));
}

#[tokio::test]
async fn a_chunked_body_is_read_to_its_end_and_the_next_request_follows() {
    let server = scripted(Script::new().next_to("POST", Reply::tus(201))).await;
    let mut client = Http::connect(server.addr()).await;
    let chunked =
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    client.send_raw(chunked.as_bytes()).await;
    assert_eq!(client.answer().await.expect("an answer").status, 201);
    assert_eq!(client.ask("OPTIONS /", "", b"").await.status, 204);
    assert_eq!(server.requests()[0].body_bytes, 13);
}

#[tokio::test]
async fn a_hanging_connection_stays_open_and_dead() {
    let server = scripted(Script::new().next(Reply::silence().then_hang())).await;
    let mut client = Http::connect(server.addr()).await;
    client.send("OPTIONS /", "", b"").await;
    let soon = Duration::from_millis(50);
    assert!(tokio::time::timeout(soon, client.answer()).await.is_err());
    drop(server);
    assert!(client.answer().await.is_err());
}
