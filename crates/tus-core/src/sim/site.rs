//! [`Site`]: the server machine with memory for a disk. It keeps bytes, loses those that it did not sync, and holds locks.

use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, Request, Response, StatusCode};

use crate::chunk::Chunk;
use crate::client::VerdictKind;
use crate::length::UploadLength;
use crate::rejection::Meaning;
use crate::server::{Decision, Server, UploadInfo, refusal, requested_method};
use crate::sim::bodies::Connection;
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
    pub(super) holder: Option<u64>,
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
    pub(super) source: Arc<[u8]>,
    pub(super) random: Random,
    pub(super) uploads: Vec<Stored>,
    pub(super) connections: Vec<Connection>,
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

    pub(super) fn dressed(&self, mut answer: Response<()>) -> Response<()> {
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
