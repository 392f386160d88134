//! Section A of the catalogue: the network breaks, falls silent, lies, and is slow.

mod answers;
mod creation;
mod cuts;
mod http2;
mod names;
mod portals;
mod proxies;
mod served;
mod silence;
mod slow;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use stream_emulator::{EmulatorBuilder, RequestRecord};
use test_support::{ChaosPlan, ChaosProxy, ConnectionEnd};

use crate::proof::{Proof, TOKEN};
use crate::row::Row;
use crate::world::{Ended, PATIENCE, Site, World};

pub(crate) fn rows() -> Vec<Row> {
    [
        cuts::rows(),
        answers::rows(),
        silence::rows(),
        slow::rows(),
        names::rows(),
        creation::rows(),
        portals::rows(),
        proxies::rows(),
        tls::rows(),
        http2::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An account behind a proxy that knows no limit, with its token the canary.
async fn site(emulator: EmulatorBuilder, plan: ChaosPlan) -> Site {
    let emulator = emulator.token(TOKEN).start().await.unwrap();
    let proxy = ChaosProxy::builder(emulator.addr())
        .plan(plan)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    Site { emulator, proxy }
}

/// What has to hold after every fault, for one source that is a file or a folder.
async fn prove(world: &World, site: &Site, given: &Path, sources: &[PathBuf], said: &Ended) {
    let proof = Proof {
        world,
        emulator: &site.emulator,
        sources,
        said: &[said],
    };
    proof.hold(site.put(world, given)).await;
}

/// The requests that the emulator heard with this method, in order.
fn heard(site: &Site, method: &str) -> Vec<RequestRecord> {
    let mut heard = site.emulator.requests();
    heard.retain(|request| request.method == method);
    heard.sort_by_key(|request| request.began);
    heard
}

/// For each PATCH of a single upload that broke off, the bytes of it that came to the proxy in vain: the next PATCH begins
/// before them.
fn resent(site: &Site) -> Vec<u64> {
    let sent: Vec<_> = site
        .proxy
        .connections()
        .into_iter()
        .flat_map(|connection| connection.requests)
        .filter(|request| request.method == "PATCH")
        .collect();
    let offsets: Vec<_> = heard(site, "PATCH")
        .iter()
        .map(|patch| patch.upload_offset.unwrap())
        .collect();
    assert_eq!(offsets.len(), sent.len(), "the server heard every PATCH");
    offsets
        .windows(2)
        .zip(sent)
        .filter(|(_, patch)| patch.answered.is_none())
        .map(|(begin, patch)| begin[0] + patch.body - begin[1])
        .collect()
}

/// For each connection that the proxy reset, or cut instead of an answer, the time from its last byte to the next connection.
fn noticed(site: &Site) -> Vec<Duration> {
    let connections = site.proxy.connections();
    connections
        .windows(2)
        .filter(|pair| match pair[0].end {
            ConnectionEnd::Reset => true,
            // One that is cut in a body goes on to be read: when its client noticed is not to be seen.
            ConnectionEnd::Cut => pair[0]
                .requests
                .last()
                .is_some_and(|request| request.answered.is_some()),
            _ => false,
        })
        .map(|pair| {
            let last = pair[0].last_up.max(pair[0].last_down);
            pair[1].accepted.saturating_sub(last.unwrap())
        })
        .collect()
}

/// Body bytes that the command says it sent.
fn bytes_sent(ended: &Ended) -> u64 {
    ended.events("summary")[0]["bytes_sent"].as_u64().unwrap()
}
