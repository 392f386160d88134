//! `--chunk-size`: as long as the pauses between two chunks are worth it, unless a size was named.

use std::time::Duration;

use test_support::{ChaosProxy, NullSink, fixtures};

use crate::world::{MIB, PATIENCE, World, run};

/// How many chunks 320 MiB take over a way of 60 ms.
async fn chunks(options: &[&str]) -> u64 {
    let world = World::new();
    let sink = NullSink::start().unwrap();
    let proxy = ChaosProxy::builder(sink.addr())
        .delay(Duration::from_millis(30))
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let source = world.path("a.mov");
    fixtures::sparse_file(&source, 320 * MIB).unwrap();
    let mut put = world.put_to(&proxy.url("/files/"), &source);
    put.args(options);
    run(put).await.expect(0);
    assert_eq!(sink.uploads()[0].offset, 320 * MIB);
    sink.counters().patches
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unasked_chunks_grow_where_the_pauses_between_them_cost_time() {
    assert_eq!(chunks(&[]).await, 3, "64, 128 and the last 128 MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_size_that_was_named_stays() {
    assert_eq!(chunks(&["--chunk-size", "64MiB"]).await, 5);
}
