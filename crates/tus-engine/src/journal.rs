//! [`Journal`]: one thread between the uploads and their store.
//!
//! Stores block and are called from here only, but for what they do at once. Confirmed offsets are merged per upload and written
//! in one batch now and then; what must not be lost (an intent, a creation, an end) is written at once, together with everything
//! else that waits. Only where that was done a moment ago it waits for company: many small files cost few syncs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use resume_store::{
    Change, Fingerprint, Lease, Record, ResumeStore, State, StoreError, TRAIL_MIN_BYTES, Trail,
};
use tokio::sync::oneshot;

use crate::event::EventSink;
use crate::outbox::{CROWD, Haste, Load, Outbox, Visit};

/// A handle on the store's thread. The thread writes what is left and ends when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Journal {
    store: Arc<dyn ResumeStore>,
    outbox: Arc<Outbox>,
    commands: Sender<Command>,
}

enum Command {
    /// Gives a record and its trail another fingerprint.
    Adopt {
        from: Fingerprint,
        to: Fingerprint,
        record: Box<Record>,
        reply: oneshot::Sender<Result<(), String>>,
    },
    Recall(Fingerprint, oneshot::Sender<Result<Recalled, StoreError>>),
    Strays(oneshot::Sender<Strays>),
    Trail {
        fingerprint: Fingerprint,
        length: u64,
        is_new: bool,
        reply: oneshot::Sender<Trail>,
    },
    /// There is something in the outbox.
    Write(Haste),
}

/// The right to drive an upload, and what is remembered of it.
pub(crate) type Recalled = (Lease, Option<Record>);

/// The unfinished uploads that earlier processes left behind, as far as they left a trail.
pub(crate) type Strays = Arc<[(Fingerprint, Record)]>;

impl Journal {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        store: Box<dyn ResumeStore>,
        interval: Duration,
        sink: Arc<dyn EventSink>,
    ) -> std::io::Result<Self> {
        let (commands, inbox) = channel();
        let (store, outbox) = (Arc::from(store), Arc::new(Outbox::default()));
        let scribe = Scribe {
            store: Arc::clone(&store),
            outbox: Arc::clone(&outbox),
            sink,
            interval,
            due: None,
            trouble_told: false,
            strays: None,
            answered: 0,
            answered_at: Instant::now(),
            written_at: Instant::now(),
        };
        let run = move || scribe.run(&inbox);
        thread::Builder::new().name("journal".into()).spawn(run)?;
        Ok(Self {
            store,
            outbox,
            commands,
        })
    }

    /// Takes the right to drive the upload of `fingerprint` and reads what is remembered of it; or who has it.
    pub(crate) async fn recall(
        &self,
        fingerprint: Fingerprint,
    ) -> Option<Result<Recalled, StoreError>> {
        // Nearly all uploads are new, and then nobody needs to be woken. What an earlier one of this process left behind may
        // still be on its way to the store.
        if let Some(lease) = self.store.lease_new(&fingerprint)
            && !self.outbox.has(&fingerprint)
        {
            // The store looks after what is held when it is written to, soon in any case.
            if self.outbox.call(Haste::Note) {
                self.wake(Haste::Note);
            }
            return Some(Ok((lease, None)));
        }
        self.ask(|reply| Command::Recall(fingerprint, reply)).await
    }

    /// Writes the record durably, or removes it, and says when that is done. What cannot be done now is kept and tried again.
    pub(crate) async fn commit(
        &self,
        fingerprint: Fingerprint,
        record: Option<Record>,
    ) -> Result<(), String> {
        let commit = self.begin_commit(fingerprint, record, Haste::InTurn);
        commit.end().await
    }

    /// Hands a record to the store at once; whether it was written can be waited for.
    pub(crate) fn begin_commit(
        &self,
        fingerprint: Fingerprint,
        record: Option<Record>,
        haste: Haste,
    ) -> Committing {
        let (reply, answer) = oneshot::channel();
        if let Some(haste) = self.outbox.put(fingerprint, record, Some(reply), haste) {
            self.wake(haste);
        }
        Committing(answer)
    }

    /// An upload is under way, until what this gives is dropped: its commits may wait for those of others, as long as there are
    /// others.
    pub(crate) fn visit(&self) -> Visit {
        self.outbox.visit()
    }

    /// Whether what is put down is written together with much else, and not at once.
    pub(crate) fn is_crowded(&self) -> bool {
        self.outbox.is_crowded()
    }

    /// Writes the record of an upload that has ended with the next batch, and gives its lease back when that is done.
    pub(crate) fn retire(&self, record: Record, lease: Lease) {
        if self.outbox.retire(record, lease) {
            self.wake(Haste::Note);
        }
    }

    /// Gives a record and its trail another fingerprint, durably. Bring both leases.
    pub(crate) async fn adopt(
        &self,
        from: Fingerprint,
        to: Fingerprint,
        record: Record,
    ) -> Result<(), String> {
        let command = |reply| Command::Adopt {
            from,
            to,
            record: Box::new(record),
            reply,
        };
        self.ask(command).await.unwrap_or_else(|| Err(ended()))
    }

    /// The unfinished uploads that were there when this was first asked: those of this process are none of them.
    pub(crate) async fn strays(&self) -> Strays {
        self.ask(Command::Strays).await.unwrap_or_default()
    }

    /// The trail of a source; an empty one if it is new.
    pub(crate) async fn trail(&self, fingerprint: Fingerprint, length: u64, is_new: bool) -> Trail {
        let command = |reply| Command::Trail {
            fingerprint,
            length,
            is_new,
            reply,
        };
        self.ask(command).await.unwrap_or_else(Trail::off)
    }

    /// Writes the record with the next batch.
    pub(crate) fn note(&self, fingerprint: Fingerprint, record: Record) {
        let record = Some(record);
        if let Some(haste) = self.outbox.put(fingerprint, record, None, Haste::Note) {
            self.wake(haste);
        }
    }

    /// Writes all that waits.
    pub(crate) async fn flush(&self) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        if self.outbox.flush(reply) {
            self.wake(Haste::Now);
        }
        Committing(answer).end().await
    }

    fn wake(&self, haste: Haste) {
        // Without the thread there is nobody to tell; who waits for it hears that it has ended.
        let _ = self.commands.send(Command::Write(haste));
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).ok()?;
        answer.await.ok()
    }
}

