//! Servers that lose uploads, and servers whose offsets are not what they should be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, StatusCode};
use serde_json::Value;
use stream_emulator::Fault;
use test_support::{Direction, FakeRequest, Reply, Script};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Bench, CHUNK, Liar, bare, failure, number, only, status};
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended as RowEnded, Row, Seen, row};
use crate::world::{Ended, MIB, Site, World, emulator, run};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F29",
            "an upload that is gone is begun anew once and both are named",
            "video deleted (404) or upload expired (410) before a resume",
            gone
        ),
        row!(
            "F30",
            "a server that is ahead is followed",
            "PATCH carried out and answered with 409",
            ahead
        ),
        row!(
            "F31",
            "409 forever is another writer",
            "409 to every PATCH",
            another_writer
        ),
        row!(
            "F32",
            "bytes that the server lost are sent again",
            "server forgets 1 MiB once",
            lost_once
        ),
        row!(
            "F33",
            "a server that loses bytes again and again is left",
            "server forgets 1 MiB three times",
            lost_thrice
        ),
        row!(
            "F34",
            "an impossible offset is never believed",
            "Upload-Offset beyond the end, -1, 2^64, 1e3, twice; to HEAD and to PATCH",
            impossible
        ),
        row!(
            "F35",
            "a success that does not tell a believable offset is asked about",
            "204 without Upload-Offset, with one too high, with one too low",
            untold
        ),
        row!(
            "F36",
            "a server that kept half is sent the other half",
            "204 with half of the chunk's offset, twice",
            half
        ),
    ]
}

/// Body bytes of this run, from its end.
fn bytes_sent(ended: &Ended) -> u64 {
    only(ended, "finished")["bytes_sent"].as_u64().unwrap()
}

async fn gone() -> RowEnded {
    tokio::join!(gone_for(404), gone_for(410));
    Ok(Seen::times(2).remark("the event `restarted` names the lost video, `created` the new one"))
}

/// A first run is killed half way; then its upload goes, and the next run meets this status.
async fn gone_for(code: u16) {
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 2 * MIB).await;
    let source = world.random_file("a.mov", 12 * MIB);
    site.put_and_kill(&world, &source, 2 * MIB).await;
    site.proxy.set_rate(Direction::Up, None);
    let old = site.emulator.videos()[0].video.uid.clone();
    if code == 404 {
        let path = format!("/client/v4/accounts/acct/stream/{old}");
        assert_eq!(delete(&site, &path).await, 200);
    } else {
        let rule = stream_emulator::FaultRule::new(Fault::Expire).method(Method::HEAD);
        site.emulator.faults().add(rule);
    }
    let ended = run(site.put(&world, &source)).await.expect(0);
    let question = site.emulator.requests();
    let question = question.iter().find(|it| it.method == "HEAD").unwrap();
    assert_eq!(question.status, Some(code));
    assert_eq!(only(&ended, "restarted")["media_id"], old.as_str());
    let new = only(&ended, "created")["media_id"].clone();
    assert_ne!(new, old.as_str());
    // Stream removes the video of an expired upload after an hour or so.
    site.emulator
        .advance(std::time::Duration::from_secs(2 * 60 * 60))
        .await;
    let proof = Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    };
    proof.hold(site.put(&world, &source)).await;
}

/// A DELETE of the account's owner; returns the status.
async fn delete(site: &Site, path: &str) -> u16 {
    let address = site.emulator.addr();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "DELETE {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn ahead() -> RowEnded {
    let bench = Bench::with(12 * MIB).await;
    let done = Fault::ReplaceAnswer {
        status: StatusCode::CONFLICT,
    };
    bench.fault(done, Method::PATCH, 0, 1);
    let ended = run(bench.put()).await.expect(0);
    let patches = bench.requests("PATCH");
    assert_eq!(patches[0].status, Some(409));
    let offsets: Vec<_> = patches.iter().map(|it| it.upload_offset).collect();
    assert_eq!(offsets, [Some(0), Some(CHUNK), Some(2 * CHUNK)]);
    assert_eq!(bytes_sent(&ended), 12 * MIB, "nothing was sent twice");
    bench.prove(bench.put(), &[&ended]).await;
    Ok(Seen::times(1).resent(0))
}

