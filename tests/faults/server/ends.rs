//! F80: a server that is asked to stop.

use std::time::{Duration, Instant};

use test_support::{ChaosProxy, Process};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Serve;
use super::wire::{create, patch, read, send, tus};
use crate::proof::{again, judge};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, World, end};

const UPLOADS: u64 = 20;

pub(super) async fn sigterm() -> Ended {
    let world = World::new();
    let data = world.path("data");
    let serve = Serve::start(&world, &data).await;
    let proxy = ChaosProxy::builder(serve.address)
        .rate_up(10 * MIB)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let mut sources: Vec<_> = (0..UPLOADS)
        .map(|index| world.random_file(&format!("shoot/{index:02}.mov"), 2 * MIB + index))
        .collect();
    let size: u64 = sources.iter().map(|it| it.metadata().unwrap().len()).sum();
    let put = || {
        let mut command = Serve::put(&world, proxy.addr(), &world.path("shoot"));
        command.args(["--parallel", "20"]);
        command
    };

    // One that would never end.
    let hangs = world.random_file("hangs.mov", MIB);
    let bytes = std::fs::read(&hangs).unwrap();
    let path = create(serve.address, &[&format!("Upload-Length: {MIB}")]).await;
    let mut stale = TcpStream::connect(serve.address).await.unwrap();
    let sent = 100_000;
    let request = patch(serve.address, &path, 0, MIB, &bytes[..sent]);
    stale.write_all(&request).await.unwrap();

    let process = Process::spawn(put()).unwrap();
    proxy
        .wait_until(|counters| counters.body_up >= size / 4)
        .await;
    let begun = proxy.counters().open_connections;
    assert!(begun >= UPLOADS, "{begun} at once");
    let asked = Instant::now();
    serve.process.sigterm();
    let stopped = end(&serve.process).await.expect(0);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(!stopped.stderr.contains("panicked"), "{}", stopped.stderr);
    let told = read(&mut stale, false).await;
    assert_eq!(told.map(|answer| answer.status), Some(503));

    let serve = Serve::start(&world, &data).await;
    proxy.set_target(serve.address);
    let ended = end(&process).await.expect(0);
    let resent = proxy.counters().body_up - size;
    assert_eq!(resent, 0, "bytes sent again");
    let offset = tus(serve.address, "HEAD", &path, &[], b"").await.offset();
    assert_eq!(offset, sent as u64, "what came of the one that hung");
    let rest = &bytes[sent..];
    let request = patch(serve.address, &path, offset, rest.len() as u64, rest);
    assert_eq!(send(serve.address, &request).await.unwrap().status, 204);
    let last = again(put()).await;
    sources.push(hangs);
    judge(&world, serve.checker(), &sources, &[&ended, &last], 0).await;
    Ok(Seen::times(1).resent(resent).noticed(took).remark(format!(
        "{begun} connections were open; the one that hung was ended after 10 s"
    )))
}
