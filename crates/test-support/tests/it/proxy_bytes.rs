//! What the proxy carries, counts, slows and delays.

use std::io::Read as _;
use std::time::{Duration, Instant};

use test_support::{ChaosProxy, Direction, RandomBytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::{echo, listen, read_one};

fn random(length: u64, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    RandomBytes::new(seed)
        .take(length)
        .read_to_end(&mut bytes)
        .expect("endless");
    bytes
}

#[tokio::test]
async fn bytes_arrive_unchanged_and_are_counted_exactly_both_ways() {
    let (listener, target) = listen().await;
    echo(listener);
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    let sent = random(3_000_001, 1);
    for _ in 0..2 {
        let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
        let (mut read, mut write) = client.split();
        let mut back = vec![0; sent.len()];
        let (_, _) =
            tokio::try_join!(write.write_all(&sent), read.read_exact(&mut back)).expect("echoed");
        assert!(back == sent);
    }
    let counters = proxy
        .wait_until(|counters| counters.open_connections == 0)
        .await;
    assert_eq!(counters.bytes_up, 6_000_002);
    assert_eq!(counters.bytes_down, 6_000_002);
    assert_eq!(counters.forwarded_up, 6_000_002);
    assert_eq!(counters.forwarded_down, 6_000_002);
    assert_eq!(counters.connections, 2);
    assert_eq!((counters.cuts, counters.resets), (0, 0));
}

#[tokio::test]
async fn what_a_dying_client_sent_is_still_forwarded_and_then_ended() {
    let (listener, target) = listen().await;
    let received = tokio::spawn(read_one(listener));
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    // While nothing is forwarded, all that the client sent waits in front of the proxy.
    proxy.black_hole(true);
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(&random(100_000, 2)).await.expect("sent");
    drop(client);
    proxy.black_hole(false);
    let received = received.await.expect("no panic").expect("a clean end");
    assert!(received == random(100_000, 2));
}

#[tokio::test]
async fn a_client_that_ends_its_half_still_hears_the_answer() {
    let (listener, target) = listen().await;
    echo(listener);
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(b"question").await.expect("sent");
    client.shutdown().await.expect("half closed");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("heard");
    assert_eq!(answer, "question");
}

#[tokio::test]
async fn the_rate_holds_over_all_connections_together() {
    let (listener, target) = listen().await;
    echo(listener);
    let rate = 1 << 20;
    let proxy = ChaosProxy::builder(target)
        .rate_up(rate)
        .start()
        .await
        .expect("started");
    let start = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let address = proxy.addr();
        clients.push(tokio::spawn(async move {
            let mut client = TcpStream::connect(address).await.expect("connected");
            let (mut read, mut write) = client.split();
            let (sent, mut nowhere) = (vec![7; 1 << 20], tokio::io::sink());
            let _ = tokio::join!(
                write.write_all(&sent),
                tokio::io::copy(&mut read, &mut nowhere),
            );
        }));
    }
    let counters = proxy
        .wait_until(|counters| counters.bytes_up >= 300_000)
        .await;
    // Counted before the clock is read: what was allowed until then is the bound. Above it
    // there may be the slack of the timers and one read per connection.
    let allowed = rate as f64 * (start.elapsed() + Duration::from_millis(20)).as_secs_f64();
    assert!(counters.bytes_up as f64 <= allowed + 3.0 * rate as f64 / 100.0);
    for client in clients {
        client.abort();
    }
}

#[tokio::test]
async fn a_delay_holds_bytes_back_but_does_not_slow_the_flow() {
    let (listener, target) = listen().await;
    echo(listener);
    let proxy = ChaosProxy::builder(target)
        .delay(Duration::from_millis(100))
        .start()
        .await
        .expect("started");
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    let start = Instant::now();
    let (mut read, mut write) = client.split();
    // In windows of 64 KiB, one per one-way delay, this would take 25 seconds.
    let sent = random(16 << 20, 3);
    let mut back = vec![0; sent.len()];
    let (_, _) =
        tokio::try_join!(write.write_all(&sent), read.read_exact(&mut back)).expect("echoed");
    assert!(back == sent);
    // A handshake's round trip, and one for the bytes.
    assert!(start.elapsed() >= Duration::from_millis(400));
    assert!(start.elapsed() < Duration::from_secs(12));
}

#[tokio::test]
async fn one_flipped_byte_differs_and_no_other() {
    let (listener, target) = listen().await;
    let received = tokio::spawn(read_one(listener));
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    proxy.flip_byte(Direction::Up, 70_000);
    let mut sent = random(200_000, 4);
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(&sent).await.expect("sent");
    drop(client);
    let received = received.await.expect("no panic").expect("a clean end");
    sent[70_000] ^= 1;
    assert!(received == sent);
}

#[tokio::test]
async fn new_connections_go_to_the_new_target() {
    let (first, target) = listen().await;
    let (second, moved) = listen().await;
    drop(first);
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    proxy.set_target(moved);
    let received = tokio::spawn(read_one(second));
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    client.write_all(b"moved").await.expect("sent");
    drop(client);
    assert_eq!(
        received.await.expect("no panic").expect("a clean end"),
        b"moved"
    );
}

#[tokio::test]
#[should_panic(expected = "did not come to the awaited state within 50ms")]
async fn waiting_in_vain_ends_with_a_clear_text() {
    let (_listener, target) = listen().await;
    let proxy = ChaosProxy::builder(target)
        .patience(Duration::from_millis(50))
        .start()
        .await
        .expect("started");
    proxy.wait_until(|counters| counters.bytes_up > 0).await;
}

#[tokio::test]
async fn a_url_is_made_of_the_address_and_a_path() {
    let (_listener, target) = listen().await;
    let proxy = ChaosProxy::builder(target).start().await.expect("started");
    assert_eq!(
        proxy.url("/files/"),
        format!("http://{}/files/", proxy.addr())
    );
}
