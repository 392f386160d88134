//! F66: damage of every kind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use test_support::Random;

use super::{contents, list, memory, records};
use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{World, emulator, run};

const FILES: u64 = 60;
const PAGE: usize = 4096;

/// How many damages, unless told otherwise.
fn seeds() -> u64 {
    let asked = std::env::var("STREAM_UPLOAD_DAMAGES").ok();
    asked.and_then(|seeds| seeds.parse().ok()).unwrap_or(60)
}

pub(super) async fn of_every_kind() -> Ended {
    let world = Arc::new(World::new());
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let sources: Vec<_> = (0..FILES)
        .map(|index| world.random_file(&format!("shoot/{index:02}.mp4"), 500 + index))
        .collect();
    let put = || {
        let mut command = world.put_to_emulator(&emulator);
        command.args(&sources[2..]);
        command
    };
    let mut first = world.put_to_emulator(&emulator);
    first.args(&sources);
    let mut said = vec![run(first).await.expect(0)];
    for source in &sources[..2] {
        let mut forget = world.command();
        forget.args(["state", "prune", "--forget"]).arg(source);
        run(forget).await.expect(0);
    }
    let before = list(&world, |command| command).await;
    assert_eq!(before.len() as u64, FILES - 2);
    let survived = {
        let (world, before) = (Arc::clone(&world), before.clone());
        let surviving = tokio::task::spawn_blocking(move || survive_all(&world, &before));
        surviving.await.unwrap()
    };

    // One more that costs nothing, and the same uploads once more.
    fs::write(
        world.state_dir().join("records.sled/conf"),
        "segment_size: 1\n",
    )
    .unwrap();
    let repaired = run(put()).await.expect(0);
    let told = repaired
        .stderr
        .matches("resume state: the resume state was damaged; all")
        .count();
    assert_eq!(told, 1, "{}", repaired.stderr);
    said.push(repaired);
    Proof {
        world: &world,
        emulator: &emulator,
        sources: &sources,
        said: &said.iter().collect::<Vec<_>>(),
    }
    .hold(put())
    .await;
    let noticed = survived.iter().filter(|it| it.noticed).count();
    let lost: u64 = survived.iter().map(|it| it.lost).sum();
    Ok(Seen::times(survived.len() as u64 + 1).remark(format!(
        "{noticed} of {} noticed, {lost} records lost, each of them told; none in silence",
        survived.len()
    )))
}

/// What became of one damage.
struct Survived {
    noticed: bool,
    /// Records that are gone, all of which were told.
    lost: u64,
}

fn survive_all(world: &World, before: &[String]) -> Vec<Survived> {
    let root = memory();
    let next = AtomicU64::new(0);
    let survive_some = || {
        let mut survived = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds() {
                return survived;
            }
            let folder = root.path().join(seed.to_string());
            copy(&world.state_dir(), &folder);
            let what = spoil(&folder, &mut Random::new(seed));
            let what = format!("seed {seed}: {what}");
            survived.push(survive(world, &folder, before, &what));
            fs::remove_dir_all(&folder).unwrap();
        }
    };
    thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(survive_some));
        let done = workers.map(|worker| worker.join().unwrap());
        done.into_iter().flatten().collect()
    })
}

/// Looks at a damaged folder, and sees that whatever is missing was told.
fn survive(world: &World, folder: &Path, before: &[String], what: &str) -> Survived {
    let (mut code, mut lines, mut stderr) = look(world, folder);
    let version = folder.join("VERSION");
    let refused = code == Some(3);
    if refused {
        // Told by name, and touched by nobody; its owner puts it right.
        assert!(
            stderr.contains("VERSION") && stderr.contains("hint"),
            "{what}: {stderr}"
        );
        fs::write(version, "3\n").unwrap();
        (code, lines, stderr) = look(world, folder);
    } else if !version.exists() {
        panic!("{what}: no VERSION after a look");
    }
    assert_eq!(code, Some(0), "{what}: {stderr}");
    let whole = lines == before;
    let (all, kept) = (before.len() as u64, lines.len() as u64);
    let lost = all.saturating_sub(kept);
    let told: Vec<_> = stderr
        .lines()
        .filter(|line| line.contains("resume state: "))
        .collect();
    match told[..] {
        [] => assert!(whole, "{what}: silent"),
        [told] if told.contains("records were recovered") => {
            assert!(
                whole && told.contains(&format!("all {all} records")),
                "{what}: {told}"
            );
        }
        [told] if told.contains("records are lost") => {
            let words = format!("{lost} of {all} records are lost");
            assert!(told.contains(&words), "{what}: {kept} of {all}: {told}");
        }
        [told] if told.contains("some may be outdated") => {
            let words = format!("{kept} records were kept of {all}");
            assert!(told.contains(&words), "{what}: {kept} of {all}: {told}");
        }
        [told] if told.contains("cannot be told") => {
            assert!(
                whole && told.contains(&format!("({all} records found)")),
                "{what}: {told}"
            );
        }
        _ => panic!("{what}: {stderr}"),
    }
    let (code, again, stderr) = look(world, folder);
    assert_eq!((code, again), (Some(0), lines), "{what}: {stderr}");
    assert_eq!(stderr, "", "{what}: told twice");
    Survived {
        noticed: refused || !told.is_empty(),
        lost,
    }
}

/// `state list` of a folder: its exit code, its lines, and what it said on stderr.
fn look(world: &World, folder: &Path) -> (Option<i32>, Vec<String>, String) {
    let mut command = world.command();
    command
        .args(["state", "list", "--json", "--state-dir"])
        .arg(folder);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("panicked"), "{stderr}");
    let lines = records(&String::from_utf8_lossy(&output.stdout));
    (output.status.code(), lines, stderr)
}

/// One act of damage below `folder`; says what it did.
fn spoil(folder: &Path, random: &mut Random) -> String {
    let files = contents(&folder.join("records.sled"));
    let any = &files[random.below(files.len() as u64) as usize].0;
    // The data file holds nearly everything, so it is hit most.
    let path = match random.below(12) {
        0 => folder.join("records.ledger"),
        1 => folder.join("VERSION"),
        10.. => folder.join("records.wal"),
        2..4 => any.clone(),
        _ => folder.join("records.sled/db"),
    };
    let mut bytes = fs::read(&path).unwrap();
    let at = random.below(bytes.len().max(1) as u64) as usize;
    let what = match random.below(9) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            bytes.clear();
            "emptied".to_owned()
        }
        2 => {
            fs::remove_file(&path).unwrap();
            return format!("{} removed", path.display());
        }
        3 => {
            let page = at / PAGE * PAGE;
            bytes
                .iter_mut()
                .skip(page)
                .take(PAGE)
                .for_each(|byte| *byte = 0);
            format!("the page at {page} zeroed")
        }
        4 => {
            for stray in [
                "snap.0000000000000001",
                "snap.00.generating",
                "blobs/foreign",
            ] {
                fs::write(folder.join("records.sled").join(stray), "nonsense").unwrap();
            }
            return "stray snapshots and a foreign file".to_owned();
        }
        _ => {
            let bit = random.below(8);
            bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= 1 << bit);
            format!("bit {bit} of byte {at} flipped")
        }
    };
    fs::write(&path, bytes).unwrap();
    format!("{}: {what}", path.display())
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(copied.success());
}
