//! F75: no space for what is uploaded.

use std::fs;

use super::{Serve, media, wire};
use crate::disk::SmallDisk;
use crate::proof::{TOKEN, again, judge};
use crate::row::{Ended, Seen};
use crate::world::{MIB, World, run};

pub(super) async fn full() -> Ended {
    let world = World::new();
    let data = world.path("data");
    let disk = SmallDisk::mount(&data, "40m").await?;
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 28 * MIB as usize]).unwrap();
    let serve = Serve::spawn(disk.command(&Serve::command(&world, &data))).await;
    let source = world.random_file("a.mov", 20 * MIB);
    let put = || {
        let mut command = Serve::put(&world, serve.address, &source);
        command.args(["--chunk-size", "5MiB"]);
        command
    };
    let mut short = put();
    short.args(["--retries", "3", "--patience", "5s"]);
    let stopped = run(short).await;
    assert!(matches!(stopped.code, Some(5 | 6)), "{stopped:?}");
    let failed = &stopped.events("failed")[0];
    assert!(
        failed["error"].as_str().unwrap().contains("507"),
        "{failed}"
    );

    let uid = stopped.events("created")[0]["media_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = format!("Authorization: Bearer {TOKEN}");
    let held = wire::tus(serve.address, "HEAD", &media(&uid), &[&token], b"")
        .await
        .offset();
    let bytes = fs::read(&source).unwrap();
    let blob = fs::read(disk.path().join("blobs").join(&uid)).unwrap();
    let held_here = usize::try_from(held).unwrap();
    assert!(held_here <= blob.len(), "{held} of {} bytes", blob.len());
    assert!(
        blob[..held_here] == bytes[..held_here],
        "the bytes are others"
    );
    assert!(held >= 5 * MIB, "what fits is kept: {held}");

    fs::remove_file(ballast).unwrap();
    let ended = run(put()).await.expect(0);
    assert_eq!(
        ended.events("resumed")[0]["offset"],
        held,
        "{}",
        ended.stdout
    );
    assert_eq!(ended.events("finished")[0]["bytes_sent"], 20 * MIB - held);
    let last = again(put()).await;
    let sources = [source.clone()];
    judge(
        &world,
        serve.checker(),
        &sources,
        &[&stopped, &ended, &last],
        0,
    )
    .await;
    Ok(Seen::times(1).remark(format!("507; resumed at {} MiB", held / MIB)))
}
