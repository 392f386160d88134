//! Settings that changed since an earlier run had finished a video: applied, read back, never skipped.

use http::Method;
use http::StatusCode;
use stream_emulator::{Fault, FaultRule, FaultTarget};

use crate::world::{Ended, World, emulator, run};

async fn put(world: &World, emulator: &stream_emulator::EmulatorHandle, options: &[&str]) -> Ended {
    let mut command = world.put_to_emulator(emulator);
    command.args(options).arg(world.path("a.mp4"));
    run(command).await
}

#[tokio::test]
async fn signed_urls_that_are_switched_on_after_the_fact_are_in_force() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    world.random_file("a.mp4", 1_000);
    put(&world, &emulator, &["--meta", "show=pilot"])
        .await
        .expect(0);
    let options = [
        "--meta",
        "show=pilot",
        "--require-signed-urls",
        "--allowed-origin",
        "example.com",
        "--name",
        "Pilot",
    ];
    let ended = put(&world, &emulator, &options).await.expect(0);
    let skipped = &ended.events("skipped")[0];
    assert_eq!(skipped["settings_differ"], false);
    let applied = skipped["settings_applied"].to_string();
    assert!(
        applied.contains("signed URLs") && applied.contains("name"),
        "{applied}"
    );
    let video = emulator.videos()[0].video.clone();
    assert_eq!(video.require_signed_urls, Some(true));
    assert_eq!(video.allowed_origins, ["example.com"]);
    assert_eq!(video.name(), Some("Pilot"));
    assert_eq!(video.meta.unwrap()["show"], "pilot");

    // Once applied, they are known: the next run does not ask the API at all.
    let asked = emulator.requests().len();
    put(&world, &emulator, &options).await.expect(0);
    assert_eq!(emulator.requests().len(), asked);
}

#[tokio::test]
async fn a_restriction_that_a_later_command_forgets_stays_and_is_told() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    world.random_file("a.mp4", 1_000);
    put(&world, &emulator, &["--require-signed-urls"])
        .await
        .expect(0);
    let ended = put(&world, &emulator, &[]).await.expect(0);
    let kept = ended.events("skipped")[0]["settings_kept"].to_string();
    assert!(kept.contains("signed URLs"), "{kept}");
    let video = emulator.videos()[0].video.clone();
    assert_eq!(video.require_signed_urls, Some(true));
}

#[tokio::test]
async fn settings_that_cannot_be_applied_are_a_failure_and_are_tried_again_by_the_next_run() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    world.random_file("a.mp4", 1_000);
    put(&world, &emulator, &[]).await.expect(0);
    let refused = Fault::Status {
        status: StatusCode::BAD_REQUEST,
        retry_after: None,
    };
    let edit = FaultRule::new(refused)
        .on(FaultTarget::Api)
        .method(Method::POST);
    emulator.faults().add(edit);
    let options = ["--require-signed-urls"];
    let ended = put(&world, &emulator, &options).await.expect(5);
    assert_eq!(ended.events("failed")[0]["resumable"], true);
    put(&world, &emulator, &options).await.expect(0);
    let video = emulator.videos()[0].video.clone();
    assert_eq!(video.require_signed_urls, Some(true));
}

#[tokio::test]
async fn a_watermark_cannot_be_added_later_and_that_is_said() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    world.random_file("a.mp4", 1_000);
    put(&world, &emulator, &[]).await.expect(0);
    let ended = put(&world, &emulator, &["--watermark", "w1"])
        .await
        .expect(5);
    let error = ended.events("failed")[0]["error"].to_string();
    assert!(error.contains("watermark"), "{error}");
    assert_eq!(emulator.videos().len(), 1);
}
