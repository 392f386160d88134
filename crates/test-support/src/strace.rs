//! [`Strace`]: a process whose n-th system call fails, is late, or is its last.
//!
//! What `strace` can do and what it cannot: a call is counted **per thread**, so `nth` means the
//! n-th of any one thread, and the first thread to get there is struck; then each other thread at
//! its own n-th. Calls through `io_uring` or memory maps are not seen. A process that is traced
//! already, or that gains privileges, cannot be traced. Only the named calls stop the process, so
//! that others cost next to nothing; every injection that kills makes all calls stop.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, fixtures};

/// What happens to one kind of system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    syscall: String,
    effect: String,
    when: String,
    kills: bool,
}

impl Injection {
    /// The call fails with `errno`, as in `"EIO"`, and is not made.
    #[must_use]
    pub fn error(syscall: &str, errno: &str) -> Self {
        Self::new(syscall, format!("error={errno}"), false)
    }

    /// The process is killed (SIGKILL) as it makes the call.
    #[must_use]
    pub fn kill(syscall: &str) -> Self {
        Self::new(syscall, "signal=KILL".to_owned(), true)
    }

    /// The call begins only after `delay`.
    #[must_use]
    pub fn delay(syscall: &str, delay: Duration) -> Self {
        let effect = format!("delay_enter={}us", delay.as_micros());
        Self::new(syscall, effect, false)
    }

    fn new(syscall: &str, effect: String, kills: bool) -> Self {
        Self {
            syscall: syscall.to_owned(),
            effect,
            when: String::new(),
            kills,
        }
    }

    /// Only the `n`-th such call of a thread, counted from 1. Default: every one.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.when = format!(":when={n}");
        self
    }

    /// The `n`-th such call of a thread, counted from 1, and every later one.
    #[must_use]
    pub fn from_nth(mut self, n: u64) -> Self {
        self.when = format!(":when={n}+");
        self
    }
}

/// How often a system call was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// By all threads together.
    pub total: u64,
    /// By the busiest thread: the largest `nth` that strikes.
    pub most_in_one_thread: u64,
}

/// A process under `strace`. It is the process's own pid, exit code and signals that the
/// [`Process`] has, not those of `strace`, which ends with it.
#[derive(Debug)]
pub struct Strace {
    process: Process,
    log: TempDir,
}

impl Strace {
    /// Whether processes can be traced here.
    ///
    /// # Errors
    /// The reason why not: no `strace`, or a kernel or container that forbids `ptrace`.
    pub fn available() -> Result<(), String> {
        let log = fixtures::temp_dir().map_err(|error| error.to_string())?;
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-e", "trace=none", "-o"]);
        command.arg(log.path().join("log")).arg("true");
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run strace (Debian package strace): {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("strace cannot trace here: {}", said.trim()))
    }

    /// Starts `command` with these injections; none of them: it is only watched.
    ///
    /// # Errors
    /// When `strace` cannot be started.
    pub fn spawn(command: &Command, injections: &[Injection]) -> io::Result<Self> {
        Self::start(command, &names(injections), injections, None)
    }

    /// As [`spawn`](Self::spawn), but only calls on the file at `path` count and are struck, by this name or by a descriptor.
    ///
    /// # Errors
    /// When `strace` cannot be started.
    pub fn spawn_on(command: &Command, path: &Path, injections: &[Injection]) -> io::Result<Self> {
        Self::start(command, &names(injections), injections, Some(path))
    }

    /// Runs `command` to its end and counts its calls of each of `syscalls`: the bound of a loop
    /// in which the n-th call fails.
    ///
    /// # Errors
    /// When `strace` cannot be started, or the command has not ended within `patience`.
    pub async fn count(
        command: &Command,
        syscalls: &[&str],
        patience: Duration,
    ) -> io::Result<BTreeMap<String, Calls>> {
        let traced = Self::start(command, syscalls, &[], None)?;
        traced.process.wait(patience).await?;
        traced.calls(patience).await
    }

