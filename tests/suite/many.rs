//! Many files, many processes, one state directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use stream_upload::resume_store::{Change, Filter, ResumeStore as _, SledStore};
use test_support::{Checker, Process};

use crate::world::{Ended, World, emulator, end, run};

const PROCESSES: usize = 8;

fn shoot(world: &World, files: u64) -> Vec<PathBuf> {
    (0..files)
        .map(|index| world.random_file(&format!("shoot/{index}.mp4"), 20_000 + index))
        .collect()
}

/// Eight processes over the same folder, to their ends.
async fn race(world: &World, emulator: &stream_emulator::EmulatorHandle) -> Vec<Ended> {
    let start = || {
        let mut command = world.put_to_emulator(emulator);
        command.arg(world.path("shoot"));
        Process::spawn(command).unwrap()
    };
    let processes: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
    let mut ended = Vec::new();
    for process in &processes {
        ended.push(end(process).await);
    }
    ended
}

fn finished(ended: &[Ended]) -> usize {
    ended.iter().map(|it| it.events("finished").len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_share_400_files_and_each_is_uploaded_once() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let sources = shoot(&world, 400);
    let ended = race(&world, &emulator).await;
    assert_eq!(finished(&ended), 400);
    Checker::emulator(emulator.addr(), emulator.token())
        .sources(&sources)
        .assert()
        .await;
}

/// Eight processes at work while the files that `which` finds are removed again and again.
async fn race_with_a_vandal(which: impl Fn(&Path) -> Vec<PathBuf> + Send + 'static) {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let sources = shoot(&world, 100);
    let state = world.state_dir();
    let vandal = tokio::spawn(async move {
        loop {
            for path in which(&state) {
                let _ = fs::remove_file(path);
            }
            tokio::time::sleep(Duration::from_millis(1)).await; // the vandal's pace, nothing is waited for
        }
    });
    let ended = race(&world, &emulator).await;
    vandal.abort();
    // A second writer may find a file in work, or done; it must never upload it again.
    assert!(finished(&ended) <= 100, "{}", finished(&ended));
    let mut command = world.put_to_emulator(&emulator);
    command.arg(world.path("shoot"));
    run(command).await.expect(0);
    Checker::emulator(emulator.addr(), emulator.token())
        .sources(&sources)
        .assert()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lease_files_that_are_removed_under_foot_make_no_second_writer() {
    // The guard file among them, and who holds what.
    race_with_a_vandal(|state| {
        let leases = fs::read_dir(state.join("leases")).into_iter().flatten();
        leases.flatten().map(|entry| entry.path()).collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_file_that_is_removed_under_foot_makes_no_second_writer() {
    race_with_a_vandal(|state| vec![state.join("guard.lock")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_library_that_was_uploaded_is_not_uploaded_again_a_month_later() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    shoot(&world, 20);
    let put = || {
        let mut command = world.put_to_emulator(&emulator);
        command.arg(world.path("shoot"));
        command
    };
    run(put()).await.expect(0);
    let month = Duration::from_secs(31 * 24 * 60 * 60);
    emulator.advance(month).await;
    // The client's clock cannot be moved, so what it remembers is made a month older.
    let store = SledStore::open(world.state_dir()).unwrap();
    let older = |time: SystemTime| time.checked_sub(month).unwrap();
    let records = store.list(Filter::all()).unwrap();
    assert_eq!(records.len(), 20);
    let changes: Vec<_> = records
        .into_iter()
        .map(|(fingerprint, mut record)| {
            record.created_at = older(record.created_at);
            record.updated_at = older(record.updated_at);
            record.expires_at = record.expires_at.map(older);
            Change::Put(fingerprint, record)
        })
        .collect();
    store.commit(&changes).unwrap();
    drop(store);
    let ended = run(put()).await.expect(0);
    let summary = &ended.events("summary")[0];
    assert_eq!(summary["bytes_sent"], 0);
    assert_eq!(summary["skipped"], 20);
    assert_eq!(emulator.videos().len(), 20);
}
