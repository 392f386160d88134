//! One file over several connections: partial uploads, each resumed on its own, and a final one that joins them.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use stream_emulator::{EmulatorHandle, Fault, FaultRule, FaultTarget, RequestRecord};
use test_support::{ChaosPlan, ChaosProxy, ConnectionFault, Direction, Process, fixtures};

use crate::world::{Ended, MIB, PATIENCE, RESEND_BOUND, World, emulator, end, event, run};

fn put(world: &World, endpoint: &str, source: &Path) -> std::process::Command {
    let mut command = world.put_to(endpoint, source);
    command.args(["--parts", "4", "--checksum", "none"]);
    command
}

/// The server has the file, and nothing else of it.
async fn assert_joined(emulator: &EmulatorHandle, ended: &Ended, source: &Path) {
    assert_joined_but(0, emulator, ended, source).await;
}

/// The server has the file, and nothing else of it but parts that hold nothing, no more than so many: of a creation that was
/// under way when its process was killed nobody can ask this server, and whoever goes on tells that there may be one more.
async fn assert_joined_but(told: usize, emulator: &EmulatorHandle, ended: &Ended, source: &Path) {
    let id = ended.events("finished")[0]["media_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        emulator.sha256(&id).await.unwrap().unwrap(),
        fixtures::sha256_file(source).unwrap()
    );
    let uploads = emulator.uploads();
    let (left, whole): (Vec<_>, Vec<_>) = uploads.iter().partition(|it| it.partial);
    assert_eq!(whole.len(), 1, "{uploads:?}");
    assert!(left.len() <= told, "{told} of {left:?} were told");
    assert!(left.iter().all(|it| it.offset == 0), "{left:?}");
}

/// How many uploads may have been left behind, as a process said before it was killed.
fn orphans_told_by(process: &Process) -> usize {
    let lines = process.lines(test_support::Stream::Stdout);
    lines
        .iter()
        .filter(|it| it.contains("possible-orphan"))
        .count()
}

/// A proxy that lets 40 MiB per second pass, so that a kill comes in the middle.
async fn slow_way_to(emulator: &EmulatorHandle) -> ChaosProxy {
    let proxy = ChaosProxy::builder(emulator.addr())
        .rate_up(40 * MIB)
        .patience(PATIENCE);
    proxy.start().await.unwrap()
}

#[tokio::test]
async fn four_parts_become_one_file_and_leave_nothing_behind() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", 15 * MIB + 3);
    let ended = run(put(&world, &emulator.tus_url(), &source))
        .await
        .expect(0);
    assert_joined(&emulator, &ended, &source).await;
    let finished = &ended.events("finished")[0];
    assert_eq!(finished["bytes_sent"], 15 * MIB + 3);
    assert_eq!(
        ended.events("created").len(),
        1,
        "for whoever reads it is one upload"
    );
    let requests = emulator.requests();
    let creations = requests.iter().filter(|it| it.method == "POST").count();
    assert_eq!(creations, 5, "four parts, and the whole");

    let again = run(put(&world, &emulator.tus_url(), &source))
        .await
        .expect(0);
    assert_eq!(again.events("skipped")[0]["reason"], "already-uploaded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_is_resumed_after_a_kill() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let proxy = slow_way_to(&emulator).await;
    let source = world.random_file("a.mov", 64 * MIB);
    let endpoint = proxy.url("/files/");
    let mut told = 0;
    for until in [20 * MIB, 45 * MIB] {
        let process = Process::spawn(put(&world, &endpoint, &source)).unwrap();
        proxy
            .wait_until(|counters| counters.bytes_up >= until)
            .await;
        process.kill_9();
        process.wait(PATIENCE).await.unwrap();
        told += orphans_told_by(&process);
    }
    let process = Process::spawn(put(&world, &endpoint, &source)).unwrap();
    let resumed = event(&process, "resumed", PATIENCE).await;
    assert!(resumed["offset"].as_u64().unwrap() > 25 * MIB, "{resumed}");
    let ended = end(&process).await.expect(0);
    told += ended.events("possible-orphan").len();
    assert_joined_but(told, &emulator, &ended, &source).await;
    let sent = proxy.counters().bytes_up;
    assert!(
        sent <= 64 * MIB + 2 * RESEND_BOUND,
        "{} MiB too many",
        (sent - 64 * MIB) / MIB
    );
}

#[tokio::test]
async fn the_join_is_never_repeated_blindly_and_a_rerun_finds_its_parts() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", 8 * MIB);
    // The fifth creation is the one that joins.
    let lost = FaultRule::new(Fault::LoseAnswer)
        .on(FaultTarget::Creation)
        .method(http::Method::POST);
    emulator.faults().add(lost.skip(4));
    run(put(&world, &emulator.tus_url(), &source))
        .await
        .expect(6);
    let ended = run(put(&world, &emulator.tus_url(), &source))
        .await
        .expect(0);
    assert_eq!(
        ended.events("finished")[0]["bytes_sent"],
        0,
        "no part is sent again"
    );
    assert_eq!(
        ended.events("possible-orphan").len(),
        1,
        "the first join may have been carried out"
    );
}

