//! `put` to a one-time URL that takes one form: once, by one process, and never on a guess.

use std::path::Path;
use std::process::Command;

use stream_emulator::EmulatorHandle;
use test_support::{ChaosProxy, Process};

use crate::line::Line;
use crate::world::{MIB, PATIENCE, end, run};

/// A URL for a form by way of a slow proxy, in a private file.
struct Once {
    line: Line,
    proxy: ChaosProxy,
    url: String,
}

impl Once {
    async fn new() -> Self {
        let line = Line::new().await;
        let proxy = ChaosProxy::builder(line.emulator.addr())
            .rate_up(8 * MIB)
            .patience(PATIENCE)
            .start()
            .await
            .unwrap();
        let made = ["direct", "create", "--basic", "--max-video-duration", "10m"];
        let made = line.json(&made).await;
        let url = made["uploadURL"].as_str().unwrap();
        let path = url.strip_prefix(&line.emulator.url()).unwrap();
        let url = line.file("url.txt", proxy.url(path));
        Self { line, proxy, url }
    }

    fn put(&self, source: &Path) -> Command {
        let mut put = self.line.world.command();
        put.args(["put", "--json", "--upload-url"]);
        put.arg(format!("@{}", self.url)).arg(source);
        put
    }

    fn forms(&self) -> usize {
        forms(&self.line.emulator)
    }
}

fn forms(emulator: &EmulatorHandle) -> usize {
    let requests = emulator.requests();
    let is_form = |path: &str| !path.contains("/client/v4");
    let posts = requests.iter().filter(|it| it.method == "POST");
    posts.filter(|it| is_form(&it.path)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_was_killed_in_the_middle_is_a_doubt_and_never_sent_again() {
    let once = Once::new().await;
    let source = once.line.world.random_file("a.mp4", 16 * MIB);
    let process = Process::spawn(once.put(&source)).unwrap();
    once.proxy
        .wait_until(|counters| counters.bytes_up >= 4 * MIB)
        .await;
    process.kill_9();
    process.wait(PATIENCE).await.unwrap();
    for _ in 0..2 {
        let ended = run(once.put(&source)).await.expect(6);
        let failed = &ended.events("failed")[0];
        assert_eq!(failed["resumable"], false);
        let error = failed["error"].as_str().unwrap();
        assert!(error.contains("look for the video"), "{error}");
        assert_eq!(ended.events("summary")[0]["failed"], 1);
    }
    assert!(once.forms() <= 1, "{}", once.forms());
    let listed = once.line.run(&["state", "list"]).await.expect(0).stdout;
    assert!(
        listed.contains("a.mp4") && listed.contains("creating"),
        "{listed}"
    );
    // Somebody who has looked may say so.
    let source = source.canonicalize().unwrap();
    let forget = ["state", "prune", "--forget", source.to_str().unwrap()];
    once.line.run(&forget).await.expect(0);
    let ended = run(once.put(&source)).await;
    assert!(ended.events("failed").iter().all(|it| it["exit_code"] != 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_send_one_form_to_one_url() {
    let once = Once::new().await;
    let source = once.line.world.random_file("a.mp4", 16 * MIB);
    let first = Process::spawn(once.put(&source)).unwrap();
    once.proxy
        .wait_until(|counters| counters.bytes_up >= MIB)
        .await;
    let second = run(once.put(&source)).await.expect(8);
    assert_eq!(second.events("skipped")[0]["reason"], "busy");
    let first = end(&first).await.expect(0);
    assert_eq!(first.events("finished").len(), 1);
    assert_eq!(once.forms(), 1);
    let third = run(once.put(&source)).await.expect(0);
    assert_eq!(third.events("skipped")[0]["reason"], "already-uploaded");
    let other = once.line.world.random_file("b.mp4", MIB);
    let other = run(once.put(&other)).await.expect(5);
    let error = other.events("failed")[0]["error"].to_string();
    assert!(error.contains("used already"), "{error}");
    assert_eq!(once.forms(), 1);
}

#[tokio::test]
async fn nobody_can_be_asked_about_a_one_time_url_so_nobody_waits_for_its_video() {
    let once = Once::new().await;
    let source = once.line.world.random_file("a.mp4", MIB);
    for kind in ["basic", "tus"] {
        let mut put = once.put(&source);
        put.args(["--wait", "--upload-kind", kind]);
        let ended = run(put).await.expect(2);
        assert!(ended.stderr.contains("no account"), "{}", ended.stderr);
    }
    assert_eq!(once.forms(), 0);
}
