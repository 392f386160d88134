//! Servers that refuse: the size of a chunk, bytes with a creation, credentials.

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use stream_emulator::{Blobs, Fault, FaultRule, FaultTarget, RequestRecord};
use test_support::{ChaosProxy, Reply};

use super::{Bench, CHUNK, Liar, bare, failure, status};
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended as RowEnded, Row, Seen, row};
use crate::world::{MIB, PATIENCE, World, emulator, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F38",
            "a chunk that is too large is halved and the next file knows",
            "413 to chunks above 5 MiB",
            too_large
        ),
        row!(
            "F39",
            "an early refusal is read and told",
            "401 or 413 after 1 KiB of the body, then FIN or RST",
            early
        ),
        row!(
            "F40",
            "a revoked token stops the queue and a new one goes on",
            "401 to everything in the middle of a run; then another token",
            revoked
        ),
        row!(
            "F47",
            "bytes with a creation are given up once for all files",
            "no Tus-Extension; 400 or 415 to a creation with bytes",
            no_bytes_with_creation
        ),
    ]
}

async fn too_large() -> RowEnded {
    let bench = Bench::with(21 * MIB).await;
    let other = bench.world.random_file("b.mov", 11 * MIB);
    bench.fault(status(413), Method::PATCH, 0, 2);
    let put = || {
        let mut command = bench.world.put_to_emulator(&bench.emulator);
        command
            .args(["--chunk-size", "20MiB", "--parallel", "1"])
            .arg(&bench.source)
            .arg(&other);
        command
    };
    let ended = run(put()).await.expect(0);
    let patches = bench.requests("PATCH");
    let (refused, taken) = patches.split_at(2);
    assert!(refused.iter().all(|it| it.status == Some(413)));
    let sizes: Vec<_> = taken.iter().map(|it| it.body_bytes).collect();
    // The last chunk of each file is what is left.
    assert_eq!(
        sizes,
        [CHUNK, CHUNK, CHUNK, CHUNK, MIB, CHUNK, CHUNK, MIB],
        "smaller from there on, in the second file as well"
    );
    let sources = [bench.source.clone(), other.clone()];
    bench.prove_all(&sources, put(), &[&ended]).await;
    Ok(Seen::times(2).remark("20 MiB, 10 MiB, then 5 MiB; the second file began with 5 MiB"))
}

async fn early() -> RowEnded {
    let (mut at_once, mut times) = (0, 0);
    for _ in 0..5 {
        let told = tokio::join!(
            refused_early(401, 4, true),
            refused_early(413, 5, true),
            refused_early(401, 4, false),
            refused_early(413, 5, false),
        );
        for told in [told.0, told.1, told.2, told.3] {
            times += 1;
            at_once += u64::from(told);
        }
    }
    Ok(Seen::times(times).remark(format!(
        "the right exit code {times} of {times} times, {at_once} times without a broken connection before it"
    )))
}

/// Whether no connection was seen to break before the refusal was told.
async fn refused_early(code: u16, exit: i32, politely: bool) -> bool {
    let reply = Reply::body(code, "text/plain", "not here").after(1024);
    let reply = if politely {
        reply.then_close()
    } else {
        reply.then_drop()
    };
    let liar = Liar::with(bare().always_to("PATCH", reply), 2 * MIB).await;
    let ended = run(liar.put()).await.expect(exit);
    failure(&ended, &[&code.to_string(), "not here"]);
    ended.events("retry").is_empty()
}

