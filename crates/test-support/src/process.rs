//! [`Process`]: a child that cannot outlive its test, and the signals to torture it with.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;

/// One of the two outputs of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A running child process, killed and reaped when dropped.
///
/// Both outputs are read all the time, so that the child never blocks on a full pipe, and kept as
/// lines. Waiting is asynchronous, because proxies and servers of a test often live in the same
/// runtime; it needs tokio's timer but no particular kind of runtime.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Arc<Mutex<Reapable>>,
    exit: watch::Receiver<Option<ExitStatus>>,
    outputs: [watch::Receiver<Output>; 2],
    stdin: Option<ChildStdin>,
    reaper: Option<JoinHandle<()>>,
}

/// The child until it is reaped; its pid may be used for signals only until then.
#[derive(Debug)]
struct Reapable {
    child: Child,
    reaped: bool,
}

#[derive(Clone, Debug, Default)]
struct Output {
    lines: Vec<String>,
    /// The pipe is closed: no line will follow.
    ended: bool,
}

impl Process {
    /// Starts `command` with piped outputs and no input.
    ///
    /// # Errors
    /// When the program cannot be started; the message names it.
    pub fn spawn(command: Command) -> io::Result<Self> {
        Self::start(command, Stdio::null())
    }

    /// Starts `command` with piped outputs and an input that stays open, for
    /// [`write_stdin`](Self::write_stdin), until [`close_stdin`](Self::close_stdin).
    ///
    /// # Errors
    /// When the program cannot be started; the message names it.
    pub fn spawn_with_stdin(command: Command) -> io::Result<Self> {
        Self::start(command, Stdio::piped())
    }

