//! Servers that want to be left alone for a while.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use stream_emulator::{
    Fault, FaultRule, FaultTarget, Hypotheses, Limits, RequestRate, RequestRecord, RetryAfter,
};
use test_support::Direction;

use super::{Bench, status};
use crate::row::{Ended as RowEnded, Row, Seen, row};
use crate::world::{self, MIB, RESEND_BOUND, Site, World, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F25",
            "an announced wait is kept by all and nonsense is not",
            "429 with Retry-After as seconds, date, nothing, -1, 99999",
            announced_waits
        ),
        row!(
            "F26",
            "a block is waited out with one probe per window",
            "request rate of the account, windows of 3 s instead of 5 min",
            blocked
        ),
        row!(
            "F27",
            "a storm of 503 costs what was refused and no more",
            "30 % of all answers are 503, seeded",
            storm
        ),
        row!(
            "F28",
            "a failing question is asked again and nothing is created",
            "5 × 503 on the HEAD of a resume",
            failing_question
        ),
        row!(
            "F37",
            "a locked upload is waited for",
            "5 × 423 on PATCH",
            locked
        ),
    ]
}

/// Two servers' clocks and a busy machine: what ±50 ms allow.
const EARLY: Duration = Duration::from_millis(50);

/// Four files, and a 429 while three of their creations are under way; returns the refused request and all that began after it was
/// answered. The four begin within microseconds, and the server's threads take up the refusal in any order: who began before
/// its answer cannot have known of it.
async fn throttled(
    bench: &Bench,
    wish: Option<RetryAfter>,
    code: i32,
) -> (world::Ended, RequestRecord, Vec<RequestRecord>) {
    // The first three come back late: nobody is on its way when the fourth one is refused.
    // By then the client has heard of the refusal, on a busy machine too, and the shortest announced wait is not over.
    let late = Fault::Delay {
        time: Duration::from_millis(2000),
    };
    let busy = Fault::Status {
        status: http::StatusCode::TOO_MANY_REQUESTS,
        retry_after: wish,
    };
    let faults = bench.emulator.faults();
    faults.add(FaultRule::new(late).on(FaultTarget::Creation).times(3));
    faults.add(FaultRule::new(busy).on(FaultTarget::Creation));
    let mut command = bench.world.put_to_emulator(&bench.emulator);
    command.arg(bench.world.path("shoot"));
    let ended = run(command).await.expect(code);
    let requests = bench.emulator.requests();
    let refused = requests.iter().find(|it| it.status == Some(429)).unwrap();
    let refused = refused.clone();
    let answered = refused.began + refused.took;
    let after = requests.into_iter().filter(|it| it.began > answered);
    (ended, refused, after.collect())
}

async fn four_files() -> Bench {
    let bench = Bench::with(1).await;
    for name in ["a", "b", "c", "d"] {
        bench.world.random_file(&format!("shoot/{name}.mp4"), 1_000);
    }
    bench
}

async fn prove_four(bench: &Bench, said: &world::Ended) {
    let sources = ["a", "b", "c", "d"].map(|name| bench.world.path(&format!("shoot/{name}.mp4")));
    let mut again = bench.world.put_to_emulator(&bench.emulator);
    again.arg(bench.world.path("shoot"));
    bench.prove_all(&sources, again, &[said]).await;
}

async fn announced_waits() -> RowEnded {
    let (seconds, date, ..) = tokio::join!(
        seconds_are_kept(),
        date_is_kept(),
        own_backoff(None),
        own_backoff(Some("-1")),
        too_long(),
    );
    let early = |late: Duration| format!("{} ms", late.as_millis());
    Ok(Seen::times(5).remark(format!(
        "first request {} after the end of the announced seconds, {} after the announced date",
        early(seconds),
        early(date)
    )))
}

/// How long after the window the first request came.
async fn seconds_are_kept() -> Duration {
    let bench = four_files().await;
    let (ended, refused, after) = throttled(&bench, Some(RetryAfter::Seconds(3)), 0).await;
    let window_ends = refused.began + Duration::from_secs(3);
    let first = after.iter().map(|request| request.began).min().unwrap();
    assert!(first + EARLY >= window_ends, "{first:?} < {window_ends:?}");
    // Three that had nothing to do with the refusal, and the refused one itself.
    assert_eq!(after.len(), 5);
    prove_four(&bench, &ended).await;
    first.saturating_sub(window_ends)
}

async fn date_is_kept() -> Duration {
    let bench = four_files().await;
    let ahead = Duration::from_secs(4);
    let (ended, refused, after) = throttled(&bench, Some(RetryAfter::DateIn(ahead)), 0).await;
    // A date has no fractions.
    let date = (refused.time + ahead).duration_since(UNIX_EPOCH).unwrap();
    let date = UNIX_EPOCH + Duration::from_secs(date.as_secs());
    let first: SystemTime = after.iter().map(|request| request.time).min().unwrap();
    assert!(first + EARLY >= date, "{first:?} < {date:?}");
    prove_four(&bench, &ended).await;
    first.duration_since(date).unwrap_or_default()
}

async fn own_backoff(nonsense: Option<&str>) {
    let bench = four_files().await;
    let wish = nonsense.map(|text| RetryAfter::Text(text.to_owned()));
    let (ended, ..) = throttled(&bench, wish, 0).await;
    let wait = super::only(&ended, "retry")["wait_ms"].as_u64().unwrap();
    assert!((50..=500).contains(&wait), "{wait} ms");
    prove_four(&bench, &ended).await;
}

