//! The peer from PyPI: `tuspyserver`.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{Need, once, run, sources, target};
use super::{Peer, StoredFile};

/// The oldest that the pinned packages run on.
const PYTHON: Need = Need {
    name: "Python",
    oldest: Some((3, 11)),
    remedy: "apt-get install python3 python3-venv",
};

/// Debian's Python comes without it.
const VENV: Need = Need {
    name: "Python's venv module",
    oldest: None,
    remedy: "apt-get install python3-venv",
};

/// PyPI's `tuspyserver`, in uvicorn.
///
/// It offers creation, creation-with-upload, creation-defer-length, expiration, termination and
/// concatenation, and keeps the bytes of a broken PATCH. It answers HEAD with 400 unless the
/// metadata has both `filename` and `filetype`, and joins parts by copying them, whereupon they
/// are gone.
#[derive(Debug)]
#[non_exhaustive]
pub struct PythonTus;

impl Peer for PythonTus {
    fn install() -> io::Result<PathBuf> {
        let dir = target().join("python");
        let venv = dir.join("venv");
        let requirements = sources().join("requirements.txt");
        // An environment belongs to the Python that made it.
        let version = PYTHON.met_by("python3", &["--version"])?;
        let stamp = format!("{version}\n{}", fs::read_to_string(&requirements)?);
        let install = || {
            VENV.met_by("python3", &["-c", "import ensurepip, venv"])?;
            run(Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&venv))?;
            run(Command::new(venv.join("bin/python"))
                .args(["-m", "pip", "install", "--disable-pip-version-check"])
                .args(["--no-input", "--only-binary", ":all:", "--requirement"])
                .arg(&requirements))
        };
        once(&dir, &stamp, install, || Ok(()))?;
        Ok(venv)
    }

    fn command(installed: &Path, dir: &Path, address: SocketAddr) -> Command {
        let mut command = Command::new(installed.join("bin/python"));
        command.arg(sources().join("tuspy-server.py")).arg(dir);
        command.args(["--port", &address.port().to_string()]);
        command
    }

    fn says_it_listens(line: &str) -> bool {
        line.starts_with("http://")
    }

    fn stored_files(dir: &Path) -> io::Result<Vec<StoredFile>> {
        // Beside them lie `<id>.info`, for a moment `<id>.info.tmp`, and `.locks/`.
        StoredFile::of(dir, |name| !name.contains('.'))
    }
}
