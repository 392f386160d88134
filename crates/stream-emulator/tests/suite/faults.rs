//! Faults, below the handlers.

use std::time::Duration;

use http::{Method, StatusCode};
use stream_emulator::{Emulator, Fault, FaultPlan, FaultRule, FaultTarget};

use crate::wire::{create, offset, patch, send, tus};

const PATCH: [&str; 3] = [
    "Tus-Resumable: 1.0.0",
    "Upload-Offset: 0",
    "Content-Type: application/offset+octet-stream",
];

#[tokio::test]
async fn a_lost_ack_is_stored_and_not_answered() {
    let rule = FaultRule::new(Fault::LoseAnswer).method(Method::PATCH);
    let server = Emulator::builder()
        .faults(FaultPlan::new().with(rule))
        .start()
        .await
        .unwrap();
    let path = create(&server, 5).await;
    assert!(
        send(&server, "PATCH", &path, &PATCH, b"hello")
            .await
            .is_err()
    );
    assert_eq!(offset(&server, &path).await, Some(5));
    let record = &server.requests()[1];
    assert_eq!((record.status, record.body_bytes), (None, 5));
    assert_eq!(record.fault.as_deref(), Some("LoseAnswer"));
    assert!(server.faults().is_spent());
}

#[tokio::test]
async fn a_status_is_given_as_often_as_planned_and_nothing_is_done() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 5).await;
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let retry_after = Some(Duration::from_secs(3).into());
    let fault = Fault::Status {
        status,
        retry_after,
    };
    let rule = FaultRule::new(fault)
        .on(FaultTarget::Upload)
        .method(Method::PATCH);
    server.faults().add(rule.skip(1).times(2));
    let mut statuses = Vec::new();
    for (at, byte) in [(0, b"h"), (1, b"e"), (1, b"e"), (1, b"e")] {
        let answer = patch(&server, &path, at, &[], byte).await;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("3"));
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [204, 503, 503, 204]);
}

#[tokio::test]
async fn a_cut_body_keeps_what_came() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 1000).await;
    server
        .faults()
        .add(FaultRule::new(Fault::CutBody { after_bytes: 123 }));
    assert!(
        send(&server, "PATCH", &path, &PATCH, &[7; 1000])
            .await
            .is_err()
    );
    assert_eq!(offset(&server, &path).await, Some(123));
}

#[tokio::test]
async fn a_reset_happens_before_anything_is_done() {
    let server = Emulator::builder().start().await.unwrap();
    let path = create(&server, 5).await;
    server
        .faults()
        .add(FaultRule::new(Fault::Reset).method(Method::PATCH));
    assert!(
        send(&server, "PATCH", &path, &PATCH, b"hello")
            .await
            .is_err()
    );
    assert_eq!(offset(&server, &path).await, Some(0));
}

#[tokio::test]
async fn stalls_last_until_the_client_or_the_server_goes() {
    let server = Emulator::builder()
        .drain_time(Duration::ZERO)
        .start()
        .await
        .unwrap();
    let path = create(&server, 1000).await;
    let rule = FaultRule::new(Fault::StallBody { after_bytes: 100 });
    server.faults().add(rule.method(Method::PATCH));
    let stalled = send(&server, "PATCH", &path, &PATCH, &[7; 1000]);
    // The HEAD takes the upload over, which ends the PATCH with an answer.
    let head = async {
        server.wait_until(|server| server.faults().is_spent()).await;
        offset(&server, &path).await
    };
    let (answer, _) = tokio::join!(stalled, head);
    assert_eq!(answer.unwrap().status, 423);
    let kept = offset(&server, &path).await.unwrap();
    assert!(kept <= 100);

    server
        .faults()
        .add(FaultRule::new(Fault::StallAnswer).method(Method::DELETE));
    let stalled = tus(&server, "DELETE", &path, &[], b"");
    assert!(
        tokio::time::timeout(Duration::from_millis(50), stalled)
            .await
            .is_err()
    );
    assert!(server.uploads().is_empty(), "it was carried out");
    server.shutdown().await.unwrap();
}
