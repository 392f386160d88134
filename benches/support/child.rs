//! One child process, from its start to its end, and what it cost.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use test_support::Process;

use super::Failure;

/// Hardly a run of a bench takes nearly so long: a child that does hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How often the peak is read. It only grows, so that all that can be missed is what a process
/// first touches in its last milliseconds.
const POLL: Duration = Duration::from_millis(2);

/// What a child used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Seconds from before its start until it was reaped.
    pub(crate) wall: f64,
    /// User and system seconds.
    pub(crate) cpu: f64,
    /// How often it slept and how often it was put off a core.
    pub(crate) switches: i64,
}

/// A finished child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) cost: Cost,
    /// `VmHWM`; only when it was asked for.
    pub(crate) peak_rss: Option<u64>,
}

/// A command with an empty environment: a proxy or a token of the developer's would change what
/// is measured, and only one of the contestants might heed it.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Runs `command` to its successful end. `watch_memory` reads its peak all the while, which costs
/// a little time of a core.
///
/// # Errors
/// When it cannot be started, ends in any way but success, or does not end.
pub(crate) async fn run(command: Command, watch_memory: bool) -> Result<Run, Failure> {
    run_within(command, watch_memory, PATIENCE).await
}

/// As [`run`], for what may take longer than [`PATIENCE`].
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_within(
    command: Command,
    watch_memory: bool,
    patience: Duration,
) -> Result<Run, Failure> {
    let told = format!("{command:?}");
    // No other child is reaped meanwhile, so that the difference is this one's alone.
    let before = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let started = Instant::now();
    let process = Process::spawn(command)?;
    let mut peak_rss = None;
    if watch_memory {
        while process.is_running() && started.elapsed() < patience {
            peak_rss = peak_rss.max(process.peak_rss_bytes());
            tokio::time::sleep(POLL).await;
        }
    }
    let status = process.wait(patience).await?;
    let wall = started.elapsed().as_secs_f64();
    let after = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    if !status.success() {
        let said = process.lines(test_support::Stream::Stderr).join("\n");
        let told: String = told.chars().take(500).collect();
        return Err(format!("{told} ended with {status}:\n{said}").into());
    }
    if watch_memory && peak_rss.is_none() {
        return Err(format!("{told} ended before its memory could be read").into());
    }
    let cost = Cost {
        wall,
        cpu: cpu_seconds(&after) - cpu_seconds(&before),
        switches: switches(&after) - switches(&before),
    };
    Ok(Run { cost, peak_rss })
}

/// User and system time together: the kernel's split of a short run is a guess, its sum is not.
pub(crate) fn cpu_seconds(usage: &Usage) -> f64 {
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    micros as f64 / 1e6
}

fn switches(usage: &Usage) -> i64 {
    usage.voluntary_context_switches() + usage.involuntary_context_switches()
}
