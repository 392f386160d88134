//! [`Site`]: the server machine with memory for a disk. It keeps bytes, loses those that it did not sync, and holds locks.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::chunk::Chunk;
use crate::client::VerdictKind;
use crate::length::UploadLength;
use crate::rejection::Meaning;
use crate::server::{Append, Create, Decision, Server, UploadInfo, refusal, requested_method};
use crate::sim::habits::{Habits, Locks};
use crate::sim::{Breach, Random};

/// Where uploads are created.
pub(super) const ENDPOINT: &str = "https://tus.example/files/";
/// A second name of the same server, which may go away.
pub(super) const ALIAS: &str = "alias.example";

const PATH: &str = "/files/";

/// One upload on the server's disk.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) info: UploadInfo,
    pub(super) bytes: Vec<u8>,
    /// Bytes that survive a fall.
    pub(super) durable: usize,
    pub(super) removed: bool,
    /// When it was made.
    pub(super) made: SystemTime,
    holder: Option<u64>,
}

/// A PATCH whose body is coming in.
#[derive(Debug)]
struct Connection {
    id: u64,
    upload: usize,
    append: Append,
    /// Bytes that wait for the whole body.
    buffer: Vec<u8>,
    received: u64,
    limit: u64,
    /// The creation that these bytes came with.
    creating: Option<(Create, String)>,
}

/// What comes of the head of a request.
pub(super) enum Arrival {
    /// It is answered.
    Answer(Response<()>),
    /// Its body may come.
    Body,
}

/// The server.
#[derive(Debug)]
pub(super) struct Site {
    machine: Server,
    pub(super) habits: Habits,
    source: Arc<[u8]>,
    random: Random,
    pub(super) uploads: Vec<Stored>,
    connections: Vec<Connection>,
    pub(super) up: bool,
    /// Its uploads are made for one use of their URLs.
    pub(super) one_time: bool,
    /// Uploads that requests made.
    pub(super) creations: u32,
    /// Falls that took back what had been told.
    pub(super) losses: u32,
    /// Bodies that were pushed aside by a newer request, since the last look.
    pub(super) stolen: Vec<u64>,
}

impl Site {
    pub(super) fn new(habits: Habits, source: Arc<[u8]>, random: Random) -> Self {
        let mut machine = Server::new(habits.capabilities());
        if let Some(after) = habits.expires_after {
            machine = machine.with_expiry(after);
        }
        Self {
            machine,
            habits,
            source,
            random,
            uploads: Vec::new(),
            connections: Vec::new(),
            up: true,
            one_time: false,
            creations: 0,
            losses: 0,
            stolen: Vec::new(),
        }
    }

    /// An upload that is there from the beginning, with its first `stored` bytes; its URL.
    pub(super) fn plant(&mut self, stored: u64, deferred: bool, now: SystemTime) -> String {
        let length = UploadLength::Known(self.source.len() as u64);
        let mut info = UploadInfo::new(if deferred {
            UploadLength::Deferred
        } else {
            length
        });
        info.offset = stored;
        self.uploads.push(Stored {
            info,
            bytes: self.source[..stored as usize].to_vec(),
            durable: stored as usize,
            removed: false,
            made: now,
            holder: None,
        });
        self.creations += 1;
        format!("{ENDPOINT}{}", self.uploads.len() - 1)
    }

    /// The upload that a path names.
    pub(super) fn named(&self, path: &str) -> Option<usize> {
        let index = path.strip_prefix(PATH)?.parse().ok()?;
        (index < self.uploads.len()).then_some(index)
    }

