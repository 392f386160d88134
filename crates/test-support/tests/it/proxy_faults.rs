//! What the proxy breaks, and how either side sees it.

use std::io::ErrorKind;

use test_support::{ChaosProxy, Direction, NullSink};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::{Http, echo, listen, patch_lines, read_one};

async fn to_sink() -> (NullSink, ChaosProxy) {
    let sink = NullSink::start().expect("started");
    let proxy = ChaosProxy::builder(sink.addr())
        .start()
        .await
        .expect("started");
    (sink, proxy)
}

#[tokio::test]
async fn a_reset_is_seen_as_a_reset_by_both_sides() {
    let (listener, target) = listen().await;
    let received = tokio::spawn(read_one(listener));
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(b"half a requ").await.expect("sent");
    proxy
        .wait_until(|counters| counters.forwarded_up == 11)
        .await;
    proxy.reset_all();
    let error = client.read_u8().await.expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let error = received.await.expect("no panic").expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.counters().resets, 1);
}

#[tokio::test]
async fn a_cut_is_seen_as_a_clean_end_by_both_sides() {
    let (listener, target) = listen().await;
    let received = tokio::spawn(read_one(listener));
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(b"half a requ").await.expect("sent");
    proxy
        .wait_until(|counters| counters.forwarded_up == 11)
        .await;
    proxy.cut_all();
    assert_eq!(client.read(&mut [0; 8]).await.expect("FIN, not RST"), 0);
    let received = received.await.expect("no panic").expect("FIN, not RST");
    assert_eq!(received, b"half a requ");
    // What the client still says is counted, and goes nowhere.
    client.write_all(b"est").await.expect("sent");
    drop(client);
    let counters = proxy
        .wait_until(|counters| counters.open_connections == 0)
        .await;
    assert_eq!((counters.bytes_up, counters.forwarded_up), (14, 11));
    assert_eq!(counters.cuts, 1);
}

#[tokio::test]
async fn a_cut_after_n_bytes_forwards_exactly_n() {
    let (listener, target) = listen().await;
    let received = tokio::spawn(read_one(listener));
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    proxy.cut_after(Direction::Up, 123_457);
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(&[1; 300_000]).await.expect("sent");
    assert_eq!(client.read(&mut [0; 8]).await.expect("a clean end"), 0);
    let received = received.await.expect("no panic").expect("a clean end");
    assert_eq!(received.len(), 123_457);
    assert_eq!(proxy.counters().forwarded_up, 123_457);
}

#[tokio::test]
async fn a_cut_down_lets_only_so_much_of_the_answer_through() {
    let (listener, target) = listen().await;
    echo(listener);
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    proxy.cut_after(Direction::Down, 5);
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(b"0123456789").await.expect("sent");
    let mut heard = String::new();
    client
        .read_to_string(&mut heard)
        .await
        .expect("a clean end");
    assert_eq!(heard, "01234");
}

#[tokio::test]
async fn each_connection_is_cut_after_its_own_bytes_until_that_is_turned_off() {
    let (listener, target) = listen().await;
    echo(listener);
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    proxy.cut_each_after(Direction::Up, Some(3));
    for _ in 0..3 {
        let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
        client.write_all(b"abcdef").await.expect("sent");
        let mut heard = String::new();
        client
            .read_to_string(&mut heard)
            .await
            .expect("a clean end");
        assert!("abc".starts_with(&heard));
    }
    assert_eq!(proxy.counters().forwarded_up, 9);
    proxy.cut_each_after(Direction::Up, None);
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(b"abcdef").await.expect("sent");
    let mut heard = [0; 6];
    client.read_exact(&mut heard).await.expect("all of it");
    assert_eq!(&heard, b"abcdef");
}

#[tokio::test]
async fn random_resets_fall_on_the_same_bytes_for_the_same_seed() {
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let (listener, target) = listen().await;
        echo(listener);
        let proxy = ChaosProxy::builder(target)
            .seed(seed)
            .start()
            .await
            .expect("started");
        proxy.reset_every(50_000, 20_000);
        let mut places = Vec::new();
        for number in 1..=5 {
            let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
            let (mut read, mut write) = client.split();
            let mut nowhere = tokio::io::sink();
            let _ = tokio::join!(
                write.write_all(&[0; 400_000]),
                tokio::io::copy(&mut read, &mut nowhere),
            );
            let counters = proxy.wait_until(|counters| counters.resets == number).await;
            places.push(counters.bytes_up);
        }
        let mut before = 0;
        for place in &places {
            assert!((30_000..=70_000).contains(&(place - before)), "{places:?}");
            before = *place;
        }
        runs.push(places);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn a_half_close_up_ends_the_request_and_still_brings_the_answer() {
    let (listener, target) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.expect("a clean end");
        stream.write_all(b"too short").await.expect("said");
        heard
    });
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(b"begin").await.expect("sent");
    proxy
        .wait_until(|counters| counters.forwarded_up == 5)
        .await;
    proxy.half_close(Direction::Up);
    let mut heard = String::new();
    client
        .read_to_string(&mut heard)
        .await
        .expect("a clean end");
    assert_eq!(heard, "too short");
    assert_eq!(server.await.expect("no panic"), b"begin");
}

