//! Answers that were lost, and accounts that have to be asked: never two videos for one file.

use std::path::PathBuf;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use stream_emulator::{EmulatorHandle, Fault, FaultRule, FaultTarget, Hypotheses, Limits};
use test_support::{Process, fixtures};

use crate::world::{Ended, MIB, PATIENCE, World, emulator, end, event, run};

/// `put` of a folder, all files at once.
async fn put_all(world: &World, emulator: &EmulatorHandle) -> Ended {
    let mut command = world.put_to_emulator(emulator);
    command.args(["--parallel", "20"]).arg(world.path("shoot"));
    run(command).await
}

fn shoot(world: &World, files: u64) -> Vec<PathBuf> {
    (0..files)
        .map(|index| world.random_file(&format!("shoot/{index}.mp4"), 10_000 + index))
        .collect()
}

/// One video per source, whole, and none that nobody will finish.
async fn assert_videos(emulator: &EmulatorHandle, sources: &[PathBuf]) {
    let mut wanted: Vec<_> = sources
        .iter()
        .map(|source| fixtures::sha256_file(source).unwrap())
        .collect();
    let mut found = Vec::new();
    for snapshot in emulator.videos() {
        assert_ne!(
            snapshot.video.state(),
            stream_api::VideoState::PendingUpload
        );
        found.push(emulator.sha256(&snapshot.video.uid).await.unwrap().unwrap());
    }
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_creations_whose_answers_are_lost_leave_twenty_videos_for_twenty_files() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let sources = shoot(&world, 20);
    let lost = FaultRule::new(Fault::LoseAnswer).on(FaultTarget::Creation);
    emulator.faults().add(lost.times(20));
    put_all(&world, &emulator).await.expect(0);
    assert!(emulator.faults().is_spent());
    assert_videos(&emulator, &sources).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_a_gateway_called_failed_is_found_and_removed() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let sources = shoot(&world, 3);
    let replaced = Fault::ReplaceAnswer {
        status: StatusCode::BAD_GATEWAY,
    };
    let rule = FaultRule::new(replaced).on(FaultTarget::Creation).times(3);
    emulator.faults().add(rule);
    put_all(&world, &emulator).await.expect(0);
    assert_videos(&emulator, &sources).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_lags_behind_hides_no_orphan() {
    let world = World::new();
    let mut hypotheses = Hypotheses::default();
    hypotheses.listing_lag = Duration::from_secs(1);
    let emulator = emulator().hypotheses(hypotheses).start().await.unwrap();
    let sources = shoot(&world, 3);
    let lost = FaultRule::new(Fault::LoseAnswer).on(FaultTarget::Creation);
    emulator.faults().add(lost.times(3));
    put_all(&world, &emulator).await.expect(0);
    assert_videos(&emulator, &sources).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_cannot_be_asked_is_asked_again_and_nothing_is_created_meanwhile() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let sources = shoot(&world, 1);
    let lost = FaultRule::new(Fault::LoseAnswer).on(FaultTarget::Creation);
    emulator.faults().add(lost);
    let down = Fault::Status {
        status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: None,
    };
    emulator
        .faults()
        .add(FaultRule::new(down).on(FaultTarget::Api).times(3));
    put_all(&world, &emulator).await.expect(0);
    assert!(emulator.faults().is_spent());
    assert_videos(&emulator, &sources).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_died_before_it_heard_of_its_creation_leaves_no_second_video() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let sources = shoot(&world, 1);
    let stalled = FaultRule::new(Fault::StallAnswer).on(FaultTarget::Creation);
    emulator.faults().add(stalled);
    let mut command = world.put_to_emulator(&emulator);
    command.arg(world.path("shoot"));
    let process = Process::spawn(command).unwrap();
    // The video is there, and its creator will never know.
    while emulator.videos().is_empty() {
        tokio::task::yield_now().await;
    }
    process.kill_9();
    process.wait(PATIENCE).await.unwrap();
    put_all(&world, &emulator).await.expect(0);
    assert_videos(&emulator, &sources).await;
}

/// The answer to the last chunk is lost, and by then the server knows the upload no more.
async fn last_chunk_lost(status: StatusCode) {
    let world = World::new();
    let mut hypotheses = Hypotheses::default();
    hypotheses.completed_status = status;
    let emulator = emulator().hypotheses(hypotheses).start().await.unwrap();
    let sources = shoot(&world, 1);
    let lost = FaultRule::new(Fault::LoseAnswer).method(Method::PATCH);
    emulator.faults().add(lost);
    let ended = put_all(&world, &emulator).await.expect(0);
    let uid = emulator.videos()[0].video.uid.clone();
    assert_eq!(ended.events("finished")[0]["media_id"], uid);
    assert_videos(&emulator, &sources).await;
    let patches = emulator.requests();
    let patches = patches.iter().filter(|request| request.method == "PATCH");
    assert_eq!(patches.count(), 1);
}

#[tokio::test]
async fn the_last_chunk_lost_and_then_404_is_found_complete() {
    last_chunk_lost(StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn the_last_chunk_lost_and_then_403_is_found_complete() {
    last_chunk_lost(StatusCode::FORBIDDEN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_died_after_its_last_chunk_finds_it_complete_though_its_url_is_gone() {
    let world = World::new();
    let mut hypotheses = Hypotheses::default();
    hypotheses.completed_status = StatusCode::NOT_FOUND;
    let emulator = emulator().hypotheses(hypotheses).start().await.unwrap();
    let sources = shoot(&world, 1);
    let stalled = FaultRule::new(Fault::StallAnswer).method(Method::PATCH);
    emulator.faults().add(stalled);
    let mut command = world.put_to_emulator(&emulator);
    command.arg(world.path("shoot"));
    let process = Process::spawn(command).unwrap();
    while !emulator.uploads().iter().any(|upload| upload.complete) {
        tokio::task::yield_now().await;
    }
    process.kill_9();
    process.wait(PATIENCE).await.unwrap();
    let ended = put_all(&world, &emulator).await.expect(0);
    assert_eq!(ended.events("summary")[0]["bytes_sent"], 0);
    assert_videos(&emulator, &sources).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_holds_creations_until_there_is_room() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let mut full = Limits::default();
    full.encode_slots = 0;
    emulator.set_limits(full);
    let sources = shoot(&world, 2);
    let mut command = world.put_to_emulator(&emulator);
    command.arg(world.path("shoot"));
    let process = Process::spawn(command).unwrap();
    let retry = event(&process, "retry", PATIENCE).await;
    assert!(retry["reason"].to_string().contains("queue"), "{retry}");
    emulator.set_limits(Limits::default());
    end(&process).await.expect(0);
    assert_videos(&emulator, &sources).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_storage_ends_resumably_with_the_services_words_when_patience_ends() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let mut full = Limits::default();
    full.storage_bytes = Some(10);
    emulator.set_limits(full);
    shoot(&world, 1);
    let mut command = world.put_to_emulator(&emulator);
    command.args(["--patience", "1s"]).arg(world.path("shoot"));
    let ended = run(command).await;
    let failed = &ended.events("failed")[0];
    assert_eq!(failed["resumable"], true, "{failed}");
    assert!(failed["error"].to_string().contains("10011"), "{failed}");
    assert!(emulator.videos().is_empty());
}

#[tokio::test]
async fn what_finds_a_lost_creation_is_told_to_the_account_only() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", MIB);
    let mut command = world.put_to_emulator(&emulator);
    command.arg(&source);
    run(command).await.expect(0);
    let meta = emulator.videos()[0].video.meta.clone().unwrap();
    let key = meta.get("stream-upload-key").and_then(Value::as_str);
    assert_eq!(key.map(str::len), Some(32), "{meta:?}");

    run(world.put_to(&emulator.tus_url(), &source))
        .await
        .expect(0);
    let plain = emulator.uploads();
    let plain = plain.iter().find(|upload| upload.media_id.is_none());
    let metadata = plain.unwrap().metadata.clone().unwrap_or_default();
    assert!(!metadata.contains("stream-upload-key"), "{metadata}");
}
