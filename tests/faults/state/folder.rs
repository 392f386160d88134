//! F68, F69: folders that are unfit, and folders of another version.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use super::{contents, list};
use crate::disk::SmallDisk;
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{World, emulator, run};

pub(super) async fn unfit() -> Ended {
    let world = World::new();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let source = world.random_file("a.mp4", 10_000);
    let put = |folder: &Path| {
        let mut command = world.put_to_emulator(&emulator);
        command.arg("--state-dir").arg(folder).arg(&source);
        command
    };
    let mut said = Vec::new();
    let mut refused = async |command: Command, words: &[&str]| {
        let ended = run(command).await.expect(3);
        for word in words.iter().chain(&["hint: ", "--state-dir"]) {
            assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
        }
        assert_eq!(
            emulator.requests().len(),
            0,
            "nothing was asked of the server"
        );
        said.push(ended);
    };

    let read_only = world.path("read-only");
    let disk = SmallDisk::mount(&read_only, "3m").await?;
    disk.make_read_only();
    refused(
        disk.command(&put(&read_only)),
        &["file system is read-only"],
    )
    .await;

    let foreign = world.path("foreign");
    fs::create_dir(&foreign).unwrap();
    chown(&foreign, Some(1234), None).map_err(|error| format!("not root: {error}"))?;
    refused(put(&foreign), &["belongs to user 1234"]).await;

    let open = world.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    fs::write(open.join("holiday.txt"), "").unwrap();
    refused(put(&open), &["755", "chmod 700"]).await;

    let link = world.path("link");
    symlink(world.state_dir(), &link).unwrap();
    refused(put(&link), &["symbolic link", "state"]).await;

    let file = world.path("file");
    fs::write(&file, "").unwrap();
    refused(put(&file), &["not a directory"]).await;

    // One that was opened to others by mistake, files and all, is closed again.
    let own = world.state_dir();
    said.push(run(put(&own)).await.expect(0));
    for path in [own.clone(), own.join("records.sled"), own.join("leases")] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    for (path, _) in contents(&own) {
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }
    let tightened = run(put(&own)).await.expect(0);
    assert!(tightened.stderr.contains("0700"), "{}", tightened.stderr);
    said.push(tightened);
    assert_eq!(mode(&own), 0o700);
    Proof {
        world: &world,
        emulator: &emulator,
        sources: std::slice::from_ref(&source),
        said: &said.iter().collect::<Vec<_>>(),
    }
    .hold(put(&own))
    .await;
    for (path, _) in contents(&own.join("records.sled")) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    Ok(Seen::times(6))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(super) async fn of_another_version() -> Ended {
    let world = World::new();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let source = world.random_file("a.mp4", 10_000);
    let put = || {
        let mut command = world.put_to_emulator(&emulator);
        command.arg(&source);
        command
    };
    // What version 1 left behind is part of the store's own tests.
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/crates/resume-store/tests/fixtures/version-1"
    );
    let state = world.state_dir();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(fixture)
        .arg(&state)
        .status();
    assert!(copied.unwrap().success());
    fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();

    let mut said = Vec::new();
    let version = state.join("VERSION");
    for foreign in ["0\n", "99\n", "two\n"] {
        fs::write(&version, foreign).unwrap();
        let before = contents(&state);
        let mut look = world.command();
        look.args(["state", "list"]);
        for command in [put(), look] {
            let ended = run(command).await.expect(3);
            for word in ["VERSION", "hint: ", "--state-dir"] {
                assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
            }
            said.push(ended);
        }
        assert!(
            contents(&state) == before,
            "version {foreign:?} was touched"
        );
    }
    assert_eq!(emulator.requests().len(), 0);

    fs::write(&version, "1\n").unwrap();
    let old = list(&world, |command| command).await;
    assert!(!old.is_empty());
    assert_eq!(fs::read_to_string(&version).unwrap(), "3\n");
    said.push(run(put()).await.expect(0));
    let now = list(&world, |command| command).await;
    assert_eq!(now.len(), old.len() + 1);
    assert!(old.iter().all(|line| now.contains(line)), "{now:#?}");

    // What the fixture has of unfinished uploads is nothing of this test's server.
    let mut forget = world.command();
    forget.args(["state", "prune", "--older-than", "0s"]);
    run(forget).await.expect(0);
    Proof {
        world: &world,
        emulator: &emulator,
        sources: std::slice::from_ref(&source),
        said: &said.iter().collect::<Vec<_>>(),
    }
    .hold(put())
    .await;
    Ok(Seen::times(4).remark(format!("{} records of version 1 brought along", old.len())))
}
