//! F70: a disk that takes its time.

use std::time::Duration;

use test_support::{Injection, Strace};

use crate::proof::{Proof, TOKEN};
use crate::row::{Ended as Row, Seen};
use crate::world::{Ended, MIB, Site, World, emulator, end, run};

const RATE: u64 = 8 * MIB;
const SIZE: u64 = 26 * MIB;

pub(super) async fn syncs() -> Row {
    Strace::available()?;
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), RATE).await;
    let sources = [
        world.random_file("normal.mp4", SIZE),
        world.random_file("slow.mp4", SIZE),
    ];
    let put = |index: usize| {
        let mut command = site.put(&world, &sources[index]);
        command.args(["--chunk-size", "5MiB"]);
        command
    };
    let normal = run(put(0)).await.expect(0);
    let delay = |call| Injection::delay(call, Duration::from_millis(500));
    let traced = Strace::spawn(&put(1), &[delay("fdatasync"), delay("fsync")]).unwrap();
    let slow = end(traced.process()).await.expect(0);
    let struck = traced.struck().unwrap();
    assert!(struck >= 10, "{struck} syncs were late");
    let [(usual, _), (took, last)] = [0, 1].map(|index| transfer(&site, index));
    let ratio = usual.as_secs_f64() / took.as_secs_f64();
    assert!(ratio >= 0.95, "{usual:?}, with late syncs {took:?}");
    // One commit, of few syncs: how far the last chunk goes is written down before it leaves.
    assert!(
        last < Duration::from_secs(3),
        "{last:?} before the last chunk"
    );
    let all = {
        let mut command = put(0);
        command.arg(&sources[1]);
        command
    };
    let said: [&Ended; 2] = [&normal, &slow];
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: &sources,
        said: &said,
    }
    .hold(all)
    .await;
    Ok(Seen::times(struck).resent(0).remark(format!(
        "{:.0} % of the usual throughput; one wait of {} ms for the commit before the last chunk",
        ratio * 100.0,
        last.as_millis()
    )))
}

/// How long the chunks of the `index`-th video took, from the first byte to the answer to the last but one, and then until
/// the last one began.
fn transfer(site: &Site, index: usize) -> (Duration, Duration) {
    let uid = &site.emulator.videos()[index].video.uid;
    let mut chunks = site.emulator.requests();
    chunks.retain(|request| request.method == "PATCH" && request.path.contains(uid));
    let [first, .., last_but_one, last] = &chunks[..] else {
        panic!("{chunks:?}");
    };
    let end = last_but_one.began + last_but_one.took;
    (end - first.began, last.began.saturating_sub(end))
}
