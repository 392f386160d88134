//! Creations whose answer is lost, and servers that are not there yet.

use std::time::Duration;

use test_support::{ChaosPlan, Process};

use super::{bytes_sent, heard, noticed, prove, site};
use crate::proof::Proof;
use crate::row::{Row, Seen, row};
use crate::world::{MIB, PATIENCE, World, emulator, end, event, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F12",
            "a creation whose answer is lost leaves no second video",
            "the proxy swallows the answer to POST, of an account and of a server that cannot be asked",
            a_lost_answer
        ),
        row!(
            "F13",
            "a server that is late is waited for",
            "the proxy refuses connections for 12 s",
            a_late_server
        ),
    ]
}

async fn a_lost_answer() -> Result<Seen, String> {
    const SIZE: u64 = 2 * MIB;
    let world = World::new();
    let account = site(emulator(), ChaosPlan::default()).await;
    account.proxy.swallow_answer_to("POST");
    let source = world.random_file("a.mov", SIZE);
    let ended = run(account.put(&world, &source)).await.expect(0);
    assert_eq!(account.proxy.counters().swallowed_answers, 1);
    assert_eq!(heard(&account, "POST").len(), 2);
    assert_eq!(heard(&account, "DELETE").len(), 1, "the orphan is removed");
    // Found and removed, then looked for twice more, some time apart.
    assert!(heard(&account, "GET").len() >= 2);
    assert_eq!(bytes_sent(&ended), SIZE);
    prove(
        &world,
        &account,
        &source,
        std::slice::from_ref(&source),
        &ended,
    )
    .await;

    let plain = site(emulator(), ChaosPlan::default()).await;
    plain.proxy.swallow_answer_to("POST");
    let world = World::new();
    let source = world.random_file("a.mov", SIZE);
    let put = || world.put_to(&plain.proxy.url("/files/"), &source);
    let ended = run(put()).await.expect(0);
    assert_eq!(plain.proxy.counters().swallowed_answers, 1);
    assert_eq!(
        heard(&plain, "POST").len(),
        2,
        "once more, and no third time"
    );
    assert_eq!(ended.events("possible-orphan").len(), 1);
    assert_eq!(bytes_sent(&ended), SIZE);
    let again = run(put()).await.expect(0);
    assert_eq!(bytes_sent(&again), 0);
    let proof = Proof {
        world: &world,
        emulator: &plain.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    };
    proof.hold_with(1, &again).await;

    let mut seen = Seen::times(2)
        .resent(0)
        .resent(0)
        .remark("the orphan of the server that cannot be asked is reported");
    seen.noticed.extend(noticed(&account));
    seen.noticed.extend(noticed(&plain));
    Ok(seen)
}

async fn a_late_server() -> Result<Seen, String> {
    let world = World::new();
    let site = site(emulator(), ChaosPlan::default()).await;
    site.proxy.refuse(true).await.unwrap();
    let source = world.random_file("a.mov", MIB);
    let begun = tokio::time::Instant::now();
    let process = Process::spawn(site.put(&world, &source)).unwrap();
    let first = event(&process, "retry", PATIENCE).await;
    let noticed = begun.elapsed();
    let reason = first["reason"].as_str().unwrap();
    assert!(reason.contains("connection refused"), "{reason}");
    // The fault's own length. Eight waits last longer however the dice fall.
    tokio::time::sleep_until(begun + Duration::from_secs(12)).await;
    site.proxy.refuse(false).await.unwrap();
    let ended = end(&process).await.expect(0);

    let retries = ended.events("retry").len();
    assert!((3..=8).contains(&retries), "{retries} retries");
    assert_eq!(bytes_sent(&ended), MIB);
    prove(
        &world,
        &site,
        &source,
        std::slice::from_ref(&source),
        &ended,
    )
    .await;
    Ok(Seen::times(1)
        .noticed(noticed)
        .remark(format!("{retries} tries failed")))
}
