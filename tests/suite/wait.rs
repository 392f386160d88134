//! `--wait`: from uploaded to playable.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use stream_emulator::EmulatorHandle;
use test_support::{Process, Stream};

use crate::world::{Ended, PATIENCE, World, emulator, end, event, run};

/// Until a video is ready: longer than any test, unless the clock is moved.
const ENCODING: Duration = Duration::from_secs(60 * 60);

fn put(world: &World, emulator: &EmulatorHandle, sources: &[PathBuf]) -> Command {
    let mut command = world.put_to_emulator(emulator);
    command.args(["--parallel", "1", "--wait"]).args(sources);
    command
}

/// The events of a run in their order, without those that come by chance.
fn order(ended: &Ended) -> Vec<String> {
    let lines = ended.stdout.lines();
    let events = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let names = events.map(|event| event["event"].as_str().unwrap().to_owned());
    let told = ["finished", "skipped", "waiting", "ready", "summary"];
    let mut names: Vec<_> = names.filter(|name| told.contains(&name.as_str())).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn a_run_that_waits_ends_when_the_video_can_be_played() {
    let world = World::new();
    let emulator = emulator().encode_time(ENCODING).start().await.unwrap();
    let source = world.random_file("a.mp4", 1_000);
    let process = Process::spawn(put(&world, &emulator, &[source])).unwrap();
    let waiting = event(&process, "waiting", PATIENCE).await;
    assert_eq!(
        (&waiting["reason"], &waiting["state"]),
        (&"encoding".into(), &"queued".into())
    );
    emulator.advance(ENCODING).await;
    let ended = end(&process).await.expect(0);
    assert_eq!(order(&ended), ["finished", "waiting", "ready", "summary"]);
    let id = &ended.events("finished")[0]["media_id"];
    assert_eq!(&ended.events("ready")[0]["media_id"], id);
}

#[tokio::test]
async fn a_video_that_an_earlier_run_uploaded_is_waited_for_as_well() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mp4", 1_000);
    let mut first = world.put_to_emulator(&emulator);
    first.arg(&source);
    run(first).await.expect(0);
    let ended = run(put(&world, &emulator, &[source])).await.expect(0);
    assert_eq!(order(&ended), ["skipped", "ready", "summary"]);
}

#[tokio::test]
async fn videos_that_are_waited_for_take_no_turn_of_an_upload() {
    let world = World::new();
    let emulator = emulator().encode_time(ENCODING).start().await.unwrap();
    let names = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"];
    let sources = names.map(|name| world.random_file(name, 1_000));
    let process = Process::spawn(put(&world, &emulator, &sources)).unwrap();
    for name in names {
        let finished = |line: &str| line.contains("\"finished\"") && line.contains(name);
        process
            .wait_for_line(Stream::Stdout, finished, PATIENCE)
            .await
            .unwrap();
    }
    emulator.advance(ENCODING).await;
    let ended = end(&process).await.expect(0);
    assert_eq!(ended.events("ready").len(), names.len());
}

#[tokio::test]
async fn a_signal_ends_the_waiting_and_the_next_run_waits_on() {
    let world = World::new();
    let emulator = emulator().encode_time(ENCODING).start().await.unwrap();
    let source = world.random_file("a.mp4", 1_000);
    let process = Process::spawn(put(&world, &emulator, std::slice::from_ref(&source))).unwrap();
    event(&process, "waiting", PATIENCE).await;
    process.sigint();
    end(&process).await.expect(130);
    emulator.advance(ENCODING).await;
    let ended = run(put(&world, &emulator, &[source])).await.expect(0);
    assert_eq!(order(&ended), ["skipped", "ready", "summary"]);
}

#[tokio::test]
async fn where_there_is_no_account_nothing_can_be_waited_for() {
    let world = World::new();
    let source = world.random_file("a.mp4", 1_000);
    let mut command = world.put_to("http://127.0.0.1:1/files/", &source);
    command.arg("--wait");
    let ended = run(command).await.expect(2);
    assert!(ended.stderr.contains("--wait"), "{}", ended.stderr);
}
