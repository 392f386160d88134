//! What the proxy does to answers, to bodies and by plan, and what it tells of it.

use std::io::ErrorKind;
use std::time::Duration;

use test_support::{
    ChaosPlan, ChaosProxy, ConnectionEnd, ConnectionFault, Direction, NullSink, ProxyCounters,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::{Http, echo, listen, patch_lines, read_one};

async fn to_sink() -> (NullSink, ChaosProxy) {
    planned(ChaosPlan::default()).await
}

async fn planned(plan: ChaosPlan) -> (NullSink, ChaosProxy) {
    let sink = NullSink::start().expect("started");
    let proxy = ChaosProxy::builder(sink.addr())
        .plan(plan)
        .start()
        .await
        .expect("started");
    (sink, proxy)
}

#[tokio::test]
async fn a_held_answer_waits_for_its_release_though_the_server_has_done_it() {
    let (sink, proxy) = to_sink().await;
    proxy.hold_answers_to("POST");
    let mut client = Http::connect(proxy.addr()).await;
    let creation = "Upload-Length: 10\r\n";
    client.send("POST /files/", creation, b"").await;
    let held = |counters: &ProxyCounters| counters.held_answers == 1;
    proxy.wait_until(held).await;
    assert_eq!(sink.uploads().len(), 1);
    // Others are not held.
    let mut other = Http::connect(proxy.addr()).await;
    assert_eq!(other.ask("OPTIONS /files/", "", b"").await.status, 204);
    let soon = Duration::from_millis(50);
    assert!(tokio::time::timeout(soon, client.answer()).await.is_err());
    proxy.release_answers();
    assert_eq!(client.answer().await.expect("an answer").status, 201);
    assert_eq!(client.create(10).await, "/files/1");
}

#[tokio::test]
async fn a_client_killed_between_answer_and_hearing_has_created_all_the_same() {
    let (sink, proxy) = to_sink().await;
    proxy.hold_answers_to("POST");
    let mut client = Http::connect(proxy.addr()).await;
    client
        .send("POST /files/", "Upload-Length: 10\r\n", b"")
        .await;
    proxy
        .wait_until(|counters| counters.held_answers == 1)
        .await;
    drop(client);
    proxy.release_answers();
    proxy
        .wait_until(|counters| counters.open_connections == 0)
        .await;
    assert_eq!(sink.uploads().len(), 1);
    assert!(proxy.connections()[0].client_ended.is_some());
}

#[tokio::test]
async fn a_spliced_answer_replaces_the_servers_own_and_ends() {
    let (sink, proxy) = to_sink().await;
    let mut client = Http::connect(proxy.addr()).await;
    let path = client.create(4).await;
    proxy.splice_answer_to("PATCH", b"HTTP/1.1 503 Not Today\r\n\r\n");
    assert_eq!(client.patch(&path, 0, b"body").await.status, 503);
    let error = client.answer().await.err().expect("no more");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(sink.uploads()[0].offset, 4);
    assert_eq!(proxy.counters().spliced_answers, 1);
}

#[tokio::test]
async fn a_duplicated_request_reaches_the_server_twice_and_is_answered_once() {
    let (sink, proxy) = to_sink().await;
    proxy.duplicate("POST");
    let mut client = Http::connect(proxy.addr()).await;
    client.create(4).await;
    assert_eq!(proxy.counters().duplicates, 1);
    assert_eq!(sink.uploads().len(), 2);
    client.create(4).await;
    assert_eq!(sink.uploads().len(), 3);
}

#[tokio::test]
async fn a_duplicated_patch_carries_the_same_body() {
    let (sink, proxy) = to_sink().await;
    let mut client = Http::connect(proxy.addr()).await;
    let path = client.create(300_000).await;
    proxy.duplicate("PATCH");
    let body = vec![5; 300_000];
    assert_eq!(client.patch(&path, 0, &body).await.status, 204);
    assert_eq!(sink.counters().patches, 2);
    assert_eq!(sink.uploads()[0].offset, 300_000);
}

#[tokio::test]
async fn flips_strike_bodies_and_never_heads() {
    let (listener, target) = listen().await;
    let received = tokio::spawn(read_one(listener));
    let proxy = ChaosProxy::builder(target)
        .seed(4)
        .start()
        .await
        .expect("started");
    proxy.flip_bodies(100);
    let head = "PATCH /files/1 HTTP/1.1\r\nContent-Length: 10000\r\n\r\n";
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(head.as_bytes()).await.expect("sent");
    client.write_all(&[0; 10_000]).await.expect("sent");
    client.write_all(head.as_bytes()).await.expect("sent");
    drop(client);
    let received = received.await.expect("no panic").expect("a clean end");
    let (first, rest) = received.split_at(head.len());
    let (body, second) = rest.split_at(10_000);
    assert_eq!(first, head.as_bytes());
    assert_eq!(second, head.as_bytes());
    let flipped = body.iter().filter(|byte| **byte == 1).count();
    assert!((50..200).contains(&flipped), "{flipped}");
    assert_eq!(proxy.counters().flips, flipped as u64);
}

#[tokio::test]
async fn one_body_byte_is_flipped_wherever_its_head_ends() {
    let (listener, target) = listen().await;
    let received = tokio::spawn(read_one(listener));
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    proxy.flip_body_byte(2);
    let head = "PATCH / HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    let both = format!("{head}aaaa{head}aaaa");
    client.write_all(both.as_bytes()).await.expect("sent");
    drop(client);
    let received = received.await.expect("no panic").expect("a clean end");
    let expected = format!("{head}aa`a{head}aaaa");
    assert_eq!(String::from_utf8_lossy(&received), expected);
}

#[tokio::test]
async fn what_is_swallowed_is_read_and_never_answered() {
    let (sink, proxy) = to_sink().await;
    proxy.swallow_all(true);
    let mut client = Http::connect(proxy.addr()).await;
    client.send("OPTIONS /files/", "", b"").await;
    proxy.wait_until(|counters| counters.bytes_up > 0).await;
    proxy.swallow_all(false);
    assert_eq!(sink.counters().requests(), 0);
    assert_eq!(proxy.counters().forwarded_up, 0);
    assert_eq!(client.ask("OPTIONS /files/", "", b"").await.status, 204);
}

#[tokio::test]
async fn an_ignored_connect_neither_succeeds_nor_fails_until_it_is_heard() {
    let (_sink, proxy) = to_sink().await;
    let mut open = Http::connect(proxy.addr()).await;
    assert_eq!(open.ask("OPTIONS /files/", "", b"").await.status, 204);
    proxy.ignore_connects(true).await.expect("ignoring");
    let address = proxy.addr();
    let connecting = tokio::spawn(TcpStream::connect(address));
    let soon = Duration::from_millis(300);
    let waited = tokio::time::timeout(soon, TcpStream::connect(address)).await;
    assert!(waited.is_err());
    assert!(!connecting.is_finished());
    // What was open stays open.
    assert_eq!(open.ask("OPTIONS /files/", "", b"").await.status, 204);
    proxy.ignore_connects(false).await.expect("listening");
    // The kernel asks again after a second.
    connecting.await.expect("no panic").expect("connected");
    let mut new = Http::connect(address).await;
    assert_eq!(new.ask("OPTIONS /files/", "", b"").await.status, 204);
}

#[tokio::test]
async fn a_plan_strikes_the_connection_it_names_and_no_other() {
    let (listener, target) = listen().await;
    echo(listener);
    let plan = ChaosPlan::seeded(1)
        .on(2, ConnectionFault::Cut(Direction::Up, 3..=3))
        .on(3, ConnectionFault::Reset(Direction::Down, 2..=2));
    let proxy = ChaosProxy::builder(target)
        .plan(plan)
        .start()
        .await
        .expect("started");
    for number in 1..=4 {
        let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
        client.write_all(b"abcdef").await.expect("sent");
        client.shutdown().await.expect("half closed");
        let mut heard = Vec::new();
        let outcome = client.read_to_end(&mut heard).await;
        match number {
            2 => assert!(outcome.is_ok() && b"abc".starts_with(&heard[..])),
            3 => assert_eq!(
                outcome.expect_err("reset").kind(),
                ErrorKind::ConnectionReset
            ),
            _ => assert_eq!(heard, b"abcdef"),
        }
    }
    proxy
        .wait_until(|counters| counters.open_connections == 0)
        .await;
    let ends: Vec<_> = proxy.connections().iter().map(|it| it.end).collect();
    use ConnectionEnd::{Closed, Cut, Reset};
    assert_eq!(ends, [Closed, Cut, Reset, Closed]);
}

#[tokio::test]
async fn a_plan_can_lose_replace_freeze_and_flip() {
    let plan = ChaosPlan::seeded(1)
        .on(1, ConnectionFault::LoseAnswer)
        .on(
            2,
            ConnectionFault::Splice(b"HTTP/1.1 418 No\r\n\r\n".into()),
        )
        .on(3, ConnectionFault::Freeze)
        .on(4, ConnectionFault::Swallow)
        .on(5, ConnectionFault::FlipBody(0..=3));
    let (sink, proxy) = planned(plan).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Http::connect(proxy.addr()).await;
        client
            .send("POST /files/", "Upload-Length: 4\r\n", b"")
            .await;
        clients.push(client);
    }
    assert!(clients[0].answer().await.is_err());
    assert_eq!(clients[1].answer().await.expect("an answer").status, 418);
    let last = clients[4].answer().await.expect("an answer");
    assert_eq!(last.status, 201);
    // The first, the second and the last arrived.
    assert_eq!(sink.uploads().len(), 3);
    proxy.wait_until(|counters| counters.bytes_up > 0).await;
    assert_eq!(proxy.connections()[2].bytes_up, 0);
    let soon = Duration::from_millis(50);
    for client in &mut clients[2..4] {
        assert!(tokio::time::timeout(soon, client.answer()).await.is_err());
    }
    assert_eq!(clients[4].patch("/files/2", 0, b"body").await.status, 204);
    assert_eq!(proxy.counters().flips, 1);
}