    fn start(
        command: &Command,
        syscalls: &[&str],
        injections: &[Injection],
        path: Option<&Path>,
    ) -> io::Result<Self> {
        let log = fixtures::temp_dir()?;
        let mut traced = Command::new("strace");
        // As a grandchild, strace leaves the process its parent, its pid and its end.
        traced.args(["-D", "-f", "-q", "-s", "0", "-e"]);
        traced.arg(format!("trace={}", syscalls.join(",")));
        // With the filter strace sees no signal to inject.
        if !injections.iter().any(|it| it.kills) {
            traced.arg("--seccomp-bpf");
        }
        if let Some(path) = path {
            traced.arg("-P").arg(path);
        }
        for injection in injections {
            let Injection {
                syscall,
                effect,
                when,
                ..
            } = injection;
            traced.args(["-e", &format!("inject={syscall}:{effect}{when}")]);
        }
        traced.arg("-o").arg(log.path().join("log"));
        traced.arg("--").arg(command.get_program());
        traced.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => traced.env(name, value),
                None => traced.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            traced.current_dir(folder);
        }
        let process = Process::spawn(traced)?;
        Ok(Self { process, log })
    }

    /// The process itself.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// How often an injection has struck until now, kills not among them.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn struck(&self) -> io::Result<u64> {
        let log = read(&self.log.path().join("log"))?;
        let marks = ["(INJECTED)", "(DELAYED)"];
        let struck = |line: &&str| marks.iter().any(|mark| line.ends_with(mark));
        Ok(log.lines().filter(struck).count() as u64)
    }

    /// The calls that were made, once the process has ended.
    ///
    /// # Errors
    /// When the log cannot be read, or is not complete within `patience`.
    async fn calls(&self, patience: Duration) -> io::Result<BTreeMap<String, Calls>> {
        let path = self.log.path().join("log");
        let complete = async {
            // strace ends after the process, and tells nobody but its log.
            while !is_complete(&read(&path)?, self.process.id()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok::<_, io::Error>(())
        };
        match tokio::time::timeout(patience, complete).await {
            Ok(complete) => complete?,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
        Ok(count(&read(&path)?))
    }
}

fn names(injections: &[Injection]) -> Vec<&str> {
    injections.iter().map(|it| it.syscall.as_str()).collect()
}

/// A log that is not there yet is empty.
fn read(path: &Path) -> io::Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Whether the log tells how the process ended, which comes after all that it did.
fn is_complete(log: &str, pid: u32) -> bool {
    log.lines().any(|line| {
        let (of, what) = split(line);
        of == pid.to_string() && what.starts_with("+++ ")
    })
}

/// The calls in a log. One that another thread's call interrupts stands there twice, the second
/// time as `<... name resumed>`.
fn count(log: &str) -> BTreeMap<String, Calls> {
    let mut threads: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for line in log.lines() {
        let (thread, what) = split(line);
        let name = what.split('(').next().unwrap_or("");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.len() < what.len() && !name.is_empty() && name.chars().all(plain) {
            *threads.entry((name.to_owned(), thread)).or_default() += 1;
        }
    }
    let mut calls: BTreeMap<String, Calls> = BTreeMap::new();
    for ((name, _), made) in threads {
        let calls = calls.entry(name).or_default();
        calls.total += made;
        calls.most_in_one_thread = calls.most_in_one_thread.max(made);
    }
    calls
}

/// The thread of a line, and what it did.
fn split(line: &str) -> (&str, &str) {
    let (thread, what) = line.split_once(' ').unwrap_or((line, ""));
    (thread, what.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
7 openat(AT_FDCWD, \"\"..., O_RDONLY) = 3
8  fdatasync(4 <unfinished ...>
7 fdatasync(5) = 0
8 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)
7 --- SIGCHLD {si_signo=SIGCHLD} ---
7 fdatasync(5) = ?
7 +++ exited with 0 +++
";

    #[test]
    fn calls_are_counted_once_each_and_per_thread() {
        let calls = count(LOG);
        let expected = Calls {
            total: 3,
            most_in_one_thread: 2,
        };
        assert_eq!(calls["fdatasync"], expected);
        assert_eq!(calls["openat"].total, 1);
        assert_eq!(calls.len(), 2);
    }

    #[test]
    fn a_log_is_complete_with_the_end_of_the_process_itself() {
        assert!(is_complete(LOG, 7));
        assert!(!is_complete(LOG, 8));
    }
}
