//! System calls that fail, wait and kill. Where nothing can be traced, these tests prove that the
//! reason is told, and nothing else.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use test_support::{Injection, Strace, Stream};

const PATIENCE: Duration = Duration::from_secs(20);

#[expect(clippy::print_stdout, reason = "the log says which proof is missing")]
fn traceable() -> bool {
    Strace::available()
        .inspect_err(|reason| {
            assert!(!reason.is_empty());
            println!("not proven here: {reason}");
        })
        .is_ok()
}

/// Syncs five times, and says what became of each.
fn five_syncs() -> Command {
    let mut command = Command::new("python3");
    command.args([
        "-u",
        "-c",
        "
import os, tempfile
file = tempfile.TemporaryFile()
for number in range(1, 6):
    try:
        os.fdatasync(file.fileno())
        print(number, 'ok')
    except OSError as error:
        print(number, error.strerror)
",
    ]);
    command
}

#[tokio::test]
async fn calls_are_counted_before_one_of_them_is_chosen() {
    if !traceable() {
        return;
    }
    let calls = Strace::count(&five_syncs(), &["fdatasync", "fsync"], PATIENCE)
        .await
        .expect("counted");
    assert_eq!(calls["fdatasync"].total, 5);
    assert_eq!(calls["fdatasync"].most_in_one_thread, 5);
    assert!(!calls.contains_key("fsync"));
}

#[tokio::test]
async fn each_call_in_turn_can_be_the_one_that_fails() {
    if !traceable() {
        return;
    }
    for n in 1..=5 {
        let fails = Injection::error("fdatasync", "EIO").nth(n);
        let traced = Strace::spawn(&five_syncs(), &[fails]).expect("started");
        traced.process().wait(PATIENCE).await.expect("ended");
        let said = traced.process().lines(Stream::Stdout);
        let failed: Vec<_> = said.iter().filter(|it| it.ends_with("error")).collect();
        assert_eq!(failed, [&format!("{n} Input/output error")]);
        assert_eq!(traced.struck().expect("logged"), 1);
    }
}

#[tokio::test]
async fn every_call_from_the_nth_on_fails() {
    if !traceable() {
        return;
    }
    let fails = Injection::error("fdatasync", "ENOSPC").from_nth(4);
    let traced = Strace::spawn(&five_syncs(), &[fails]).expect("started");
    traced.process().wait(PATIENCE).await.expect("ended");
    assert_eq!(traced.struck().expect("logged"), 2);
}

#[tokio::test]
async fn the_process_is_killed_at_the_nth_call_and_reports_it_itself() {
    if !traceable() {
        return;
    }
    let kill = Injection::kill("fdatasync").nth(3);
    let traced = Strace::spawn(&five_syncs(), &[kill]).expect("started");
    let status = traced.process().wait(PATIENCE).await.expect("ended");
    assert_eq!(status.signal(), Some(9));
    assert_eq!(traced.process().lines(Stream::Stdout), ["1 ok", "2 ok"]);
}

#[tokio::test]
async fn calls_can_be_late() {
    if !traceable() {
        return;
    }
    let start = Instant::now();
    let late = Injection::delay("fdatasync", Duration::from_millis(100));
    let traced = Strace::spawn(&five_syncs(), &[late]).expect("started");
    traced.process().wait(PATIENCE).await.expect("ended");
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(traced.process().lines(Stream::Stdout).len(), 5);
}

#[tokio::test]
async fn calls_on_other_files_can_be_spared() {
    if !traceable() {
        return;
    }
    let dir = test_support::fixtures::temp_dir().expect("a temporary folder");
    let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
    let mut command = Command::new("python3");
    command.args([
        "-u",
        "-c",
        "
import os, sys
for path in sys.argv[1:]:
    with open(path, 'w') as file:
        try:
            os.fdatasync(file.fileno())
            print('ok')
        except OSError as error:
            print(error.strerror)
",
    ]);
    command.args([&good, &bad]);
    let fails = Injection::error("fdatasync", "EIO");
    let traced = Strace::spawn_on(&command, &bad, &[fails]).expect("started");
    traced.process().wait(PATIENCE).await.expect("ended");
    let said = traced.process().lines(Stream::Stdout);
    assert_eq!(said, ["ok", "Input/output error"]);
}
