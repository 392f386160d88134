//! F73, F74: writers that meet, and writers that break off.

use std::time::{Duration, Instant};

use stream_emulator::Blobs;
use test_support::ChaosProxy;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Serve;
use super::wire::{create, patch, read, send, tus};
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, RESEND_BOUND, World, emulator, run};

const FILES: u64 = 10;

pub(super) async fn two_writers() -> Ended {
    let world = World::new();
    let serve = Serve::start(&world, &world.path("data")).await;
    let server = serve.address;
    let mut sources = Vec::new();
    let (mut refused, mut both) = (0, 0);
    for index in 0..FILES {
        let source = world.random_file(&format!("{index}.mov"), MIB + index);
        let bytes = std::fs::read(&source).unwrap();
        sources.push(source);
        let length = bytes.len() as u64;
        let path = create(server, &[&format!("Upload-Length: {length}")]).await;
        let request = patch(server, &path, 0, length, &bytes);
        let (one, two) = tokio::join!(send(server, &request), send(server, &request));
        let statuses = [one.unwrap().status, two.unwrap().status];
        let won = statuses.iter().filter(|status| **status == 204).count();
        let lost = statuses
            .iter()
            .filter(|status| [409, 423].contains(*status))
            .count();
        assert_eq!(won + lost, 2, "{statuses:?}");
        assert!(won <= 1, "{statuses:?}");
        refused += lost as u64;
        both += u64::from(won == 0);
        let offset = tus(server, "HEAD", &path, &[], b"").await.offset();
        let rest = &bytes[usize::try_from(offset).unwrap()..];
        if !rest.is_empty() {
            let request = patch(server, &path, offset, rest.len() as u64, rest);
            assert_eq!(send(server, &request).await.unwrap().status, 204);
        }
    }

    // One that hangs amid its body, and a question.
    let source = world.random_file("stale.mov", MIB);
    let bytes = std::fs::read(&source).unwrap();
    sources.push(source);
    let path = create(server, &[&format!("Upload-Length: {MIB}")]).await;
    let mut stale = TcpStream::connect(server).await.unwrap();
    let sent = 300_000;
    let request = patch(server, &path, 0, MIB, &bytes[..sent]);
    stale.write_all(&request).await.unwrap();
    let begun = Instant::now();
    let mut offset = 0;
    // What the server has not read when it is asked does not count; asked again, it is the client's turn.
    while offset == 0 {
        assert!(begun.elapsed() < PATIENCE);
        offset = tus(server, "HEAD", &path, &[], b"").await.offset();
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    let told = read(&mut stale, false).await;
    assert_eq!(told.map(|answer| answer.status), Some(423));
    assert!(offset <= sent as u64);
    let rest = &bytes[usize::try_from(offset).unwrap()..];
    let request = patch(server, &path, offset, rest.len() as u64, rest);
    assert_eq!(send(server, &request).await.unwrap().status, 204);
    serve.checker().sources(&sources).assert().await;
    Ok(Seen::times(refused + 1)
        .noticed(took)
        .resent(sent as u64 - offset)
        .remark(format!(
            "of {FILES} pairs {both} were both stopped, the first by the second; what the first had brought was kept"
        )))
}

pub(super) async fn broken_bodies() -> Ended {
    const SIZE: u64 = 40 * MIB;
    let world = World::new();
    let emulator = emulator()
        .token(TOKEN)
        .blobs(Blobs::Dir(world.path("data")));
    let emulator = emulator.start().await.unwrap();
    let proxy = ChaosProxy::builder(emulator.addr())
        .seed(74)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    proxy.reset_every(4 * MIB, MIB);
    let source = world.random_file("a.mov", SIZE);
    let put = || Serve::put(&world, proxy.addr(), &source);
    let ended = run(put()).await.expect(0);
    let resets = proxy.counters().resets;
    assert!(resets >= 5, "{:?}", proxy.counters());

    let mut patches = emulator.requests();
    patches.retain(|request| request.method == "PATCH");
    let mut exact = 0;
    for pair in patches.windows(2) {
        let read = pair[0].upload_offset.unwrap() + pair[0].body_bytes;
        let next = pair[1].upload_offset.unwrap();
        if pair[0].status == Some(423) {
            // The question came before the break was noticed; what was read after it was not kept.
            assert!(next <= read, "{pair:#?}");
        } else {
            assert_eq!(next, read, "{pair:#?}");
            exact += u64::from(pair[0].status.is_none());
        }
    }
    assert!(exact >= 1, "no body broke off");
    let resent = proxy.counters().body_up - SIZE;
    assert!(resent <= resets * RESEND_BOUND, "{resent} bytes");
    proxy.calm();
    Proof {
        world: &world,
        emulator: &emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    }
    .hold(put())
    .await;
    let mut seen = Seen::times(resets).remark(format!(
        "{exact} broken bodies kept to the last byte that was read"
    ));
    seen.resent.push(resent / resets);
    Ok(seen)
}
