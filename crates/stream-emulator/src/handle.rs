//! [`EmulatorHandle`]: a running emulator, seen from outside of HTTP.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::changes::Changes;
use crate::fault::Faults;
use crate::hypotheses::Hypotheses;
use crate::in_process::InProcess;
use crate::limits::Limits;
use crate::log::RequestRecord;
use crate::quirks::Quirks;
use crate::route::API;
use crate::server::Shared;
use crate::snapshot::{LiveInputSnapshot, UploadSnapshot, VideoSnapshot};

/// A running emulator.
///
/// Dropping it stops the server at once: connections close, and bodies that are being received end
/// at what has come of them, which is kept. [`shutdown`](Self::shutdown) is the gentle way.
pub struct EmulatorHandle {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl EmulatorHandle {
    pub(crate) fn new(shared: Arc<Shared>, address: SocketAddr, accepting: JoinHandle<()>) -> Self {
        Self {
            shared,
            address,
            accepting,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end. A server that listens everywhere is
    /// named by its loopback address.
    #[must_use]
    pub fn url(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// The base of Stream's API: what `STREAM_API_URL` wants.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}{API}", self.url())
    }

    /// The creation URL of generic tus.
    #[must_use]
    pub fn tus_url(&self) -> String {
        format!("{}/files/", self.url())
    }

    /// The bearer token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.shared.options.token
    }

    /// A transport that reaches this emulator without a socket, at [`url`](Self::url).
    #[must_use]
    pub fn transport(&self) -> InProcess {
        InProcess::new(Arc::clone(&self.shared))
    }

    /// Puts the emulator's clock forward, so that a test need not wait for an expiry, an encoding or
    /// a rate limit. It never goes back: with [`Blobs::Dir`](crate::Blobs::Dir), not even in a server
    /// that goes on from there.
    pub async fn advance(&self, by: Duration) {
        self.shared.advance(by).await;
    }

    /// How Stream behaves where its documentation says nothing.
    #[must_use]
    pub fn hypotheses(&self) -> Hypotheses {
        self.shared.hypotheses()
    }

    /// Changes that, from the next request on.
    pub fn set_hypotheses(&self, hypotheses: Hypotheses) {
        self.shared.set_hypotheses(hypotheses);
    }

    /// In what answers differ from their descriptions.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        self.shared.quirks()
    }

    /// Changes that, from the next request on.
    pub fn set_quirks(&self, quirks: Quirks) {
        self.shared.set_quirks(quirks);
    }

    /// What an account may use.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.shared.limits()
    }

    /// Changes that, from the next request on.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.set_limits(limits);
    }

    /// What goes wrong: rows can be added while it runs.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// All uploads, ordered by id. Those of Stream whose time is over are left out; a generic one stays listed.
    #[must_use]
    pub fn uploads(&self) -> Vec<UploadSnapshot> {
        self.shared.upload_snapshots()
    }

    /// All videos of all accounts, oldest first.
    #[must_use]
    pub fn videos(&self) -> Vec<VideoSnapshot> {
        self.shared.video_snapshots(&self.url())
    }

    /// All live inputs of all accounts, ordered by account and id.
    #[must_use]
    pub fn live_inputs(&self) -> Vec<LiveInputSnapshot> {
        self.shared.live_input_snapshots()
    }

    /// What happens from now on, so that a test waits for it instead of asking again and again.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.shared.teller.listen()
    }

    /// Comes back once `holds` says so: it is asked now, and after each of the [`changes`](Self::changes).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let emulator = stream_emulator::Emulator::builder().start().await?;
    /// emulator.wait_until(|emulator| emulator.videos().is_empty()).await;
    /// # emulator.shutdown().await
    /// # }
    /// ```
    pub async fn wait_until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.changes();
        while !holds(self) {
            changes.next().await;
        }
    }

    /// The last 20,000 requests that came to an end, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.log.records()
    }

    /// The bytes of an upload or a video, by [`UploadSnapshot::id`]; `None` when it is not there, or
    /// when only digests are kept. Waits for a body that is being received.
    ///
    /// # Errors
    /// What reading the file came back with.
    pub async fn content(&self, id: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(upload) = self.shared.uploads.by_blob_id(id) else {
            return Ok(None);
        };
        let blob = upload.blob().await;
        tokio::task::spawn_blocking(move || blob.read())
            .await
            .map_err(io::Error::other)?
    }

    /// The SHA-256 of the bytes of an upload or a video, in lower-case hexadecimal digits; `None`
    /// when it is not there. Waits for a body that is being received.
    ///
    /// # Errors
    /// What reading the file came back with.
    pub async fn sha256(&self, id: &str) -> io::Result<Option<String>> {
        let Some(upload) = self.shared.uploads.by_blob_id(id) else {
            return Ok(None);
        };
        let blob = upload.blob().await;
        let digesting = tokio::task::spawn_blocking(move || blob.sha256());
        digesting.await.map_err(io::Error::other)?.map(Some)
    }

    /// Comes back when the server has stopped, for whatever reason. Cancel-safe.
    pub async fn wait(&mut self) {
        // Polled again after it was done, a task's handle would panic.
        if !self.accepting.is_finished() {
            let _ = (&mut self.accepting).await;
        }
    }

    /// Stops gently: takes no more requests, lets running ones go on for up to the drain time (10 s
    /// by default), then ends bodies at what has come of them, saves their offsets, and closes.
    /// The data directory is free afterwards.
    ///
    /// # Errors
    /// None at present; kept for a store that can fail at its end.
    pub async fn shutdown(mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        shared.stop.cancel();
        if timeout(shared.options.drain, self.wait()).await.is_err() {
            shared.stop_bodies.cancel();
            shared.tasks.close();
            // Storing what is in hand takes moments; the answers that say so take one more.
            let _ = timeout(shared.options.drain, shared.tasks.wait()).await;
            let _ = timeout(Duration::from_millis(200), self.wait()).await;
        }
        shared.stop_connections.cancel();
        shared.tasks.close();
        shared.tasks.wait().await;
        self.wait().await;
        Ok(())
    }
}

impl Drop for EmulatorHandle {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.stop_bodies.cancel();
        self.shared.stop_connections.cancel();
    }
}

impl fmt::Debug for EmulatorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmulatorHandle")
            .field("addr", &self.address)
            .finish_non_exhaustive()
    }
}
