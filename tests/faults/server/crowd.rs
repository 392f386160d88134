//! F71: many connections that want nothing.

use std::time::{Duration, Instant};

use test_support::ChaosProxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Serve;
use crate::proof::{again, judge};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, World, run};

const CROWD: usize = 500;
const RATE: u64 = 10 * MIB;
const SIZE: u64 = 30 * MIB;

pub(super) async fn slowloris() -> Ended {
    let world = World::new();
    let serve = Serve::start(&world, &world.path("data")).await;
    let proxy = ChaosProxy::builder(serve.address)
        .rate_up(RATE)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let sources = ["usual.mov", "crowd.mov"].map(|name| world.random_file(name, SIZE));
    let put = |index: usize| Serve::put(&world, proxy.addr(), &sources[index]);
    let usual = run(put(0)).await.expect(0);

    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        crowd.spawn(dribble(serve.address));
    }
    let crowded = run(put(1)).await.expect(0);
    assert!(!crowd.is_empty(), "the crowd was there until the end");
    let mut closed = crowd.join_all().await;
    closed.sort_unstable();
    let (first, last) = (closed[0], closed[CROWD - 1]);
    assert!(first > Duration::from_secs(9), "{first:?}");
    assert!(last < Duration::from_secs(20), "{last:?}");

    let took = |ended: &crate::world::Ended| {
        let millis = ended.events("finished")[0]["elapsed_ms"].as_u64().unwrap();
        Duration::from_millis(millis).as_secs_f64()
    };
    let ratio = took(&usual) / took(&crowded);
    assert!(ratio >= 0.8, "{ratio}");
    let mut both = put(0);
    both.arg(&sources[1]);
    let last = again(both).await;
    judge(
        &world,
        serve.checker(),
        &sources,
        &[&usual, &crowded, &last],
        0,
    )
    .await;
    let mut seen = Seen::times(CROWD as u64).remark(format!(
        "an upload beside them at {:.0} % of the usual speed",
        ratio * 100.0
    ));
    seen.noticed = closed;
    Ok(seen)
}

/// Sends a head that never ends, a byte each second; how long the server bore it.
async fn dribble(server: std::net::SocketAddr) -> Duration {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let begun = Instant::now();
    let (mut reader, mut writer) = stream.split();
    let closed = async {
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = reader.read_to_end(&mut rest).await;
    };
    let writing = async {
        let _ = writer.write_all(b"GET / HTTP/1.1\r\nX-Long: ").await;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = writer.write_all(b"a").await;
        }
    };
    tokio::select! {
        () = closed => {}
        () = writing => {}
    }
    begun.elapsed()
}
