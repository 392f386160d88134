//! Copies from URLs: each video once, however often the command is killed.

use test_support::{Process, Stream};

use crate::line::{Line, Shelf, clip};
use crate::world::{PATIENCE, run};

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
