//! Copies from URLs: each video once, however often the command is killed.

use std::process::Command;

use test_support::{Process, Stream};

use crate::line::{Line, Shelf, clip};
use crate::world::{MIB, PATIENCE, Site, World, emulator, run};

const URLS: usize = 200;

#[tokio::test]
async fn two_hundred_urls_killed_five_times_are_two_hundred_videos() {
    let line = Line::new().await;
    let shelf = Shelf::new(&[("a.mp4", std::fs::read(clip()).unwrap())]).await;
    let urls: Vec<_> = (0..URLS)
        .map(|number| shelf.url(&format!("a.mp4?take={number}")))
        .collect();
    let list = line.file("urls.txt", urls.join("\n"));
    let words = ["copy", "--json", "--urls-from", &list];
    for kill in 1..=5 {
        let process = Process::spawn(line.command(&words)).unwrap();
        let enough = kill * URLS / 6;
        process
            .wait_for_line(
                Stream::Stdout,
                |_| line.emulator.videos().len() >= enough,
                PATIENCE,
            )
            .await
            .unwrap();
        process.kill_9();
        let status = process.wait(PATIENCE).await.unwrap();
        assert_eq!(status.code(), None, "it was still running");
    }
    let ended = run(line.command(&words)).await.expect(0);
    assert!(!ended.events("skipped").is_empty(), "{}", ended.stdout);
    assert_eq!(line.emulator.videos().len(), URLS);
    let again = run(line.command(&words)).await.expect(0);
    assert_eq!(again.events("skipped").len(), URLS);
    assert_eq!(again.events("summary")[0]["skipped"], URLS);
    assert_eq!(line.emulator.videos().len(), URLS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_fetched_here_goes_on_at_the_servers_offset_and_is_read_from_there() {
    const BYTES: u64 = 24 * MIB;
    let world = World::new();
    let site = Site::start(emulator(), 20 * MIB).await;
    let file = world.random_file("master.mov", BYTES);
    let shelf = Shelf::new(&[("master.mov", std::fs::read(&file).unwrap())]).await;
    let url = shelf.url("master.mov?signature=hush");
    let copy = || -> Command {
        let mut command = world.command();
        command
            .env("STREAM_API_URL", site.proxy.url("/client/v4"))
            .env("STREAM_API_TOKEN", site.emulator.token())
            .env("CLOUDFLARE_ACCOUNT_ID", "acct")
            .args(["copy", "--json", "--stream-through", &url]);
        command
    };
    let process = Process::spawn(copy()).unwrap();
    site.proxy
        .wait_until(|counters| counters.bytes_up >= 10 * MIB)
        .await;
    process.kill_9();
    let status = process.wait(PATIENCE).await.unwrap();
    assert_eq!(status.code(), None, "it was still running");
    let first = shelf.ranges();
    assert_eq!(first, [Some(0), Some(0)], "a look at it, and one answer");

    let ended = run(copy()).await.expect(0);
    let offset = ended.events("resumed")[0]["offset"].as_u64().unwrap();
    assert!(offset > 4 * MIB && offset < BYTES, "{offset}");
    let second = shelf.ranges().split_off(first.len());
    // The digest of the block that the offset lies in wants its beginning, too.
    let block = offset - offset % (256 * 1024);
    assert_eq!(second, [Some(0), Some(block)], "a look at it, and the rest");
    let sent = ended.events("finished")[0]["bytes_sent"].as_u64().unwrap();
    assert_eq!(sent, BYTES - offset);
    site.assert_videos(std::slice::from_ref(&file)).await;
    assert!(!ended.stdout.contains("hush"), "{}", ended.stdout);

    // It is known from now on, and not fetched again.
    let again = run(copy()).await.expect(0);
    assert_eq!(again.events("skipped")[0]["reason"], "already-uploaded");
    assert_eq!(site.emulator.videos().len(), 1);
}

#[tokio::test]
async fn a_source_that_cannot_be_opened_is_an_event_like_every_failure() {
    let line = Line::new().await;
    let shelf = Shelf::new(&[("a.mp4", std::fs::read(clip()).unwrap())]).await;
    let (good, missing) = (shelf.url("a.mp4"), shelf.url("missing.mp4?key=hush"));
    let nobody = "http://127.0.0.1:1/b.mp4";
    let words = [
        "copy",
        "--json",
        "--stream-through",
        &good,
        &missing,
        nobody,
    ];
    let ended = line.run(&words).await.expect(1);
    let failed = ended.events("failed");
    let told: Vec<_> = (failed.iter())
        .map(|it| (&it["exit_code"], &it["resumable"]))
        .collect();
    let wanted = [(&5.into(), &false.into()), (&6.into(), &true.into())];
    assert_eq!(told, wanted, "{failed:?}");
    assert!(
        failed[0]["source"]
            .as_str()
            .unwrap()
            .ends_with("/missing.mp4")
    );
    let summary = &ended.events("summary")[0];
    assert_eq!(
        (&summary["finished"], &summary["failed"]),
        (&1.into(), &2.into())
    );
    assert!(!(ended.stdout + &ended.stderr).contains("hush"));
    assert_eq!(line.emulator.videos().len(), 1);
}
