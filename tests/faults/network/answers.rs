//! Bytes that arrive while their answer does not, and bytes that arrive damaged.

use std::time::Duration;

use http::{Method, StatusCode};
use stream_emulator::{Fault, FaultRule, FaultTarget, Hypotheses};
use test_support::{ChaosPlan, ConnectionFault, Process};

use super::{bytes_sent, heard, noticed, prove, site};
use crate::proof::Proof;
use crate::row::{Row, Seen, row};
use crate::world::{MIB, PATIENCE, World, emulator, end, event, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F03",
            "the lost answer of a chunk costs no byte",
            "the proxy swallows the answers to two PATCHes and closes",
            a_chunk
        ),
        row!(
            "F04",
            "the lost answer of the last chunk ends the upload all the same",
            "the proxy swallows it; the server then knows the upload as complete, or answers 404 or 410",
            the_last_chunk
        ),
        row!(
            "F09",
            "no answer to a whole body is waited for a minute and asked about",
            "the emulator carries a PATCH out and never answers",
            silence_after_the_body
        ),
        row!(
            "F20",
            "a bit that flips on the way is noticed and sent again",
            "the proxy flips bits in the bodies of two chunks",
            flipped_bits
        ),
    ]
}

async fn a_chunk() -> Result<Seen, String> {
    const SIZE: u64 = 12 * MIB;
    let world = World::new();
    let site = site(emulator(), ChaosPlan::default()).await;
    site.proxy.swallow_answer_to("PATCH");
    site.proxy.swallow_answer_to("PATCH");
    let source = world.random_file("a.mov", SIZE);
    let mut put = site.put(&world, &source);
    put.args(["--chunk-size", "5MiB"]);
    let ended = run(put).await.expect(0);

    assert_eq!(site.proxy.counters().swallowed_answers, 2);
    assert_eq!(heard(&site, "HEAD").len(), 2);
    assert_eq!(bytes_sent(&ended), SIZE);
    assert_eq!(site.proxy.counters().body_up, SIZE);
    prove(
        &world,
        &site,
        &source,
        std::slice::from_ref(&source),
        &ended,
    )
    .await;
    Ok(Seen {
        times: 2,
        resent: vec![0, 0],
        noticed: noticed(&site),
        remark: None,
    })
}

async fn the_last_chunk() -> Result<Seen, String> {
    let mut seen = Seen::times(3);
    for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::GONE] {
        let mut hypotheses = Hypotheses::default();
        hypotheses.completed_status = status;
        let world = World::new();
        let site = site(emulator().hypotheses(hypotheses), ChaosPlan::default()).await;
        site.proxy.swallow_answer_to("PATCH");
        let source = world.random_file("a.mov", MIB);
        let ended = run(site.put(&world, &source)).await.expect(0);

        assert_eq!(site.proxy.counters().swallowed_answers, 1, "{status}");
        let heads = heard(&site, "HEAD");
        assert_eq!(heads.len(), 1, "{status}");
        assert_eq!(heads[0].status, Some(status.as_u16()));
        assert_eq!(heard(&site, "POST").len(), 1, "nothing is created anew");
        assert_eq!(bytes_sent(&ended), MIB, "{status}");
        prove(
            &world,
            &site,
            &source,
            std::slice::from_ref(&source),
            &ended,
        )
        .await;
        seen = seen.resent(bytes_sent(&ended) - MIB);
        seen.noticed.extend(noticed(&site));
    }
    Ok(seen)
}

async fn silence_after_the_body() -> Result<Seen, String> {
    const SIZE: u64 = 12 * MIB;
    let world = World::new();
    let site = site(emulator(), ChaosPlan::default()).await;
    site.emulator.faults().add(
        FaultRule::new(Fault::StallAnswer)
            .on(FaultTarget::Upload)
            .method(Method::PATCH),
    );
    let source = world.random_file("a.mov", SIZE);
    let mut put = site.put(&world, &source);
    put.args(["--chunk-size", "5MiB"]);
    let process = Process::spawn(put).unwrap();
    let retry = event(&process, "retry", PATIENCE).await;
    let ended = end(&process).await.expect(0);

    let reason = retry["reason"].as_str().unwrap();
    assert!(reason.starts_with("no answer came in time"), "{reason}");
    let connections = site.proxy.connections();
    let silent = connections[0].last_up.unwrap();
    let waited = connections[1].accepted - silent;
    assert!(
        (Duration::from_secs(59)..Duration::from_secs(75)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(heard(&site, "HEAD").len(), 1);
    assert_eq!(bytes_sent(&ended), SIZE, "the chunk is not sent again");
    prove(
        &world,
        &site,
        &source,
        std::slice::from_ref(&source),
        &ended,
    )
    .await;
    Ok(Seen::times(1).resent(0).noticed(waited))
}

async fn flipped_bits() -> Result<Seen, String> {
    const SIZE: u64 = 20 * MIB;
    const CHUNK: u64 = 8 * MIB;
    let world = World::new();
    let first = ConnectionFault::FlipBody(3 * MIB..=3 * MIB);
    let site = site(emulator(), ChaosPlan::default().on(1, first)).await;
    // The first chunk comes twice, then the second one is hit.
    site.proxy.flip_body_byte(2 * CHUNK + MIB);
    let source = world.random_file("a.mov", SIZE);
    let put = || {
        let mut put = world.put_to(&site.proxy.url("/files/"), &source);
        // Chunks that adapt themselves would put the second byte elsewhere.
        put.args(["--chunk-size", "8MiB"]);
        put
    };
    let ended = run(put()).await.expect(0);

    assert_eq!(site.proxy.counters().flips, 2);
    let refused = heard(&site, "PATCH")
        .iter()
        .filter(|patch| patch.status == Some(460))
        .count();
    assert_eq!(refused, 2, "each was noticed");
    assert_eq!(bytes_sent(&ended), SIZE + 2 * CHUNK);
    let proof = Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    };
    proof.hold(put()).await;
    Ok(Seen::times(2)
        .resent(CHUNK)
        .resent(CHUNK)
        .remark("where the server checks digests; over plain HTTP another one cannot tell"))
}
