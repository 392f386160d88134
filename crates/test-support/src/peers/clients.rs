//! Clients that the benches run beside ours: PyPI's `tuspy`, and `tus-uploader` of crates.io. The one of npm is a script of
//! [`node`](super::node).

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::install::{Need, once, run, sources, target};
use crate::fixtures;

/// The oldest that the pinned packages run on.
const PYTHON: Need = Need {
    name: "Python",
    oldest: Some((3, 10)),
    remedy: "apt-get install python3 python3-venv",
};

/// The oldest that builds it.
const CARGO: Need = Need {
    name: "cargo",
    oldest: Some((1, 92)),
    remedy: "rustup update stable",
};

/// Python about to run `tests/peers/tuspy-upload.py`, with `tuspy` installed. Blocks, the first time for as long as pip needs.
///
/// # Errors
/// When Python or its venv module is missing; when pip fails, with what it said.
pub fn tuspy() -> io::Result<Command> {
    let dir = target().join("python-clients");
    let venv = dir.join("venv");
    let requirements = sources().join("client-requirements.txt");
    let version = PYTHON.met_by("python3", &["--version"])?;
    let stamp = format!("{version}\n{}", fs::read_to_string(&requirements)?);
    let install = || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&venv))?;
        run(Command::new(venv.join("bin/python"))
            .args(["-m", "pip", "install", "--disable-pip-version-check"])
            .args(["--no-input", "--only-binary", ":all:", "--requirement"])
            .arg(&requirements))
    };
    once(&dir, &stamp, install, || Ok(()))?;
    let mut command = Command::new(venv.join("bin/python"));
    command.arg(sources().join("tuspy-upload.py"));
    Ok(command)
}

/// The command of `tests/peers/tus-uploader`, which is the `tus-uploader` of crates.io and a line to start it. Blocks, the first
/// time for the minutes that its build takes.
///
/// # Errors
/// When cargo is too old or the build fails, with what it said.
pub fn tus_uploader() -> io::Result<PathBuf> {
    let (wanted, dir) = (
        sources().join("tus-uploader"),
        target().join("tus-uploader"),
    );
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let stamp = fixtures::sha256_file(wanted.join("Cargo.lock"))?
        + &fixtures::sha256_file(wanted.join("src/main.rs"))?;
    let install = || {
        CARGO.met_by(&cargo, &["--version"])?;
        // Kept when the build is interrupted, so that the next one goes on.
        let build = dir.join("build");
        run(Command::new(&cargo)
            .args(["install", "--locked", "--no-track", "--force", "--path"])
            .arg(&wanted)
            .arg("--root")
            .arg(&dir)
            .current_dir(&dir)
            .env("CARGO_TARGET_DIR", &build)
            // Whatever we are built with, such as for coverage, is not for others.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WORKSPACE_WRAPPER"))?;
        fs::remove_dir_all(build)
    };
    once(&dir, &stamp, install, || Ok(()))?;
    Ok(dir.join("bin/tus-uploader-peer"))
}
