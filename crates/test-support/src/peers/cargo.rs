//! The peer from crates.io: `tus-server`.

use std::env;
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

    /// A finished upload is `<id>/data`; of an unfinished one the path is the folder `<id>`, and
    /// the length that of all its parts.
    fn stored_files(dir: &Path) -> io::Result<Vec<StoredFile>> {
        let data = dir.join("data");
        let mut files = Vec::new();
        if !data.is_dir() {
            return Ok(files);
        }
        for entry in fs::read_dir(data)? {
            let path = entry?.path();
            let mut finished = StoredFile::of(&path, |name| name == "data")?;
            let parts = path.join("parts");
            if let Some(file) = finished.pop() {
                files.push(file);
            } else {
                let parts = match StoredFile::of(&parts, |_| true) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                    parts => parts?,
                };
                let length = parts.iter().map(|part| part.length).sum();
                files.push(StoredFile { path, length });
            }
        }
        Ok(files)
    }
}