async fn another_writer() -> RowEnded {
    let bench = Bench::with(MIB).await;
    bench.fault(status(409), Method::PATCH, 0, u64::MAX);
    let ended = run(bench.put()).await.expect(5);
    let failed = failure(&ended, &["somebody else writes"]);
    assert_eq!(failed["resumable"], true);
    let (patches, heads) = (bench.requests("PATCH"), bench.requests("HEAD").len());
    assert_eq!(patches.len(), 3);
    let noticed = patches[2].began - patches[0].began;
    assert!(heads <= 4, "{heads} questions");
    bench.emulator.faults().clear();
    let later = run(bench.put()).await.expect(0);
    bench.prove(bench.put(), &[&ended, &later]).await;
    Ok(Seen::times(3)
        .noticed(noticed)
        .remark(format!("given up after 3 chunks and {heads} questions")))
}

async fn lost_once() -> RowEnded {
    let bench = Bench::with(12 * MIB).await;
    bench.fault(Fault::Recede { bytes: MIB }, Method::PATCH, 1, 1);
    let ended = run(bench.put()).await.expect(0);
    let rewound = only(&ended, "rewound");
    assert_eq!(rewound["from"], CHUNK);
    assert_eq!(rewound["to"], CHUNK - MIB);
    let patches = bench.requests("PATCH");
    assert_eq!(patches[2].upload_offset, Some(CHUNK - MIB));
    let resent = bytes_sent(&ended) - 12 * MIB;
    assert!(resent <= MIB + CHUNK, "{resent} bytes");
    bench.prove(bench.put(), &[&ended]).await;
    Ok(Seen::times(1)
        .resent(resent)
        .remark("the lost MiB, and what had left of the refused chunk"))
}

async fn lost_thrice() -> RowEnded {
    let bench = Bench::with(24 * MIB).await;
    // Each loss is refused by the chunk behind it, and one chunk gets through between two losses.
    for chunk in [1, 3, 5] {
        bench.fault(Fault::Recede { bytes: MIB }, Method::PATCH, chunk, 1);
    }
    let ended = run(bench.put()).await.expect(5);
    failure(&ended, &["lost confirmed bytes three times"]);
    assert_eq!(ended.events("rewound").len(), 3);
    let patches = bench.requests("PATCH").len();
    assert_eq!(patches, 6);
    let later = run(bench.put()).await.expect(0);
    assert_eq!(bench.requests("POST").len(), 1, "it goes on all the same");
    bench.prove(bench.put(), &[&ended, &later]).await;
    Ok(Seen::times(3).remark("given up at the third loss, 6 chunks in all"))
}

const SIZE: u64 = 4 * MIB;

/// Offsets that no upload of `SIZE` bytes can have; two values are two headers.
fn impossible_offsets() -> [Vec<String>; 6] {
    [
        vec![(SIZE + 1).to_string()],
        vec!["-1".to_owned()],
        vec!["18446744073709551616".to_owned()],
        vec!["1e3".to_owned()],
        vec!["0".to_owned(), SIZE.to_string()],
        vec![u64::MAX.to_string()],
    ]
}

fn with_offsets(reply: Reply, offsets: &[String]) -> Reply {
    offsets
        .iter()
        .fold(reply, |reply, offset| reply.header("Upload-Offset", offset))
}

async fn impossible() -> RowEnded {
    let mut times = 0;
    for offsets in impossible_offsets() {
        let (code, believed) = tokio::join!(asked(&offsets), told(&offsets));
        // One that is a number is a lie; one that is none may come from anybody.
        let is_number = offsets.len() == 1 && offsets[0].parse::<u64>().is_ok();
        assert_eq!(code, if is_number { 5 } else { 6 }, "{offsets:?}");
        assert_eq!(believed, SIZE, "{offsets:?}");
        times += 2;
    }
    Ok(Seen::times(times)
        .resent(0)
        .remark("on HEAD the upload stops, after PATCH it is asked about"))
}

