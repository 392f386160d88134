//! Servers that send an upload somewhere else.

use std::path::PathBuf;
use std::process::Command;

use test_support::{FakeRequest, FakeServer, Reply, Script, TestCa};

use super::{Liar, bare, failure, take_all};
use crate::proof::TOKEN;
use crate::row::{Ended as RowEnded, Row, Seen, row};
use crate::world::{MIB, World, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F41",
            "a hostile location gets neither bytes nor credentials",
            "201 without Location, with a script, user info, 9 KiB, https to http, another host",
            hostile_locations
        ),
        row!(
            "F42",
            "an upload on another host goes there without credentials",
            "Location on another host, also on one that is allowed",
            another_host
        ),
        row!(
            "F43",
            "redirects are followed five times and never with credentials",
            "307 and 308 on PATCH to another host; a loop",
            redirects
        ),
    ]
}

/// `put` with secrets that only the endpoint may see.
fn with_secrets(mut command: Command) -> Command {
    command
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--header", &format!("X-Auth-Key: {TOKEN}")]);
    command
}

/// A server that takes every byte at any path; by another name than the endpoint's, so another host.
async fn stranger(script: Script) -> (FakeServer, String) {
    let server = FakeServer::start(script.always_to("PATCH", take_all))
        .await
        .unwrap();
    let host = format!("localhost:{}", server.addr().port());
    (server, host)
}

async fn hostile_locations() -> RowEnded {
    let (evil, host) = stranger(Script::new()).await;
    let long = format!("/{}", "x".repeat(9 * 1024));
    let with_user = format!("http://user:{TOKEN}@{host}/files/1");
    let refused = [
        (None, "there is none"),
        (Some("javascript:alert(1)"), "neither http nor https"),
        (Some(with_user.as_str()), "user name or password"),
        (Some(long.as_str()), "longer than 8192 bytes"),
    ];
    for (location, words) in refused {
        let created =
            location.map_or_else(|| Reply::tus(201), |location| Reply::located(201, location));
        let liar = Liar::with(bare().always_to("POST", created), 2_000).await;
        let ended = run(with_secrets(liar.put())).await.expect(5);
        failure(&ended, &[words]);
        assert!(!ended.stdout.contains(TOKEN), "{}", ended.stdout);
        assert_eq!(ended.events("possible-orphan").len(), 1);
        assert_eq!(liar.requests("POST").len(), 1);
        assert!(liar.requests("PATCH").is_empty());
    }
    assert_eq!(evil.connections(), 0);

    let relative = bare()
        .always_to("POST", Reply::located(201, "up/7?x=1"))
        .always_to("PATCH", take_all);
    let liar = Liar::with(relative, 2_000).await;
    run(with_secrets(liar.put())).await.expect(0);
    let patch = &liar.requests("PATCH")[0];
    assert_eq!(patch.target, "/files/up/7?x=1");
    assert!(patch.is_authorized(), "it is the same origin");

    let elsewhere = bare().always_to("POST", Reply::located(201, format!("//{host}/files/1")));
    let liar = Liar::with(elsewhere, 2_000).await;
    run(with_secrets(liar.put())).await.expect(0);
    assert!(liar.requests("POST")[0].is_authorized());
    assert_eq!(evil.requests().len(), 1);
    assert!(!evil.requests()[0].is_authorized());

    downgraded(&format!("http://{host}/files/1")).await;
    assert_eq!(evil.requests().len(), 1, "nothing went there from https");
    Ok(Seen::times(7).remark("0 of the credentials seen elsewhere"))
}

/// A creation over TLS that points to a plain place.
async fn downgraded(location: &str) {
    let tls = Tls::new();
    let script = bare().always_to("POST", Reply::located(201, location));
    let server = tls.server(script).await;
    let ended = run(with_secrets(tls.put(&server))).await.expect(5);
    failure(&ended, &["leaves https for http"]);
}

/// A world whose certificate authority the command trusts.
struct Tls {
    world: World,
    ca: TestCa,
    pem: PathBuf,
    source: PathBuf,
}

impl Tls {
    fn new() -> Self {
        let world = World::new();
        let ca = TestCa::new().unwrap();
        let pem = world.path("ca.pem");
        std::fs::write(&pem, ca.pem()).unwrap();
        let source = world.random_file("a.mov", 2_000);
        Self {
            world,
            ca,
            pem,
            source,
        }
    }

    async fn server(&self, script: Script) -> FakeServer {
        let identity = self.ca.localhost().unwrap();
        FakeServer::start_tls(script, &identity).await.unwrap()
    }

    fn put(&self, server: &FakeServer) -> Command {
        let mut command = self.world.put_to(&server.url("/files/"), &self.source);
        command.env("SSL_CERT_FILE", &self.pem);
        command
    }
}

async fn another_host() -> RowEnded {
    // The first chunk is refused once, so that the question for the offset goes there too.
    let (other, host) = stranger(
        Script::new()
            .next_to("PATCH", Reply::tus(503))
            .next_to("HEAD", Reply::tus(200).header("Upload-Offset", "0")),
    )
    .await;
    let created = Reply::located(201, format!("http://{host}/files/1"));
    let liar = Liar::with(bare().always_to("POST", created), 2_000).await;
    run(with_secrets(liar.put())).await.expect(0);
    assert!(liar.requests("POST")[0].is_authorized());
    let heard = other.requests();
    let methods: Vec<_> = heard.iter().map(|it| it.method.as_str()).collect();
    assert_eq!(methods, ["PATCH", "HEAD", "PATCH"]);
    assert!(heard.iter().all(|request| !request.is_authorized()));

    let tls = Tls::new();
    let allowed = tls.server(Script::new().always_to("PATCH", take_all)).await;
    let host = format!("localhost:{}", allowed.addr().port());
    let created = Reply::located(201, format!("https://{host}/files/1"));
    let endpoint = tls.server(bare().always_to("POST", created)).await;
    run(with_secrets(tls.put(&endpoint))).await.expect(0);
    assert!(!allowed.requests()[0].is_authorized(), "not asked for");

    let mut named = with_secrets(tls.put(&endpoint));
    named.args(["--auth-host", &host, "--no-resume", "--force-new"]);
    run(named).await.expect(0);
    assert!(
        allowed.requests()[1].is_authorized(),
        "--auth-host names it"
    );
    Ok(Seen::times(3).remark("credentials seen there: none, and with --auth-host all"))
}

async fn redirects() -> RowEnded {
    for code in [307, 308] {
        let (other, host) = stranger(Script::new()).await;
        let away = move |request: &FakeRequest| {
            Reply::located(code, format!("http://{host}{}", request.target))
        };
        let liar = Liar::with(bare().always_to("PATCH", away), MIB).await;
        run(with_secrets(liar.put())).await.expect(0);
        assert!(liar.requests("PATCH")[0].is_authorized());
        let heard = other.requests();
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].body_bytes, MIB);
        assert!(!heard[0].is_authorized());
        assert_eq!(heard[0].header("X-Auth-Key"), None);
    }

    let around = |request: &FakeRequest| Reply::located(307, &request.target);
    let liar = Liar::with(bare().always_to("PATCH", around), MIB).await;
    let ended = run(with_secrets(liar.put())).await.expect(5);
    failure(&ended, &["redirects", "307"]);
    assert_eq!(liar.requests("PATCH").len(), 6, "the request and five hops");
    Ok(Seen::times(3).remark("a loop is left after five hops"))
}
