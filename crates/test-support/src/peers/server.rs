//! [`PeerServer`]: a real tus server as a process that tests kill, freeze and restart.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{HeldPort, Process, Stream};

/// A cold start of Node or Python on a busy machine takes seconds.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// One product: how it is installed, started, and keeps its uploads.
pub trait Peer: 'static {
    /// Where uploads are created.
    const CREATION_PATH: &str = "/files/";

    /// Whether it keeps what a PATCH has brought that breaks, instead of dropping it.
    const KEEPS_BROKEN_PATCH: bool = true;

    /// Installs it unless it is there, and returns where that is. Blocks, the first time for as
    /// long as a download or a build needs.
    ///
    /// # Errors
    /// When a program is missing or too old, with what to install; when installing fails, with
    /// what was said.
    fn install() -> io::Result<PathBuf>;

    /// The command that serves `dir`, which exists, on `address` at
    /// [`CREATION_PATH`](Self::CREATION_PATH); `installed` is what [`install`](Self::install)
    /// returned.
    fn command(installed: &Path, dir: &Path, address: SocketAddr) -> Command;

    /// Whether this line of its standard output says that it listens.
    fn says_it_listens(line: &str) -> bool;

    /// The uploads in `dir`, finished or not, in any order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn stored_files(dir: &Path) -> io::Result<Vec<StoredFile>>;
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

impl StoredFile {
    /// The files (not folders) of `dir` whose names are `wanted`.
    pub(super) fn of(dir: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Self>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // A server at work removes what it no longer needs.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if metadata.is_file() && entry.file_name().to_str().is_some_and(&wanted) {
                files.push(Self {
                    path: entry.path(),
                    length: metadata.len(),
                });
            }
        }
        Ok(files)
    }
}

/// A real tus server as a process of its own on 127.0.0.1. Dropping it kills it; its folder
/// belongs to the caller.
#[derive(Debug)]
pub struct PeerServer<P> {
    dir: PathBuf,
    installed: PathBuf,
    port: HeldPort,
    process: Process,
    product: PhantomData<P>,
}

impl<P: Peer> PeerServer<P> {
    /// Starts a server that stores in `dir`, and returns when it listens. Installs it first if
    /// need be.
    ///
    /// # Errors
    /// As [`Peer::install`]; when the server does not listen within a minute, with what it said.
    pub async fn start(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir)?;
        let installed = tokio::task::spawn_blocking(P::install)
            .await
            .map_err(io::Error::other)??;
        let port = HeldPort::new()?;
        let process = launch::<P>(&installed, &dir, port.addr()).await?;
        Ok(Self {
            dir,
            installed,
            port,
            process,
            product: PhantomData,
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
        format!("http://{}{}", self.addr(), P::CREATION_PATH)
    }

    /// Kills it (SIGKILL) if it still runs, and starts it again on the same port and folder;
    /// returns when it listens.
    ///
    /// # Errors
    /// When the new one does not listen within a minute, with what it said.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill().await?;
        self.process = launch::<P>(&self.installed, &self.dir, self.addr()).await?;
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

    /// The uploads on disk, finished or not, sorted by path; the server's own notes about them
    /// are left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn stored_files(&self) -> io::Result<Vec<StoredFile>> {
        let mut files = P::stored_files(&self.dir)?;
        files.sort();
        Ok(files)
    }
}

async fn launch<P: Peer>(installed: &Path, dir: &Path, address: SocketAddr) -> io::Result<Process> {
    let process = Process::spawn(P::command(installed, dir, address))?;
    process
        .wait_for_line(Stream::Stdout, P::says_it_listens, START_PATIENCE)
        .await?;
    Ok(process)
}
