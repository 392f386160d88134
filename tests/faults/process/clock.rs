//! F57: the clock of the wall jumps.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use stream_emulator::{Fault, FaultRule, FaultTarget, RetryAfter};
use test_support::fixtures::{TempDir, temp_dir};
use test_support::{Process, Stream};

use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{self, MIB, PATIENCE, Site, World, emulator, end};

const HOUR: i64 = 60 * 60;
/// How long no byte may move before that is noticed.
const STALL: Duration = Duration::from_secs(2);

/// A clock that a process takes for the machine's.
struct Clock {
    library: PathBuf,
    shift: PathBuf,
}

impl Clock {
    /// Seconds to add, from now on.
    fn jump(&self, seconds: i64) {
        let file = File::options().write(true).open(&self.shift).unwrap();
        file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    fn rule(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("CLOCK_SHIFT", &self.shift);
    }
}

/// The library that lies, for all clocks.
fn compile(folder: &TempDir) -> Result<PathBuf, String> {
    let library = folder.path().join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/process/clock.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .output()
        .map_err(|error| format!("cannot run cc: {error}"))?;
    if compiled.status.success() {
        Ok(library)
    } else {
        Err(String::from_utf8_lossy(&compiled.stderr).into_owned())
    }
}

pub(super) async fn jumps() -> Ended {
    let folder = temp_dir().unwrap();
    let library = compile(&folder)?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let to_1970 = 60 - i64::try_from(since_1970.as_secs()).unwrap();
    let all = tokio::join!(
        jump(&library, 24 * HOUR),
        jump(&library, -24 * HOUR),
        jump(&library, HOUR),
        jump(&library, -HOUR),
        jump(&library, to_1970),
    );
    let mut seen = Seen::times(5).remark(format!("a stall of {STALL:?}, a date in Retry-After"));
    for (resent, noticed) in [all.0, all.1, all.2, all.3, all.4] {
        seen = seen.resent(resent).noticed(noticed);
    }
    Ok(seen)
}

/// A link that stalls while the clock jumps, then a server that names a date. Returns what was sent twice, and how long it took
/// to notice the stall.
async fn jump(library: &Path, seconds: i64) -> (u64, Duration) {
    // One chunk, and more than the kernel takes of it: what stalls is the body, not the answer.
    const SIZE: u64 = 24 * MIB;
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 16 * MIB).await;
    let source = world.random_file("a.mov", SIZE);
    let clock = Clock {
        library: library.to_owned(),
        shift: world.path("shift"),
    };
    std::fs::write(&clock.shift, [0; 8]).unwrap();
    let put = || {
        let mut command = site.put(&world, &source);
        let stall = format!("{}s", STALL.as_secs());
        command.args(["--stall-timeout", &stall]);
        clock.rule(&mut command);
        command
    };
    let busy = Fault::Status {
        status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: Some(RetryAfter::DateIn(Duration::from_secs(3))),
    };
    let heads = FaultRule::new(busy)
        .on(FaultTarget::Upload)
        .method(Method::HEAD);
    site.emulator.faults().add(heads);

    let begun = Instant::now();
    let process = Process::spawn(put()).unwrap();
    site.proxy
        .wait_until(|counters| counters.body_up > 6 * MIB)
        .await;
    site.proxy.black_hole(true);
    let stalled = Instant::now();
    clock.jump(seconds);
    let retry = |line: &str| line.contains(r#""retry""#);
    process
        .wait_for_line(Stream::Stdout, retry, PATIENCE)
        .await
        .unwrap();
    let noticed = stalled.elapsed();
    site.proxy.black_hole(false);
    let ended = end(&process).await.expect(0);
    let took = begun.elapsed();

    // The last byte moved a moment before.
    assert!(noticed >= STALL * 3 / 4, "no false stall: {noticed:?}");
    assert!(noticed <= STALL * 4, "no hang: {noticed:?}");
    assert!(took < Duration::from_secs(45), "no hang: {took:?}");
    let named: Vec<_> = ended
        .events("retry")
        .iter()
        .filter(|line| line["reason"].as_str().unwrap().contains("503"))
        .map(|line| line["wait_ms"].as_u64().unwrap())
        .collect();
    assert_eq!(named.len(), 1, "{}", ended.stdout);
    // Dates have whole seconds, and a server writes its own once in a second.
    assert!(
        (1_000..=5_000).contains(&named[0]),
        "{named:?} ms by a clock {seconds} s off"
    );
    let requests = site.emulator.requests().len();
    assert!(requests < 20, "no busy loop: {requests} requests");
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    }
    .hold(put())
    .await;
    let resent = site.proxy.counters().body_up - SIZE;
    assert!(resent <= world::RESEND_BOUND, "{resent} bytes");
    (resent, noticed)
}
