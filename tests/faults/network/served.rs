//! `serve` as a process of its own, which can be frozen, killed, and put behind a cable.

use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::{Checker, Process, Stream};

use crate::proof::TOKEN;
use crate::world::{Ended, PATIENCE, World, run};

pub(super) struct Served {
    pub(super) process: Process,
    /// The base of its API.
    api: String,
    data: PathBuf,
}

impl Served {
    /// Listens at `address`; `place` puts the command where it belongs. Each PATCH is read at `drip` bytes per second, so that
    /// it can be caught on its way.
    pub(super) async fn start(
        world: &World,
        address: &str,
        drip: u64,
        place: impl FnOnce(Command) -> Command,
    ) -> Self {
        let faults = world.path("faults.json");
        let row = format!(
            r#"[{{"fault": "drip", "bytes_per_second": {drip}, "method": "PATCH", "times": "always"}}]"#
        );
        std::fs::write(&faults, row).unwrap();
        let data = world.path("data");
        let mut command = world.command();
        command
            .env("STREAM_EMULATOR_TOKEN", TOKEN)
            .args(["serve", "--listen", address, "--data"])
            .arg(&data)
            .arg("--faults")
            .arg(&faults);
        let process = Process::spawn(place(command)).unwrap();
        const EXPORT: &str = "export STREAM_API_URL=";
        let line = process
            .wait_for_line(Stream::Stdout, |line| line.starts_with(EXPORT), PATIENCE)
            .await
            .unwrap();
        let api = line[EXPORT.len()..].to_owned();
        Self { process, api, data }
    }

    /// The port it listens at.
    pub(super) fn port(&self) -> u16 {
        let authority = self.api.split('/').nth(2).unwrap();
        authority.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// `put` to its account.
    pub(super) fn put(&self, world: &World, source: &Path) -> Command {
        let mut command = world.command();
        command
            // Namespaces hand on what surrounds the tests.
            .env("NO_PROXY", "*")
            .env("STREAM_API_URL", &self.api)
            .env("STREAM_API_TOKEN", TOKEN)
            .env("CLOUDFLARE_ACCOUNT_ID", "acct")
            .args(["put", "--json"])
            .arg(source);
        command
    }

    /// What [`Proof`](crate::proof::Proof) asks, of the folder of this server.
    pub(super) async fn prove(&self, world: &World, source: &Path, said: &Ended, again: Command) {
        let again = run(again).await.expect(0);
        assert_eq!(again.events("summary")[0]["bytes_sent"], 0);
        let mut list = world.command();
        list.args(["state", "list", "--unfinished", "--json"]);
        assert_eq!(run(list).await.expect(0).stdout, "");
        let mut checker = Checker::data_folder(&self.data)
            .source(source)
            .canary("the API token", TOKEN)
            .folder(world.state_dir());
        for ended in [said, &again] {
            for (name, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
                assert!(!text.contains("panicked"), "{name}:\n{text}");
                let lines: Vec<_> = text.lines().map(str::to_owned).collect();
                checker = checker.output(name, &lines);
            }
        }
        checker.assert().await;
    }
}