    /// The head of a request has come.
    pub(super) fn arrive(
        &mut self,
        head: &Request<()>,
        chunk: Option<Chunk>,
        id: u64,
        now: SystemTime,
    ) -> Result<Arrival, Breach> {
        let named = self.named(head.uri().path());
        if let Some(upload) = named.map(|index| &mut self.uploads[index])
            && self.habits.buries
            && upload.info.is_expired(now)
        {
            upload.removed = true;
        }
        let present = named.filter(|index| !self.uploads[*index].removed);
        if let Some(holder) = present.and_then(|index| self.uploads[index].holder) {
            let reads = requested_method(head) == Ok(Method::HEAD);
            match self.habits.locks {
                Locks::Writers if reads => {}
                Locks::All | Locks::Writers => return Ok(self.refuse(Meaning::Locked)),
                Locks::Steal => {
                    self.end_broken(holder)?;
                    self.stolen.push(holder);
                }
            }
        }
        let info = present.map(|index| &self.uploads[index].info);
        let decision = match self.machine.decide(head, info, now) {
            Ok(decision) => decision,
            Err(rejection) => {
                let kind = match rejection.meaning {
                    Meaning::NotFound => Some(VerdictKind::Gone),
                    Meaning::Expired => Some(VerdictKind::Expired),
                    _ => None,
                };
                let answer = refusal(&rejection);
                return Ok(self.say(self.in_words(answer, kind)));
            }
        };
        let answer = match (decision, present) {
            (Decision::Options(decision), _) => decision.done(),
            (Decision::Create(create), _) => {
                let location = self.location(head);
                self.uploads.push(Stored {
                    info: create.info.clone(),
                    bytes: Vec::new(),
                    durable: 0,
                    removed: false,
                    made: now,
                    holder: None,
                });
                self.creations += 1;
                match create.body.clone() {
                    None => create.done(&location, &create.info),
                    Some(append) => {
                        let index = self.uploads.len() - 1;
                        self.open(index, id, append, Some((create, location)));
                        return Ok(Arrival::Body);
                    }
                }
            }
            (Decision::Terminate(decision), Some(index)) => {
                self.uploads[index].removed = true;
                decision.done()
            }
            (Decision::Head(decision), Some(index)) => {
                let complete = self.uploads[index].info.is_complete();
                match self.habits.forgets_finished {
                    Some(status) if complete => {
                        self.tell(index)?; // it says so of what is whole, and stays so
                        let mut gone = refusal(&Meaning::NotFound.into());
                        *gone.status_mut() = status_of(status);
                        let kind = if self.one_time {
                            VerdictKind::AlreadyUsed
                        } else {
                            VerdictKind::Gone
                        };
                        self.in_words(gone, Some(kind))
                    }
                    _ => {
                        self.tell(index)?;
                        decision.done(&self.uploads[index].info)
                    }
                }
            }
            (Decision::Append(_), _)
                if let (Some(grid), Some(chunk)) =
                    (self.habits.grid, chunk.filter(|chunk| chunk.len > 0))
                    && !grid.takes(chunk, self.source.len() as u64) =>
            {
                refusal(&Meaning::BadRequest.into())
            }
            (Decision::Append(append), Some(index)) => {
                self.open(index, id, append, None);
                return Ok(Arrival::Body);
            }
            _ => refusal(&Meaning::NotImplemented.into()),
        };
        Ok(self.say(answer))
    }

    fn open(&mut self, upload: usize, id: u64, append: Append, creating: Option<(Create, String)>) {
        self.uploads[upload].holder = Some(id);
        let limit = self.habits.bites.unwrap_or(u64::MAX).min(append.limit);
        self.connections.push(Connection {
            id,
            upload,
            append,
            buffer: Vec::new(),
            received: 0,
            limit,
            creating,
        });
    }

    /// Bytes of a body have come.
    pub(super) fn bytes(&mut self, id: u64, bytes: &[u8]) -> Result<(), Breach> {
        let Some(connection) = self.connections.iter_mut().find(|known| known.id == id) else {
            return Ok(());
        };
        let room = connection.limit.saturating_sub(connection.received);
        // A digest is of the whole body.
        let guarded = !connection.append.keeps_broken_body();
        let room = if guarded { u64::MAX } else { room };
        let taken = &bytes[..bytes.len().min(room as usize)];
        connection.received += taken.len() as u64;
        if self.habits.atomic || guarded {
            connection.buffer.extend_from_slice(taken);
            return Ok(());
        }
        let (upload, append) = (connection.upload, connection.append.clone());
        let received = connection.received;
        self.write(upload, &append, taken, received)
    }

    /// The whole body has come: the answer, unless somebody pushed the request aside.
    pub(super) fn end(
        &mut self,
        id: u64,
        trailers: Option<&HeaderMap>,
    ) -> Result<Option<Response<()>>, Breach> {
        let Some(connection) = self.take(id) else {
            return Ok(None);
        };
        let (index, append) = (connection.upload, &connection.append);
        if let Some(mut verifier) = append.verifier() {
            verifier.update(&connection.buffer);
            if let Err(rejection) = verifier.finish(trailers) {
                self.uploads[index].removed |= connection.creating.is_some();
                return Ok(Some(self.dressed(refusal(&rejection))));
            }
        }
        self.write(index, append, &connection.buffer, connection.received)?;
        self.tell(index)?;
        let info = &self.uploads[index].info;
        let answer = match &connection.creating {
            Some((create, location)) => create.done(location, info),
            None => append.done(info),
        };
        Ok(Some(self.dressed(answer)))
    }

