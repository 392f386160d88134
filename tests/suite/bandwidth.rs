//! `--bwlimit`: a rate for all connections, read again on SIGHUP.

use std::fs;
use std::time::{Duration, Instant};

use test_support::{NullSink, Process};

use crate::world::{MIB, PATIENCE, World, end, event, run};

#[tokio::test]
async fn three_files_at_once_share_one_rate_and_that_is_told_once_for_each() {
    let world = World::new();
    let sink = NullSink::start().unwrap();
    for name in ["a", "b", "c"] {
        world.random_file(&format!("shoot/{name}.mov"), 2 * MIB);
    }
    let mut put = world.put_to(&sink.creation_url(), &world.path("shoot"));
    put.args(["--bwlimit", "2MiB"]);
    let begun = Instant::now();
    let ended = run(put).await.expect(0);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(2500), "{took:?} for 6 MiB");
    assert!(ended.events("retry").is_empty(), "{}", ended.stdout);
    let waits = ended.events("waiting");
    assert_eq!(waits.len(), 3, "{waits:?}");
    assert!(waits.iter().all(|wait| wait["reason"] == "bandwidth"));
}

#[tokio::test]
async fn a_limit_in_a_file_is_read_again_on_hangup_and_a_bad_one_changes_nothing() {
    let world = World::new();
    let sink = NullSink::start().unwrap();
    let source = world.random_file("a.mov", 8 * MIB);
    let limit = world.path("limit");
    fs::write(&limit, "64KiB # over the whole day\n").unwrap();
    let mut put = world.put_to(&sink.creation_url(), &source);
    put.args(["--bwlimit", &format!("@{}", limit.display())]);
    let process = Process::spawn(put).unwrap();
    let waiting = event(&process, "waiting", PATIENCE).await;
    assert_eq!(waiting["reason"], "bandwidth");

    fs::write(&limit, "as fast as you like").unwrap();
    process.sighup();
    let told = |words: &'static str| {
        let said = move |line: &str| line.contains(words);
        process.wait_for_line(test_support::Stream::Stderr, said, PATIENCE)
    };
    told("stays as it was").await.unwrap();
    fs::write(&limit, "00:00,off").unwrap();
    process.sighup();
    told("read again: off now").await.unwrap();
    // At the first rate it would take two minutes.
    let ended = end(&process).await.expect(0);
    assert_eq!(ended.events("finished")[0]["bytes_sent"], 8 * MIB);
}

#[tokio::test]
async fn what_is_no_rate_is_a_usage_error_that_says_what_is_wanted() {
    let world = World::new();
    let source = world.random_file("a.mov", 10);
    let mut put = world.put_to("http://127.0.0.1:9/files/", &source);
    put.args(["--bwlimit", "fast"]);
    let ended = run(put).await.expect(2);
    assert!(ended.stderr.contains("08:00,2MB"), "{}", ended.stderr);
}
