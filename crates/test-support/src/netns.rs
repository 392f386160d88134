//! [`VethPair`]: two machines and a cable between them, for links that vanish without a word.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Every namespace of ours is called so, then the pid of its maker.
const PREFIX: &str = "upload-test-";

/// The name of the cable's end, the same in every namespace: they do not see each other.
const LINK: &str = "veth0";

/// One of the two ends of a [`VethPair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// 10.77.0.1.
    Left,
    /// 10.77.0.2.
    Right,
}

/// A network of its own: an interface, an address, and the processes that are run in it.
pub struct Namespace {
    name: String,
    address: Ipv4Addr,
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish()
    }
}

impl Namespace {
    /// Whether namespaces can be made here.
    ///
    /// # Errors
    /// The reason why not: no `ip` of iproute2, no root, or a kernel without them.
    pub fn available() -> Result<(), String> {
        VethPair::new().map(drop).map_err(|error| error.to_string())
    }

    /// Its address, as the other end sees it.
    #[must_use]
    pub fn addr(&self) -> IpAddr {
        self.address.into()
    }

    /// `command`, to be run in this namespace; environment and folder stay.
    #[must_use]
    pub fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside
            .args(["netns", "exec", &self.name])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside
    }

    pub(crate) fn add(name: String, address: Ipv4Addr) -> io::Result<Self> {
        ip(&["netns", "add", &name])?;
        Ok(Self { name, address })
    }

    /// Runs `work` on a thread that lives in this network: a socket that it opens stays there,
    /// whoever uses it afterwards.
    ///
    /// # Errors
    /// When the network cannot be entered, which takes root, or no thread can be started.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let door = std::fs::File::open(format!("/var/run/netns/{}", self.name))?;
        std::thread::scope(|scope| {
            let inside = std::thread::Builder::new().spawn_scoped(scope, move || {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(door.as_fd(), network)?;
                work()
            })?;
            let done = inside.join();
            done.map_err(|_| io::Error::other("a thread in a network of its own panicked"))?
        })
    }

    /// Its name, for `ip -n`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn configure(&self, other: &Self) -> io::Result<()> {
        let address = format!("{}/24", self.address);
        ip(&["-n", &self.name, "link", "set", "lo", "up"])?;
        ip(&["-n", &self.name, "address", "add", &address, "dev", LINK])?;
        self.connect(other)
    }

    /// Turns the interface on. The other end's hardware address is fixed: if it had to be asked
    /// for, a new connection into a dead cable would fail after three seconds of asking, instead
    /// of waiting for an answer that never comes.
    fn connect(&self, other: &Self) -> io::Result<()> {
        let (to, at) = (other.address.to_string(), other.hardware_address());
        ip(&["-n", &self.name, "link", "set", LINK, "up"])?;
        ip(&[
            "-n",
            &self.name,
            "neighbour",
            "replace",
            &to,
            "lladdr",
            &at,
            "dev",
            LINK,
            "nud",
            "permanent",
        ])
    }

    /// Of the interface: locally administered, and its last byte that of the address.
    fn hardware_address(&self) -> String {
        format!("02:00:0a:4d:00:{:02x}", self.address.octets()[3])
    }

    /// Kills what still runs inside, or it would keep the namespace alive without a name.
    fn remove(name: &str) {
        if let Ok(output) = output(Command::new("ip").args(["netns", "pids", name])) {
            let pids = String::from_utf8_lossy(&output.stdout);
            for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
                if let Some(pid) = Pid::from_raw(pid) {
                    // It may have ended by itself meanwhile.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
        // What cannot be removed here is removed by the next test that makes a pair.
        let _ = ip(&["netns", "delete", name]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        Self::remove(&self.name);
    }
}

/// Two namespaces with a cable between them. Names are unique, so that tests may run at the same
/// time, and all is removed when this is dropped, with the processes that still run inside.
///
/// A packet that meets a link that is down vanishes: neither FIN nor RST is ever sent, which no
/// proxy can do. What is to be cut off must run inside, as a process of its own.
#[derive(Debug)]
pub struct VethPair {
    left: Namespace,
    right: Namespace,
}

impl VethPair {
    /// Makes both namespaces and the cable, and turns everything on.
    ///
    /// # Errors
    /// When `ip` is missing or not allowed to; the message says what it said.
    pub fn new() -> io::Result<Self> {
        let name = fresh_name();
        let left = Namespace::add(format!("{name}-l"), Ipv4Addr::new(10, 77, 0, 1))?;
        let right = Namespace::add(format!("{name}-r"), Ipv4Addr::new(10, 77, 0, 2))?;
        let pair = Self { left, right };
        let (left, right) = (&pair.left, &pair.right);
        let addresses = [left.hardware_address(), right.hardware_address()];
        ip(&[
            "-n",
            &left.name,
            "link",
            "add",
            LINK,
            "address",
            &addresses[0],
            "type",
            "veth",
            "peer",
            "name",
            LINK,
            "address",
            &addresses[1],
            "netns",
            &right.name,
        ])?;
        left.configure(right)?;
        right.configure(left)?;
        Ok(pair)
    }

    /// One of the two ends.
    #[must_use]
    pub fn namespace(&self, side: Side) -> &Namespace {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// `command`, to be run at one end.
    #[must_use]
    pub fn command(&self, side: Side, command: &Command) -> Command {
        self.namespace(side).command(command)
    }

    /// Turns one end's interface on or off.
    ///
    /// Off, that end's own programs learn at once that there is no way (`ENETUNREACH`). The
    /// *other* end only loses its carrier: what its programs send vanishes, new connections too,
    /// and nobody tells them. To cut a client off silently, turn the server's end off.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn set_link(&self, side: Side, up: bool) -> io::Result<()> {
        let (this, other) = match side {
            Side::Left => (&self.left, &self.right),
            Side::Right => (&self.right, &self.left),
        };
        if up {
            return this.connect(other);
        }
        ip(&["-n", &this.name, "link", "set", LINK, "down"])
    }

    /// Limits what `side` sends to `bits_per_second`; `None` for no limit. Queued is at most
    /// what the limit sends in 100 ms, the rest is dropped.
    ///
    /// # Errors
    /// `Unsupported` where the kernel has no `tbf`; else when `tc` fails.
    pub fn set_rate(&self, side: Side, bits_per_second: Option<u64>) -> io::Result<()> {
        let name = &self.namespace(side).name;
        let Some(rate) = bits_per_second else {
            return tc(&["-n", name, "qdisc", "delete", "dev", LINK, "root"]);
        };
        let rate = format!("{rate}bit");
        tc(&[
            "-n", name, "qdisc", "replace", "dev", LINK, "root", "tbf", "rate", &rate, "burst",
            "16kb", "latency", "100ms",
        ])
    }
}

/// A name for namespaces that no other test has. What killed tests have left is removed.
pub(crate) fn fresh_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    remove_stale();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{number}", std::process::id())
}

/// Removes the namespaces whose makers were killed before they could.
fn remove_stale() {
    let Ok(listed) = output(Command::new("ip").args(["netns", "list"])) else {
        return;
    };
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or("");
        let maker = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        if maker.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            Namespace::remove(name);
        }
    }
}

pub(crate) fn ip(arguments: &[&str]) -> io::Result<()> {
    output(Command::new("ip").args(arguments)).map(drop)
}

fn tc(arguments: &[&str]) -> io::Result<()> {
    output(Command::new("tc").args(arguments))
        .map(drop)
        .map_err(|error| {
            if error.to_string().contains("qdisc kind is unknown") {
                io::Error::new(io::ErrorKind::Unsupported, "the kernel has no tbf")
            } else {
                error
            }
        })
}

/// Runs a command of iproute2 to its end.
fn output(command: &mut Command) -> io::Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| {
        let text = format!("cannot run {name} (Debian package iproute2): {error}");
        io::Error::new(error.kind(), text)
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{name} failed: {said}")))
}