#[tokio::test]
async fn a_planned_half_close_ends_one_direction_after_its_bytes() {
    let (listener, target) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.expect("a clean end");
        stream.write_all(b"too short").await.expect("said");
        heard
    });
    let plan = ChaosPlan::seeded(0).on(1, ConnectionFault::HalfClose(Direction::Up, 3..=3));
    let proxy = ChaosProxy::builder(target)
        .plan(plan)
        .start()
        .await
        .expect("started");
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(b"begin").await.expect("sent");
    let mut heard = String::new();
    client
        .read_to_string(&mut heard)
        .await
        .expect("a clean end");
    assert_eq!(heard, "too short");
    assert_eq!(server.await.expect("no panic"), b"beg");
}

#[tokio::test]
async fn the_log_tells_requests_bodies_and_times() {
    let (_sink, proxy) = to_sink().await;
    let mut client = Http::connect(proxy.addr()).await;
    let path = client.create(10).await;
    client.patch(&path, 0, b"12345").await;
    proxy.black_hole(true);
    let broke = proxy.elapsed();
    let lines = patch_lines(5);
    client
        .send(&format!("PATCH {path}"), &lines, b"67890")
        .await;
    let _second = Http::connect(proxy.addr()).await;
    proxy.wait_until(|counters| counters.connections == 2).await;
    let log = proxy.connections();
    let methods: Vec<_> = log[0].requests.iter().map(|it| &it.method[..]).collect();
    assert_eq!(methods, ["POST", "PATCH"]);
    assert_eq!((log[0].body_up, log[0].requests[1].body), (5, 5));
    let patch = &log[0].requests[1];
    assert!(log[0].accepted <= patch.begun);
    assert!(Some(patch.begun) <= patch.answered);
    // How long it took to notice: from the break to the next connection.
    assert!(log[1].accepted >= broke && broke >= patch.begun);
    assert_eq!(log[0].end, ConnectionEnd::Open);
}
