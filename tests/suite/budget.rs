//! What the API is asked: within one budget of all processes, with patience, and never twice where that makes two things.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use stream_emulator::{Fault, FaultRule, FaultTarget, Limits, RequestRate, RetryAfter};
use test_support::{Process, Stream};

use crate::line::{Line, Shelf, clip};
use crate::world::{PATIENCE, end, event, run};

/// Answers like this to the next request, before it is looked at.
fn refusal(status: u16, retry_after: Option<u64>) -> FaultRule {
    FaultRule::new(Fault::Status {
        status: StatusCode::from_u16(status).unwrap(),
        retry_after: retry_after.map(RetryAfter::Seconds),
    })
    .on(FaultTarget::Api)
}

fn asked(line: &Line, method: &str) -> usize {
    let requests = line.emulator.requests();
    requests.iter().filter(|it| it.method == method).count()
}

/// The files that hold a budget.
fn budgets(line: &Line) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(line.world.state_dir()) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_budget = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("api-budget-")
    };
    paths.filter(is_budget).collect()
}

#[tokio::test]
async fn a_refusal_that_names_a_time_is_waited_out_and_told() {
    let line = Line::new().await;
    line.emulator.faults().add(refusal(429, Some(2)));
    let began = Instant::now();
    let ended = line.run(&["video", "list", "--json"]).await.expect(0);
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(ended.stdout.trim(), "[]", "stdout is the answer alone");
    assert!(ended.stderr.contains("waiting 2s"), "{}", ended.stderr);
    assert!(ended.stderr.contains("429"), "{}", ended.stderr);
    assert_eq!(asked(&line, "GET"), 2);
    let budget = &budgets(&line)[0];
    let mode = std::fs::metadata(budget).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_wait_that_would_outlast_the_patience_ends_with_the_time_to_come_back() {
    let line = Line::new().await;
    line.emulator.faults().add(refusal(429, Some(300)));
    let ended = line
        .run(&["video", "list", "--patience", "5s"])
        .await
        .expect(6);
    assert!(ended.stderr.contains("again in 5m"), "{}", ended.stderr);
    assert_eq!(asked(&line, "GET"), 1);
}

#[tokio::test]
async fn what_was_refused_is_made_once_it_is_taken_and_what_may_be_made_is_not_made_twice() {
    let line = Line::new().await;
    line.emulator.faults().add(refusal(429, Some(1)));
    let direct = ["direct", "create", "--basic", "--max-video-duration", "1m"];
    line.run(&direct).await.expect(0);
    assert_eq!(line.emulator.videos().len(), 1);

    // The key is made, and its answer is lost.
    let lost = FaultRule::new(Fault::LoseAnswer).method(Method::POST);
    line.emulator.faults().add(lost);
    let posts = asked(&line, "POST");
    let ended = line.run(&["key", "create"]).await.expect(6);
    assert!(ended.stderr.contains("look whether"), "{}", ended.stderr);
    assert_eq!(asked(&line, "POST"), posts + 1);
    let keys = line.json(&["key", "list"]).await;
    assert_eq!(keys.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_form_is_made_anew_for_each_attempt() {
    let line = Line::new().await;
    line.emulator.faults().add(refusal(429, Some(1)));
    let uid = line.video().await;
    let sum = line.emulator.sha256(&uid).await.unwrap().unwrap();
    let wanted = test_support::fixtures::sha256_file(Path::new(&clip())).unwrap();
    assert_eq!(sum, wanted);
    assert_eq!(line.emulator.videos().len(), 1);
}

#[tokio::test]
async fn questions_and_deletions_outlast_what_goes_wrong_on_the_way() {
    let line = Line::new().await;
    let uid = line.video().await;
    let faults = line.emulator.faults();
    faults.add(refusal(503, None).method(Method::GET));
    faults.add(
        FaultRule::new(Fault::LoseAnswer)
            .method(Method::GET)
            .skip(1),
    );
    line.run(&["video", "get", &uid]).await.expect(0);
    assert_eq!(asked(&line, "GET"), 3);
    faults.add(FaultRule::new(Fault::LoseAnswer).method(Method::DELETE));
    line.run(&["video", "delete", &uid]).await.expect(0);
    assert_eq!(asked(&line, "DELETE"), 2);
    faults.add(refusal(503, None).times(3));
    let ended = line.run(&["usage", "--retries", "1"]).await.expect(6);
    assert!(ended.stderr.contains("503"), "{}", ended.stderr);
}

#[tokio::test]
async fn one_process_sees_what_another_has_used() {
    let line = Line::new().await;
    let mut limits = Limits::default();
    limits.request_rate = Some(RequestRate {
        requests: 4,
        window: Duration::from_secs(300),
    });
    line.emulator.set_limits(limits);
    // Half of them are for others.
    for _ in 0..2 {
        line.run(&["key", "list"]).await.expect(0);
    }
    let third = Process::spawn(line.command(&["key", "list"])).unwrap();
    let waits = |line: &str| line.contains("waiting") && line.contains("share");
    third
        .wait_for_line(Stream::Stderr, waits, PATIENCE)
        .await
        .unwrap();
    third.kill_9();
    third.wait(PATIENCE).await.unwrap();
    assert_eq!(asked(&line, "GET"), 2, "it did not ask");
    assert_eq!(budgets(&line).len(), 1);
}

#[tokio::test]
async fn what_the_api_tells_one_process_stops_all() {
    let line = Line::new().await;
    line.emulator.faults().add(refusal(429, Some(60)));
    line.run(&["key", "list", "--patience", "1s"])
        .await
        .expect(6);
    let source = line.world.random_file("a.mp4", 1_000);
    let shelf = Shelf::new(&[("a.mp4", std::fs::read(clip()).unwrap())]).await;
    // Another verb, copies, and the account that an upload waits for.
    let url = shelf.url("a.mp4");
    let mut put = line.world.put_to_emulator(&line.emulator);
    put.arg("--wait").arg(&source);
    let copy = line.command(&["copy", "--json", &url]);
    let verb = line.command(&["usage"]);
    for (command, stream, api) in [
        (verb, Stream::Stderr, 1),
        (copy, Stream::Stdout, 1),
        (put, Stream::Stdout, 1),
    ] {
        let process = Process::spawn(command).unwrap();
        let waits = |line: &str| line.contains("no more requests") || line.contains("rate-limit");
        process
            .wait_for_line(stream, waits, PATIENCE)
            .await
            .unwrap();
        process.kill_9();
        process.wait(PATIENCE).await.unwrap();
        let of_the_api = |path: &str| path.starts_with("/client/v4") && !path.contains("tus");
        let requests = line.emulator.requests();
        let asked = requests
            .iter()
            .filter(|it| it.method == "GET" && of_the_api(&it.path));
        assert_eq!(asked.count(), api);
    }
}

#[tokio::test]
async fn a_copy_tells_its_waits_as_events() {
    let line = Line::new().await;
    let shelf = Shelf::new(&[("a.mp4", std::fs::read(clip()).unwrap())]).await;
    line.emulator
        .faults()
        .add(refusal(429, Some(1)).method(Method::POST));
    let ended = line
        .run(&["copy", "--json", &shelf.url("a.mp4")])
        .await
        .expect(0);
    let retry = &ended.events("retry")[0];
    assert_eq!(
        (&retry["attempt"], &retry["wait_ms"]),
        (&1.into(), &1000.into())
    );
    assert_eq!(line.emulator.videos().len(), 1);
}

#[tokio::test]
async fn whoever_waits_for_a_video_is_told_that_the_api_does_not_say() {
    let line = Line::new().await;
    let source = line.world.random_file("a.mp4", 1_000);
    line.emulator
        .faults()
        .add(refusal(503, None).method(Method::GET));
    let mut put = line.world.put_to_emulator(&line.emulator);
    put.arg("--wait").arg(&source);
    let process = Process::spawn(put).unwrap();
    let waiting = event(&process, "waiting", PATIENCE).await;
    assert_eq!(waiting["reason"], "unanswered");
    end(&process).await.expect(0);
}

#[tokio::test]
async fn a_doubt_about_a_creation_is_asked_about_within_the_budget() {
    let line = Line::new().await;
    let source = line.world.random_file("a.mp4", 1_000);
    let faults = line.emulator.faults();
    faults.add(FaultRule::new(Fault::LoseAnswer).on(FaultTarget::Creation));
    faults.add(refusal(429, Some(3)).method(Method::GET));
    let mut put = line.world.put_to_emulator(&line.emulator);
    put.arg(&source);
    let ended = run(put).await.expect(0);
    let waits = ended.events("waiting");
    let limits: Vec<_> = (waits.iter())
        .filter(|it| it["reason"] == "rate-limit")
        .collect();
    assert!(!limits.is_empty(), "{}", ended.stdout);
    assert_eq!(line.emulator.videos().len(), 1);
}
