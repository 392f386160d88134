//! Where a chunk may begin and end after a broken one is not public of Stream: each way of it is survived.

use stream_emulator::{Alignment, Hypotheses};
use test_support::{ChaosProxy, Direction, Process};

use crate::world::{Ended, MIB, PATIENCE, Site, World, emulator, end};

const SIZE: u64 = 18 * MIB + 77;

/// Sends a file in chunks of 5 MiB, the second of which breaks at an odd place.
async fn broken_at_an_odd_place(alignment: Alignment, drops_partial: bool) -> Ended {
    let world = World::new();
    let mut hypotheses = Hypotheses::default();
    hypotheses.alignment = alignment;
    hypotheses.drop_partial_chunks = drops_partial;
    let emulator = emulator().hypotheses(hypotheses).start().await.unwrap();
    let proxy = ChaosProxy::builder(emulator.addr())
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let site = Site { emulator, proxy };
    site.proxy.cut_after(Direction::Up, 7 * MIB + 123);
    let source = world.random_file("a.mov", SIZE);
    let mut command = site.put(&world, &source);
    command.args(["--chunk-size", "5MiB"]);
    let ended = end(&Process::spawn(command).unwrap()).await.expect(0);
    assert!(!ended.events("retry").is_empty(), "nothing broke");
    site.assert_videos(&[source]).await;
    ended
}

fn bytes_sent(ended: &Ended) -> u64 {
    ended.events("finished")[0]["bytes_sent"].as_u64().unwrap()
}

#[tokio::test]
async fn where_only_the_length_counts_the_upload_goes_on_from_the_odd_place() {
    let ended = broken_at_an_odd_place(Alignment::Length, false).await;
    assert!(bytes_sent(&ended) < SIZE + 5 * MIB);
}

#[tokio::test]
async fn where_a_chunk_has_to_end_even_the_next_one_is_cut_to_fit() {
    let ended = broken_at_an_odd_place(Alignment::End, false).await;
    assert!(ended.events("restarted").is_empty(), "{}", ended.stdout);
}

#[tokio::test]
async fn where_a_chunk_has_to_begin_even_the_upload_is_begun_anew_once() {
    let ended = broken_at_an_odd_place(Alignment::Start, false).await;
    assert_eq!(ended.events("restarted").len(), 1, "{}", ended.stdout);
}

#[tokio::test]
async fn where_a_broken_chunk_is_dropped_it_is_sent_again_and_nothing_else() {
    for alignment in [Alignment::Length, Alignment::End, Alignment::Start] {
        let ended = broken_at_an_odd_place(alignment, true).await;
        assert!(bytes_sent(&ended) <= SIZE + 5 * MIB, "{alignment:?}");
        assert!(ended.events("restarted").is_empty(), "{}", ended.stdout);
    }
}
