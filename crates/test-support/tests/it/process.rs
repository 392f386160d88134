//! Children are heard, tortured and never left behind.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use test_support::{Process, Stream};

const PATIENCE: Duration = Duration::from_secs(30);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[tokio::test]
async fn lines_of_both_outputs_are_heard_and_the_exit_code_is_kept() {
    let process =
        Process::spawn(shell("echo one; echo two >&2; echo three; exit 7")).expect("started");
    let line = process
        .wait_for_line(Stream::Stdout, |line| line.starts_with("th"), PATIENCE)
        .await
        .expect("said");
    assert_eq!(line, "three");
    let status = process.wait(PATIENCE).await.expect("ended");
    assert_eq!(status.code(), Some(7));
    assert_eq!(process.exit_code(), Some(7));
    assert_eq!(process.lines(Stream::Stdout), ["one", "three"]);
    assert_eq!(process.lines(Stream::Stderr), ["two"]);
}

#[tokio::test]
async fn a_line_that_never_comes_is_an_error_with_what_was_said() {
    let ended = Process::spawn(shell("echo hello; echo oops >&2")).expect("started");
    let error = ended
        .wait_for_line(Stream::Stdout, |line| line == "bye", PATIENCE)
        .await
        .expect_err("never said");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("hello") && error.to_string().contains("oops"));

    let silent = Process::spawn_with_stdin(shell("cat")).expect("started");
    let error = silent
        .wait_for_line(Stream::Stdout, |_| true, Duration::from_millis(20))
        .await
        .expect_err("never said");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn input_is_passed_on_until_it_is_closed() {
    let mut process = Process::spawn_with_stdin(shell("cat; echo end")).expect("started");
    process.write_stdin("first\n").expect("written");
    let first = |line: &str| line == "first";
    process
        .wait_for_line(Stream::Stdout, first, PATIENCE)
        .await
        .expect("said");
    process.close_stdin();
    assert!(process.wait(PATIENCE).await.expect("ended").success());
    assert_eq!(process.lines(Stream::Stdout), ["first", "end"]);
}

#[tokio::test]
async fn signals_end_freeze_and_thaw() {
    use std::os::unix::process::ExitStatusExt as _;

    for (send, number) in [
        (Process::kill_9 as fn(&Process), 9),
        (Process::sigterm, 15),
        (Process::sighup, 1),
        (Process::sigint, 2),
    ] {
        // Whoever started the tests may have had it ignored, as `nohup` does, and children inherit that.
        if is_ignored(number) {
            continue;
        }
        let process = Process::spawn_with_stdin(shell("exec cat")).expect("started");
        assert!(process.is_running());
        send(&process);
        let status = process.wait(PATIENCE).await.expect("ended");
        assert_eq!(status.signal(), Some(number));
        assert!(!process.is_running());
        assert_eq!(process.exit_code(), None);
        // Too late, and harmless.
        send(&process);
    }

    let mut process = Process::spawn_with_stdin(shell("exec cat")).expect("started");
    process.sigstop();
    process.write_stdin("frozen\n").expect("written");
    let any = |_: &str| true;
    let soon = Duration::from_millis(50);
    let error = process
        .wait_for_line(Stream::Stdout, any, soon)
        .await
        .expect_err("frozen");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    process.sigcont();
    process
        .wait_for_line(Stream::Stdout, any, PATIENCE)
        .await
        .expect("thawed");
}

fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .expect("a mask");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("hexadecimal");
    mask >> (signal - 1) & 1 == 1
}

#[tokio::test]
async fn a_dropped_process_is_dead_and_reaped_even_when_frozen() {
    let process = Process::spawn_with_stdin(shell("exec cat")).expect("started");
    process.sigstop();
    let entry = format!("/proc/{}", process.id());
    assert!(Path::new(&entry).exists());
    drop(process);
    // A zombie would still have its entry.
    assert!(!Path::new(&entry).exists());
}

#[tokio::test]
async fn peak_memory_is_known_while_it_runs() {
    // Without a second program: while one replaces the other, next to nothing is in memory.
    let process = Process::spawn_with_stdin(shell("echo up; read line")).expect("started");
    process
        .wait_for_line(Stream::Stdout, |_| true, PATIENCE)
        .await
        .expect("said");
    let peak = process.peak_rss_bytes().expect("known");
    assert!((100_000..1_000_000_000).contains(&peak), "{peak}");
    process.kill_9();
    process.wait(PATIENCE).await.expect("ended");
    assert_eq!(process.peak_rss_bytes(), None);
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = Process::spawn(Command::new("no-such-program")).expect_err("not there");
    assert!(error.to_string().contains("no-such-program"));
}