/// How many bodies of parts were under way at once, at most.
fn most_at_once(requests: &[RequestRecord]) -> usize {
    let patches: Vec<_> = requests
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| (request.began, request.began + request.took))
        .collect();
    let during = |at| {
        let runs = |(began, ended): &&(Duration, Duration)| *began <= at && at < *ended;
        patches.iter().filter(runs).count()
    };
    let most = patches.iter().map(|(began, _)| during(*began)).max();
    most.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_more_parts_than_connections_and_no_more_under_way_than_connections() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", 80 * MIB);
    let mut put = world.put_to(&emulator.tus_url(), &source);
    put.args(["--parts", "2"]);
    let ended = run(put).await.expect(0);
    assert_joined(&emulator, &ended, &source).await;
    let requests = emulator.requests();
    let creations = requests.iter().filter(|it| it.method == "POST").count();
    assert_eq!(creations, 7, "six parts, and the whole");
    assert!(most_at_once(&requests) <= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_wait_for_a_connection_are_resumed_after_a_kill_too() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let proxy = slow_way_to(&emulator).await;
    let source = world.random_file("a.mov", 96 * MIB);
    let put = || {
        let mut command = world.put_to(&proxy.url("/files/"), &source);
        // Of a chunk with a digest nothing is kept when it breaks.
        command.args(["--parts", "2", "--checksum", "none"]);
        command
    };
    let process = Process::spawn(put()).unwrap();
    proxy
        .wait_until(|counters| counters.bytes_up >= 50 * MIB)
        .await;
    process.kill_9();
    process.wait(PATIENCE).await.unwrap();
    let ended = run(put()).await.expect(0);
    let resumed = ended.events("resumed");
    assert_eq!(resumed.len(), 1, "{resumed:?}");
    // As far as is remembered: of parts that were under way the server is asked later.
    assert!(resumed[0]["offset"].as_u64().unwrap() > 30 * MIB);
    let told = ended.events("possible-orphan").len();
    assert_joined_but(told, &emulator, &ended, &source).await;
    assert!(proxy.counters().bytes_up <= 96 * MIB + RESEND_BOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_given_up_are_removed() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let proxy = slow_way_to(&emulator).await;
    let source = world.random_file("a.mov", 64 * MIB);
    let endpoint = proxy.url("/files/");
    let process = Process::spawn(put(&world, &endpoint, &source)).unwrap();
    // Long after they were created, and before one of their 7 MiB is nearly sent, which has the next one created.
    proxy
        .wait_until(|counters| counters.bytes_up >= 8 * MIB)
        .await;
    process.kill_9();
    process.wait(PATIENCE).await.unwrap();
    assert_eq!(emulator.uploads().len(), 4);
    let mut anew = world.put_to(&endpoint, &source);
    anew.args(["--parts", "1", "--no-resume"]);
    let ended = run(anew).await.expect(0);
    assert_joined(&emulator, &ended, &source).await;
}

#[tokio::test]
async fn unasked_a_file_goes_over_one_connection_to_a_server_that_is_near() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", 80 * MIB);
    let ended = run(world.put_to(&emulator.tus_url(), &source))
        .await
        .expect(0);
    assert_joined(&emulator, &ended, &source).await;
    let requests = emulator.requests();
    let creations = requests.iter().filter(|it| it.method == "POST").count();
    assert_eq!(creations, 1);
}

/// A way that is long, and not fast.
async fn long_way(emulator: &EmulatorHandle) -> ChaosProxy {
    let proxy = ChaosProxy::builder(emulator.addr())
        .delay(Duration::from_millis(30))
        .rate_up(32 * MIB);
    proxy.patience(PATIENCE).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unasked_a_large_file_goes_in_parts_where_the_way_is_long() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let proxy = long_way(&emulator).await;
    let source = world.random_file("a.mov", 96 * MIB);
    let put = || world.put_to(&proxy.url("/files/"), &source);
    let ended = run(put()).await.expect(0);
    assert_joined(&emulator, &ended, &source).await;
    assert_eq!(ended.events("created").len(), 1);
    let requests = emulator.requests();
    let creations = requests.iter().filter(|it| it.method == "POST").count();
    assert!(creations > 2, "{creations}");
    let again = run(put()).await.expect(0);
    assert_eq!(again.events("skipped")[0]["reason"], "already-uploaded");
}

