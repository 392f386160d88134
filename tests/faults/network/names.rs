//! Names that have no address for a while, or another one.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use test_support::{ChaosPlan, Namespace, Process, Side, Stream, VethPair};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::served::Served;
use super::{bytes_sent, site};
use crate::proof::Proof;
use crate::row::{Row, Seen, row};
use crate::world::{MIB, PATIENCE, World, emulator, end, event, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F10",
            "a name without address is asked for again and then given up",
            "a resolver of the test says three times that there is no such name, then always",
            no_such_name
        ),
        row!(
            "F11",
            "a public name that becomes a private address is not followed",
            "the name moves to 127.0.0.1 in the middle of an upload, and back",
            rebound
        ),
    ]
}

const NAME: &str = "tus.fault.test";

/// Answers questions for addresses: `refusals` times with NXDOMAIN, then with 127.0.0.1.
struct Resolver {
    address: Ipv4Addr,
    refusals: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Resolver {
    /// Listens on port 53, which a `resolv.conf` cannot change, of a loopback address that no other process has.
    async fn start() -> Result<Self, String> {
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 53, high, low);
        let socket = UdpSocket::bind((address, 53))
            .await
            .map_err(|error| format!("port 53 of {address}: {error}"))?;
        let refusals = Arc::new(AtomicU64::new(0));
        let refused = Arc::new(AtomicU64::new(0));
        let (left, counted) = (Arc::clone(&refusals), Arc::clone(&refused));
        let task = tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, asker)) = socket.recv_from(&mut packet).await {
                let question = &packet[..length];
                let asks_for_a = question[length - 4..length - 2] == [0, 1];
                // Both families are asked for at once; the first refusal of a name is enough.
                let refuse = left.load(Ordering::SeqCst) > 0;
                if refuse && asks_for_a {
                    left.fetch_sub(1, Ordering::SeqCst);
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                let answer = answer(question, refuse, asks_for_a);
                // Whoever asked and left is not our concern.
                let _ = socket.send_to(&answer, asker).await;
            }
        });
        Ok(Self {
            address,
            refusals,
            refused,
            task,
        })
    }

    /// `command`, with this resolver for its only one.
    fn command(&self, world: &World, command: &Command) -> Command {
        let file = world.path("resolv.conf");
        let text = format!(
            "nameserver {}\noptions timeout:1 attempts:1\n",
            self.address
        );
        std::fs::write(&file, text).unwrap();
        with_file("/etc/resolv.conf", &file, command)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// RFC 1035, 4.1: the question again, and an address if there is one.
fn answer(question: &[u8], refuse: bool, asks_for_a: bool) -> Vec<u8> {
    // Without the additional section of EDNS.
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let mut answer = question[..name_end + 4].to_vec();
    let code = if refuse { 3 } else { 0 };
    let is_address = !refuse && asks_for_a;
    answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    if is_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    answer
}

/// `command`, in which `file` stands in the place of `path`.
fn with_file(path: &str, file: &std::path::Path, command: &Command) -> Command {
    let mut inside = Command::new("unshare");
    inside
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" \"$1\" && shift && exec \"$@\"")
        .arg(file)
        .arg(path)
        .arg(command.get_program())
        .args(command.get_args())
        .env("NO_PROXY", "*");
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            inside.env(name, value);
        }
    }
    inside
}

/// Whether a command may have a file of `/etc` of its own.
async fn can_mount(world: &World) -> Result<(), String> {
    let file = world.path("mounted");
    std::fs::write(&file, "").unwrap();
    let tried = run(with_file("/etc/hosts", &file, &Command::new("true"))).await;
    match tried.code {
        Some(0) => Ok(()),
        _ => Err(format!("no mount namespace: {}", tried.stderr)),
    }
}

