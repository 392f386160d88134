//! TLS that cannot be agreed on, and TLS that is cut.

use std::process::Command;

use test_support::{
    ChaosPlan, ChaosProxy, ConnectionFault, Direction, FakeServer, Reply, Script, TestCa,
};

use super::bytes_sent;
use crate::row::{Row, Seen, row};
use crate::world::{MIB, PATIENCE, RESEND_BOUND, World, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F18",
            "a certificate that is not good is refused at once",
            "certificates that expired, are another host's, or an unknown authority's; and TLS 1.1",
            bad_certificates
        ),
        row!(
            "F19",
            "TLS that is cut in the middle of a record is no end of anything",
            "the proxy cuts three connections in the middle of a PATCH, the server one in the middle of an answer",
            cut_records
        ),
    ]
}

/// `command`, which trusts this authority and no other.
pub(super) fn trusting(world: &World, ca: &TestCa, mut command: Command) -> Command {
    let path = world.path("ca.pem");
    std::fs::write(&path, ca.pem()).unwrap();
    command.env("SSL_CERT_FILE", path);
    command
}

async fn bad_certificates() -> Result<Seen, String> {
    let ca = TestCa::new().unwrap();
    let stranger = TestCa::new().unwrap();
    let honest = Script::new;
    let servers = [
        (
            "expired",
            FakeServer::start_tls(honest(), &ca.expired().unwrap()).await,
        ),
        (
            "another host's",
            FakeServer::start_tls(honest(), &ca.wrong_host().unwrap()).await,
        ),
        (
            "an unknown authority's",
            FakeServer::start_tls(honest(), &stranger.localhost().unwrap()).await,
        ),
        ("of TLS 1.1", FakeServer::start_tls_1_1().await),
    ];
    for (what, server) in servers {
        let server = server.unwrap();
        let world = World::new();
        let source = world.random_file("a.mov", MIB);
        let put = world.put_to(&server.url("/files/"), &source);
        let ended = run(trusting(&world, &ca, put)).await.expect(6);
        assert_eq!(ended.events("retry").len(), 0, "{what}: {}", ended.stdout);
        assert_eq!(ended.events("failed").len(), 1, "{what}");
        assert_eq!(server.connections(), 1, "{what}: it is not tried twice");
        assert_eq!(server.requests(), [], "{what}");
    }
    Ok(Seen::times(4))
}

async fn cut_records() -> Result<Seen, String> {
    const SIZE: u64 = 24 * MIB;
    let ca = TestCa::new().unwrap();
    let identity = ca.localhost().unwrap();
    let world = World::new();
    let source = world.random_file("a.mov", SIZE);
    let plan = (1..=3).fold(ChaosPlan::seeded(19), |plan, number| {
        plan.on(number, ConnectionFault::Cut(Direction::Up, MIB..=5 * MIB))
    });
    let server = FakeServer::start_tls(Script::new(), &identity)
        .await
        .unwrap();
    let proxy = ChaosProxy::builder(server.addr())
        .plan(plan)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let endpoint = format!("https://{}/files/", proxy.addr());
    let mut put = world.put_to(&endpoint, &source);
    // Chunks that shrink after a break would be more of them.
    put.args(["--chunk-size", "64MiB"]);
    let ended = run(trusting(&world, &ca, put)).await.expect(0);
    assert_eq!(proxy.counters().cuts, 3);
    assert_eq!(server.uploads(), [(Some(SIZE), SIZE)]);
    let seen = |server: &FakeServer, method: &str| {
        let requests = server.requests();
        requests.iter().filter(|it| it.method == method).count()
    };
    // Each cut costs one question, and its PATCH goes where the answer says.
    assert_eq!((seen(&server, "HEAD"), seen(&server, "PATCH")), (3, 4));
    let resent = bytes_sent(&ended) - SIZE;
    assert!(resent <= 3 * RESEND_BOUND, "{resent} bytes again");

    // An answer of which half a record arrives says nothing, though the server has the bytes.
    let half = Reply::silence().keeping_body().then_cut(
        "HTTP/1.1 204 No Content\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 5242880\r\n\r\n",
    );
    let server = FakeServer::start_tls(Script::new().next_to("PATCH", half), &identity)
        .await
        .unwrap();
    let world = World::new();
    let source = world.random_file("a.mov", 12 * MIB);
    let mut put = world.put_to(&server.url("/files/"), &source);
    put.args(["--chunk-size", "5MiB"]);
    let ended = run(trusting(&world, &ca, put)).await.expect(0);
    assert_eq!(seen(&server, "HEAD"), 1);
    assert_eq!(server.uploads(), [(Some(12 * MIB), 12 * MIB)]);
    assert_eq!(bytes_sent(&ended), 12 * MIB);
    Ok(Seen {
        times: 4,
        resent: vec![resent / 3, resent / 3, resent / 3, 0],
        noticed: Vec::new(),
        remark: Some("re-sent: the mean of the three cuts".into()),
    })
}
