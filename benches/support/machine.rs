//! The machine: who runs on which core, and whether somebody else was busy meanwhile.

use std::fs::read_to_string;
use std::time::Instant;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use rustix::thread::CpuSet;

use super::Failure;
use super::child::cpu_seconds;

/// Of the time of all cores: more than this taken by others or by the hypervisor spoils a round.
const TOLERATED_FOREIGN: f64 = 0.05;
const TOLERATED_STEAL: f64 = 0.02;

/// What `/proc` counts in, on every architecture that Rust runs on (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// The cores this process may use, divided between client and sink.
#[derive(Debug)]
pub(crate) struct Machine {
    cores: Vec<usize>,
}

impl Machine {
    pub(crate) fn new() -> Result<Self, Failure> {
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        Ok(Self {
            cores: cores.collect(),
        })
    }

    /// Cores, kernel and load, for the head of a report.
    pub(crate) fn describe(&self) -> String {
        let read = |path| read_to_string(path).unwrap_or_else(|_| "unknown".to_owned());
        let load = read("/proc/loadavg");
        let load: Vec<&str> = load.split_whitespace().take(3).collect();
        format!(
            "cores={} kernel={} load={}",
            self.cores.len(),
            read("/proc/sys/kernel/osrelease").trim(),
            load.join(","),
        )
    }

    /// Whether client and sink can have a core each.
    pub(crate) fn can_pin(&self) -> bool {
        self.cores.len() >= 2
    }

    /// Starts something on the core of the sink, then stays on that of the clients: threads and
    /// children inherit the cores of the thread that starts them, so no child needs `taskset`.
    ///
    /// With one core only, nothing is pinned.
    pub(crate) fn apart<T>(&self, start: impl FnOnce() -> T) -> Result<T, Failure> {
        let &[client, sink, ..] = self.cores.as_slice() else {
            return Ok(start());
        };
        pin(sink)?;
        let started = start();
        pin(client)?;
        Ok(started)
    }

    /// As [`apart`](Self::apart), for what takes awaiting: everything else on this thread waits on
    /// that core, too.
    pub(crate) async fn apart_async<T>(
        &self,
        start: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let &[client, sink, ..] = self.cores.as_slice() else {
            return Ok(start.await);
        };
        pin(sink)?;
        let started = start.await;
        pin(client)?;
        Ok(started)
    }
}

fn pin(core: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// The start of a stretch of time in which others should be quiet.
#[derive(Debug)]
pub(crate) struct Watch {
    since: Instant,
    /// Processes of ours that go on running: nobody has reaped them yet.
    beside: Vec<u32>,
    ours: f64,
    ticks: Ticks,
}

impl Watch {
    /// `beside` are processes of ours that run meanwhile and are not reaped, such as servers.
    pub(crate) fn start(beside: &[u32]) -> Result<Self, Failure> {
        Ok(Self {
            since: Instant::now(),
            beside: beside.to_vec(),
            ours: ours(beside)?,
            ticks: Ticks::now()?,
        })
    }

    /// What disturbed the time since the start, or nothing.
    pub(crate) fn disturbance(&self) -> Result<Option<String>, Failure> {
        let now = Ticks::now()?;
        let all = now.all - self.ticks.all;
        if all <= 0.0 {
            return Ok(None);
        }
        // The kernel counts ticks of all cores; ours are known in microseconds. Both rulers
        // agree to a tick or two, far less than is tolerated.
        let seconds = self.since.elapsed().as_secs_f64() * self.ticks.cores as f64;
        let busy = (now.busy - self.ticks.busy) / all;
        let foreign = busy - (ours(&self.beside)? - self.ours) / seconds;
        let steal = (now.steal - self.ticks.steal) / all;
        if steal > TOLERATED_STEAL {
            return Ok(Some(format!("{:.1} % stolen", steal * 100.0)));
        }
        if foreign > TOLERATED_FOREIGN {
            return Ok(Some(format!("{:.1} % used by others", foreign * 100.0)));
        }
        Ok(None)
    }
}

/// CPU seconds of this process, its sink, all children it has reaped, and these others.
fn ours(beside: &[u32]) -> Result<f64, Failure> {
    let of = |who| getrusage(who).map(|usage: Usage| cpu_seconds(&usage));
    let mut seconds = of(UsageWho::RUSAGE_SELF)? + of(UsageWho::RUSAGE_CHILDREN)?;
    for pid in beside {
        let stat = read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in brackets, may hold anything; the times are the 12th and 13th field after it.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
        let times = fields.split_whitespace().skip(11).take(2);
        for ticks in times.map(str::parse::<f64>) {
            seconds += ticks? / TICKS_PER_SECOND;
        }
    }
    Ok(seconds)
}

/// The first line of `/proc/stat`.
#[derive(Debug)]
struct Ticks {
    all: f64,
    busy: f64,
    steal: f64,
    cores: usize,
}

impl Ticks {
    fn now() -> Result<Self, Failure> {
        let stat = read_to_string("/proc/stat")?;
        let first = stat.lines().next().ok_or("/proc/stat is empty")?;
        let fields = first.split_whitespace().skip(1);
        let ticks = fields.map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = ticks[..] else {
            return Err("/proc/stat has fewer columns than Linux 2.6.11 wrote".into());
        };
        let cores = stat.lines().skip(1);
        Ok(Self {
            all: user + nice + system + idle + iowait + irq + softirq + steal,
            // Interrupts are left out: on loopback they are our own traffic, and whether they are
            // booked on the process as well depends on the kernel's configuration.
            busy: user + nice + system,
            steal,
            cores: cores.take_while(|line| line.starts_with("cpu")).count(),
        })
    }
}
