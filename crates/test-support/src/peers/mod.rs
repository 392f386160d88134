//! Real tus servers and clients that nobody here wrote, from npm, PyPI and crates.io.
//!
//! `tests/peers` of the workspace names them and holds the scripts that start them. Each is
//! installed once, below `target/peers`, under a lock that test binaries running at the same time
//! share, and again only when what is wanted changes. Nothing here is ever skipped: without Node,
//! Python or cargo the tests fail and say what to install.

mod cargo;
mod clients;
mod install;
mod node;
mod python;
mod server;

use std::io;

pub use cargo::CargoTus;
pub use clients::{tus_uploader, tuspy};
pub use node::{NodeTus, install, script};
pub use python::PythonTus;
pub use server::{Peer, PeerServer, StoredFile};

/// Installs every peer that is not there yet. For tests that watch the clock: an install beside them, which keeps all cores
/// busy for minutes, would be taken for the fault that they wait for.
///
/// # Errors
/// As [`Peer::install`].
pub fn install_all() -> io::Result<()> {
    NodeTus::install()?;
    PythonTus::install()?;
    CargoTus::install()?;
    Ok(())
}

/// The real npm `@tus/server` with `@tus/file-store`.
pub type TusNodeServer = PeerServer<NodeTus>;

/// The real `tuspyserver` of PyPI, in uvicorn.
pub type TusPyServer = PeerServer<PythonTus>;

/// The real `tus-server` of crates.io, which stores through OpenDAL.
pub type TusServer = PeerServer<CargoTus>;
