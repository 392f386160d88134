//! Takes the body of a PATCH, or of a creation with upload, into a blob.
//!
//! Reading and writing overlap: while one batch of the body is written off the async threads, the
//! next one is read. It runs in a task of its own, because hyper drops a handler whose client went
//! away, and what came until then must be kept (G-17).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use http_transport::Body;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tus_core::server::{Append, UploadInfo, Verifier};
use tus_core::{Meaning, Rejection};

use crate::blob::{Blob, Mark};
use crate::join;
use crate::server::Shared;
use crate::upload::{Ticket, Upload};

/// What is written at once.
const BATCH_BYTES: u64 = 256 * 1024;

/// So much of a running PATCH is lost at most when the server dies: it is synced and counted in
/// between.
const CHECKPOINT_BYTES: u64 = 32 * 1024 * 1024;

/// How it ended.
pub(crate) enum End {
    /// All of the body came; the upload as it is now.
    Done(UploadInfo),
    /// Answered with this. What can be kept is kept.
    Refused(Rejection),
    /// The client went away: there is nobody to answer.
    Cut,
}

/// Why no more of the body is read.
enum Stop {
    End(Option<HeaderMap>),
    Cut,
    TooLong,
    Refused(Rejection),
}

pub(crate) struct Appending {
    pub(crate) shared: Arc<Shared>,
    pub(crate) upload: Arc<Upload>,
    pub(crate) blob: OwnedMutexGuard<Blob>,
    pub(crate) ticket: Ticket,
    pub(crate) append: Append,
    pub(crate) body: Body,
}

impl Appending {
    /// Runs to its end even if whoever waits for it is dropped.
    pub(crate) async fn run(self) -> End {
        let tasks = self.shared.tasks.clone();
        match tasks.spawn(self.work()).await {
            Ok(end) => end,
            Err(_) => End::Refused(Meaning::Internal.into()),
        }
    }

    async fn work(self) -> End {
        let Self {
            shared,
            upload,
            blob,
            mut ticket,
            append,
            mut body,
        } = self;
        let before = upload.info().clone();
        let mark = blob.mark();
        let keeps = append.keeps_broken_body() && !shared.hypotheses().drop_partial_chunks;
        let mut pipe = Pipe::Idle(Sink {
            verifier: append.verifier(),
            checkpoints: keeps && shared.disk.is_some(),
            start: blob.len(),
            synced: blob.len(),
            shared: Arc::clone(&shared),
            upload: Arc::clone(&upload),
            append: append.clone(),
            blob,
        });
        let stop = pump(&shared, &append, &mut body, &mut ticket, &mut pipe).await;
        let Ok((sink, result)) = pipe.finish().await else {
            return End::Refused(Meaning::Internal.into());
        };
        let stop = match result {
            Ok(()) => stop,
            Err(error) => Stop::Refused(storage(&error)),
        };
        if matches!(stop, Stop::TooLong | Stop::Refused(_)) {
            shared.drain(body);
        }
        let settled = tokio::task::spawn_blocking(move || sink.settle(stop, keeps, mark, before));
        let end = settled
            .await
            .unwrap_or_else(|_| End::Refused(Meaning::Internal.into()));
        if let End::Done(info) = &end
            && info.is_complete()
        {
            shared.completed(&upload).await;
        } else if append.sets_length.is_some() {
            join::join_waiting(&shared, &upload).await;
        }
        end
    }
}

/// Reads the body to its end, or to whatever ends it before.
async fn pump(
    shared: &Shared,
    append: &Append,
    body: &mut Body,
    ticket: &mut Ticket,
    pipe: &mut Pipe,
) -> Stop {
    let mut received = 0_u64;
    let mut batch = Vec::new();
    let mut batch_bytes = 0_u64;
    let stop = loop {
        let frame = tokio::select! {
            biased;
            () = ticket.called_off() => {
                let why = "a newer request took the upload over";
                break Stop::Refused(Rejection::because(Meaning::Locked, why));
            }
            () = shared.stop_bodies.cancelled() => {
                let why = "the server is shutting down";
                break Stop::Refused(Rejection::because(Meaning::Unavailable, why));
            }
            frame = tokio::time::timeout(shared.options.body_idle, body.frame()) => frame,
        };
        match frame {
            Err(_) => break Stop::Refused(Meaning::RequestTimeout.into()),
            Ok(None) => break Stop::End(None),
            Ok(Some(Err(_))) => break Stop::Cut,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    received += data.len() as u64;
                    if received > append.limit {
                        break Stop::TooLong;
                    }
                    batch_bytes += data.len() as u64;
                    batch.push(data);
                }
                Err(frame) => break Stop::End(frame.into_trailers().ok()),
            },
        }
        if batch_bytes >= BATCH_BYTES {
            if let Err(error) = pipe.write(std::mem::take(&mut batch)).await {
                return Stop::Refused(storage(&error));
            }
            batch_bytes = 0;
        }
    };
    if !batch.is_empty()
        && let Err(error) = pipe.write(batch).await
    {
        return Stop::Refused(storage(&error));
    }
    stop
}

