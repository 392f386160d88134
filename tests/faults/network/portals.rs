//! Somebody in between who answers in the server's name.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use http::{Method, StatusCode};
use stream_emulator::{Fault, FaultRule, FaultTarget};
use test_support::{ChaosPlan, FakeServer, Reply, Script};

use super::{bytes_sent, heard, prove, site};
use crate::proof::TOKEN;
use crate::row::{Row, Seen, row};
use crate::world::{MIB, World, emulator, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F15",
            "a login page with status 200 is never taken for success",
            "a server that answers every request, or all after the creation, with a page",
            pages
        ),
        row!(
            "F16",
            "a redirect to a login page is not followed",
            "a server that answers every request, or every PATCH, with 302 to another host",
            redirects
        ),
    ]
}

async fn pages() -> Result<Seen, String> {
    let everywhere = Script::new().always(Reply::html(200));
    let after_creation = Script::new()
        .always_to("PATCH", Reply::html(200))
        .always_to("HEAD", Reply::html(200));
    let mut times = 0;
    for (script, created) in [(everywhere, false), (after_creation, true)] {
        let world = World::new();
        let server = FakeServer::start(script).await.unwrap();
        let source = world.random_file("a.mov", 2 * MIB);
        let ended = run(world.put_to(&server.url("/files/"), &source))
            .await
            .expect(6);
        let failed = ended.events("failed");
        let error = failed[0]["error"].as_str().unwrap();
        assert!(error.contains("not from a tus server"), "{error}");
        assert_eq!(ended.events("finished").len(), 0);
        assert_eq!(ended.events("created").len(), usize::from(created));
        let confirmed = |progress: &serde_json::Value| progress["offset"].as_u64().unwrap();
        let most = ended.events("progress").iter().map(confirmed).max();
        assert_eq!(most.unwrap_or(0), 0, "no byte counts");
        times += server.requests().len() as u64 - 2 * u64::from(created);
    }

    // The portal goes away: the upload goes on as if nothing had been.
    let world = World::new();
    let site = site(emulator(), ChaosPlan::default()).await;
    let page = Fault::Html {
        status: StatusCode::OK,
    };
    site.emulator.faults().add(
        FaultRule::new(page)
            .on(FaultTarget::Upload)
            .method(Method::PATCH),
    );
    let source = world.random_file("a.mov", 12 * MIB);
    let mut put = site.put(&world, &source);
    put.args(["--chunk-size", "5MiB"]);
    let ended = run(put).await.expect(0);
    assert!(site.emulator.faults().is_spent());
    assert_eq!(heard(&site, "HEAD").len(), 1, "the offset is asked for");
    let resent = bytes_sent(&ended) - 12 * MIB;
    assert!(resent <= 5 * MIB, "{resent} bytes again");
    prove(
        &world,
        &site,
        &source,
        std::slice::from_ref(&source),
        &ended,
    )
    .await;
    Ok(Seen::times(times + 1).resent(resent))
}

async fn redirects() -> Result<Seen, String> {
    let mut times = 0;
    for only_patches in [false, true] {
        let login = FakeServer::start(Script::new().always(Reply::html(200)))
            .await
            .unwrap();
        let away = Reply::located(302, login.url("/login"));
        let script = if only_patches {
            Script::new().always_to("PATCH", away)
        } else {
            Script::new().always(away)
        };
        let server = FakeServer::start(script).await.unwrap();
        let world = World::new();
        let header = world.path("header");
        std::fs::write(&header, format!("Authorization: Bearer {TOKEN}")).unwrap();
        std::fs::set_permissions(&header, Permissions::from_mode(0o600)).unwrap();
        let source = world.random_file("a.mov", 2 * MIB);
        let mut put = world.put_to(&server.url("/files/"), &source);
        put.arg("--header").arg(format!("@{}", header.display()));
        let ended = run(put).await;
        assert!(matches!(ended.code, Some(5 | 6)), "{ended:?}");
        assert_eq!(ended.events("finished").len(), 0);
        assert!(!ended.stdout.contains(TOKEN) && !ended.stderr.contains(TOKEN));
        assert_eq!(login.connections(), 0, "nobody went there");
        let requests = server.requests();
        assert!(
            requests
                .iter()
                .all(test_support::FakeRequest::is_authorized)
        );
        let method = if only_patches { "PATCH" } else { "POST" };
        let sent_away = requests
            .iter()
            .filter(|request| request.method == method)
            .count();
        assert_eq!(sent_away, 1, "and not asked again");
        times += sent_away as u64;
    }
    Ok(Seen::times(times).remark("no request reached the other host"))
}