#[tokio::test]
async fn a_half_close_down_is_deaf_to_answers_and_still_takes_bytes() {
    let (listener, target) = listen().await;
    let received = tokio::spawn(read_one(listener));
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(b"one").await.expect("sent");
    proxy
        .wait_until(|counters| counters.forwarded_up == 3)
        .await;
    proxy.half_close(Direction::Down);
    assert_eq!(client.read(&mut [0; 8]).await.expect("a clean end"), 0);
    client.write_all(b"two").await.expect("sent");
    drop(client);
    assert_eq!(
        received.await.expect("no panic").expect("a clean end"),
        b"onetwo"
    );
}

#[tokio::test]
async fn a_black_hole_takes_connections_and_nothing_else_until_it_ends() {
    let (sink, proxy) = to_sink().await;
    proxy.black_hole(true);
    let mut client = Http::connect(proxy.addr()).await;
    client.send("OPTIONS /files/", "", b"").await;
    proxy.wait_until(|counters| counters.connections == 1).await;
    assert_eq!(proxy.counters().bytes_up, 0);
    assert_eq!(sink.counters().handshakes, 0);
    proxy.black_hole(false);
    assert_eq!(client.answer().await.expect("an answer").status, 204);
}

#[tokio::test]
async fn a_swallowed_answer_is_lost_though_the_server_got_the_request() {
    let (sink, proxy) = to_sink().await;
    let mut client = Http::connect(proxy.addr()).await;
    let path = client.create(1000).await;
    proxy.swallow_answer_to("PATCH");
    // Not what it waits for.
    assert_eq!(client.offset(&path).await, 0);
    client
        .send(&format!("PATCH {path}"), &patch_lines(0), &[9; 1000])
        .await;
    let error = client.answer().await.err().expect("no answer");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(sink.counters().patches, 1);
    assert_eq!(sink.uploads()[0].offset, 1000);
    assert_eq!(proxy.counters().swallowed_answers, 1);
    // Once only.
    let mut again = Http::connect(proxy.addr()).await;
    assert_eq!(again.offset(&path).await, 1000);
}

#[tokio::test]
async fn a_refusing_proxy_comes_back_on_the_same_port() {
    let (_sink, proxy) = to_sink().await;
    let mut open = Http::connect(proxy.addr()).await;
    assert_eq!(open.ask("OPTIONS /files/", "", b"").await.status, 204);
    for _ in 0..3 {
        proxy.refuse(true).await.expect("refusing");
        let error = TcpStream::connect(proxy.addr()).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // What was open stays open.
        assert_eq!(open.ask("OPTIONS /files/", "", b"").await.status, 204);
        proxy.refuse(false).await.expect("listening");
        let mut new = Http::connect(proxy.addr()).await;
        assert_eq!(new.ask("OPTIONS /files/", "", b"").await.status, 204);
    }
}

#[tokio::test]
async fn a_server_that_is_down_or_dies_resets_the_client() {
    let (listener, target) = listen().await;
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(&[0; 1000]).await.expect("sent");
    proxy
        .wait_until(|counters| counters.forwarded_up == 1000)
        .await;
    let (stream, _) = listener.accept().await.expect("a client");
    stream.readable().await.expect("something to read");
    drop(listener);
    // Closing over unread bytes is a reset, as when a server is killed.
    drop(stream);
    let error = client.read_u8().await.expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    let error = client.read_u8().await.expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_calm_proxy_has_forgotten_every_fault() {
    let (_sink, proxy) = to_sink().await;
    proxy.cut_after(Direction::Up, 1);
    proxy.reset_every(1, 0);
    proxy.reset_each_after(Direction::Down, Some(1));
    proxy.swallow_answer();
    proxy.flip_byte(Direction::Up, 0);
    proxy.black_hole(true);
    proxy.calm();
    let mut client = Http::connect(proxy.addr()).await;
    assert_eq!(client.ask("OPTIONS /files/", "", b"").await.status, 204);
}

#[tokio::test]
async fn a_dropped_proxy_closes_everything() {
    let (_sink, proxy) = to_sink().await;
    let address = proxy.addr();
    let mut client = Http::connect(address).await;
    assert_eq!(client.ask("OPTIONS /files/", "", b"").await.status, 204);
    drop(proxy);
    assert!(client.answer().await.is_err());
    let error = TcpStream::connect(address).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