/// The offset stands in the answers to HEAD; returns the exit code.
async fn asked(offsets: &[String]) -> u64 {
    let script = bare()
        .next_to("PATCH", Reply::tus(503))
        .always_to("HEAD", with_offsets(Reply::tus(200), offsets));
    let liar = Liar::with(script, SIZE).await;
    let ended = run(liar.put()).await;
    let failed = failure(&ended, &[]);
    assert!(liar.requests("HEAD").len() <= 2);
    assert_eq!(
        liar.requests("PATCH").len(),
        1,
        "nothing is sent on that word"
    );
    let code = failed["exit_code"].as_u64().unwrap();
    assert_eq!(ended.code.map(i64::from), failed["exit_code"].as_i64());
    code
}

/// The offset stands in the answer to PATCH, whose bytes were taken; returns the bytes that were sent in all.
async fn told(offsets: &[String]) -> u64 {
    let lie = with_offsets(Reply::tus(204), offsets).keeping_body();
    let liar = Liar::with(bare().next_to("PATCH", lie), SIZE).await;
    let ended = run(liar.put()).await.expect(0);
    assert_eq!(liar.server.uploads(), [(Some(SIZE), SIZE)]);
    assert!(!liar.requests("HEAD").is_empty(), "HEAD decides");
    bytes_sent(&ended)
}

async fn untold() -> RowEnded {
    let size = 4 * CHUNK;
    let bench = Bench::with(size).await;
    let nothing = Fault::ReplaceAnswer {
        status: StatusCode::NO_CONTENT,
    };
    bench.fault(nothing, Method::PATCH, 0, 1);
    bench.fault(Fault::WrongOffset { by: 1 }, Method::PATCH, 1, 1);
    bench.fault(Fault::WrongOffset { by: -1 }, Method::PATCH, 2, 1);
    let ended = run(bench.put()).await.expect(0);
    assert!(bench.emulator.faults().is_spent());
    assert_eq!(bench.requests("HEAD").len(), 3, "each is asked about");
    let resent = bytes_sent(&ended) - size;
    assert!(resent <= CHUNK, "{resent} bytes");
    bench.prove(bench.put(), &[&ended]).await;
    Ok(Seen::times(3)
        .resent(0)
        .resent(0)
        .resent(resent)
        .remark("only an offset that could be true costs a refused chunk"))
}

async fn half() -> RowEnded {
    let kept = Arc::new(AtomicU64::new(0));
    let halves = Arc::new(AtomicU64::new(2));
    let answer = {
        let kept = Arc::clone(&kept);
        move |request: &FakeRequest| {
            let sent = number(request, "Content-Length");
            let begun = number(request, "Upload-Offset");
            assert_eq!(begun, kept.load(Ordering::SeqCst), "goes on where told");
            let is_halved = halves
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
            let taken = if is_halved { sent / 2 } else { sent };
            kept.store(begun + taken, Ordering::SeqCst);
            Reply::tus(204).header("Upload-Offset", (begun + taken).to_string())
        }
    };
    let script: Script = bare().always_to("PATCH", answer);
    let liar = Liar::with(script, 8 * MIB).await;
    let mut command = liar.put();
    command.args(["--chunk-size", "4MiB"]);
    let ended = run(command).await.expect(0);
    let begun: Vec<_> = liar
        .requests("PATCH")
        .iter()
        .map(|it| number(it, "Upload-Offset"))
        .collect();
    assert_eq!(begun, [0, 2 * MIB, 4 * MIB]);
    assert_eq!(kept.load(Ordering::SeqCst), 8 * MIB);
    let resent = bytes_sent(&ended) - 8 * MIB;
    assert_eq!(resent, 2 * 2 * MIB, "what was not kept, and no more");
    assert_eq!(only(&ended, "summary")["finished"], Value::from(1));
    Ok(Seen::times(2).resent(2 * MIB).resent(2 * MIB))
}
