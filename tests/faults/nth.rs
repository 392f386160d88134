//! N01: whatever a process asks of the system for the n-th time is refused.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stream_emulator::EmulatorHandle;
use test_support::{Injection, Strace};
use tokio::task::JoinSet;

use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Row, Seen, row};
use crate::world::{PATIENCE, World, emulator, end, run};

/// What fails, and how.
const CALLS: [(&str, &str); 8] = [
    ("write", "EIO"),
    ("fsync", "EIO"),
    ("fdatasync", "EIO"),
    ("rename", "EIO"),
    ("openat", "EIO"),
    ("pread64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("fdatasync", "ENOSPC"),
];

/// How many of each are tried, unless all are asked for.
const MOST: u64 = 40;
/// Longer than any run takes that goes on.
const HANG: Duration = Duration::from_secs(5);

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(
            "N01",
            "no single refusal of the system does lasting harm",
            "the n-th write, pwrite64, pread64, fsync, fdatasync, rename and openat fails (strace), n = 1 to the last",
            each_call
        )
        .within(Duration::from_secs(900)),
    ]
}

/// One refusal.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    call: &'static str,
    errno: &'static str,
    nth: u64,
}

/// How the process took it.
struct Taken {
    refused: u64,
    /// It had to be killed.
    hung: bool,
    /// Every thread of the store was refused, so nothing could be remembered, and that was said.
    forgetful: bool,
    code: Option<i32>,
}

async fn each_call() -> Ended {
    Strace::available()?;
    let refusals = refusals().await;
    let (total, queue) = (refusals.len(), Arc::new(Mutex::new(refusals)));
    let mut workers = JoinSet::new();
    for _ in 0..2 {
        let queue = Arc::clone(&queue);
        workers.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let next = queue.lock().unwrap().pop();
                match next {
                    Some(refusal) => taken.push(take(refusal).await),
                    None => return taken,
                }
            }
        });
    }
    let taken: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), total);
    let refused: u64 = taken.iter().map(|it| it.refused).sum();
    let unmoved = taken.iter().filter(|it| it.code == Some(0)).count();
    let hung = taken.iter().filter(|it| it.hung).count();
    let forgetful = taken.iter().filter(|it| it.forgetful).count();
    Ok(Seen::times(refused).remark(format!(
        "of {total} runs {unmoved} finished all the same, {hung} could not be woken and were killed, {forgetful} could save nothing at all and said so; the next run put each other right"
    )))
}

/// All that a run without refusals gives occasion for; of a call that is made too often, evenly chosen ones.
async fn refusals() -> Vec<Refusal> {
    let all = std::env::var("STREAM_UPLOAD_NTH").is_ok_and(|which| which == "all");
    let bench = Bench::new().await;
    let calls: Vec<_> = CALLS.iter().map(|(call, _)| *call).collect();
    let counted = Strace::count(&bench.put(), &calls, PATIENCE).await.unwrap();
    let mut refusals = Vec::new();
    for (call, errno) in CALLS {
        let last = counted[call].most_in_one_thread;
        assert!(last > 0, "{call} was not made");
        let step = if all { 1 } else { last.div_ceil(MOST) };
        let nths = (1..=last).step_by(usize::try_from(step).unwrap());
        refusals.extend(nths.map(|nth| Refusal { call, errno, nth }));
    }
    refusals
}

/// A small upload.
struct Bench {
    world: World,
    emulator: EmulatorHandle,
    source: PathBuf,
}

impl Bench {
    async fn new() -> Self {
        let world = World::new();
        let emulator = emulator().token(TOKEN).start().await.unwrap();
        let source = world.random_file("a.mov", 300_000);
        Self {
            world,
            emulator,
            source,
        }
    }

    fn put(&self) -> Command {
        let mut command = self.world.put_to_emulator(&self.emulator);
        // One file of roots instead of a folder of them: each would be opened, and refused.
        command.env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
        command.arg(&self.source);
        command
    }
}

async fn take(refusal: Refusal) -> Taken {
    let bench = Bench::new().await;
    let Refusal { call, errno, nth } = refusal;
    let injection = Injection::error(call, errno).nth(nth);
    let traced = Strace::spawn(&bench.put(), &[injection]).unwrap();
    let hung = traced.process().wait(HANG).await.is_err();
    traced.process().kill_9();
    let faulty = end(traced.process()).await;
    let refused = traced.struck().unwrap();
    // A thread that cannot wake another one, by writing to an eventfd, is lost. No kernel refuses that.
    let excused = call == "write";
    let panicked = faulty.stderr.contains("panicked");
    assert!(excused || !(hung || panicked), "{refusal:?}: {faulty:?}");
    // Calls are counted by thread, and the store takes a new one after each failure: the first of each is refused for good.
    let mut listed = bench.world.command();
    listed.args(["state", "list", "--json"]);
    let remembered = run(listed).await.expect(0).stdout;
    if faulty.code == Some(0) && remembered.is_empty() {
        let told = faulty.events("state-not-saved").len();
        assert!(told > 0, "{refusal:?}: {faulty:?}");
        return Taken {
            refused,
            hung,
            forgetful: true,
            code: faulty.code,
        };
    }
    let ended = run(bench.put()).await;
    assert_eq!(
        ended.code,
        Some(0),
        "{refusal:?}: {faulty:?}, then {ended:?}"
    );
    Proof {
        world: &bench.world,
        emulator: &bench.emulator,
        sources: std::slice::from_ref(&bench.source),
        said: &[&ended],
    }
    .hold(bench.put())
    .await;
    Taken {
        refused,
        hung,
        forgetful: false,
        code: faulty.code,
    }
}
