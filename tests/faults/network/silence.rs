//! Nobody answers and nobody says why: cables, frozen servers, black holes, closed laptops.

use std::time::Duration;

use test_support::{ChaosProxy, Namespace, Process, Side, VethPair};
use tokio::time::{Instant, sleep_until};

use super::served::Served;
use super::{bytes_sent, heard};
use crate::proof::{Proof, TOKEN};
use crate::row::{Row, Seen, row};
use crate::world::{Ended, MIB, PATIENCE, RESEND_BOUND, Site, World, emulator, end, event, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F06",
            "a link that vanishes is noticed within 35 seconds",
            "the server's end of a veth pair goes down for 40 s",
            a_dead_cable
        ),
        row!(
            "F07",
            "a server that stops reading is noticed within 35 seconds",
            "SIGSTOP to the server",
            a_frozen_server
        ),
        row!(
            "F14",
            "connecting into nothing takes ten seconds at most",
            "a veth pair is down before the first connection",
            a_black_hole
        ),
        row!(
            "F24",
            "a machine that slept goes on where it stood",
            "SIGSTOP to the client, while its connection dies and two hours pass at the server",
            a_long_sleep
        ),
    ]
}

const SIZE: u64 = 40 * MIB;
/// More than any buffers between client and server hold is left when a fault strikes.
const DRIP: u64 = 4 * MIB;

fn retries(ended: &Ended) -> Vec<String> {
    ended
        .events("retry")
        .iter()
        .map(|retry| retry["reason"].as_str().unwrap().to_owned())
        .collect()
}

/// One break, at most its bytes again.
fn resent(ended: &Ended) -> u64 {
    let resent = bytes_sent(ended) - SIZE;
    assert!(resent <= 2 * RESEND_BOUND, "{resent} bytes again");
    resent
}

async fn a_dead_cable() -> Result<Seen, String> {
    Namespace::available()?;
    let pair = VethPair::new().map_err(|error| error.to_string())?;
    let world = World::new();
    let server = Served::start(&world, "10.77.0.2:0", DRIP, |command| {
        pair.command(Side::Right, &command)
    })
    .await;
    let source = world.random_file("a.mov", SIZE);
    let put = || pair.command(Side::Left, &server.put(&world, &source));
    let process = Process::spawn(put()).unwrap();
    event(&process, "progress", PATIENCE).await;

    let down = Instant::now();
    pair.set_link(Side::Right, false).unwrap();
    let retry = event(&process, "retry", PATIENCE).await;
    let noticed = down.elapsed();
    let reason = retry["reason"].as_str().unwrap();
    assert!(reason.contains("stalled"), "{reason}");
    assert!(noticed <= Duration::from_secs(35), "{noticed:?}");
    // The fault's own length.
    sleep_until(down + Duration::from_secs(40)).await;
    pair.set_link(Side::Right, true).unwrap();
    let ended = end(&process).await.expect(0);

    let resent = resent(&ended);
    server.prove(&world, &source, &ended, put()).await;
    Ok(Seen::times(1).resent(resent).noticed(noticed))
}

async fn a_frozen_server() -> Result<Seen, String> {
    let world = World::new();
    let server = Served::start(&world, "127.0.0.1:0", DRIP, |command| command).await;
    let source = world.random_file("a.mov", SIZE);
    let process = Process::spawn(server.put(&world, &source)).unwrap();
    event(&process, "progress", PATIENCE).await;

    let frozen = Instant::now();
    server.process.sigstop();
    let retry = event(&process, "retry", PATIENCE).await;
    let noticed = frozen.elapsed();
    server.process.sigcont();
    let reason = retry["reason"].as_str().unwrap();
    assert!(reason.contains("stalled"), "{reason}");
    assert!(noticed <= Duration::from_secs(35), "{noticed:?}");
    let ended = end(&process).await.expect(0);

    let resent = resent(&ended);
    let again = server.put(&world, &source);
    server.prove(&world, &source, &ended, again).await;
    Ok(Seen::times(1).resent(resent).noticed(noticed))
}

async fn a_black_hole() -> Result<Seen, String> {
    Namespace::available()?;
    let pair = VethPair::new().map_err(|error| error.to_string())?;
    let world = World::new();
    let server = Served::start(&world, "10.77.0.2:0", 1024 * MIB, |command| {
        pair.command(Side::Right, &command)
    })
    .await;
    let source = world.random_file("a.mov", MIB);
    let put = || pair.command(Side::Left, &server.put(&world, &source));
    pair.set_link(Side::Right, false).unwrap();
    let begun = Instant::now();
    let process = Process::spawn(put()).unwrap();
    event(&process, "retry", PATIENCE).await;
    let noticed = begun.elapsed();
    assert!(
        (Duration::from_secs(8)..Duration::from_secs(15)).contains(&noticed),
        "{noticed:?}"
    );
    pair.set_link(Side::Right, true).unwrap();
    let ended = end(&process).await.expect(0);
    assert!(retries(&ended)[0].contains("no connection"), "{ended:?}");
    assert_eq!(bytes_sent(&ended), MIB);
    server.prove(&world, &source, &ended, put()).await;
    Ok(Seen::times(1).resent(0).noticed(noticed))
}

async fn a_long_sleep() -> Result<Seen, String> {
    let kept = sleeps(false).await;
    let expired = sleeps(true).await;
    Ok(Seen {
        times: 2,
        resent: vec![kept],
        noticed: Vec::new(),
        remark: Some(format!(
            "an upload that expired meanwhile was begun anew, {} KiB again",
            expired / 1024
        )),
    })
}

/// The client sleeps for 6 s, in which its connection dies and two hours pass; returns what was sent again.
async fn sleeps(expires: bool) -> u64 {
    let hours = if expires { 1 } else { 24 };
    let life = Duration::from_secs(hours * 60 * 60);
    let world = World::new();
    let emulator = emulator()
        .token(TOKEN)
        .upload_expiry(life)
        .start()
        .await
        .unwrap();
    let proxy = ChaosProxy::builder(emulator.addr())
        .rate_up(16 * MIB)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let site = Site { emulator, proxy };
    let source = world.random_file("a.mov", 24 * MIB);
    let put = || {
        let mut put = world.put_to(&site.proxy.url("/files/"), &source);
        // Two stalls and a refusal would already be too much.
        put.args(["--stall-timeout", "4s", "--retries", "1"]).args([
            "--checksum",
            "none",
            "--chunk-size",
            "8MiB",
        ]);
        put
    };
    let process = Process::spawn(put()).unwrap();
    site.proxy
        .wait_until(|counters| counters.body_up >= 10 * MIB)
        .await;
    process.sigstop();
    let asleep = Instant::now();
    site.emulator
        .advance(Duration::from_secs(2 * 60 * 60))
        .await;
    site.proxy.reset_all();
    // The fault's own length: longer than a stall may be.
    sleep_until(asleep + Duration::from_secs(6)).await;
    process.sigcont();
    let ended = end(&process).await.expect(0);

    assert_eq!(retries(&ended).len(), 1, "{ended:?}");
    assert_eq!(ended.events("restarted").len(), usize::from(expires));
    let creations = heard(&site, "POST").len();
    assert_eq!(creations, 1 + usize::from(expires));
    let proof = Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    };
    let again = run(put()).await.expect(0);
    assert_eq!(bytes_sent(&again), 0);
    // The server may still hold what expired.
    proof.hold_with(usize::from(expires), &again).await;
    bytes_sent(&ended) - 24 * MIB
}
