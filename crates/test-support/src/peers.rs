//! Real tus servers and clients from npm, which nobody here wrote.
//!
//! `tests/peers` of the workspace names them and holds the scripts that start them. They are
//! installed once, into `target/peers`, under a lock that test binaries running at the same time
//! share, and again only when the lock file of npm changes. Nothing here is ever skipped: without
//! Node the tests fail and say what to install.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{HeldPort, Process, Stream, fixtures};

/// The oldest Node that `@tus/server` 2.4 runs on.
const OLDEST_NODE: (u32, u32) = (20, 19);

/// A cold start of Node on a busy machine takes seconds.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Installs the peers unless they are there, and returns the folder that holds them.
///
/// Blocks, the first time for as long as npm needs.
///
/// # Errors
/// When Node or npm is missing or too old, with what to install; when `npm ci` fails, with what
/// it said; when `target/peers` cannot be written.
pub fn install() -> io::Result<PathBuf> {
    let wanted = fixtures::workspace().join("tests/peers");
    let target = fixtures::workspace().join("target/peers");
    require("node", &["--version"], Some(OLDEST_NODE))?;
    fs::create_dir_all(&target)?;
    let lock = File::create(target.join(".lock"))?;
    lock.lock()?;

    let stamp_path = target.join(".installed");
    let stamp = fixtures::sha256_file(wanted.join("package-lock.json"))?;
    if fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp) {
        // Only the scripts may be newer than what is installed.
        copy(&wanted, &target, |name| name.ends_with(".mjs"))?;
        return Ok(target);
    }
    require("npm", &["--version"], None)?;
    copy(&wanted, &target, |_| true)?;
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&target)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!(
            "`npm ci` in {target:?} failed:\n{said}"
        )));
    }
    fs::write(stamp_path, stamp)?;
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

/// Fails by name unless `program` runs and, when asked for, is new enough.
fn require(program: &str, arguments: &[&str], oldest: Option<(u32, u32)>) -> io::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let found = match &output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout),
        _ => "none".into(),
    };
    let found = found.trim();
    let enough = match oldest {
        Some(oldest) => version(found).is_some_and(|version| version >= oldest),
        None => found != "none",
    };
    if enough {
        return Ok(());
    }
    let (major, minor) = OLDEST_NODE;
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!(
            "Node.js {major}.{minor} or newer is needed for the interop tests: \
             apt-get install nodejs npm (found {program}: {found})"
        ),
    ))
}

/// Major and minor of `v20.19.2`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
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

/// An upload as a server keeps it on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct StoredFile {
    /// The file with the bytes received until now.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length: u64,
}

/// The real npm `@tus/server` with `@tus/file-store`, as a process of its own on 127.0.0.1.
///
/// It offers creation, creation-with-upload, creation-defer-length, termination and expiration,
/// not concatenation, and keeps the bytes of a broken PATCH. Dropping it kills it; its folder
/// belongs to the caller.
#[derive(Debug)]
pub struct TusNodeServer {
    dir: PathBuf,
    script: PathBuf,
    port: HeldPort,
    process: Process,
}

impl TusNodeServer {
    /// Starts a server that stores in `dir`, and returns when it listens. Installs it first if
    /// need be.
    ///
    /// # Errors
    /// As [`install`]; when the server does not listen within a minute, with what it said.
    pub async fn start(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir)?;
        let peers = tokio::task::spawn_blocking(install)
            .await
            .map_err(io::Error::other)??;
        let script = peers.join("tus-server.mjs");
        let port = HeldPort::new()?;
        let process = launch(&script, &dir, port.addr()).await?;
        Ok(Self {
            dir,
            script,
            port,
            process,
        })
    }

    /// Where it listens; the same after every restart.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Where uploads are created, as in `http://127.0.0.1:40123/files/`.
    #[must_use]
    pub fn creation_url(&self) -> String {
        format!("http://{}/files/", self.addr())
    }

    /// Kills it (SIGKILL) if it still runs, and starts it again on the same port and folder;
    /// returns when it listens.
    ///
    /// # Errors
    /// When the new one does not listen within a minute, with what it said.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill().await?;
        self.process = launch(&self.script, &self.dir, self.addr()).await?;
        Ok(())
    }

    /// Kills it (SIGKILL), and returns when it is gone: connecting is refused, and the port stays
    /// reserved for [`restart`](Self::restart).
    ///
    /// # Errors
    /// When the process does not end, which only a broken kernel explains.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.process.kill_9();
        self.process.wait(START_PATIENCE).await.map(drop)
    }

    /// Freezes it (SIGSTOP): connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.process.sigstop();
    }

    /// Lets a frozen server go on (SIGCONT).
    pub fn thaw(&self) {
        self.process.sigcont();
    }

    /// The process, for its output and its memory.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The uploads on disk, finished or not, sorted by path; the server's `.json` notes about
    /// them are left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn stored_files(&self) -> io::Result<Vec<StoredFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let path = entry.path();
            let metadata = entry.metadata()?;
            if metadata.is_file() && path.extension().is_none_or(|extension| extension != "json") {
                files.push(StoredFile {
                    path,
                    length: metadata.len(),
                });
            }
        }
        files.sort();
        Ok(files)
    }
}

async fn launch(script: &Path, dir: &Path, address: SocketAddr) -> io::Result<Process> {
    let mut command = Command::new("node");
    command.arg(script).arg(dir);
    command.args(["--port", &address.port().to_string()]);
    let process = Process::spawn(command)?;
    let is_url = |line: &str| line.starts_with("http://");
    process
        .wait_for_line(Stream::Stdout, is_url, START_PATIENCE)
        .await?;
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_what_to_install() {
        let error = require("no-such-node", &["--version"], None).expect_err("not there");
        assert_eq!(
            error.to_string(),
            "Node.js 20.19 or newer is needed for the interop tests: \
             apt-get install nodejs npm (found no-such-node: none)"
        );
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version("v20.19.2"), Some((20, 19)));
        assert!(version("v8.9.0") < Some(OLDEST_NODE));
        assert!(version("v22.0.0") > Some(OLDEST_NODE));
        assert_eq!(version("none"), None);
    }

    #[test]
    fn the_lock_file_names_no_registry() {
        let path = fixtures::workspace().join("tests/peers/package-lock.json");
        let lock = fs::read_to_string(path).expect("the lock file");
        assert!(!lock.contains("\"resolved\""));
    }
}
