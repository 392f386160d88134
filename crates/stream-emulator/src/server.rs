//! The listener, the connections, and what all of them share.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use http_transport::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tus_core::server::Server;
use tus_core::{ChecksumAlgorithm, Extension, Extensions, ServerCapabilities};

use crate::account::{Account, Videos};
use crate::body::Sent;
use crate::builder::Options;
use crate::changes::Teller;
use crate::clock::Clock;
use crate::conn::{Connection, Socket};
use crate::disk::{Disk, Kind};
use crate::fault::Faults;
use crate::ffmpeg::Workshop;
use crate::handle::EmulatorHandle;
use crate::handler::{self, Cut};
use crate::hypotheses::Hypotheses;
use crate::limits::{Gate, Limits};
use crate::live::{self, Stage};
use crate::log::Log;
use crate::notify;
use crate::op;
use crate::playback::Peer;
use crate::quirks::Quirks;
use crate::upload::{Stored, Uploads};

const HEAD_BYTES: usize = 64 * 1024;
/// How long, and how much, a body that nobody wanted is read.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(30);
const DRAIN_BYTES: u64 = 256 * 1024 * 1024;

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    /// The rules of `/files/`.
    pub(crate) files: Server,
    /// The rules of Stream's upload URLs.
    pub(crate) stream: Server,
    pub(crate) uploads: Uploads,
    pub(crate) videos: Videos,
    /// What accounts hold besides videos.
    pub(crate) account: Account,
    pub(crate) workshop: Workshop,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) gate: Gate,
    pub(crate) stage: Stage,
    hypotheses: Mutex<Hypotheses>,
    limits: Mutex<Limits>,
    quirks: Mutex<Quirks>,
    pub(crate) log: Arc<Log>,
    pub(crate) teller: Teller,
    pub(crate) disk: Option<Disk>,
    /// Work that must come to its end: bodies that are being stored.
    pub(crate) tasks: TaskTracker,
    /// No new requests.
    pub(crate) stop: CancellationToken,
    /// Bodies end where they are.
    pub(crate) stop_bodies: CancellationToken,
    /// Connections close.
    pub(crate) stop_connections: CancellationToken,
}