    /// The server sees that a body broke off.
    pub(super) fn end_broken(&mut self, id: u64) -> Result<(), Breach> {
        let Some(connection) = self.take(id) else {
            return Ok(());
        };
        // What was buffered for a digest, or for the whole, goes with the connection.
        drop(connection);
        Ok(())
    }

    /// The server's process dies: what was not synced is gone, and so is every connection.
    pub(super) fn fall(&mut self) {
        self.connections.clear();
        self.up = false;
        for upload in &mut self.uploads {
            upload.holder = None;
            if upload.durable < upload.bytes.len() {
                upload.bytes.truncate(upload.durable);
                upload.info.offset = upload.durable as u64;
                self.losses += u32::from(!self.habits.durable);
            }
        }
    }

    /// What holds of every upload at any time.
    pub(super) fn check(&self) -> Result<(), Breach> {
        for (index, upload) in self.uploads.iter().enumerate() {
            let stored = upload.bytes.len() as u64;
            if upload.info.offset > stored || upload.durable as u64 > stored {
                let offset = upload.info.offset;
                return Err(Breach::new(
                    "the offset never exceeds the stored bytes",
                    format!("upload {index}: offset {offset}, stored {stored}"),
                ));
            }
        }
        Ok(())
    }

    /// Whether an upload is there and holds exactly the source.
    pub(super) fn holds_source(&self, index: usize) -> bool {
        let upload = &self.uploads[index];
        upload.info.is_complete() && upload.bytes[..] == self.source[..]
    }

    fn take(&mut self, id: u64) -> Option<Connection> {
        let position = self.connections.iter().position(|known| known.id == id)?;
        let connection = self.connections.swap_remove(position);
        self.uploads[connection.upload].holder = None;
        Some(connection)
    }

    fn write(
        &mut self,
        index: usize,
        append: &Append,
        bytes: &[u8],
        received: u64,
    ) -> Result<(), Breach> {
        let upload = &mut self.uploads[index];
        let at = upload.bytes.len();
        if self.source.get(at..at + bytes.len()) != Some(bytes) {
            return Err(Breach::new(
                "stored bytes are the source's",
                format!("upload {index}: other bytes at {at}"),
            ));
        }
        upload.bytes.extend_from_slice(bytes);
        upload.info.appended(append, received);
        Ok(())
    }

    /// An answer is about to name the offset: a durable server syncs before it does, every server when all is there.
    fn tell(&mut self, index: usize) -> Result<(), Breach> {
        let syncs = self.habits.durable || self.random.chance(400);
        let upload = &mut self.uploads[index];
        if syncs || upload.info.is_complete() {
            upload.durable = upload.bytes.len();
        }
        self.check()
    }

    fn refuse(&self, meaning: Meaning) -> Arrival {
        self.say(refusal(&meaning.into()))
    }

    fn say(&self, answer: Response<()>) -> Arrival {
        Arrival::Answer(self.dressed(answer))
    }

    /// With what the body of the answer says, if the service says it; its status then says less.
    fn in_words(&self, mut answer: Response<()>, kind: Option<VerdictKind>) -> Response<()> {
        if let (true, Some(kind)) = (self.habits.words, kind) {
            answer.extensions_mut().insert(kind);
            if self.habits.buries {
                *answer.status_mut() = StatusCode::FORBIDDEN;
            }
        }
        answer
    }

    fn dressed(&self, mut answer: Response<()>) -> Response<()> {
        if self.habits.versionless {
            answer.headers_mut().remove(crate::header::TUS_RESUMABLE);
        }
        answer
    }

    fn location(&mut self, head: &Request<()>) -> String {
        let index = self.uploads.len();
        match self.random.below(4) {
            // Relative to a name that may go away, an upload could be lost with it.
            0 if head.uri().host() != Some(ALIAS) => format!("{PATH}{index}"),
            1 if head.uri().host() != Some(ALIAS) => index.to_string(),
            2 => format!("https://upload.example{PATH}{index}?tusv2=true"),
            _ => format!("{ENDPOINT}{index}"),
        }
    }
}

/// A status that is known to be one.
pub(super) fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
