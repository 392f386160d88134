//! The peer from crates.io: `tus-server`.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{Need, once, run, target};
use super::{Peer, StoredFile};

/// The version that is installed.
const VERSION: &str = "0.1.0";

/// The oldest that builds it.
const CARGO: Need = Need {
    name: "cargo",
    oldest: Some((1, 92)),
    remedy: "rustup update stable",
};

/// The `tus-server` of crates.io with `--all-extensions`, storing in files through OpenDAL.
///
/// It drops what a broken PATCH has brought, verifies checksums while it stores, and keeps every
/// PATCH as a file of its own until the last one joins them.
#[derive(Debug)]
#[non_exhaustive]
pub struct CargoTus;

impl Peer for CargoTus {
    /// With a slash at its end it is 404.
    const CREATION_PATH: &str = "/files";

    const KEEPS_BROKEN_PATCH: bool = false;

    fn install() -> io::Result<PathBuf> {
        let dir = target().join("cargo");
        let binary = dir.join("bin/tus-server");
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let install = || {
            CARGO.met_by(&cargo, &["--version"])?;
            // Kept when the build is interrupted, so that the next one goes on.
            let build = dir.join("build");
            run(Command::new(&cargo)
                .args(["install", "tus-server", "--version", VERSION, "--locked"])
                .args(["--debug", "--no-track", "--force", "--root"])
                .arg(&dir)
                .current_dir(&dir)
                .env("CARGO_TARGET_DIR", &build)
                .env("CARGO_INCREMENTAL", "0")
                .env("CARGO_PROFILE_DEV_DEBUG", "0")
                // Whatever the tests are built with, such as for coverage, is not for others.
                .env_remove("RUSTFLAGS")
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .env_remove("RUSTC_WORKSPACE_WRAPPER"))?;
            fs::remove_dir_all(build)
        };
        once(&dir, VERSION, install, || Ok(()))?;
        Ok(binary)
    }

    fn command(installed: &Path, dir: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new(installed);
        command
            .env_clear()
            .env("TUS_STORAGE_ROOT", dir.join("data"))
            .args(["serve", "--all-extensions", "--addr"])
            .arg(address.to_string())
            .arg("--state-dir")
            .arg(dir.join("state"))
            .current_dir(dir);
        command
    }

    fn says_it_listens(line: &str) -> bool {
        line.contains("Listening on http://")
    }

    /// A finished upload is `data/<id>/data`; of an unfinished one, and of an empty one, which has
    /// no file at all, the path is the folder `data/<id>`, and the length that of all its parts.
    fn stored_files(dir: &Path) -> io::Result<Vec<StoredFile>> {
        let data = dir.join("data");
        let mut ids = BTreeSet::new();
        for entry in if_there(fs::read_dir(&data))?.into_iter().flatten() {
            ids.insert(entry?.file_name());
        }
        for note in StoredFile::of(&dir.join("state"), |name| name.ends_with(".json"))? {
            ids.extend(note.path.file_stem().map(OsStr::to_owned));
        }
        let stored = |id| {
            let path = data.join(id);
            let finished = if_there(StoredFile::of(&path, |name| name == "data"))?;
            if let Some(file) = finished.unwrap_or_default().pop() {
                return Ok(file);
            }
            let parts = if_there(StoredFile::of(&path.join("parts"), |_| true))?;
            let length = parts.iter().flatten().map(|part| part.length).sum();
            Ok(StoredFile { path, length })
        };
        ids.into_iter().map(stored).collect()
    }
}

/// A folder that does not exist, or no longer, holds nothing.
fn if_there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}
