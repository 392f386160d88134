//! What has to hold after every fault.

use std::path::PathBuf;
use std::process::Command;

use stream_emulator::EmulatorHandle;
use test_support::Checker;

use crate::world::{Ended, World, run};

/// What stands for the API token in every test; it must be found nowhere.
pub(crate) const TOKEN: &str = "canary-token-5e1f7c0d";

/// After any fault and the runs that followed it: every source is on the server once and whole, nothing is left pending there or
/// in the store, no secret has leaked, nobody has panicked, and one more run sends no byte and is a success.
pub(crate) struct Proof<'a> {
    pub(crate) world: &'a World,
    pub(crate) emulator: &'a EmulatorHandle,
    pub(crate) sources: &'a [PathBuf],
    /// What the runs said so far.
    pub(crate) said: &'a [&'a Ended],
}

impl Proof<'_> {
    /// Fails with everything that does not hold. `again` is the same command once more.
    pub(crate) async fn hold(&self, again: Command) {
        self.judge(0, &self::again(again).await).await;
    }

    /// As [`hold`](Self::hold), where up to `leftovers` orphans were reported and no further run is made.
    pub(crate) async fn hold_with(&self, leftovers: usize, last: &Ended) {
        self.judge(leftovers, last).await;
    }

    async fn judge(&self, leftovers: usize, last: &Ended) {
        let said: Vec<_> = self.said.iter().copied().chain([last]).collect();
        let checker = Checker::emulator(self.emulator.addr(), self.emulator.token());
        judge(self.world, checker, self.sources, &said, leftovers).await;
    }
}

/// Runs the same command once more, after all is done: it sends nothing.
pub(crate) async fn again(command: Command) -> Ended {
    let again = run(command).await.expect(0);
    assert_eq!(
        again.events("summary")[0]["bytes_sent"],
        0,
        "a run after the end sent bytes:\n{}",
        again.stdout
    );
    again
}

/// The proof of [`Proof`] for an emulator wherever it runs, without a further run.
pub(crate) async fn judge(
    world: &World,
    checker: Checker,
    sources: &[PathBuf],
    said: &[&Ended],
    leftovers: usize,
) {
    let mut command = world.command();
    command.args(["state", "list", "--unfinished", "--json"]);
    let unfinished = run(command).await.expect(0);
    assert_eq!(unfinished.stdout, "", "the store has unfinished uploads");
    let mut checker = checker
        .sources(sources)
        .leftovers(leftovers)
        .canary("the API token", TOKEN)
        .folder(world.state_dir());
    for ended in said {
        for (name, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
            assert!(!text.contains("panicked"), "{name}:\n{text}");
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            checker = checker.output(name, &lines);
        }
    }
    checker.assert().await;
}
