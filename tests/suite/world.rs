//! [`World`]: a folder with resume state and sources, and the real binary. The only place that starts things.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stream_emulator::{Emulator, EmulatorBuilder, EmulatorHandle};
use tempfile::TempDir;
use test_support::{ChaosProxy, Process, Stream, fixtures};

/// Longer than anything here takes; it only ends a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const MIB: u64 = 1024 * 1024;

/// What a killed or broken connection may cost: what the kernel's buffers held.
pub(crate) const RESEND_BOUND: u64 = 8 * MIB;

/// One test's own place.
pub(crate) struct World {
    dir: TempDir,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            dir: fixtures::temp_dir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// A file of random bytes.
    pub(crate) fn random_file(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Another seed for each name: no two sources are alike by accident.
        let seed = name.bytes().fold(bytes, |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(byte.into())
        });
        fixtures::random_file(&path, bytes, seed).unwrap();
        path
    }

    /// The binary with nothing of the surrounding environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stream-upload"));
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("STREAM_UPLOAD_STATE_DIR", self.state_dir());
        if let Ok(profile) = std::env::var("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        command
    }

    /// `put` to a tus server.
    pub(crate) fn put_to(&self, endpoint: &str, source: &Path) -> Command {
        let mut command = self.command();
        command
            .args(["put", "--json", "--endpoint", endpoint])
            .arg(source);
        command
    }

    /// `put` to an emulator, as if it were the account.
    pub(crate) fn put_to_emulator(&self, emulator: &EmulatorHandle) -> Command {
        let mut command = self.command();
        command
            .env("STREAM_API_URL", emulator.api_url())
            .env("STREAM_API_TOKEN", emulator.token())
            .env("CLOUDFLARE_ACCOUNT_ID", "acct")
            .args(["put", "--json"]);
        command
    }
}

pub(crate) fn emulator() -> EmulatorBuilder {
    Emulator::builder()
}

/// An emulator behind a proxy.
pub(crate) struct Site {
    pub(crate) emulator: EmulatorHandle,
    pub(crate) proxy: ChaosProxy,
}

impl Site {
    /// As slow as `rate` bytes per second, so that an upload can be caught on its way.
    pub(crate) async fn start(emulator: EmulatorBuilder, rate: u64) -> Self {
        let emulator = emulator.start().await.unwrap();
        let proxy = ChaosProxy::builder(emulator.addr())
            .rate_up(rate)
            .patience(PATIENCE)
            .start()
            .await
            .unwrap();
        Self { emulator, proxy }
    }

    /// `put` to the account behind the proxy.
    pub(crate) fn put(&self, world: &World, source: &Path) -> Command {
        let mut command = world.put_to_emulator(&self.emulator);
        command
            .env("STREAM_API_URL", self.proxy.url("/client/v4"))
            .arg(source);
        command
    }

    /// Starts `put`, and kills it once so many bytes have passed.
    pub(crate) async fn put_and_kill(&self, world: &World, source: &Path, after_bytes: u64) {
        let process = Process::spawn(self.put(world, source)).unwrap();
        let at = self.proxy.counters().bytes_up + after_bytes;
        self.proxy
            .wait_until(|counters| counters.bytes_up >= at)
            .await;
        process.kill_9();
        let status = process.wait(PATIENCE).await.unwrap();
        assert_eq!(status.code(), None, "it was still running");
    }

    /// There is one video for each source, all its bytes are there, and nothing is left pending.
    pub(crate) async fn assert_videos(&self, sources: &[PathBuf]) {
        let mut wanted: Vec<String> = sources
            .iter()
            .map(|source| fixtures::sha256_file(source).unwrap())
            .collect();
        let mut found = Vec::new();
        for video in self.emulator.videos() {
            let sum = self.emulator.sha256(&video.video.uid).await.unwrap();
            found.push(sum.unwrap_or_else(|| format!("{} has no bytes", video.video.uid)));
        }
        wanted.sort();
        found.sort();
        assert_eq!(found, wanted);
    }
}

/// The command with a file as its stdin.
pub(crate) fn fed(command: &Command, file: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec \"$@\" < \"$0\""])
        .arg(file)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell
}

/// Runs a command to its end.
pub(crate) async fn run(command: Command) -> Ended {
    let process = Process::spawn(command).unwrap();
    end(&process).await
}

/// Waits for the end of a command.
pub(crate) async fn end(process: &Process) -> Ended {
    let status = process.wait(PATIENCE).await.unwrap();
    Ended {
        code: status.code(),
        stdout: process.lines(Stream::Stdout).join("\n"),
        stderr: process.lines(Stream::Stderr).join("\n"),
    }
}

/// Waits for a JSON line with this event.
pub(crate) async fn event(process: &Process, name: &str, patience: Duration) -> Value {
    let wanted = |line: &str| parse(line).is_some_and(|line| line["event"] == name);
    let line = process
        .wait_for_line(Stream::Stdout, wanted, patience)
        .await
        .unwrap();
    parse(&line).unwrap()
}

fn parse(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

impl Ended {
    /// Fails with everything the command said unless it ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The JSON lines with this event.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        self.stdout
            .lines()
            .filter_map(parse)
            .filter(|line| line["event"] == name)
            .collect()
    }
}
