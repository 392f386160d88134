//! Servers that want to hurt: answers without end, and answers that drive a terminal.

use std::process::Command;
use std::time::{Duration, Instant};

use test_support::{Process, Reply, Script};

use super::{Liar, bare, failure};
use crate::row::{Ended as RowEnded, Row, Seen, row};
use crate::world::{Ended, MIB, end, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F44",
            "no answer is too much for memory or patience",
            "endless header, 100,000 headers, 1 GiB body, gzip bomb, wrong length, endless chunks, one byte a second (also from the account)",
            too_much
        )
        .within(Duration::from_secs(60)),
        row!(
            "F45",
            "what a server says cannot drive a terminal",
            "escape sequences, CR, LF, NUL and invalid UTF-8 in bodies and headers",
            words
        ),
    ]
}

/// More memory than an honest server's answers take.
const MORE: u64 = 8 * MIB;

/// A body of a byte a second, for a minute.
fn drip(status: u16) -> Reply {
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let second = Duration::from_secs(1);
    (0..60).fold(Reply::raw(head), |reply, _| {
        reply.then("1\r\na\r\n").then_pause(second)
    })
}

/// An answer to each PATCH that is too much of something.
fn answers() -> Vec<(&'static str, Reply)> {
    vec![
        ("endless header", Reply::endless_header()),
        ("many headers", Reply::many_headers(500, 100_000)),
        ("huge body", Reply::huge_body(500, 1 << 30)),
        ("gzip bomb", Reply::gzip_bomb(500, 64 * MIB).unwrap()),
        ("wrong length", Reply::lying_length(500, 1_000, "short")),
        ("endless chunks", Reply::endless_chunks(500)),
        ("drip", drip(500)),
    ]
}

async fn too_much() -> RowEnded {
    let honest = Liar::with(bare(), 2 * MIB).await;
    let (ended, usual, _) = watched(honest.put()).await;
    ended.expect(0);

    let answers = tokio::task::spawn_blocking(answers).await.unwrap();
    let mut lanes = tokio::task::JoinSet::new();
    for (name, reply) in answers {
        lanes.spawn(async move {
            let liar = Liar::with(bare().always_to("PATCH", reply), 2 * MIB).await;
            let (peak, took) = given_up(liar.put()).await;
            assert!(!liar.requests("PATCH").is_empty(), "{name}");
            (name, peak, took)
        });
    }
    lanes.spawn(async {
        // Whether there is a video now is asked, and told a byte a second.
        let script = Script::new()
            .always_to("POST", Reply::status(500))
            .always_to("GET", drip(200));
        let liar = Liar::with(script, 2 * MIB).await;
        let (peak, took) = given_up(liar.put_to_account()).await;
        assert!(!liar.requests("GET").is_empty());
        ("dripping account", peak, took)
    });
    let times = lanes.len() as u64;
    let (mut most, mut longest) = (0, Duration::ZERO);
    for (name, peak, took) in lanes.join_all().await {
        assert!(
            peak <= usual + MORE,
            "{name}: {peak} bytes of memory, {usual} with an honest server"
        );
        assert!(took <= Duration::from_secs(30), "{name}: {took:?}");
        most = most.max(peak.saturating_sub(usual));
        longest = longest.max(took);
    }
    Ok(Seen::times(times).remark(format!(
        "at most {} KiB of memory more than with an honest server; with --patience 4s over after {} ms at most",
        most / 1024,
        longest.as_millis()
    )))
}

/// Runs a `put` that is to give up: the most memory it was seen to have, and how long it took.
async fn given_up(mut command: Command) -> (u64, Duration) {
    let little = [
        "--patience",
        "4s",
        "--retries",
        "1",
        "--stall-timeout",
        "2s",
    ];
    command.args(little);
    let (ended, peak, took) = watched(command).await;
    failure(&ended.expect(6), &[]);
    (peak, took)
}

/// Runs a command to its end: what it said, the most memory it was seen to have, and how long it took.
async fn watched(command: Command) -> (Ended, u64, Duration) {
    let begun = Instant::now();
    let process = Process::spawn(command).unwrap();
    let peak = async {
        let mut peak = 0;
        let mut often = tokio::time::interval(Duration::from_millis(5));
        while let Some(now) = process.peak_rss_bytes() {
            peak = now;
            often.tick().await;
        }
        peak
    };
    let (ended, peak) = tokio::join!(end(&process), peak);
    (ended, peak, begun.elapsed())
}

/// What is said of every word below.
const SAID: &str = "no ]0;owned [2J [31m upload\u{fffd}\u{fffd} here";

async fn words() -> RowEnded {
    let body = b"no \x1b]0;owned\x07\x1b[2J\r\n\x1b[31m\0upload\x9b\xff here\r\n";
    let refusal = Reply::body(400, "text/plain", body);
    for json in [true, false] {
        let liar = Liar::with(bare().always_to("POST", refusal.clone()), 2_000).await;
        let mut command = liar.put();
        if !json {
            command = liar.world.command();
            command
                .args(["put", "--endpoint", &liar.server.url("/files/")])
                .arg(&liar.source);
        }
        let ended = run(command).await.expect(5);
        assert_harmless(&ended);
        let golden = format!("the creation of the upload was refused: 400: {SAID}");
        if json {
            assert_eq!(failure(&ended, &[])["error"], golden);
        } else {
            assert!(ended.stderr.contains(&golden), "{}", ended.stderr);
        }
    }

    // In a header that is used.
    let bytes: [&[u8]; 4] = [
        b"/files/\x1b[2J1",
        b"/files/\x001",
        b"/files/\r1",
        b"/files/\xff\xfe1",
    ];
    for location in bytes {
        let created = Reply::located(201, location);
        let liar = Liar::with(bare().always_to("POST", created), 2_000).await;
        let mut command = liar.put();
        command.args(["--patience", "2s"]);
        let ended = run(command).await;
        assert!(matches!(ended.code, Some(5 | 6)), "{ended:?}");
        failure(&ended, &[]);
        assert_harmless(&ended);
        assert!(liar.requests("PATCH").is_empty(), "it is no place to go");
    }
    Ok(Seen::times(6))
}

/// Nothing but lines of text.
#[track_caller]
fn assert_harmless(ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{text:?}");
    }
}