impl Shared {
    pub(crate) fn hypotheses(&self) -> Hypotheses {
        *self
            .hypotheses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_hypotheses(&self, hypotheses: Hypotheses) {
        *self
            .hypotheses
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = hypotheses;
    }

    pub(crate) fn quirks(&self) -> Quirks {
        *self.quirks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_quirks(&self, quirks: Quirks) {
        *self.quirks.lock().unwrap_or_else(PoisonError::into_inner) = quirks;
    }

    pub(crate) fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Reads a body and throws it away, for a while.
    pub(crate) fn drain(&self, mut body: Body) {
        if body.exact_len() == Some(0) {
            return;
        }
        let stop = self.stop_connections.clone();
        let draining = async move {
            let mut drained = 0;
            while drained < DRAIN_BYTES
                && let Some(Ok(frame)) = body.frame().await
            {
                drained += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
        };
        tokio::spawn(stop.run_until_cancelled_owned(tokio::time::timeout(DRAIN_TIME, draining)));
    }

    fn load(options: Options) -> io::Result<Arc<Self>> {
        let disk = options.data.as_deref().map(Disk::open).transpose()?;
        let uploads = Uploads::default();
        let mut entries = Vec::new();
        let mut clock = Clock::default();
        if let Some(disk) = &disk {
            clock = Clock::ahead_by(disk.clock()?);
            // Where a crash left both states of an upload, the later one counts.
            for kind in [Kind::Upload, Kind::Expired] {
                for stored in disk.load::<Stored>(kind)? {
                    if let Some(upload) = stored.into_upload(disk) {
                        uploads.insert(upload);
                    }
                }
            }
            entries = disk.load(Kind::Video)?;
        }
        let teller = Teller::default();
        let shared = Self {
            files: files_rules(&options),
            stream: stream_rules(&options),
            uploads,
            videos: Videos::new(options.encoding, entries, teller.clone()),
            account: Account::load(disk.as_ref())?,
            workshop: Workshop::default(),
            clock,
            faults: Faults::new(options.faults.clone(), teller.clone()),
            gate: Gate::default(),
            stage: Stage::default(),
            hypotheses: Mutex::new(options.hypotheses),
            limits: Mutex::new(options.limits),
            quirks: Mutex::new(options.quirks),
            log: Arc::new(Log::new(teller.clone())),
            teller,
            disk,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            stop_bodies: CancellationToken::new(),
            stop_connections: CancellationToken::new(),
            options,
        };
        Ok(Arc::new(shared))
    }
}

/// All of tus. Where only digests are kept there is nothing to join.
fn files_rules(options: &Options) -> Server {
    let mut extensions: Extensions = Extension::ALL.into_iter().collect();
    if options.digest_only {
        extensions = extensions
            .without(Extension::Concatenation)
            .without(Extension::ConcatenationUnfinished);
    }
    let checksum_algorithms = ChecksumAlgorithm::ALL.to_vec();
    Server::new(ServerCapabilities {
        extensions,
        max_size_bytes: None,
        checksum_algorithms,
    })
    .with_expiry(options.upload_expiry)
}

/// Creation, and what the switch adds.
fn stream_rules(options: &Options) -> Server {
    let extensions = options
        .stream_extensions
        .with(Extension::Creation)
        .without(Extension::Concatenation)
        .without(Extension::ConcatenationUnfinished);
    Server::new(ServerCapabilities {
        extensions,
        max_size_bytes: Some(options.max_bytes),
        checksum_algorithms: ChecksumAlgorithm::ALL.to_vec(),
    })
}

pub(crate) async fn start(options: Options) -> io::Result<EmulatorHandle> {
    let listener = TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let loading = tokio::task::spawn_blocking(move || Shared::load(options));
    let shared = loading.await.map_err(io::Error::other)??;
    // An upload may have been completed in the last moment before a crash, and its video not told.
    for upload in shared.uploads.all() {
        if upload.place.uid().is_some() && upload.info().is_complete() {
            shared.completed(&upload).await;
        }
    }
    // Nor is what became due meanwhile to be worked on.
    shared.sweep().await;
    live::resume(&shared).await;
    op::copy::resume(&shared);
    tracing::debug!(%address, "the emulator listens");
    let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
    let handle = EmulatorHandle::new(Arc::clone(&shared), address, accepting);
    tokio::spawn(notify::run(shared, handle.url()));
    Ok(handle)
}

/// Accepts until it is told to stop, then waits for the connections.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(shared.options.connections));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            accepted = async {
                // Never closed, so it always comes; further connections wait in the backlog.
                let permit = Arc::clone(&permits).acquire_owned().await.ok();
                listener.accept().await.map(|(stream, _)| (stream, permit))
            } => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    serve(stream, shared).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: some will come back.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok();
    let connection = Arc::new(Connection::default());
    let socket = Socket::new(stream, Arc::clone(&connection), shared.options.head_timeout);
    let peer = peer.map(Peer);
    let service = service_fn(|mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let in_request = connection.request();
        let (shared, connection) = (&shared, &connection);
        async move {
            let guard = in_request.clone();
            let answer =
                handler::handle(shared, request.map(Body::wrap), connection, in_request).await?;
            Ok::<_, Cut>(answer.map(|body| Sent {
                body,
                _request: guard,
            }))
        }
    });
    // More than 100 headers, and a head of more than 64 KiB, are answered with 431.
    let serving = hyper::server::conn::http1::Builder::new()
        .max_header_size(HEAD_BYTES)
        .half_close(false)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = shared.stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                result = serving.as_mut() => result,
                () = shared.stop_connections.cancelled() => Ok(()),
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}
