//! Cloudflare's own npm SDK, which we did not write, performing every operation that it has for Stream against the emulator.

use serde_json::Value;
use test_support::{Process, peers};

use crate::line::{Line, Shelf, WAV, clip};
use crate::world::end;

/// The least that the SDK has: fewer would mean that its methods were not found.
const OPERATIONS: usize = 40;

#[tokio::test]
async fn cloudflares_sdk_performs_every_operation_that_it_has() {
    let line = Line::new().await;
    let media = std::fs::read(clip()).unwrap();
    let shelf = Shelf::new(&[("clip.mp4", media), ("track.wav", WAV.to_vec())]).await;
    let mut command = tokio::task::spawn_blocking(|| peers::script("sdk.mjs"))
        .await
        .unwrap()
        .unwrap();
    command
        .arg(line.emulator.api_url())
        .arg(line.emulator.token())
        .arg(shelf.url(""));
    let ended = end(&Process::spawn(command).unwrap()).await;
    let said: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
    assert_eq!(said["ok"], true, "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!(said["left"], serde_json::json!([]));
    let operations = said["operations"].as_array().unwrap();
    assert!(operations.len() >= OPERATIONS, "{said}");
}