    fn start(mut command: Command, stdin: Stdio) -> io::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot start {name}: {error}"))
        })?;
        let pid = Pid::from_child(&child);
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("was asked to be piped");
        let stderr = child.stderr.take().expect("was asked to be piped");
        let outputs = [collect(stdout), collect(stderr)];
        let child = Arc::new(Mutex::new(Reapable {
            child,
            reaped: false,
        }));
        let (report, exit) = watch::channel(None);
        let reaping = Arc::clone(&child);
        let reaper = std::thread::spawn(move || reap(pid, &reaping, &report));
        Ok(Self {
            name,
            pid,
            child,
            exit,
            outputs,
            stdin,
            reaper: Some(reaper),
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for the first line of `stream`, from its beginning, that `wanted` accepts, and
    /// returns it without its line end.
    ///
    /// # Errors
    /// `TimedOut` after `patience`; `UnexpectedEof` when the stream ends without such a line.
    /// Both messages contain what the process has said on both outputs.
    pub async fn wait_for_line(
        &self,
        stream: Stream,
        wanted: impl Fn(&str) -> bool,
        patience: Duration,
    ) -> io::Result<String> {
        let mut output = self.outputs[stream as usize].clone();
        let mut seen = 0;
        let mut found = None;
        let waited = tokio::time::timeout(
            patience,
            output.wait_for(|output| {
                let new = &output.lines[seen..];
                found = new.iter().find(|line| wanted(line)).cloned();
                seen = output.lines.len();
                found.is_some() || output.ended
            }),
        )
        .await
        .map(drop);
        if let Some(line) = found {
            return Ok(line);
        }
        if waited.is_ok() {
            // What went wrong is often said on the other output, and read a moment later.
            let others = self.outputs_ended();
            let _ = tokio::time::timeout(patience.min(Duration::from_secs(1)), others).await;
        }
        let (kind, what) = match waited {
            Ok(()) => (io::ErrorKind::UnexpectedEof, "ended its output"),
            Err(_) => (io::ErrorKind::TimedOut, "ran out of time"),
        };
        Err(io::Error::new(
            kind,
            format!(
                "{} {what} before the awaited line; {}",
                self.name,
                self.said()
            ),
        ))
    }

    /// Waits until the process has ended and both its outputs are read.
    ///
    /// # Errors
    /// `TimedOut` after `patience`, with what the process has said; it goes on running.
    pub async fn wait(&self, patience: Duration) -> io::Result<ExitStatus> {
        let ended = async {
            let mut exit = self.exit.clone();
            // The sender is the reaper, which reports before it ends.
            let status = exit
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|status| *status);
            self.outputs_ended().await;
            status
        };
        match tokio::time::timeout(patience, ended).await {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(io::Error::other(format!(
                "{} could not be reaped",
                self.name
            ))),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "{} did not end within {patience:?}; {}",
                    self.name,
                    self.said()
                ),
            )),
        }
    }

    async fn outputs_ended(&self) {
        for output in &self.outputs {
            // The sender only goes away after it has said that it ended.
            let _ = output.clone().wait_for(|output| output.ended).await;
        }
    }

    /// The exit code, once the process has ended by itself; absent while it runs and when a
    /// signal ended it.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.exit.borrow().and_then(|status| status.code())
    }

    /// Whether the process has not ended yet. A stopped process runs, too.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// All lines of an output until now, without their line ends.
    #[must_use]
    pub fn lines(&self, stream: Stream) -> Vec<String> {
        self.outputs[stream as usize].borrow().lines.clone()
    }

    /// Writes `text` to the input of a process of [`spawn_with_stdin`](Self::spawn_with_stdin).
    /// Blocks while the pipe is full.
    ///
    /// # Errors
    /// When the input is closed or the process does not read it any more.
    pub fn write_stdin(&mut self, text: &str) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(text.as_bytes()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Closes the input: the process reads its end.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// SIGKILL: ends at once, with no chance to clean up. Does nothing once it has ended, as all
    /// the signals here.
    pub fn kill_9(&self) {
        self.signal(Signal::KILL);
    }

    /// SIGTERM: asks it to end.
    pub fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGINT: what Ctrl-C sends.
    pub fn sigint(&self) {
        self.signal(Signal::INT);
    }

    /// SIGHUP: what it gets when its terminal is closed.
    pub fn sighup(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGSTOP: freezes it; its sockets stay open and fill up.
    pub fn sigstop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: thaws it.
    pub fn sigcont(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // Under the lock the child is not reaped, so that its pid cannot belong to another.
        if !lock(&self.child).reaped {
            kill_process(self.pid, signal).expect("an unreaped child of ours takes every signal");
        }
    }

    /// The most memory the process has held until now, in bytes (`VmHWM` of Linux); absent once
    /// it has ended, and on systems without `/proc`.
    #[must_use]
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    }

    fn said(&self) -> String {
        let all = |stream| self.lines(stream).join("\n");
        format!(
            "its standard output:\n{}\nits standard error:\n{}",
            all(Stream::Stdout),
            all(Stream::Stderr)
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_9();
        if let Some(reaper) = self.reaper.take() {
            // A panic there has been printed already; dropping must not panic again.
            let _ = reaper.join();
        }
    }
}

fn lock(child: &Mutex<Reapable>) -> MutexGuard<'_, Reapable> {
    child.lock().expect("no holder of this lock panics")
}

/// Waits for the child's end without taking it, then takes it under the lock.
fn reap(pid: Pid, child: &Mutex<Reapable>, report: &watch::Sender<Option<ExitStatus>>) {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(error) = waitid(WaitId::Pid(pid), ended) {
        if error != rustix::io::Errno::INTR {
            break;
        }
    }
    let mut child = lock(child);
    let status = child.child.wait();
    child.reaped = true;
    report.send_replace(status.ok());
}

/// Reads an output to its end on a thread of its own, line by line.
fn collect(pipe: impl Read + Send + 'static) -> watch::Receiver<Output> {
    let (sender, receiver) = watch::channel(Output::default());
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        // An error is as final as an end; bytes that are not UTF-8 are replaced, not lost.
        while let Ok(1..) = reader.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']).to_owned();
            sender.send_modify(|output| output.lines.push(text));
            line.clear();
        }
        sender.send_modify(|output| output.ended = true);
    });
    receiver
}