/// A commit under way.
pub(crate) struct Committing(oneshot::Receiver<Result<(), String>>);

impl Committing {
    /// Waits until it is durable.
    pub(crate) async fn end(self) -> Result<(), String> {
        self.0.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> String {
    "the store's thread has ended".to_owned()
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

type Recall = (Fingerprint, oneshot::Sender<Result<Recalled, StoreError>>);

/// The thread's own state.
struct Scribe {
    store: Arc<dyn ResumeStore>,
    outbox: Arc<Outbox>,
    sink: Arc<dyn EventSink>,
    interval: Duration,
    /// When what is in the outbox is to be written.
    due: Option<Instant>,
    /// An end could not be written, and that was told.
    trouble_told: bool,
    /// Once somebody asked.
    strays: Option<Strays>,
    /// How many waited for the last commit for which anybody did.
    answered: usize,
    answered_at: Instant,
    written_at: Instant,
}

impl Scribe {
    fn run(mut self, inbox: &Receiver<Command>) {
        let _farewell = Farewell(Arc::clone(&self.outbox));
        let mut recalls = Vec::new();
        loop {
            let command = match self.due {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match command {
                Ok(command) => self.take(command, &mut recalls),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // The last handle is gone; nobody is left to hear of an error.
                    self.write();
                    return;
                }
            }
            while let Ok(command) = inbox.try_recv() {
                self.take(command, &mut recalls);
            }
            // Everybody who is waiting now shares one look into the store.
            self.recall_all(recalls.drain(..));
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.write();
            }
            for notice in self.store.take_notices() {
                self.sink.store_notice(&notice);
            }
        }
    }

    fn take(&mut self, command: Command, recalls: &mut Vec<Recall>) {
        match command {
            Command::Adopt {
                from,
                to,
                record,
                reply,
            } => {
                let _ = reply.send(self.adopt(&from, &to, *record));
            }
            Command::Recall(fingerprint, reply) => recalls.push((fingerprint, reply)),
            Command::Strays(reply) => {
                if self.strays.is_none() {
                    self.strays = Some(self.find_strays());
                }
                let _ = reply.send(self.strays.clone().unwrap_or_default());
            }
            Command::Trail {
                fingerprint,
                length,
                is_new,
                reply,
            } => {
                if is_new {
                    self.store.remove_trail(&fingerprint);
                }
                let _ = reply.send(self.store.trail(&fingerprint, length));
            }
            Command::Write(haste) => {
                let due = match haste {
                    Haste::Note => self.written_at + self.interval,
                    Haste::Aside => self.with_company(LEISURE),
                    Haste::InTurn => self.with_company(COMPANY),
                    Haste::Now => Instant::now(),
                };
                self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
            }
        }
    }

    /// When to write for somebody who could wait this long after those before.
    fn with_company(&self, wait: Duration) -> Instant {
        if self.answered + self.outbox.waiting() > CROWD {
            self.answered_at + wait
        } else {
            Instant::now()
        }
    }

    fn adopt(
        &mut self,
        from: &Fingerprint,
        to: &Fingerprint,
        record: Record,
    ) -> Result<(), String> {
        let changes = [Change::Put(*to, record), Change::Remove(*from)];
        let done = self.store.commit(&changes);
        done.map_err(|error| error.to_string())?;
        // A crash here leaves a record without a trail, which is begun anew if its file was touched.
        self.store.move_trail(from, to);
        Ok(())
    }

    fn find_strays(&self) -> Strays {
        let load = |fingerprint| match self.store.load(&fingerprint) {
            Ok(Some(record)) if record.state == State::Active => Some((fingerprint, record)),
            _ => None,
        };
        self.store.trails().into_iter().filter_map(load).collect()
    }

    /// Takes the leases, then reads all records at once: whoever has a lease is the only one who changes what it is for.
    fn recall_all(&mut self, recalls: impl Iterator<Item = Recall>) {
        let mut leased = Vec::new();
        for (fingerprint, reply) in recalls {
            if self.outbox.is_retiring(&fingerprint) {
                // It ended a moment ago, and is wanted again.
                self.write();
            }
            match self.store.lease(&fingerprint) {
                Ok(lease) => leased.push((lease, self.outbox.last(&fingerprint), reply)),
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            }
        }
        let unknown = leased.iter().filter(|(_, last, _)| last.is_none());
        let wanted: Vec<_> = unknown.map(|(lease, ..)| *lease.fingerprint()).collect();
        let found = match self.store.load_many(&wanted) {
            Ok(found) => found.into_iter().map(Ok).collect(),
            // Whose record it is that cannot be read, one by one.
            Err(_) => wanted
                .iter()
                .map(|whose| self.store.load(whose))
                .collect::<Vec<_>>(),
        };
        let mut found: HashMap<_, _> = wanted.into_iter().zip(found).collect();
        for (lease, last, reply) in leased {
            let record = match found.remove(lease.fingerprint()) {
                Some(record) => record,
                None => Ok(last.flatten()),
            };
            let _ = reply.send(record.map(|record| (lease, record)));
        }
    }

    /// Writes what is in the outbox. On failure it stays there: state is written when there is space again.
    fn write(&mut self) {
        let Load {
            changes,
            waiting,
            retiring,
        } = self.outbox.take();
        self.due = None;
        self.written_at = Instant::now();
        if !waiting.is_empty() {
            (self.answered, self.answered_at) = (waiting.len(), self.written_at);
        }
        let done = self.store.commit_shared(&changes);
        self.outbox.wrote(done.is_ok());
        if let Err(error) = &done {
            tracing::warn!(%error, records = changes.len(), "resume state not written, will try again");
            self.due = Some(self.written_at + self.interval);
            // Nobody waits for these any more who could tell.
            if !retiring.is_empty() && !self.trouble_told {
                self.trouble_told = true;
                self.sink.end_not_saved(&error.to_string());
            }
        } else {
            // Nobody will compare their bytes any more.
            let ended = changes.iter().filter(|change| match change {
                Change::Put(_, record) => {
                    record.state == State::Finished && record.length > Some(TRAIL_MIN_BYTES)
                }
                Change::Remove(_) => true,
            });
            ended.for_each(|change| self.store.remove_trail(change.fingerprint()));
        }
        // Without a state that can be written, a lease keeps others from the truth as well.
        drop(retiring);
        let result = done.map_err(|error| error.to_string());
        for reply in waiting {
            let _ = reply.send(result.clone());
        }
    }
}

/// Whoever waits must hear that the thread has ended, however that came.
struct Farewell(Arc<Outbox>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The least time from one commit to the next while many wait for theirs.
const COMPANY: Duration = Duration::from_millis(2);
/// The same for those who have left their turn to another: nobody's bytes wait for them.
pub(crate) const LEISURE: Duration = Duration::from_millis(16);
