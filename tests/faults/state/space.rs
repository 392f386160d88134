//! F65: no space for the state.

use std::fs;
use std::process::Command;

use test_support::Process;

use super::list;
use crate::disk::SmallDisk;
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, Site, World, emulator, end, event, run};

pub(super) async fn full() -> Ended {
    let world = World::new();
    let disk = SmallDisk::mount(&world.state_dir(), "3m").await?;
    let site = Site::start(emulator().token(TOKEN), 8 * MIB).await;
    let mut sources: Vec<_> = (0..5)
        .map(|index| world.random_file(&format!("shoot/{index}.mp4"), 10_000 + index))
        .collect();
    let put = |name: &str| disk.command(&site.put(&world, &world.path(name)));
    let mut said = vec![run(put("shoot")).await.expect(0)];
    let before = list(&world, |command| disk.command(&command)).await;
    assert_eq!(before.len(), sources.len());

    // Full before the first byte: nothing can be remembered, nothing is begun.
    let late = world.random_file("late.mp4", MIB);
    let filler = disk.fill();
    let requests = site.emulator.requests().len();
    let refused = run(put("late.mp4")).await.expect(3);
    assert!(refused.stdout.contains("free some"), "{}", refused.stdout);
    assert_eq!(site.emulator.requests().len(), requests, "nothing was sent");
    fs::remove_file(filler).unwrap();
    said.push(refused);
    said.push(run(put("late.mp4")).await.expect(0));
    sources.push(late);

    // Full while bytes are on their way, and for some time.
    sources.push(world.random_file("during.mp4", 12 * MIB));
    let process = Process::spawn(put("during.mp4")).unwrap();
    let sent = site.proxy.counters().body_up;
    event(&process, "created", PATIENCE).await;
    let filler = disk.fill();
    site.proxy
        .wait_until(|counters| counters.body_up >= sent + 8 * MIB)
        .await;
    fs::remove_file(filler).unwrap();
    said.push(end(&process).await.expect(0));
    let finished = |lines: &[String]| {
        let is_finished = |line: &&String| line.contains(r#""state":"finished""#);
        lines.iter().filter(is_finished).count()
    };
    let then = list(&world, |command| disk.command(&command)).await;
    assert_eq!((then.len(), finished(&then)), (7, 7), "{then:#?}");

    // Full until after the end, for three at once: told once, all is done, and the next run finds it so.
    for index in 0..3 {
        sources.push(world.random_file(&format!("three/{index}.mp4"), 4 * MIB));
    }
    let mut plain = without_json(&site.put(&world, &world.path("three")));
    plain.args(["--parallel", "3"]);
    let created = site.emulator.uploads().len() + 3;
    let sent = site.proxy.counters().body_up;
    let process = Process::spawn(disk.command(&plain)).unwrap();
    site.proxy
        .wait_until(|counters| counters.body_up >= sent + 2 * MIB)
        .await;
    tokio::select! {
        () = site.emulator.wait_until(|emulator| emulator.uploads().len() >= created) => {}
        ended = end(&process) => panic!("{ended:?}"),
    }
    let filler = disk.fill();
    let ended = end(&process).await.expect(0);
    let told = ended.stderr.matches("cannot be saved").count();
    assert_eq!(told, 1, "{}", ended.stderr);
    said.push(ended);
    fs::remove_file(filler).unwrap();
    let again = run(put("three")).await.expect(0);
    assert_eq!(
        again.events("summary")[0]["bytes_sent"],
        0,
        "{}",
        again.stdout
    );
    said.push(again);

    let after = list(&world, |command| disk.command(&command)).await;
    assert_eq!((after.len(), finished(&after)), (10, 10), "{after:#?}");
    assert!(before.iter().all(|line| after.contains(line)), "{after:#?}");
    disk.leave();
    let mut all = site.put(&world, &world.path("shoot"));
    all.args(["late.mp4", "during.mp4", "three"].map(|name| world.path(name)));
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: &sources,
        said: &said.iter().collect::<Vec<_>>(),
    }
    .hold(all)
    .await;
    let resent = site.proxy.counters().body_up - sources.iter().map(length).sum::<u64>();
    Ok(Seen::times(3)
        .resent(resent)
        .remark("0 of 10 acknowledged records lost"))
}

fn length(path: &std::path::PathBuf) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// The same, told to people.
fn without_json(command: &Command) -> Command {
    let mut plain = Command::new(command.get_program());
    plain.args(command.get_args().filter(|arg| *arg != "--json"));
    plain.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            plain.env(name, value);
        }
    }
    plain
}
