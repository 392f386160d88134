//! Links that are slow and healthy.

use std::path::PathBuf;
use std::time::Duration;

use test_support::{ChaosPlan, ChaosProxy, ConnectionFault, Direction};

use super::{bytes_sent, heard, noticed, prove};
use crate::proof::TOKEN;
use crate::row::{Row, Seen, row};
use crate::world::{MIB, PATIENCE, RESEND_BOUND, Site, World, emulator, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F08",
            "64 KiB per second are slow and no stall",
            "the proxy lets 64 KiB through per second",
            a_trickle
        ),
        row!(
            "F21",
            "a round trip of 600 ms and broken connections leave nine tenths of the link",
            "the proxy delays both directions by 300 ms, at 4 MiB/s, and resets two of the first eight connections",
            a_long_way
        ),
    ]
}

async fn a_trickle() -> Result<Seen, String> {
    const SIZE: u64 = 3 * MIB / 2;
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 64 * 1024).await;
    let source = world.random_file("a.mov", SIZE);
    let mut put = site.put(&world, &source);
    put.args(["--stall-timeout", "5s"]);
    let ended = run(put).await.expect(0);

    let took = site.proxy.elapsed();
    assert!(took >= Duration::from_secs(20), "{took:?}");
    assert_eq!(ended.events("retry").len(), 0, "{}", ended.stdout);
    assert_eq!(heard(&site, "PATCH").len(), 1, "nothing was aborted");
    assert_eq!(site.proxy.counters().body_up, SIZE);
    site.proxy.set_rate(Direction::Up, None);
    prove(
        &world,
        &site,
        &source,
        std::slice::from_ref(&source),
        &ended,
    )
    .await;
    Ok(Seen::times(1).resent(0))
}

async fn a_long_way() -> Result<Seen, String> {
    const FILES: u64 = 8;
    const SIZE: u64 = 5 * MIB;
    const RATE: u64 = 4 * MIB;
    let world = World::new();
    let sources: Vec<PathBuf> = (0..FILES)
        .map(|index| world.random_file(&format!("shoot/{index}.mov"), SIZE))
        .collect();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let plan = ChaosPlan::seeded(21)
        .on(2, ConnectionFault::Reset(Direction::Up, MIB..=2 * MIB))
        .on(5, ConnectionFault::Reset(Direction::Up, MIB..=2 * MIB));
    let proxy = ChaosProxy::builder(emulator.addr())
        .plan(plan)
        .rate_up(RATE)
        .delay(Duration::from_millis(300))
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let site = Site { emulator, proxy };
    let mut put = site.put(&world, &world.path("shoot"));
    put.args(["--parallel", "8"]);
    let ended = run(put).await.expect(0);

    let resets = site.proxy.counters().resets;
    assert_eq!(resets, 2);
    let sent = bytes_sent(&ended);
    assert!(sent <= FILES * SIZE + resets * RESEND_BOUND, "{sent} bytes");
    let connections = site.proxy.connections();
    let first = connections
        .iter()
        .flat_map(|connection| &connection.requests)
        .filter(|request| request.method == "PATCH")
        .map(|request| request.begun)
        .min();
    let last = connections.iter().filter_map(|it| it.last_up).max();
    let took = last.unwrap() - first.unwrap();
    let share = site.proxy.counters().body_up as f64 / RATE as f64 / took.as_secs_f64();
    assert!(share >= 0.9, "{share:.2} of the link in {took:?}");
    let seen = Seen {
        times: resets,
        resent: vec![(site.proxy.counters().body_up - FILES * SIZE) / resets; 2],
        noticed: noticed(&site),
        remark: Some(format!("{:.0} % of the link", share * 100.0)),
    };
    site.proxy.set_delay(Direction::Up, Duration::ZERO);
    site.proxy.set_delay(Direction::Down, Duration::ZERO);
    prove(&world, &site, &world.path("shoot"), &sources, &ended).await;
    Ok(seen)
}
