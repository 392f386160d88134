//! Uploads whose time runs out, and videos that come to nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use stream_emulator::{EmulatorHandle, Encoding, RequestRecord};
use test_support::{ChaosProxy, Direction, Process};

use super::{Bench, failure, only};
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended as RowEnded, Row, Seen, row};
use crate::world::{Ended, MIB, PATIENCE, World, emulator, event, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F46",
            "an upload whose time runs out is named and goes first",
            "Upload-Expires in a minute, or in the past, before a resume among other files",
            expiring
        ),
        row!(
            "F48",
            "a video that comes to nothing is told",
            "video ends in error, or stays queued",
            no_video
        ),
    ]
}

/// What the server gives an upload.
const TIME: Duration = Duration::from_secs(60);
/// Longer than anybody waits here.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A file of which a part was sent to a tus server that gives uploads little time.
struct Late {
    world: World,
    emulator: EmulatorHandle,
    proxy: ChaosProxy,
    source: PathBuf,
}

impl Late {
    async fn begun() -> Self {
        let world = World::new();
        let emulator = emulator().token(TOKEN).upload_expiry(TIME);
        let emulator = emulator.start().await.unwrap();
        let proxy = ChaosProxy::builder(emulator.addr())
            .rate_up(2 * MIB)
            .patience(PATIENCE)
            .start()
            .await
            .unwrap();
        let source = world.random_file("z.mov", 8 * MIB);
        let late = Self {
            world,
            emulator,
            proxy,
            source,
        };
        let first = Process::spawn(late.put(&[&late.source])).unwrap();
        event(&first, "created", PATIENCE).await;
        let a_part = |counters: &test_support::ProxyCounters| counters.bytes_up >= 3 * MIB;
        late.proxy.wait_until(a_part).await;
        first.kill_9();
        first.wait(PATIENCE).await.unwrap();
        late.proxy.set_rate(Direction::Up, None);
        late
    }

    fn put(&self, sources: &[&Path]) -> Command {
        let mut command = self.world.command();
        command
            .args(["put", "--json", "--parallel", "1", "--endpoint"])
            .arg(self.proxy.url("/files/"))
            .args(["--chunk-size", "1MiB"])
            .args(sources);
        command
    }

    /// Goes on, with two other files that are named first; returns what was said and what was asked. What is lost stays on a
    /// plain tus server: so many uploads.
    async fn go_on(&self, lost: usize) -> (Ended, Vec<RequestRecord>) {
        let begun = SystemTime::now();
        let others = ["a.mov", "b.mov"].map(|name| self.world.random_file(name, 2 * MIB));
        let sources = [&others[0], &others[1], &self.source];
        let put = || self.put(&sources.map(PathBuf::as_path));
        let ended = run(put()).await.expect(0);
        // The killed one's last request is written down late.
        let mut requests = self.emulator.requests();
        requests.retain(|request| request.time >= begun);
        requests.sort_by_key(|request| request.began);
        let proof = Proof {
            world: &self.world,
            emulator: &self.emulator,
            sources: &sources.map(PathBuf::clone),
            said: &[&ended],
        };
        let again = run(put()).await.expect(0);
        assert_eq!(only(&again, "summary")["bytes_sent"], 0);
        proof.hold_with(lost, &again).await;
        (ended, requests)
    }
}

async fn expiring() -> RowEnded {
    let (resent, ()) = tokio::join!(in_time(), too_late());
    Ok(Seen::times(2)
        .resent(resent)
        .remark("it goes before files that were named first"))
}

/// Returns the bytes that were sent again.
async fn in_time() -> u64 {
    let late = Late::begun().await;
    let (ended, requests) = late.go_on(0).await;
    assert_eq!(requests[0].method, "HEAD", "the urgent one goes first");
    let resumed = only(&ended, "resumed")["offset"].as_u64().unwrap();
    let warned = &ended.events("expires")[0];
    assert_eq!(warned["source"], late.source.to_str().unwrap());
    assert!(warned["at"].as_str().unwrap().ends_with('Z'), "{warned}");
    let finished = ended.events("finished");
    assert_eq!(finished[0]["source"], late.source.to_str().unwrap());
    let sent = finished[0]["bytes_sent"].as_u64().unwrap();
    assert_eq!(resumed + sent, 8 * MIB);
    let all = late.emulator.requests();
    let ours = all.iter().filter(|it| it.upload == requests[0].upload);
    let read: u64 = ours.map(|request| request.body_bytes).sum();
    read - 8 * MIB
}

async fn too_late() {
    let late = Late::begun().await;
    late.emulator.advance(TIME).await;
    let (ended, requests) = late.go_on(1).await;
    let head = &requests[0];
    assert_eq!((head.method.as_str(), head.status), ("HEAD", Some(410)));
    only(&ended, "restarted");
    assert_eq!(ended.events("finished").len(), 3);
}

async fn no_video() -> RowEnded {
    let bench = Bench::of(emulator().encoding(Encoding::NoVideo), MIB).await;
    let ended = run(waiting(&bench, "--wait")).await.expect(5);
    let failed = failure(&ended, &["ERR_NON_VIDEO", "cannot encode"]);
    assert_eq!(failed["stream_code"], "ERR_NON_VIDEO");
    assert_eq!(failed["media_id"], only(&ended, "finished")["media_id"]);
    bench.prove(bench.put(), &[&ended]).await;

    let bench = Bench::of(emulator().encode_time(A_DAY), MIB).await;
    let begun = Instant::now();
    let stuck = run(waiting(&bench, "--wait=2s")).await.expect(6);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    let failed = failure(&stuck, &["queued", "2s"]);
    assert_eq!(failed["media_id"], only(&stuck, "finished")["media_id"]);
    assert_eq!(failed["resumable"], true);
    bench.prove(bench.put(), &[&stuck]).await;
    Ok(Seen::times(2))
}

fn waiting(bench: &Bench, option: &str) -> Command {
    let mut command = bench.put();
    command.arg(option);
    command
}
