//! F76: a server that dies.

use std::fs;
use std::time::Duration;

use test_support::{ChaosProxy, Process, Random};

use super::{Serve, media, wire};
use crate::proof::{TOKEN, again, judge};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, RESEND_BOUND, World, end, event};

const CHUNK: u64 = 5 * MIB;

/// How often it is killed, unless told otherwise.
fn kills() -> u64 {
    let asked = std::env::var("STREAM_UPLOAD_KILLS").ok();
    asked.and_then(|kills| kills.parse().ok()).unwrap_or(15)
}

/// Longer than it takes.
pub(super) fn bound() -> Duration {
    Duration::from_secs(120 + 6 * kills())
}

pub(super) async fn again_and_again() -> Ended {
    let world = World::new();
    let data = world.path("data");
    let mut serve = Serve::start(&world, &data).await;
    let proxy = ChaosProxy::builder(serve.address)
        .rate_up(20 * MIB)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    // Enough for every life of the server: it may die of 8 MiB, of which a chunk need not be kept.
    let size = 9 * MIB * kills() + 123;
    let source = world.random_file("a.mov", size);
    let bytes = fs::read(&source).unwrap();
    let put = || {
        let mut command = Serve::put(&world, proxy.addr(), &source);
        command.args(["--chunk-size", "5MiB"]);
        command
    };
    let process = Process::spawn(put()).unwrap();
    let created = event(&process, "created", PATIENCE).await;
    let uid = created["media_id"].as_str().unwrap().to_owned();
    let token = format!("Authorization: Bearer {TOKEN}");
    let mut random = Random::new(76);
    let mut before = 0;
    for kill in 1..=kills() {
        let sent = proxy.counters().body_up + MIB + random.below(7 * MIB);
        proxy.wait_until(|counters| counters.body_up >= sent).await;
        serve.process.kill_9();
        serve.process.wait(PATIENCE).await.unwrap();
        let blob = fs::read(data.join("blobs").join(&uid)).unwrap();
        serve = Serve::start(&world, &data).await;
        let held = wire::tus(serve.address, "HEAD", &media(&uid), &[&token], b"")
            .await
            .offset();
        let here = usize::try_from(held).unwrap();
        assert!(
            here <= blob.len(),
            "kill {kill}: {held} of {} bytes",
            blob.len()
        );
        assert!(
            blob[..here] == bytes[..here],
            "kill {kill}: the bytes are others"
        );
        assert!(
            held >= before,
            "kill {kill}: {before} were confirmed, {held} are left"
        );
        before = held;
        proxy.set_target(serve.address);
    }
    let ended = end(&process).await.expect(0);
    let resent = proxy.counters().body_up - size;
    let bound = kills() * (CHUNK + RESEND_BOUND);
    assert!(resent <= bound, "{resent} bytes");
    let last = again(put()).await;
    let sources = [source.clone()];
    judge(&world, serve.checker(), &sources, &[&ended, &last], 0).await;
    let mut seen = Seen::times(kills());
    seen.resent.push(resent / kills());
    Ok(seen.remark("bytes sent again: the mean"))
}
