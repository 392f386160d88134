//! The peers from npm: `@tus/server` and `tus-js-client`.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{Need, once, run, sources, target};
use super::{Peer, StoredFile};
use crate::fixtures;

/// The oldest that `@tus/server` 2.4 runs on.
const NODE: Need = Need {
    name: "Node.js",
    oldest: Some((20, 19)),
    remedy: "apt-get install nodejs npm",
};

const NPM: Need = Need {
    name: "npm",
    oldest: None,
    remedy: "apt-get install nodejs npm",
};

/// Installs the peers from npm unless they are there, and returns the folder that holds them.
///
/// Blocks, the first time for as long as npm needs.
///
/// # Errors
/// When Node or npm is missing or too old, with what to install; when `npm ci` fails, with what
/// it said; when `target/peers` cannot be written.
pub fn install() -> io::Result<PathBuf> {
    let (wanted, target) = (sources(), target());
    NODE.met_by("node", &["--version"])?;
    let stamp = fixtures::sha256_file(wanted.join("package-lock.json"))?;
    let install = || {
        NPM.met_by("npm", &["--version"])?;
        copy(&wanted, &target, |_| true)?;
        run(Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&target))
    };
    // Only the scripts may be newer than what is installed.
    let refresh = || copy(&wanted, &target, |name| name.ends_with(".mjs"));
    once(&target, &stamp, install, refresh)?;
    Ok(target)
}

/// `node` about to run one of the scripts of `tests/peers`, as in `script("upload.mjs")`, with
/// the peers installed. Blocks as [`install`] does.
///
/// # Errors
/// As [`install`]; and when there is no such script.
pub fn script(name: &str) -> io::Result<Command> {
    let path = install()?.join(name);
    if !path.is_file() {
        let text = format!("tests/peers has no script {name}");
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    let mut command = Command::new("node");
    command.arg(path);
    Ok(command)
}

/// Copies the files (not folders) of `from` whose names are `wanted`, where they differ.
fn copy(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if !entry.file_type()?.is_file() || !name.to_str().is_some_and(&wanted) {
            continue;
        }
        let content = fs::read(entry.path())?;
        let copy = to.join(name);
        // A script that another test runs right now must not be truncated under it.
        if fs::read(&copy).ok().as_ref() != Some(&content) {
            let fresh = copy.with_extension("fresh");
            fs::write(&fresh, content)?;
            fs::rename(fresh, copy)?;
        }
    }
    Ok(())
}

/// npm's `@tus/server` with `@tus/file-store`.
///
/// It offers creation, creation-with-upload, creation-defer-length, termination and expiration,
/// not concatenation, and keeps the bytes of a broken PATCH.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeTus;

impl Peer for NodeTus {
    fn install() -> io::Result<PathBuf> {
        install()
    }

    fn command(installed: &Path, dir: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new("node");
        command.arg(installed.join("tus-server.mjs")).arg(dir);
        command.args(["--port", &address.port().to_string()]);
        command
    }

    fn says_it_listens(line: &str) -> bool {
        line.starts_with("http://")
    }

    fn stored_files(dir: &Path) -> io::Result<Vec<StoredFile>> {
        StoredFile::of(dir, |name| !name.ends_with(".json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_names_no_registry() {
        let path = sources().join("package-lock.json");
        let lock = fs::read_to_string(path).expect("the lock file");
        assert!(!lock.contains("\"resolved\""));
    }
}