#[tokio::test]
async fn a_server_that_joins_nothing_gets_the_file_over_one_connection_and_that_is_told() {
    let world = World::new();
    let sink = test_support::NullSink::start().unwrap();
    let source = world.random_file("a.mov", 8 * MIB);
    let ended = run(put(&world, &sink.creation_url(), &source))
        .await
        .expect(0);
    assert_eq!(ended.events("parts-not-offered").len(), 1);
    assert_eq!((sink.counters().posts, sink.counters().patches), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_trouble_loses_nothing_of_eight_parts() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", 48 * MIB + 5);
    let to_parts = |status: u16| {
        let status = http::StatusCode::from_u16(status).unwrap();
        let retry_after = None;
        FaultRule::new(Fault::Status {
            status,
            retry_after,
        })
        .on(FaultTarget::Upload)
        .method(http::Method::PATCH)
    };
    emulator.faults().add(to_parts(429).skip(3).times(4));
    emulator.faults().add(to_parts(503).skip(12).times(2));
    let mut put = world.put_to(&emulator.tus_url(), &source);
    put.args(["--parts", "8", "--chunk-size", "1MiB"]);
    let ended = run(put).await.expect(0);
    assert_joined(&emulator, &ended, &source).await;
    assert!(ended.events("retry").len() >= 2);
    let requests = emulator.requests();
    let faults = requests.iter().filter(|it| it.fault.is_some()).count();
    assert_eq!(faults, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_parts_outlives_resets_lost_answers_and_failures_together() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let breaks = (2..=7).fold(ChaosPlan::seeded(7), |plan, number| {
        let fault = ConnectionFault::Reset(Direction::Up, MIB..=6 * MIB);
        plan.on(number, fault)
    });
    let proxy = ChaosProxy::builder(emulator.addr())
        .plan(breaks)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let lost = FaultRule::new(Fault::LoseAnswer)
        .on(FaultTarget::Upload)
        .method(http::Method::PATCH);
    let failed = FaultRule::new(Fault::Status {
        status: http::StatusCode::BAD_GATEWAY,
        retry_after: None,
    })
    .on(FaultTarget::Upload)
    .method(http::Method::PATCH);
    emulator.faults().add(lost.skip(9).times(2));
    emulator.faults().add(failed.skip(15).times(2));
    let sources: Vec<_> = (0..6_u64)
        .map(|index| {
            let size = if index % 3 == 0 { 24 * MIB } else { MIB / 2 };
            world.random_file(&format!("shoot/{index}.mov"), size + index)
        })
        .collect();
    let mut put = world.put_to(&proxy.url("/files/"), &world.path("shoot"));
    put.args(["--parts", "4", "--checksum", "none"]);
    let ended = run(put).await.expect(0);
    let mut wanted: Vec<_> = sources
        .iter()
        .map(|source| fixtures::sha256_file(source).unwrap())
        .collect();
    let mut found = Vec::new();
    for finished in ended.events("finished") {
        let id = finished["media_id"].as_str().unwrap().to_owned();
        found.push(emulator.sha256(&id).await.unwrap().unwrap());
    }
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
    assert_eq!(emulator.uploads().len(), 6, "no part is left behind");
    assert!(
        proxy.counters().bytes_up <= 2 * 50 * MIB,
        "much was sent twice"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unasked_the_last_large_file_of_a_folder_has_the_connections_that_small_ones_left() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let proxy = long_way(&emulator).await;
    for index in 0..6_u64 {
        world.random_file(&format!("shoot/{index}.mp4"), MIB + index);
    }
    let large = world.random_file("shoot/large.mov", 112 * MIB);
    let put = world.put_to(&proxy.url("/files/"), &world.path("shoot"));
    let ended = run(put).await.expect(0);
    let finished = ended.events("finished");
    assert_eq!(finished.len(), 7);
    let source = |it: &&serde_json::Value| it["length"] == 112 * MIB;
    let whole = finished.iter().find(source).unwrap();
    let id = whole["media_id"].as_str().unwrap();
    assert_eq!(
        emulator.sha256(id).await.unwrap().unwrap(),
        fixtures::sha256_file(&large).unwrap()
    );
    let requests = emulator.requests();
    let created = |it: &&RequestRecord| {
        it.method == "POST" && it.upload_length.is_some_and(|it| it < MIB + 6)
    };
    let small: HashSet<_> = requests
        .iter()
        .filter(created)
        .filter_map(|it| it.upload.as_deref())
        .collect();
    assert_eq!(small.len(), 6);
    let is_small = |it: &&RequestRecord| it.upload.as_deref().is_some_and(|it| small.contains(it));
    let ends = requests
        .iter()
        .filter(is_small)
        .map(|it| it.began + it.took);
    let small_until = ends.max().unwrap();
    let alone = |it: &&RequestRecord| it.method == "PATCH" && it.began > small_until;
    let alone: Vec<_> = requests.iter().filter(alone).cloned().collect();
    assert!(most_at_once(&alone) >= 3, "{alone:?}");
}