async fn too_long() {
    let bench = four_files().await;
    let (ended, _, after) = throttled(&bench, Some(RetryAfter::Seconds(99_999)), 6).await;
    assert_eq!(after.len(), 0, "everybody is to stay away: {after:?}");
    let failed = ended.events("failed");
    assert_eq!(failed.len(), 4);
    for failed in failed {
        assert_eq!(failed["resumable"], true);
        let error = failed["error"].as_str().unwrap();
        assert!(
            error.contains("429") && error.contains(" in 9999"),
            "{error}"
        );
    }
    let mut later = bench.world.put_to_emulator(&bench.emulator);
    later.arg(bench.world.path("shoot"));
    let later = run(later).await.expect(0);
    prove_four(&bench, &later).await;
}

async fn blocked() -> RowEnded {
    let window = Duration::from_secs(3);
    let mut limits = Limits::default();
    limits.request_rate = Some(RequestRate {
        requests: 5,
        window,
    });
    let mut hypotheses = Hypotheses::default();
    hypotheses.uploads_are_rated = true;
    let builder = world::emulator().limits(limits).hypotheses(hypotheses);
    let bench = Bench::of(builder, 1).await;
    let names = ["a", "b", "c", "d", "e", "f"].map(|name| format!("shoot/{name}.mp4"));
    let sources = names.map(|name| bench.world.random_file(&name, 1_000));
    let put = || {
        let mut command = bench.world.put_to_emulator(&bench.emulator);
        command.args(["--parallel", "1"]).args(&sources);
        command
    };
    let ended = run(put()).await.expect(0);
    let requests = bench.emulator.requests();
    let refused: Vec<_> = requests
        .iter()
        .filter(|it| it.status == Some(429))
        .collect();
    assert!((1..=3).contains(&refused.len()), "{} blocks", refused.len());
    for one in &refused {
        let block = one.began..(one.began + window - EARLY);
        let probes = requests.iter().filter(|it| block.contains(&it.began));
        assert_eq!(probes.count(), 1, "the refused request alone");
    }
    bench.emulator.set_limits(Limits::default());
    bench.prove_all(&sources, put(), &[&ended]).await;
    Ok(Seen::times(refused.len() as u64).remark("no request inside a block of 3 s"))
}

async fn storm() -> RowEnded {
    const CHUNKS: usize = 64;
    let bench = Bench::with(2 * MIB).await;
    let other = bench.world.random_file("b.mov", 2 * MIB);
    let put = || {
        let mut command = bench.put_plain();
        command.arg(&other).args(["--chunk-size", "64KiB"]);
        command
    };
    let rule = FaultRule::new(status(503)).times(u64::MAX);
    bench.emulator.faults().add(rule.probability(0.3, 11));
    let ended = run(put()).await.expect(0);
    bench.emulator.faults().clear();

    let refused = |method: &str| {
        let requests = bench.requests(method);
        requests.iter().filter(|it| it.status == Some(503)).count()
    };
    let sent = |method: &str| bench.requests(method).len();
    assert_eq!(sent("PATCH"), CHUNKS + refused("PATCH"));
    assert_eq!(sent("HEAD"), refused("PATCH") + refused("HEAD"));
    assert_eq!(sent("POST"), 2 + refused("POST"));
    let all = bench.emulator.requests();
    let total = all.len();
    let refusals = all.iter().filter(|it| it.status == Some(503)).count();
    let ideal = total - refusals;
    assert!(
        total * 10 <= ideal * 16,
        "{total} requests, {ideal} answered"
    );

    let waits: Vec<u64> = ended
        .events("retry")
        .iter()
        .filter(|retry| retry["attempt"] == 1)
        .map(|retry| retry["wait_ms"].as_u64().unwrap())
        .collect();
    let (least, most) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
    assert!(
        least >= 50 && most <= 500 && most - least >= 100,
        "{waits:?}"
    );
    bench
        .prove_all(&[bench.source.clone(), other.clone()], put(), &[&ended])
        .await;
    Ok(Seen::times(refusals as u64).remark(format!(
        "{total} requests, {ideal} of them answered; first waits spread over {least} to {most} ms"
    )))
}

async fn failing_question() -> RowEnded {
    let world = World::new();
    let site = Site::start(world::emulator().token(crate::proof::TOKEN), 2 * MIB).await;
    let size = 12 * MIB;
    let source = world.random_file("a.mov", size);
    site.put_and_kill(&world, &source, 2 * MIB).await;
    site.proxy.set_rate(Direction::Up, None);
    let question = FaultRule::new(status(503)).method(Method::HEAD).times(5);
    site.emulator.faults().add(question);
    let ended = run(site.put(&world, &source)).await.expect(0);
    assert_eq!(ended.events("retry").len(), 5);
    let requests = site.emulator.requests();
    let creations = requests.iter().filter(|it| it.method == "POST").count();
    assert_eq!(creations, 1, "never created anew");
    let resent = site.proxy.counters().bytes_up.saturating_sub(size);
    assert!(resent <= RESEND_BOUND, "{resent} bytes");
    let proof = crate::proof::Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    };
    proof.hold(site.put(&world, &source)).await;
    Ok(Seen::times(5)
        .resent(resent)
        .remark("one creation; heads count as re-sent"))
}

async fn locked() -> RowEnded {
    let bench = Bench::with(MIB).await;
    bench.fault(status(423), Method::PATCH, 0, 5);
    let ended = run(bench.put()).await.expect(0);
    let refused = bench.requests("PATCH");
    assert_eq!(refused.len(), 6);
    assert!(refused[..5].iter().all(|it| it.status == Some(423)));
    assert_eq!(ended.events("retry").len(), 5);
    assert_eq!(bench.requests("POST").len(), 1);
    let waited = refused[5].began - refused[0].began;
    bench.prove(bench.put(), &[&ended]).await;
    Ok(Seen::times(5).remark(format!("waited {} ms in all", waited.as_millis())))
}
