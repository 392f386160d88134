//! A proxy on the way that does not let us through.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use test_support::{FakeServer, Script, TestCa};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::bytes_sent;
use super::tls::trusting;
use crate::proof::TOKEN;
use crate::row::{Row, Seen, row};
use crate::world::{MIB, World, run};

pub(super) fn rows() -> Vec<Row> {
    vec![row!(
        "F17",
        "a proxy that wants credentials ends it and one that fails is tried again",
        "a proxy that answers 407, with TLS to the server and without, or 502 three times",
        refusing_proxies
    )]
}

/// A proxy that refuses the first so many tunnels with a status, and makes all others.
struct Gate {
    address: SocketAddr,
    tunnels_asked: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Gate {
    async fn start(status: u16, times: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tunnels_asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&tunnels_asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(tunnel(stream, (number < times).then_some(status)));
            }
        });
        Ok(Self {
            address,
            tunnels_asked,
            task,
        })
    }

    fn tunnels_asked(&self) -> u64 {
        self.tunnels_asked.load(Ordering::SeqCst)
    }

    /// `command`, through this proxy.
    fn command(&self, mut command: Command) -> Command {
        let url = format!("http://somebody:{TOKEN}@{}", self.address);
        command
            .env("HTTPS_PROXY", &url)
            .env("HTTP_PROXY", &url)
            .arg("-vvv");
        command
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tunnel(mut stream: TcpStream, refusal: Option<u16>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if let Some(status) = refusal {
        let answer = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\n\r\n");
        return stream.write_all(answer.as_bytes()).await;
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.split(' ').nth(1).unwrap_or_default();
    let mut server = TcpStream::connect(target).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut server).await.map(drop)
}

async fn refusing_proxies() -> Result<Seen, String> {
    let ca = TestCa::new().unwrap();
    let server = FakeServer::start_tls(Script::new(), &ca.localhost().unwrap())
        .await
        .unwrap();
    let world = World::new();
    let source = world.random_file("a.mov", 2 * MIB);
    let put = |gate: &Gate| {
        let put = world.put_to(&server.url("/files/"), &source);
        gate.command(trusting(&world, &ca, put))
    };

    let locked = Gate::start(407, u64::MAX).await.unwrap();
    let refused = run(put(&locked)).await.expect(4);
    assert_eq!(locked.tunnels_asked(), 1, "it is not asked twice");
    let failed = refused.events("failed");
    let error = failed[0]["error"].as_str().unwrap();
    assert!(error.contains("proxy"), "{error}");
    assert_eq!(server.connections(), 0);

    // Without TLS there is no tunnel: the request itself is refused.
    let asked = Gate::start(407, u64::MAX).await.unwrap();
    let put_plainly = world.put_to("http://tus.example/files/", &source);
    let refused_plainly = run(asked.command(put_plainly)).await.expect(4);

    let failing = Gate::start(502, 3).await.unwrap();
    let ended = run(put(&failing)).await.expect(0);
    assert!(failing.tunnels_asked() > 3);
    // The question for what the server offers is not worth a third wait.
    assert!((2..=3).contains(&ended.events("retry").len()));
    assert_eq!(bytes_sent(&ended), 2 * MIB);
    assert_eq!(server.uploads(), [(Some(2 * MIB), 2 * MIB)]);
    for said in [&refused, &refused_plainly, &ended] {
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(!all.contains(TOKEN), "the proxy's password is told");
    }
    Ok(Seen::times(5).resent(0))
}
