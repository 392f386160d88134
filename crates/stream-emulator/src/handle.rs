//! [`EmulatorHandle`]: a running emulator, seen from outside of HTTP.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use stream_api::Video;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fault::Faults;
use crate::in_process::InProcess;
use crate::log::RequestRecord;
use crate::route::API;
use crate::server::Shared;
use crate::upload::Upload;

/// A running emulator.
///
/// Dropping it stops the server at once: connections close, and bodies that are being received end
/// at what has come of them, which is kept. [`shutdown`](Self::shutdown) is the gentle way.
pub struct EmulatorHandle {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

/// One upload as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadSnapshot {
    /// Names it and its bytes: the media id of a video, the upload's own id otherwise.
    pub id: String,
    /// Total bytes; `None` while deferred.
    pub length: Option<u64>,
    /// Bytes that are stored and acknowledged.
    pub offset: u64,
    /// Whether all of them are.
    pub complete: bool,
    /// The video it belongs to; `None` for a generic upload.
    pub media_id: Option<String>,
    /// `Upload-Metadata` as it came.
    pub metadata: Option<String>,
}

/// One video as it was at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoSnapshot {
    /// The account in its path.
    pub account: String,
    /// What the API shows of it. Taking a snapshot does not move it on.
    pub video: Video,
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

    /// Puts the emulator's clock forward, so that a test need not wait for an expiry or an encoding.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// What goes wrong: rows can be added while it runs.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// All uploads, ordered by id.
    #[must_use]
    pub fn uploads(&self) -> Vec<UploadSnapshot> {
        let mut uploads: Vec<_> = self
            .shared
            .uploads
            .all()
            .iter()
            .map(|upload| snapshot(upload))
            .collect();
        uploads.sort_by(|one, other| one.id.cmp(&other.id));
        uploads
    }

    /// All videos of all accounts, oldest first.
    #[must_use]
    pub fn videos(&self) -> Vec<VideoSnapshot> {
        let (base, now) = (self.url(), self.shared.clock.now());
        let mut videos: Vec<_> = self
            .shared
            .videos
            .entries()
            .into_iter()
            .map(|entry| VideoSnapshot {
                video: entry.view(self.shared.videos.encoding, &base, now),
                account: entry.account,
            })
            .collect();
        videos.sort_by_key(|snapshot| (snapshot.video.created, snapshot.video.uid.clone()));
        videos
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

fn snapshot(upload: &Upload) -> UploadSnapshot {
    let info = upload.info();
    UploadSnapshot {
        id: upload.blob_id().to_owned(),
        length: info.length.known(),
        offset: info.offset,
        complete: info.is_complete(),
        media_id: upload.place.uid().map(str::to_owned),
        metadata: info
            .metadata
            .as_ref()
            .and_then(|text| text.to_str().ok())
            .map(str::to_owned),
    }
}
