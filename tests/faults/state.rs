//! Section E: the resume state.

mod damage;
mod folder;
mod log;
mod power;
mod replay;
mod slow;
mod space;

use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::fixtures::{self, TempDir};

use crate::row::{Row, row};
use crate::world::{World, run};

/// F65 to F70.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F65",
            "a full disk stops no upload and loses no record",
            "tmpfs of 3 MiB, filled before, during and until after the uploads",
            space::full
        ),
        row!(
            "F66",
            "no damage to the state loses a record in silence",
            "bits flipped, files cut, emptied, removed and added, pages zeroed: a seed for each",
            damage::of_every_kind
        ),
        row!(
            "F67",
            "what was acknowledged outlives the machine's power",
            "the system calls of a real run (strace), replayed up to any point: unsynced writes dropped, reordered or torn",
            power::lost
        ),
        row!(
            "F68",
            "a folder that is unfit for secrets is refused with a way out",
            "read-only file system, another owner, open to others, a symbolic link, a file",
            folder::unfit
        ),
        row!(
            "F69",
            "state of another version is brought up to date or left alone",
            "folders of version 1, 0 and 99",
            folder::of_another_version
        ),
        row!(
            "F70",
            "a disk that syncs slowly does not slow an upload",
            "fdatasync and fsync begin 500 ms late (strace)",
            slow::syncs
        ),
    ]
}

/// What is remembered, once `within` has put the command where it belongs.
async fn list(world: &World, within: impl Fn(Command) -> Command) -> Vec<String> {
    let mut command = world.command();
    command.args(["state", "list", "--json"]);
    records(&run(within(command)).await.expect(0).stdout)
}

/// The lines of `state list`, without the time at which they were written.
fn records(stdout: &str) -> Vec<String> {
    let record = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().remove("time");
        record.to_string()
    };
    stdout.lines().map(record).collect()
}

/// The bytes of every file below `folder`, by name.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.clone(), std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A folder in memory, where there is such a place: for what is not about syncing.
fn memory() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| fixtures::temp_dir().unwrap())
}