async fn no_such_name() -> Result<Seen, String> {
    let world = World::new();
    can_mount(&world).await?;
    let resolver = Resolver::start().await?;
    let site = site(emulator().host(NAME), ChaosPlan::default()).await;
    let source = world.random_file("a.mov", 2 * MIB);
    let endpoint = format!("http://{NAME}:{}/files/", site.proxy.addr().port());
    let put = |arguments: &[&str]| {
        let mut put = world.put_to(&endpoint, &source);
        put.args(arguments);
        resolver.command(&world, &put)
    };

    resolver.refusals.store(u64::MAX, Ordering::SeqCst);
    let begun = Instant::now();
    let given_up = run(put(&["--patience", "2s"])).await.expect(6);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let failed = given_up.events("failed");
    let error = failed[0]["error"].as_str().unwrap();
    assert!(error.contains(NAME), "the host is named: {error}");
    assert_eq!(failed[0]["resumable"], true);

    resolver.refusals.store(3, Ordering::SeqCst);
    resolver.refused.store(0, Ordering::SeqCst);
    let ended = run(put(&[])).await.expect(0);
    assert_eq!(resolver.refused.load(Ordering::SeqCst), 3);
    assert!((1..=3).contains(&ended.events("retry").len()));
    assert_eq!(bytes_sent(&ended), 2 * MIB);
    let proof = Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&given_up, &ended],
    };
    proof.hold(put(&[])).await;
    Ok(Seen::times(3).resent(0).remark(format!(
        "with a patience of 2 s given up after {:.1} s, code 6",
        took.as_secs_f64()
    )))
}

/// Tells of every connection that it gets.
const LISTENER: &str = "
import socket, sys
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print('up', flush=True)
while True:
    stream, _ = listener.accept()
    print('connected', flush=True)
    stream.close()
";

async fn rebound() -> Result<Seen, String> {
    const SIZE: u64 = 40 * MIB;
    /// Of a range that is public by its number, and nobody's (RFC 5737).
    const PUBLIC: &str = "203.0.113.7";
    Namespace::available()?;
    let pair = VethPair::new().map_err(|error| error.to_string())?;
    let world = World::new();
    can_mount(&world).await?;
    let mut address = Command::new("ip");
    address.args(["address", "add", &format!("{PUBLIC}/32"), "dev", "lo"]);
    run(pair.command(Side::Left, &address)).await.expect(0);
    let hosts = world.path("hosts");
    let move_to = |address: &str| std::fs::write(&hosts, format!("{address} {NAME}\n")).unwrap();
    move_to(PUBLIC);

    let inside = |command: Command| pair.command(Side::Left, &command);
    let server = Served::start(&world, &format!("{PUBLIC}:0"), 8 * MIB, inside).await;
    let port = server.port();
    let source = world.random_file("a.mov", SIZE);
    let put = || {
        let mut put = server.put(&world, &source);
        put.env("STREAM_API_URL", format!("http://{NAME}:{port}/client/v4"));
        inside(with_file("/etc/hosts", &hosts, &put))
    };
    let mut listen = Command::new("python3");
    listen.args(["-u", "-c", LISTENER, &port.to_string()]);
    let stranger = Process::spawn(inside(listen)).unwrap();
    stranger
        .wait_for_line(Stream::Stdout, |line| line == "up", PATIENCE)
        .await
        .map_err(|error| error.to_string())?;

    let process = Process::spawn(put()).unwrap();
    event(&process, "progress", PATIENCE).await;
    move_to("127.0.0.1");
    let moved = Instant::now();
    server.process.kill_9();
    server.process.wait(PATIENCE).await.unwrap();
    let refused = process
        .wait_for_line(
            Stream::Stdout,
            |line| line.contains("\"retry\"") && line.contains("private"),
            PATIENCE,
        )
        .await;
    let noticed = moved.elapsed();
    let said = stranger.lines(Stream::Stdout);
    assert_eq!(said, ["up"], "nobody connects to the private address");
    refused.unwrap();

    let server = Served::start(&world, &format!("{PUBLIC}:{port}"), 1024 * MIB, inside).await;
    move_to(PUBLIC);
    let ended = end(&process).await.expect(0);
    assert_eq!(stranger.lines(Stream::Stdout), ["up"]);
    server.prove(&world, &source, &ended, put()).await;
    Ok(Seen::times(1)
        .resent(bytes_sent(&ended) - SIZE)
        .noticed(noticed))
}
