//! How many connections are at work, seen from the server: within one source, and over all of them.
//! The clock is the one of `far`, which stands still: a sleep is a time of day, and nothing is waited for.

use std::sync::Arc;
use std::time::Duration;

use resume_store::MemoryStore;
use tokio::time::sleep;
use tus_engine::{
    BytesSource, Creation, NewUpload, Termination, UploadHandle, Uploader, UploaderOptions,
};

use crate::far::{Far, Moment, Trouble, creation_url};

const KIB: u64 = 1024;
const MIB: usize = 1024 * 1024;

fn uploader(far: &Far, options: UploaderOptions) -> Uploader {
    let builder = Uploader::builder(Arc::new(far.clone())).options(options);
    builder.build().unwrap()
}

/// No two places in it are alike, so that bytes in the wrong place are noticed.
fn content(len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u64).map(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}

fn begin(uploader: &Uploader, key: &str, content: &[u8]) -> UploadHandle {
    let source = Arc::new(BytesSource::new(content.to_vec()));
    uploader.upload(source, NewUpload::new(Creation::new(creation_url()), key))
}

/// One source over eight connections; at the third second one request meets `trouble`.
async fn eight_connections_and(trouble: Trouble) -> Far {
    let far = Far::new(Duration::from_millis(50), 256 * KIB);
    let far = far.with_trouble(Duration::from_secs(3), trouble);
    let options = UploaderOptions::default()
        .with_parts(8)
        .with_chunk_bytes(Some(256 * KIB));
    let content = content(64 * MIB);
    let handle = begin(&uploader(&far, options), "a", &content);
    let report = handle.join().await.unwrap();
    assert_eq!(report.length, content.len() as u64);
    assert!(far.finished() == [content], "every byte is in its place");
    far
}

fn assert_fewer_for_a_while(far: &Far) {
    let seconds = Duration::from_secs;
    assert_eq!(far.most_between(seconds(1), seconds(3)), 8);
    // Requests that were under way are seen through.
    let fewer = far.most_between(seconds(6), seconds(8));
    assert!((1..=5).contains(&fewer), "{fewer} after trouble");
    let again = far.most_between(seconds(10), far.end());
    assert!((7..=8).contains(&again), "{again} in the end");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_less_gets_fewer_parts_at_once_and_more_again_later() {
    assert_fewer_for_a_while(&eight_connections_and(Trouble::Status(429)).await);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_gets_fewer_parts_at_once_and_more_again_later() {
    assert_fewer_for_a_while(&eight_connections_and(Trouble::Status(503)).await);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_gets_fewer_parts_at_once_and_more_again_later() {
    assert_fewer_for_a_while(&eight_connections_and(Trouble::NoAnswer).await);
}

#[tokio::test(start_paused = true)]
async fn the_last_large_source_has_the_connections_that_small_ones_leave() {
    let far = Far::new(Duration::from_millis(50), 2048 * KIB);
    let uploader = uploader(&far, UploaderOptions::default());
    let large = content(96 * MIB);
    let large_one = begin(&uploader, "large", &large);
    let small = content(2 * MIB);
    let small_ones: Vec<_> = (0..12)
        .map(|index| begin(&uploader, &index.to_string(), &small))
        .collect();
    for handle in small_ones {
        handle.join().await.unwrap();
    }
    let small_until = far.end();
    large_one.join().await.unwrap();
    assert!(
        far.finished().contains(&large),
        "every byte is in its place"
    );

    let course = far.course();
    let most = |moments: &[Moment]| moments.iter().map(|it| it.under_way.len()).max();
    let (with_small, alone) = course.split_at(course.partition_point(|it| it.at <= small_until));
    assert!(most(with_small).unwrap() >= 4, "all turns were taken");
    let parts = most(alone).unwrap();
    assert!(
        (4..=12).contains(&parts),
        "{parts} connections for the last one"
    );
}

#[tokio::test(start_paused = true)]
async fn parts_leave_the_turns_of_other_uploads_alone() {
    let far = Far::new(Duration::from_millis(50), 256 * KIB);
    let options = UploaderOptions::default()
        .with_parts(8)
        .with_chunk_bytes(Some(256 * KIB));
    let uploader = uploader(&far, options);
    let large = content(16 * MIB);
    let first = begin(&uploader, "a", &large);
    let small = content(MIB / 2);
    let others: Vec<_> = (0..7)
        .map(|index| begin(&uploader, &index.to_string(), &small))
        .collect();
    for handle in others {
        // They began at once, and had a connection each: half a second's work takes no more than a few seconds.
        let report = handle.join().await.unwrap();
        assert!(
            report.elapsed < Duration::from_secs(6),
            "{:?}",
            report.elapsed
        );
    }
    first.join().await.unwrap();
    assert!(far.finished().contains(&large));
}

#[tokio::test(start_paused = true)]
async fn a_pause_gives_the_connections_of_all_parts_to_others_and_goes_on_where_they_stood() {
    let far = Far::new(Duration::from_millis(50), 256 * KIB);
    let options = UploaderOptions::default()
        .with_parallel(1)
        .with_parts(4)
        .with_chunk_bytes(Some(256 * KIB));
    let uploader = uploader(&far, options);
    let large = content(16 * MIB);
    let first = begin(&uploader, "a", &large);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(far.under_way(), 4);
    first.pause();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(far.under_way(), 0, "paused");
    let small = content(MIB / 2);
    begin(&uploader, "b", &small).join().await.unwrap();
    first.unpause();
    first.join().await.unwrap();
    let mut finished = far.finished();
    finished.sort_by_key(Vec::len);
    assert!(finished == [small, large], "every byte is in its place");
}

#[tokio::test(start_paused = true)]
async fn a_terminated_upload_in_parts_leaves_nothing_behind_though_parts_waited_for_connections() {
    let far = Far::new(Duration::from_millis(50), 256 * KIB);
    let far = far.with_trouble(Duration::from_secs(3), Trouble::Status(429));
    let options = UploaderOptions::default()
        .with_parts(8)
        .with_chunk_bytes(Some(256 * KIB));
    let builder = Uploader::builder(Arc::new(far.clone()));
    let builder = builder.options(options).store(MemoryStore::new());
    let handle = begin(&builder.build().unwrap(), "a", &content(32 * MIB));
    while far.end() < Duration::from_secs(6) {
        sleep(Duration::from_secs(1)).await;
    }
    let ended = handle.terminate().await.unwrap();
    assert_eq!(ended, Termination::Terminated);
    assert_eq!(far.uploads(), 0);
}
