//! [`Link`]: two machines far apart, with a real round-trip time, loss, rate and queue.
//!
//! Each machine is a network namespace with a TUN device; the packets that one sends are read here,
//! kept for as long as they would travel, and written to the other. What runs at both ends is the
//! kernel's own TCP, with its congestion control, its windows and its retransmissions, which no
//! proxy on loopback has.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::set_current_timer_slack;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::netns::{self, Namespace};
use crate::{Random, Side};

/// The device's name, the same in both namespaces: they do not see each other.
const DEVICE: &str = "tun0";

/// Bytes of one packet, as on the internet at large.
const MTU: u16 = 1500;

/// What the kernel may keep for one connection in bytes, so that its buffers limit no test.
const SOCKET_BUFFER: u64 = 64 << 20;

/// How a link behaves. The way from left to right, which uploads take, has the loss, the rate and
/// the queue; the way back only the delay.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkPlan {
    /// Half of the round-trip time. Default: zero.
    pub one_way: Duration,
    /// The part of all packets that is lost, 0 to 1. Default: 0.
    pub loss: f64,
    /// Bits per second; `None`, the default, for as many as this machine can carry.
    pub bits_per_second: Option<u64>,
    /// Bytes that may wait for the rate; what comes on top is dropped. Default: 5 MB.
    pub queue_bytes: u64,
    /// The kernel's congestion control by name at both ends. Default: `cubic`.
    pub congestion: &'static str,
    /// The most that the kernel keeps of one connection in bytes: this per round-trip time is the
    /// most that one connection carries. Default: 64 MiB, which limits nothing.
    pub socket_buffer: u64,
    /// What decides about losses. Default: 1.
    pub seed: u64,
}

impl Default for LinkPlan {
    fn default() -> Self {
        Self {
            one_way: Duration::ZERO,
            loss: 0.0,
            bits_per_second: None,
            queue_bytes: 5_000_000,
            congestion: "cubic",
            socket_buffer: SOCKET_BUFFER,
            seed: 1,
        }
    }
}

impl LinkPlan {
    /// A link with this round-trip time, as fast as the machine and without loss.
    #[must_use]
    pub fn round_trip(time: Duration) -> Self {
        Self {
            one_way: time / 2,
            ..Self::default()
        }
    }

    /// Limits the rate, in bits per second.
    #[must_use]
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        self.bits_per_second = Some(bits_per_second);
        self
    }

    /// Loses this part of the packets, 0 to 1.
    #[must_use]
    pub fn loss(mut self, part: f64) -> Self {
        self.loss = part;
        self
    }

    /// Lets the kernel keep so many bytes of one connection.
    #[must_use]
    pub fn socket_buffer(mut self, bytes: u64) -> Self {
        self.socket_buffer = bytes;
        self
    }
}

/// Two namespaces and the link between them; removed, with what still runs inside, when this is
/// dropped. Root only.
#[derive(Debug)]
pub struct Link {
    ways: [Arc<Way>; 2],
    threads: Vec<JoinHandle<()>>,
    left: Namespace,
    right: Namespace,
}