async fn revoked() -> RowEnded {
    let world = World::new();
    let data = world.path("data");
    let server = |token: &str| emulator().blobs(Blobs::Dir(data.clone())).token(token);
    let first = server("an old token").start().await.unwrap();
    let proxy = ChaosProxy::builder(first.addr())
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let size = 6 * MIB;
    let sources =
        ["a", "b", "c", "d"].map(|name| world.random_file(&format!("shoot/{name}.mp4"), size));
    let put = |token: &str| {
        let mut command = world.command();
        command
            .env("STREAM_API_URL", proxy.url("/client/v4"))
            .env("STREAM_API_TOKEN", token)
            .env("CLOUDFLARE_ACCOUNT_ID", "acct")
            .args(["put", "--json", "--chunk-size", "5MiB", "--parallel", "2"])
            .arg(world.path("shoot"));
        command
    };
    // Two creations and two chunks go through.
    let revoke = FaultRule::new(status(401)).skip(4).times(u64::MAX);
    // It is the token that is revoked: what opens a connection and carries none is no concern of it.
    first.faults().add(revoke.header(AUTHORIZATION));
    let stopped = run(put("an old token")).await.expect(4);
    let requests = first.requests();
    let creations = requests.iter().filter(|it| it.method == "POST").count();
    assert_eq!(creations, 2, "the other two files were not begun");
    let refused = |it: &&RequestRecord| it.authorized && it.status == Some(401);
    let refused = requests.iter().filter(refused).count();
    assert_eq!(refused, 2, "each upload under way hears it once");
    for failed in stopped.events("failed") {
        assert_eq!(failed["kind"], "credentials");
        assert_eq!(failed["resumable"], true);
    }
    first.shutdown().await.unwrap();

    let second = server(TOKEN).start().await.unwrap();
    proxy.set_target(second.addr());
    let went_on = run(put(TOKEN)).await.expect(0);
    let sent = went_on.events("summary")[0]["bytes_sent"].as_u64().unwrap();
    assert_eq!(sent, 4 * size - 2 * CHUNK, "the rest and nothing else");
    let proof = Proof {
        world: &world,
        emulator: &second,
        sources: &sources,
        said: &[&stopped, &went_on],
    };
    proof.hold(put(TOKEN)).await;
    Ok(Seen::times(2).resent(0))
}

async fn no_bytes_with_creation() -> RowEnded {
    tokio::join!(refuses_bytes(400), refuses_bytes(415), offers_nothing());
    Ok(Seen::times(3).remark("one creation more for the first file, none for the others"))
}

/// The first creation of three, which carries bytes, is refused with this status.
async fn refuses_bytes(code: u16) {
    let bench = Bench::with(3_000).await;
    let rule = FaultRule::new(status(code)).on(FaultTarget::Creation);
    bench.emulator.faults().add(rule.method(Method::POST));
    small_files(&bench).await;
    let statuses: Vec<_> = bench.requests("POST").iter().map(|it| it.status).collect();
    let created = Some(201);
    assert_eq!(statuses, [Some(code), created, created, created]);
}

/// The server does not say what it offers.
async fn offers_nothing() {
    let bench = Bench::with(3_000).await;
    let nothing = Fault::ReplaceAnswer {
        status: StatusCode::NO_CONTENT,
    };
    bench.fault(nothing, Method::OPTIONS, 0, 1);
    small_files(&bench).await;
    assert_eq!(bench.requests("POST").len(), 3);
}

/// Uploads three files of 3,000 bytes one after the other. None of them is created with its bytes.
async fn small_files(bench: &Bench) {
    let others = ["b.mov", "c.mov"].map(|name| bench.world.random_file(name, 3_000));
    let put = || {
        let mut command = bench.put_plain();
        command.args(["--parallel", "1"]).args(&others);
        command
    };
    let ended = run(put()).await.expect(0);
    assert_eq!(bench.requests("OPTIONS").len(), 1, "asked once");
    assert_eq!(bench.requests("PATCH").len(), 3);
    let mut creations = bench.requests("POST");
    creations.retain(|request| request.status == Some(201));
    assert!(creations.iter().all(|request| request.body_bytes == 0));
    let sources = [std::slice::from_ref(&bench.source), &others].concat();
    bench.prove_all(&sources, put(), &[&ended]).await;
}
