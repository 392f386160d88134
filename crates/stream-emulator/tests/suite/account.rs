//! What an account may use: queue, storage, requests.

use std::sync::Arc;
use std::time::Duration;

use stream_emulator::{Emulator, EmulatorHandle, Encoding, Fault, FaultRule, Limits, RequestRate};
use tokio::task::JoinSet;

use crate::api::{VIDEOS, create, get};
use crate::wire::{Answer, TOKEN, patch, send, tus};

async fn limited(limits: impl FnOnce(&mut Limits)) -> EmulatorHandle {
    let server = Emulator::builder()
        .encoding(Encoding::After(Duration::from_secs(100)))
        .start()
        .await
        .expect("a server");
    let mut changed = server.limits();
    limits(&mut changed);
    server.set_limits(changed);
    server
}

async fn ask(server: &EmulatorHandle, length: u64, minutes_metadata: &str) -> Answer {
    let length = format!("Upload-Length: {length}");
    let metadata = format!("Upload-Metadata: {minutes_metadata}");
    let lines = [TOKEN, length.as_str(), metadata.as_str()];
    tus(server, "POST", VIDEOS, &lines, b"").await
}

#[tokio::test]
async fn a_full_queue_takes_no_video_until_one_is_ready() {
    let server = limited(|limits| limits.encode_slots = 1).await;
    let (_, path) = create(&server, "YQ==").await;
    // One that is not uploaded takes no slot.
    create(&server, "YQ==").await;
    patch(&server, &path, 0, &[TOKEN], b"abcd").await;
    let refused = ask(&server, 4, "name YQ==").await;
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("queue"), "{}", refused.text());
    assert_eq!(server.videos().len(), 2);
    server.advance(Duration::from_secs(100)).await;
    assert_eq!(ask(&server, 4, "name YQ==").await.status, 201);
}

#[tokio::test]
async fn a_queue_without_a_slot_is_always_full() {
    let server = Emulator::builder().start().await.unwrap();
    let mut limits = server.limits();
    limits.encode_slots = 0;
    server.set_limits(limits);
    assert_eq!(ask(&server, 4, "name YQ==").await.status, 429);
}

#[tokio::test]
async fn full_storage_is_10011_until_a_video_is_deleted() {
    let server = limited(|limits| limits.storage_bytes = Some(10)).await;
    let (uid, _) = create(&server, "YQ==").await;
    let refused = ask(&server, 7, "name YQ==").await;
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["code"]),
        (413, &10011.into())
    );
    assert!(refused.text().contains("Storage capacity exceeded"));
    assert_eq!(ask(&server, 6, "name YQ==").await.status, 201);
    assert_eq!(ask(&server, 0, "name YQ==").await.status, 413);
    let video = format!("{VIDEOS}/{uid}");
    send(&server, "DELETE", &video, &[TOKEN], b"")
        .await
        .unwrap();
    assert_eq!(ask(&server, 4, "name YQ==").await.status, 201);
}

#[tokio::test]
async fn a_longest_duration_is_reserved_until_the_upload_ends_or_expires() {
    let server = limited(|limits| limits.storage_minutes = Some(15)).await;
    // 600 seconds.
    let first = ask(&server, 4, "maxDurationSeconds NjAw").await;
    assert_eq!(first.status, 201);
    assert_eq!(ask(&server, 4, "maxDurationSeconds NjAw").await.status, 413);
    // Nothing is reserved without it.
    assert_eq!(ask(&server, 4, "name YQ==").await.status, 201);
    patch(&server, &first.location(), 0, &[TOKEN], b"abcd").await;
    assert_eq!(ask(&server, 4, "maxDurationSeconds NjAw").await.status, 201);
    assert_eq!(ask(&server, 4, "maxDurationSeconds NjAw").await.status, 413);
    server.advance(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(ask(&server, 4, "maxDurationSeconds NjAw").await.status, 201);
}

#[tokio::test]
async fn of_creations_at_once_no_more_are_admitted_than_fit() {
    let server = Arc::new(limited(|limits| limits.storage_bytes = Some(4)).await);
    let mut creations = JoinSet::new();
    for _ in 0..8 {
        let server = Arc::clone(&server);
        creations.spawn(async move { ask(&server, 4, "name YQ==").await.status });
    }
    let mut statuses = creations.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 413, 413, 413, 413, 413, 413, 413]);
}

#[tokio::test]
async fn requests_beyond_the_rate_wait_for_a_window() {
    let rate = RequestRate {
        requests: 2,
        window: Duration::from_secs(300),
    };
    let server = limited(|limits| limits.request_rate = Some(rate)).await;
    let answer = get(&server, VIDEOS).await;
    assert_eq!(
        (answer.status, answer.header("ratelimit-policy")),
        (200, Some("\"default\";q=2;w=300"))
    );
    let left = answer.header("ratelimit").unwrap();
    assert!(left.starts_with("\"default\";r=1;t="), "{left}");
    let (_, path) = create(&server, "YQ==").await;
    let refused = get(&server, VIDEOS).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("300"))
    );
    // Bytes go on; whether they count is not public.
    assert_eq!(
        patch(&server, &path, 0, &[TOKEN], b"abcd").await.status,
        204
    );
    let mut hypotheses = server.hypotheses();
    hypotheses.uploads_are_rated = true;
    server.set_hypotheses(hypotheses);
    assert_eq!(tus(&server, "HEAD", &path, &[TOKEN], b"").await.status, 429);
    server.advance(Duration::from_secs(300)).await;
    assert_eq!(get(&server, VIDEOS).await.status, 200);
}

#[tokio::test]
async fn a_burst_is_refused_for_the_rest_of_its_second_and_each_address_has_its_own() {
    let window = Duration::from_secs(1);
    let server = limited(|limits| {
        limits.burst = Some(RequestRate {
            requests: 2,
            window,
        });
    });
    let server = server.await;
    let from = async |address: &str| {
        let line = format!("CF-Connecting-IP: {address}");
        send(&server, "GET", VIDEOS, &[TOKEN, &line], b"")
            .await
            .unwrap()
    };
    let mut refused = from("192.0.2.1").await;
    // The window may end in between, and another one begins.
    while refused.status == 200 {
        refused = from("192.0.2.1").await;
    }
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("1"))
    );
    assert_eq!(refused.header("ratelimit"), Some("\"burst\";r=0;t=1"));
    assert_eq!(from("192.0.2.2").await.status, 200);
    server.advance(window).await;
    assert_eq!(from("192.0.2.1").await.status, 200);
}

#[tokio::test]
async fn requests_at_once_are_limited() {
    let server = limited(|limits| limits.concurrent_requests = Some(1)).await;
    let (uid, path) = create(&server, "YQ==").await;
    let stall = Fault::StallBody { after_bytes: 1 };
    server.faults().add(FaultRule::new(stall));
    let stalled = patch(&server, &path, 0, &[TOKEN], b"abcd");
    let other = async {
        server.wait_until(|server| server.faults().is_spent()).await;
        let status = get(&server, &format!("{VIDEOS}/{uid}")).await.status;
        server.set_limits(Limits::default());
        // Takes the upload over, which ends the other one.
        tus(&server, "HEAD", &path, &[TOKEN], b"").await;
        status
    };
    let (_, status) = tokio::join!(stalled, other);
    assert_eq!(status, 429);
}
