//! Takes the body of a PATCH, or of a creation with upload, into a blob.
//!
//! Reading, writing and syncing overlap: while one batch of the body is written off the async threads, the
//! next one is read, and what was written before is made durable by a third. It runs in a task of its own, because hyper drops a handler whose client went
//! away, and what came until then must be kept (G-17).

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};

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

/// What is written at once: pages are cheaper in large pieces, and each takes a turn on another thread.
const BATCH_BYTES: u64 = 1024 * 1024;

/// The same where many bodies come at once, which all have one in memory while another one is written.
const SMALL_BATCH_BYTES: u64 = 256 * 1024;

/// So many bodies are few.
const FEW: usize = 4;

/// So much of a running PATCH is synced at once, and then counts: the disk is busy while the rest comes.
const CHECKPOINT_BYTES: u64 = 32 * 1024 * 1024;

/// So much of it is lost at most when the server dies: who is so far ahead of the disk waits for it.
const AHEAD_BYTES: u64 = 4 * CHECKPOINT_BYTES;

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
            counts: keeps,
            start: blob.len(),
            synced: blob.len(),
            syncing: None,
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
    let mut left = room(shared, append.at);
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
                Ok(mut data) => {
                    received += data.len() as u64;
                    if received > append.limit {
                        break Stop::TooLong;
                    }
                    while data.len() as u64 >= left {
                        batch.push(data.split_to(usize::try_from(left).unwrap_or(usize::MAX)));
                        if let Err(error) = pipe.write(std::mem::take(&mut batch)).await {
                            return Stop::Refused(storage(&error));
                        }
                        left = room(shared, append.at + received - data.len() as u64);
                    }
                    left -= data.len() as u64;
                    if !data.is_empty() {
                        batch.push(data);
                    }
                }
                Err(frame) => break Stop::End(frame.into_trailers().ok()),
            },
        }
    };
    if !batch.is_empty()
        && let Err(error) = pipe.write(batch).await
    {
        return Stop::Refused(storage(&error));
    }
    stop
}

/// What the batch at `offset` has room for: it ends where the next one can begin evenly.
fn room(shared: &Shared, offset: u64) -> u64 {
    let batch = if shared.tasks.len() <= FEW {
        BATCH_BYTES
    } else {
        SMALL_BATCH_BYTES
    };
    batch - offset % batch
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
    /// Whether what was synced counts before all of the body has come.
    counts: bool,
    start: u64,
    synced: u64,
    /// Tells up to where it is synced.
    syncing: Option<Receiver<io::Result<u64>>>,
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
        self.sync_beside()
    }

    /// Lets somebody else make durable what was written, where there is enough of it and a disk.
    fn sync_beside(&mut self) -> io::Result<()> {
        let written = self.blob.len();
        let must_wait = written - self.synced >= AHEAD_BYTES;
        if !self.take_synced(must_wait)? || written - self.synced < CHECKPOINT_BYTES {
            return Ok(());
        }
        let Some(file) = self.blob.same_file()? else {
            return Ok(());
        };
        let (teller, synced) = mpsc::channel();
        self.syncing = Some(synced);
        let (shared, upload) = (Arc::clone(&self.shared), Arc::clone(&self.upload));
        let append = self.counts.then(|| self.append.clone());
        let received = written - self.start;
        tokio::task::spawn_blocking(move || {
            let syncing = file.sync_data().and_then(|()| match append {
                Some(append) => count(&shared, &upload, &append, received),
                None => Ok(()),
            });
            // Whoever wrote it may be gone, and its upload removed.
            let _ = teller.send(syncing.map(|()| written));
        });
        Ok(())
    }

    /// Takes what was told of the last sync; false while it goes on.
    fn take_synced(&mut self, must_wait: bool) -> io::Result<bool> {
        let Some(syncing) = &self.syncing else {
            return Ok(true);
        };
        let told = if must_wait {
            syncing.recv().map_err(io::Error::other)?
        } else {
            match syncing.try_recv() {
                Ok(told) => told,
                Err(TryRecvError::Empty) => return Ok(false),
                Err(gone) => return Err(io::Error::other(gone)),
            }
        };
        self.syncing = None;
        self.synced = told?;
        Ok(true)
    }

    /// Makes durable what is written, and only then counts it.
    fn commit(&mut self) -> io::Result<()> {
        self.blob.sync()?;
        self.synced = self.blob.len();
        let received = self.synced - self.start;
        count(&self.shared, &self.upload, &self.append, received)
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
        // A disk that failed once is not asked again: it may say that all is well.
        let synced = self.take_synced(true);
        let stored = if keep {
            synced.and_then(|_| self.commit()).or_else(|error| {
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

/// So many bytes of the body are durable, and count from now on.
fn count(shared: &Shared, upload: &Upload, append: &Append, received: u64) -> io::Result<()> {
    upload.info().appended(append, received);
    upload.save(shared.disk.as_ref())?;
    shared.teller.tell();
    Ok(())
}
