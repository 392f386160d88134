//! Against npm `@tus/server`, which we did not write: killed clients, killed servers, frozen servers, dead networks.

use std::time::Duration;

use test_support::{ChaosProxy, Process, Random, TusNodeServer, fixtures, peers};

use crate::world::{MIB, PATIENCE, RESEND_BOUND, World, end, event};

/// Slow enough to be caught in the middle, fast enough to end soon.
const RATE: u64 = 50 * MIB;

struct Bench {
    world: World,
    server: TusNodeServer,
    proxy: ChaosProxy,
}

impl Bench {
    async fn new() -> Self {
        tokio::task::spawn_blocking(peers::install_all)
            .await
            .unwrap()
            .unwrap();
        let world = World::new();
        let server = TusNodeServer::start(world.path("server")).await.unwrap();
        let proxy = ChaosProxy::builder(server.addr())
            .rate_up(RATE)
            .patience(PATIENCE)
            .start()
            .await
            .unwrap();
        Self {
            world,
            server,
            proxy,
        }
    }

    fn put(&self, source: &std::path::Path) -> Process {
        Process::spawn(self.world.put_to(&self.proxy.url("/files/"), source)).unwrap()
    }

    /// The server has one upload, and it is the source.
    fn assert_stored_once(&self, source: &std::path::Path) {
        let stored = self.server.stored_files().unwrap();
        assert_eq!(stored.len(), 1, "{stored:?}");
        assert_eq!(
            fixtures::sha256_file(&stored[0].path).unwrap(),
            fixtures::sha256_file(source).unwrap()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_cost_ten_times_a_kernel_buffer_at_most() {
    let bench = Bench::new().await;
    let size = 256 * MIB;
    let source = bench.world.random_file("a.mov", size);
    let mut random = Random::new(20_26);
    for kill in 0..10 {
        let run = bench.put(&source);
        // Before the upload is known here, a second one is legitimate on a server that cannot be asked.
        let begun = if kill == 0 { "created" } else { "resumed" };
        event(&run, begun, PATIENCE).await;
        let at = bench.proxy.counters().bytes_up + random.below(24 * MIB);
        bench
            .proxy
            .wait_until(|counters| counters.bytes_up >= at)
            .await;
        run.kill_9();
        assert_eq!(
            run.wait(PATIENCE).await.unwrap().code(),
            None,
            "it was still running"
        );
    }
    end(&bench.put(&source)).await.expect(0);
    bench.assert_stored_once(&source);
    let sent = bench.proxy.counters().bytes_up;
    assert!(
        sent <= size + 10 * RESEND_BOUND,
        "{} MiB too many",
        (sent - size) / MIB
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_gets_the_rest() {
    let mut bench = Bench::new().await;
    let size = 256 * MIB;
    let source = bench.world.random_file("a.mov", size);
    let run = bench.put(&source);
    bench
        .proxy
        .wait_until(|counters| counters.bytes_up >= 100 * MIB)
        .await;
    bench.server.restart().await.unwrap();
    let ended = end(&run).await.expect(0);
    assert!(!ended.events("retry").is_empty());
    bench.assert_stored_once(&source);
    let sent = bench.proxy.counters().bytes_up;
    assert!(
        sent <= size + 2 * RESEND_BOUND,
        "{} MiB too many",
        (sent - size) / MIB
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_noticed_within_35_seconds_and_served_when_it_thaws() {
    let bench = Bench::new().await;
    let source = bench.world.random_file("a.mov", 128 * MIB);
    let run = bench.put(&source);
    bench
        .proxy
        .wait_until(|counters| counters.bytes_up >= 40 * MIB)
        .await;
    bench.server.freeze();
    let thaw_at = tokio::time::Instant::now() + Duration::from_secs(40);
    event(&run, "retry", Duration::from_secs(35)).await;
    tokio::time::sleep_until(thaw_at).await; // the fault's own length, nothing is waited for
    bench.server.thaw();
    end(&run).await.expect(0);
    bench.assert_stored_once(&source);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_gone_for_40_seconds_is_waited_for() {
    let bench = Bench::new().await;
    let source = bench.world.random_file("a.mov", 64 * MIB);
    let run = bench.put(&source);
    bench
        .proxy
        .wait_until(|counters| counters.bytes_up >= 20 * MIB)
        .await;
    bench.proxy.refuse(true).await.unwrap();
    bench.proxy.reset_all();
    tokio::time::sleep(Duration::from_secs(40)).await; // the fault's own length, nothing is waited for
    bench.proxy.refuse(false).await.unwrap();
    let ended = end(&run).await.expect(0);
    let reasons: Vec<_> = ended
        .events("retry")
        .iter()
        .map(|retry| retry["reason"].to_string())
        .collect();
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("could not be reached")),
        "{reasons:?}"
    );
    bench.assert_stored_once(&source);
}
