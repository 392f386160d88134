//! What is not public of Stream, one switch each.

use std::time::Duration;

use stream_emulator::{Alignment, Emulator, EmulatorHandle, Fault, FaultRule};

use crate::api::{VIDEOS, create, get};
use crate::wire::{TOKEN, footage, offset, patch, send, tus};

const MIB: usize = 1024 * 1024;
const LENGTH: usize = 17 * MIB + 3;
/// Where the upload was left: at an odd offset.
const ODD: usize = 6 * MIB + 1;

/// An upload whose first PATCH broke, and the bytes of all of it.
async fn at_an_odd_offset(alignment: Alignment) -> (EmulatorHandle, String, Vec<u8>) {
    let server = Emulator::builder().start().await.expect("a server");
    let mut hypotheses = server.hypotheses();
    hypotheses.alignment = alignment;
    server.set_hypotheses(hypotheses);
    let length = format!("Upload-Length: {LENGTH}");
    let answer = tus(&server, "POST", VIDEOS, &[TOKEN, length.as_str()], b"").await;
    let (path, bytes) = (answer.location(), footage(LENGTH));
    server.faults().add(FaultRule::new(Fault::CutBody {
        after_bytes: ODD as u64,
    }));
    let lines = [
        TOKEN,
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
    ];
    let broken = send(&server, "PATCH", &path, &lines, &bytes[..10 * MIB]).await;
    assert!(broken.is_err());
    assert_eq!(offset(&server, &path).await, Some(ODD as u64));
    (server, path, bytes)
}

async fn chunk(server: &EmulatorHandle, path: &str, bytes: &[u8], from: usize, to: usize) -> u16 {
    let answer = patch(server, path, from as u64, &[TOKEN], &bytes[from..to]).await;
    if answer.status == 400 {
        let text = answer.text();
        assert!(
            text.contains("Chunk size must be a multiple of 256KiB"),
            "{text}"
        );
    }
    answer.status
}

#[tokio::test]
async fn where_only_the_length_matters_an_odd_offset_does_no_harm() {
    let (server, path, bytes) = at_an_odd_offset(Alignment::Length).await;
    let next = ODD + 6 * MIB;
    assert_eq!(chunk(&server, &path, &bytes, ODD, 12 * MIB).await, 400);
    assert_eq!(chunk(&server, &path, &bytes, ODD, next).await, 204);
    assert_eq!(chunk(&server, &path, &bytes, next, LENGTH).await, 204);
}

#[tokio::test]
async fn where_the_start_matters_an_odd_offset_is_the_end() {
    let (server, path, bytes) = at_an_odd_offset(Alignment::Start).await;
    for to in [ODD + 6 * MIB, 12 * MIB, LENGTH] {
        assert_eq!(chunk(&server, &path, &bytes, ODD, to).await, 400);
    }
}

#[tokio::test]
async fn where_the_end_matters_a_chunk_that_ends_even_leads_on() {
    let (server, path, bytes) = at_an_odd_offset(Alignment::End).await;
    assert_eq!(chunk(&server, &path, &bytes, ODD, ODD + 6 * MIB).await, 400);
    assert_eq!(chunk(&server, &path, &bytes, ODD, 12 * MIB).await, 204);
    assert_eq!(chunk(&server, &path, &bytes, 12 * MIB, LENGTH).await, 204);
    let id = server.uploads()[0].id.clone();
    assert_eq!(server.content(&id).await.unwrap().unwrap(), bytes);
}

#[tokio::test]
async fn whether_broken_chunks_are_kept_can_change_while_it_runs() {
    let server = Emulator::builder().start().await.unwrap();
    let (_, path) = create(&server, "YQ==").await;
    let mut hypotheses = server.hypotheses();
    hypotheses.drop_partial_chunks = true;
    server.set_hypotheses(hypotheses);
    let cut = Fault::CutBody { after_bytes: 2 };
    server.faults().add(FaultRule::new(cut));
    let lines = [
        TOKEN,
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
    ];
    assert!(
        send(&server, "PATCH", &path, &lines, b"abcd")
            .await
            .is_err()
    );
    assert_eq!(offset(&server, &path).await, Some(0));
}

#[tokio::test]
async fn a_listing_may_lag_behind_while_the_video_can_be_read() {
    let server = Emulator::builder().start().await.unwrap();
    let mut hypotheses = server.hypotheses();
    hypotheses.listing_lag = Duration::from_secs(60);
    server.set_hypotheses(hypotheses);
    let (uid, _) = create(&server, "YQ==").await;
    let listed = async || {
        let body = get(&server, VIDEOS).await.json();
        body["result"].as_array().unwrap().len()
    };
    assert_eq!(listed().await, 0);
    let video = format!("{VIDEOS}/{uid}");
    assert_eq!(get(&server, &video).await.status, 200);
    server.advance(Duration::from_secs(60)).await;
    assert_eq!(listed().await, 1);
}