fn storage(error: &io::Error) -> Rejection {
    tracing::warn!(%error, "the bytes of an upload cannot be written");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Meaning::InsufficientStorage.into()
        }
        _ => Rejection::because(Meaning::Internal, "the bytes cannot be written"),
    }
}

/// Writes one batch at a time, off the async threads.
enum Pipe {
    Idle(Sink),
    Busy(JoinHandle<(Sink, io::Result<()>)>),
    Lost,
}

impl Pipe {
    /// Waits for the batch before, then begins with this one.
    async fn write(&mut self, pieces: Vec<Bytes>) -> io::Result<()> {
        let (mut sink, result) = std::mem::replace(self, Self::Lost).finish().await?;
        if result.is_err() || sink.blob.is_memory() {
            let result = result.and_then(|()| sink.write(&pieces));
            *self = Self::Idle(sink);
            return result;
        }
        *self = Self::Busy(tokio::task::spawn_blocking(move || {
            let result = sink.write(&pieces);
            (sink, result)
        }));
        Ok(())
    }

    /// Waits until nothing is being written.
    async fn finish(self) -> io::Result<(Sink, io::Result<()>)> {
        match self {
            Self::Idle(sink) => Ok((sink, Ok(()))),
            Self::Busy(writing) => writing.await.map_err(io::Error::other),
            Self::Lost => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Where the bytes go. Blocking.
struct Sink {
    blob: OwnedMutexGuard<Blob>,
    verifier: Option<Verifier>,
    checkpoints: bool,
    start: u64,
    synced: u64,
    shared: Arc<Shared>,
    upload: Arc<Upload>,
    append: Append,
}

impl Sink {
    fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        self.blob.write(pieces)?;
        if let Some(verifier) = &mut self.verifier {
            pieces.iter().for_each(|piece| verifier.update(piece));
        }
        if self.checkpoints && self.blob.len() - self.synced >= CHECKPOINT_BYTES {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes durable what is written, and only then counts it.
    fn commit(&mut self) -> io::Result<()> {
        self.blob.sync()?;
        self.synced = self.blob.len();
        self.upload
            .info()
            .appended(&self.append, self.synced - self.start);
        self.upload.save(self.shared.disk.as_ref())?;
        self.shared.teller.tell();
        Ok(())
    }

    /// Takes the upload back to where it was before the request.
    fn undo(&mut self, mark: Mark, before: UploadInfo) -> io::Result<()> {
        self.blob.roll_back(mark)?;
        if *self.upload.info() == before {
            return Ok(());
        }
        *self.upload.info() = before;
        self.upload.save(self.shared.disk.as_ref())
    }

    /// Keeps or discards, by how it ended.
    fn settle(mut self, stop: Stop, keeps: bool, mark: Mark, before: UploadInfo) -> End {
        let (keep, refusal) = match stop {
            Stop::End(trailers) => {
                let verdict = self.verifier.take().map(|it| it.finish(trailers.as_ref()));
                match verdict {
                    Some(Err(rejection)) => (false, Some(End::Refused(rejection))),
                    Some(Ok(())) | None => (true, None),
                }
            }
            Stop::Cut => (keeps, Some(End::Cut)),
            Stop::TooLong => (false, Some(End::Refused(Append::too_long()))),
            Stop::Refused(rejection) => (keeps, Some(End::Refused(rejection))),
        };
        let stored = if keep {
            self.commit().or_else(|error| {
                // What could not be made durable must not count.
                self.undo(mark, before)?;
                Err(error)
            })
        } else {
            self.undo(mark, before)
        };
        self.blob.close();
        match (stored, refusal) {
            (Err(error), _) => End::Refused(storage(&error)),
            (Ok(()), Some(refusal)) => refusal,
            (Ok(()), None) => End::Done(self.upload.info().clone()),
        }
    }
}