impl Link {
    /// Whether links can be made here.
    ///
    /// # Errors
    /// The reason why not: no root, no `ip` of iproute2, or no `/dev/net/tun`.
    pub fn available() -> Result<(), String> {
        match Self::new(LinkPlan::default()) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("a link needs root and /dev/net/tun: {error}")),
        }
    }

    /// Makes both namespaces, and starts to carry packets.
    ///
    /// # Errors
    /// When `ip` or the kernel refuses, mostly because this is not root.
    pub fn new(plan: LinkPlan) -> io::Result<Self> {
        let name = netns::fresh_name();
        let left = Namespace::add(format!("{name}-l"), Ipv4Addr::new(10, 78, 0, 1))?;
        let right = Namespace::add(format!("{name}-r"), Ipv4Addr::new(10, 78, 0, 2))?;
        let devices = [device(&left, &right, &plan)?, device(&right, &left, &plan)?];
        let [left_end, right_end] = devices.map(Arc::new);
        let there = Arc::new(Way::new(plan));
        let back = Arc::new(Way::new(LinkPlan {
            loss: 0.0,
            bits_per_second: None,
            ..plan
        }));
        let mut link = Self {
            ways: [Arc::clone(&there), Arc::clone(&back)],
            threads: Vec::new(),
            left,
            right,
        };
        for (way, from, to) in [
            (there, &left_end, &right_end),
            (back, &right_end, &left_end),
        ] {
            let (taking, from) = (Arc::clone(&way), Arc::clone(from));
            link.start("link-take", move || taking.take(&from))?;
            let to = Arc::clone(to);
            link.start("link-give", move || way.give(&to))?;
        }
        Ok(link)
    }

    /// One of the two ends.
    #[must_use]
    pub fn namespace(&self, side: Side) -> &Namespace {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    fn start(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        self.threads.push(thread.spawn(work)?);
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for way in &self.ways {
            way.stop();
        }
        // A reader sleeps in the kernel until a packet comes, or the device is gone.
        for end in [&self.left, &self.right] {
            let _ = netns::ip(&["-n", end.name(), "link", "delete", DEVICE]);
        }
        for thread in self.threads.drain(..) {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

/// Makes the device of `this` end.
fn device(this: &Namespace, other: &Namespace, plan: &LinkPlan) -> io::Result<SyncDevice> {
    let device = this.enter(|| {
        let device = DeviceBuilder::new().name(DEVICE).mtu(MTU);
        device.tx_queue_len(10_000).build_sync()
    })?;
    let name = this.name();
    let (ours, theirs) = (this.addr().to_string(), other.addr().to_string());
    netns::ip(&[
        "-n", name, "address", "replace", &ours, "peer", &theirs, "dev", DEVICE,
    ])?;
    netns::ip(&["-n", name, "link", "set", "lo", "up"])?;
    netns::ip(&["-n", name, "link", "set", DEVICE, "up"])?;
    // By the route: as a setting of the namespace, only what the machine allows to everybody would do.
    netns::ip(&[
        "-n",
        name,
        "route",
        "replace",
        &theirs,
        "dev",
        DEVICE,
        "src",
        &ours,
        "congctl",
        plan.congestion,
    ])?;
    let most = plan.socket_buffer;
    let settings = [
        ("tcp_rmem", format!("4096 {} {most}", most.min(131_072))),
        ("tcp_wmem", format!("4096 {} {most}", most.min(65_536))),
        // Each run begins as if it were the first.
        ("tcp_no_metrics_save", "1".to_owned()),
    ];
    this.enter(|| {
        for (setting, value) in settings {
            std::fs::write(format!("/proc/sys/net/ipv4/{setting}"), value)?;
        }
        Ok(())
    })?;
    Ok(device)
}

/// One direction: the packets that are under way.
#[derive(Debug)]
struct Way {
    plan: LinkPlan,
    stopping: AtomicBool,
    under_way: Mutex<VecDeque<(Instant, Vec<u8>)>>,
    came: Condvar,
}

impl Way {
    fn new(plan: LinkPlan) -> Self {
        Self {
            plan,
            stopping: AtomicBool::new(false),
            under_way: Mutex::default(),
            came: Condvar::new(),
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.came.notify_all();
    }

    fn stopped(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Takes what one end sends, and decides when it arrives, if ever.
    fn take(&self, from: &SyncDevice) {
        let mut buffer = vec![0; usize::from(MTU) + 64];
        let mut bottleneck = Bottleneck::new(&self.plan, Instant::now());
        let mut random = Random::new(self.plan.seed);
        while !self.stopped() {
            let Ok(length) = from.recv(&mut buffer) else {
                // Down, or going: whoever drops the link has said so before.
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            // Drawn for every packet, so that a loss never changes which other packets are lost.
            let lost = (random.below(1 << 32) as f64) < self.plan.loss * 4_294_967_296.0;
            let Some(leaves) = bottleneck.pass(length as u64, Instant::now()) else {
                continue;
            };
            if lost {
                continue;
            }
            let mut queue = self.queue();
            let was_empty = queue.is_empty();
            queue.push_back((leaves + self.plan.one_way, buffer[..length].to_vec()));
            drop(queue);
            if was_empty {
                self.came.notify_one();
            }
        }
    }

    /// Gives the other end what is due.
    fn give(&self, to: &SyncDevice) {
        // 50 µs, what a thread's timer may be late by default, are 12 packets at 3 Gbit/s.
        let _ = set_current_timer_slack(NonZeroU64::new(1_000));
        let mut due = Vec::new();
        while !self.stopped() {
            let now = Instant::now();
            let mut queue = self.queue();
            while queue.front().is_some_and(|(at, _)| *at <= now) {
                due.extend(queue.pop_front());
            }
            let next = queue.front().map(|(at, _)| *at);
            match next {
                None if due.is_empty() => {
                    let waited = self.came.wait_timeout(queue, Duration::from_millis(100));
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
                Some(at) if due.is_empty() => {
                    drop(queue);
                    // blocking: a packet takes its time, and this thread has nothing else to do.
                    std::thread::sleep(at.saturating_duration_since(now));
                }
                _ => drop(queue),
            }
            for (_, packet) in due.drain(..) {
                // A device that is full or down drops packets, as devices do.
                let _ = to.send(&packet);
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<(Instant, Vec<u8>)>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slowest place of the way, and the queue before it.
#[derive(Debug)]
struct Bottleneck {
    bytes_per_second: Option<f64>,
    queue_bytes: f64,
    free_at: Instant,
}

impl Bottleneck {
    fn new(plan: &LinkPlan, now: Instant) -> Self {
        Self {
            bytes_per_second: plan.bits_per_second.map(|bits| bits as f64 / 8.0),
            queue_bytes: plan.queue_bytes as f64,
            free_at: now,
        }
    }

    /// When a packet that comes `now` has left; `None` when the queue is full.
    fn pass(&mut self, bytes: u64, now: Instant) -> Option<Instant> {
        let Some(rate) = self.bytes_per_second else {
            return Some(now);
        };
        let begins = self.free_at.max(now);
        if (begins - now).as_secs_f64() * rate > self.queue_bytes {
            return None;
        }
        self.free_at = begins + Duration::from_secs_f64(bytes as f64 / rate);
        Some(self.free_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bottleneck_lets_packets_out_at_its_rate_and_drops_what_its_queue_cannot_hold() {
        let now = Instant::now();
        let plan = LinkPlan {
            queue_bytes: 2_000,
            ..LinkPlan::default().rate(8_000)
        };
        let mut bottleneck = Bottleneck::new(&plan, now);
        let second = |n: u64| Some(now + Duration::from_secs(n));
        assert_eq!(bottleneck.pass(1_000, now), second(1));
        assert_eq!(bottleneck.pass(1_000, now), second(2));
        assert_eq!(bottleneck.pass(1_000, now), second(3));
        assert_eq!(
            bottleneck.pass(1_000, now),
            None,
            "three seconds wait already"
        );
        let later = now + Duration::from_secs(10);
        assert_eq!(
            bottleneck.pass(1_000, later),
            second(11),
            "idle time is not saved up"
        );
    }

    #[test]
    fn a_link_without_a_rate_delays_nothing_at_its_bottleneck() {
        let now = Instant::now();
        let mut bottleneck = Bottleneck::new(&LinkPlan::default(), now);
        assert_eq!(bottleneck.pass(1 << 30, now), Some(now));
    }
}
