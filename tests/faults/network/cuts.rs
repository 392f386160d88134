//! Connections that break in the middle of a PATCH.

use std::ops::RangeInclusive;

use test_support::{ChaosPlan, ConnectionFault, Direction};

use super::{bytes_sent, heard, noticed, prove, resent, site};
use crate::row::{Row, Seen, row};
use crate::world::{MIB, RESEND_BOUND, Site, World, emulator, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F01",
            "a reset in the middle of a PATCH costs one HEAD and little else",
            "the proxy resets three connections at random bytes",
            resets
        ),
        row!(
            "F02",
            "a clean close in the middle of a PATCH is no end of it",
            "the proxy closes two connections at random bytes, and one in one direction only",
            closes
        ),
        row!(
            "F05",
            "a hundred resets at random points are outlived",
            "the proxy resets whoever carries the next 560 ± 400 KiB",
            a_hundred_resets
        ),
    ]
}

/// Where a connection may break.
const PLACES: RangeInclusive<u64> = MIB..=6 * MIB;

async fn resets() -> Result<Seen, String> {
    let plan = (1..=3).fold(ChaosPlan::seeded(1), |plan, number| {
        plan.on(number, ConnectionFault::Reset(Direction::Up, PLACES))
    });
    breaks_three_times(site(emulator(), plan).await).await
}

async fn closes() -> Result<Seen, String> {
    let plan = ChaosPlan::seeded(2)
        .on(1, ConnectionFault::Cut(Direction::Up, PLACES))
        .on(2, ConnectionFault::HalfClose(Direction::Up, PLACES))
        .on(3, ConnectionFault::Cut(Direction::Up, PLACES));
    let site = site(emulator(), plan).await;
    // While one direction is closed, the other swallows what comes until the server has closed it, too.
    site.proxy.set_rate(Direction::Up, Some(16 * MIB));
    breaks_three_times(site).await
}

async fn breaks_three_times(site: Site) -> Result<Seen, String> {
    const SIZE: u64 = 32 * MIB;
    let world = World::new();
    let source = world.random_file("a.mov", SIZE);
    let ended = run(site.put(&world, &source)).await.expect(0);

    let resent = resent(&site);
    assert_eq!(resent.len(), 3, "three PATCHes broke");
    assert!(
        resent.iter().all(|bytes| *bytes <= RESEND_BOUND),
        "{resent:?}"
    );
    assert_eq!(heard(&site, "HEAD").len(), 3, "one HEAD for each break");
    assert!(bytes_sent(&ended) <= SIZE + 3 * RESEND_BOUND);
    prove(
        &world,
        &site,
        &source,
        std::slice::from_ref(&source),
        &ended,
    )
    .await;
    Ok(Seen {
        times: 3,
        resent,
        noticed: noticed(&site),
        remark: None,
    })
}

async fn a_hundred_resets() -> Result<Seen, String> {
    const SIZE: u64 = 64 * MIB;
    const KIB: u64 = 1024;
    let world = World::new();
    let site = site(emulator(), ChaosPlan::seeded(5)).await;
    site.proxy.reset_every(560 * KIB, 400 * KIB);
    let source = world.random_file("a.mov", SIZE);
    let ended = run(site.put(&world, &source)).await.expect(0);

    let resets = site.proxy.counters().resets;
    assert!(resets >= 100, "{resets} resets");
    let sent = bytes_sent(&ended);
    assert!(sent <= SIZE + resets * RESEND_BOUND, "{sent} bytes");
    let retries = ended.events("retry");
    assert!(
        retries
            .iter()
            .all(|retry| retry["attempt"].as_u64().unwrap() <= 3),
        "attempts begin anew with each progress: {retries:?}"
    );
    site.proxy.calm();
    prove(
        &world,
        &site,
        &source,
        std::slice::from_ref(&source),
        &ended,
    )
    .await;
    Ok(Seen {
        times: resets,
        resent: resent(&site),
        noticed: noticed(&site),
        remark: Some("64 MiB".into()),
    })
}
