//! [`Journal`]: one thread between the uploads and their store.
//!
//! Stores block and are called from here only. Confirmed offsets are merged per upload and written in one batch now and then;
//! what must not be lost (an intent, a creation, an end) is written at once, together with everything else that waits. Only
//! where that was done a moment ago it waits for company: many small files cost few syncs.

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

/// A handle on the store's thread. The thread writes what is left and ends when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Journal {
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
    /// Without a record, what is there is removed.
    Commit(
        Fingerprint,
        Option<Box<Record>>,
        oneshot::Sender<Result<(), String>>,
    ),
    Flush(oneshot::Sender<Result<(), String>>),
    Recall(Fingerprint, oneshot::Sender<Result<Recalled, StoreError>>),
    Note(Fingerprint, Box<Record>),
    Retire(Fingerprint, Box<Record>, Lease),
    Strays(oneshot::Sender<Strays>),
    Trail {
        fingerprint: Fingerprint,
        length: u64,
        is_new: bool,
        reply: oneshot::Sender<Trail>,
    },
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
        let run = move || {
            Scribe {
                store,
                sink,
                interval,
                pending: HashMap::new(),
                retiring: HashMap::new(),
                trouble_told: false,
                strays: None,
                answered: 0,
                answered_at: Instant::now(),
                written_at: Instant::now(),
            }
            .run(&inbox);
        };
        thread::Builder::new().name("journal".into()).spawn(run)?;
        Ok(Self { commands })
    }

    /// Takes the right to drive the upload of `fingerprint` and reads what is remembered of it; or who has it.
    pub(crate) async fn recall(
        &self,
        fingerprint: Fingerprint,
    ) -> Option<Result<Recalled, StoreError>> {
        self.ask(|reply| Command::Recall(fingerprint, reply)).await
    }

    /// Writes the record durably, or removes it, and says when that is done. What cannot be done now is kept and tried again.
    pub(crate) async fn commit(
        &self,
        fingerprint: Fingerprint,
        record: Option<Record>,
    ) -> Result<(), String> {
        self.begin_commit(fingerprint, record).end().await
    }

    /// Hands a record to the store at once; whether it was written can be waited for.
    pub(crate) fn begin_commit(
        &self,
        fingerprint: Fingerprint,
        record: Option<Record>,
    ) -> Committing {
        let (reply, answer) = oneshot::channel();
        let command = Command::Commit(fingerprint, record.map(Box::new), reply);
        Committing(self.commands.send(command).is_ok().then_some(answer))
    }

    /// Writes the record of an upload that has ended with the next batch, and gives its lease back when that is done.
    pub(crate) fn retire(&self, fingerprint: Fingerprint, record: Record, lease: Lease) {
        let _ = self
            .commands
            .send(Command::Retire(fingerprint, Box::new(record), lease));
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
        self.ask(command)
            .await
            .unwrap_or_else(|| Err("the store's thread has ended".into()))
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
        // Without the thread there is nobody to tell; the next commit reports it.
        let _ = self
            .commands
            .send(Command::Note(fingerprint, Box::new(record)));
    }

    /// Writes all that waits.
    pub(crate) async fn flush(&self) -> Result<(), String> {
        self.ask(Command::Flush).await.unwrap_or(Ok(()))
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).ok()?;
        answer.await.ok()
    }
}

/// A commit under way.
pub(crate) struct Committing(Option<oneshot::Receiver<Result<(), String>>>);

impl Committing {
    /// Waits until it is durable.
    pub(crate) async fn end(self) -> Result<(), String> {
        let answer = match self.0 {
            Some(answer) => answer.await.ok(),
            None => None,
        };
        answer.unwrap_or_else(|| Err("the store's thread has ended".into()))
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

type Recall = (Fingerprint, oneshot::Sender<Result<Recalled, StoreError>>);

/// Who waits for an answer of the thread.
#[derive(Default)]
struct Inquiries {
    commits: Vec<oneshot::Sender<Result<(), String>>>,
    recalls: Vec<Recall>,
}

impl Inquiries {
    fn len(&self) -> usize {
        self.commits.len() + self.recalls.len()
    }
}

/// The thread's own state.
struct Scribe {
    store: Box<dyn ResumeStore>,
    sink: Arc<dyn EventSink>,
    interval: Duration,
    pending: HashMap<Fingerprint, Option<Record>>,
    /// Leases of uploads that have ended, to be given back once that is written: until then, nobody else may find them
    /// unfinished.
    retiring: HashMap<Fingerprint, Lease>,
    /// An end could not be written, and that was told.
    trouble_told: bool,
    /// Once somebody asked.
    strays: Option<Strays>,
    /// How many had an answer the last time.
    answered: usize,
    answered_at: Instant,
    written_at: Instant,
}

impl Scribe {
    fn run(mut self, inbox: &Receiver<Command>) {
        let mut inquiries = Inquiries::default();
        loop {
            let command = if self.pending.is_empty() {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inbox.recv_timeout(self.interval.saturating_sub(self.written_at.elapsed()))
            };
            match command {
                Ok(command) => self.take(command, &mut inquiries),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // The last handle is gone; nobody is left to hear of an error.
                    let _ = self.write();
                    return;
                }
            }
            // Everybody who is waiting now shares one look into the store, and one commit.
            self.take_all(inbox, &mut inquiries);
            if inquiries.len() + self.answered > CROWD {
                // Asleep, it is not woken by each who comes.
                thread::sleep(COMPANY.saturating_sub(self.answered_at.elapsed()));
                self.take_all(inbox, &mut inquiries);
            }
            self.answer(&mut inquiries);
            for notice in self.store.take_notices() {
                self.sink.store_notice(&notice);
            }
        }
    }

    fn take_all(&mut self, inbox: &Receiver<Command>, inquiries: &mut Inquiries) {
        while let Ok(command) = inbox.try_recv() {
            self.take(command, inquiries);
        }
    }

    fn answer(&mut self, inquiries: &mut Inquiries) {
        if inquiries.len() > 0 {
            self.answered = inquiries.len();
            self.answered_at = Instant::now();
        }
        if !inquiries.recalls.is_empty() {
            self.recall_all(inquiries.recalls.drain(..));
        }
        if !inquiries.commits.is_empty() || self.written_at.elapsed() >= self.interval {
            let result = self.write();
            for reply in inquiries.commits.drain(..) {
                let _ = reply.send(result.clone());
            }
        }
    }

    fn take(&mut self, command: Command, inquiries: &mut Inquiries) {
        match command {
            Command::Adopt {
                from,
                to,
                record,
                reply,
            } => {
                let _ = reply.send(self.adopt(&from, &to, *record));
            }
            Command::Commit(fingerprint, record, reply) => {
                self.pending
                    .insert(fingerprint, record.map(|record| *record));
                inquiries.commits.push(reply);
            }
            Command::Flush(reply) => inquiries.commits.push(reply),
            Command::Recall(fingerprint, reply) => inquiries.recalls.push((fingerprint, reply)),
            Command::Note(fingerprint, record) => {
                self.pending.insert(fingerprint, Some(*record));
            }
            Command::Retire(fingerprint, record, lease) => {
                self.pending.insert(fingerprint, Some(*record));
                self.retiring.insert(fingerprint, lease);
            }
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
            if self.retiring.contains_key(&fingerprint) {
                // It ended a moment ago, and is wanted again.
                let _ = self.write();
            }
            match self.store.lease(&fingerprint) {
                Ok(lease) => leased.push((fingerprint, lease, reply)),
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            }
        }
        let unknown = |fingerprint: &Fingerprint| !self.pending.contains_key(fingerprint);
        let wanted = leased.iter().map(|(fingerprint, ..)| *fingerprint);
        let wanted: Vec<_> = wanted.filter(unknown).collect();
        let found = match self.store.load_many(&wanted) {
            Ok(found) => found.into_iter().map(Ok).collect(),
            // Whose record it is that cannot be read, one by one.
            Err(_) => wanted
                .iter()
                .map(|whose| self.store.load(whose))
                .collect::<Vec<_>>(),
        };
        let mut found: HashMap<_, _> = wanted.into_iter().zip(found).collect();
        for (fingerprint, lease, reply) in leased {
            let record = match found.remove(&fingerprint) {
                Some(record) => record,
                None => Ok(self.pending.get(&fingerprint).cloned().flatten()),
            };
            let _ = reply.send(record.map(|record| (lease, record)));
        }
    }

    /// Writes what is pending. On failure it stays pending: state is written when there is space again.
    fn write(&mut self) -> Result<(), String> {
        self.written_at = Instant::now();
        if self.pending.is_empty() {
            return Ok(());
        }
        let change = |(fingerprint, record)| match record {
            Some(record) => Change::Put(fingerprint, record),
            None => Change::Remove(fingerprint),
        };
        let changes: Arc<[Change]> = self.pending.drain().map(change).collect();
        match self.store.commit_shared(&changes) {
            Ok(()) => {
                // Nobody will compare their bytes any more.
                let ended = changes.iter().filter(|change| match change {
                    Change::Put(_, record) => {
                        record.state == State::Finished && record.length > Some(TRAIL_MIN_BYTES)
                    }
                    Change::Remove(_) => true,
                });
                ended.for_each(|change| self.store.remove_trail(change.fingerprint()));
                self.retiring.clear();
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, records = changes.len(), "resume state not written, will try again");
                let back = changes.iter().map(|change| match change {
                    Change::Put(fingerprint, record) => (*fingerprint, Some(record.clone())),
                    Change::Remove(fingerprint) => (*fingerprint, None),
                });
                self.pending.extend(back);
                // Nobody waits for these any more who could tell.
                if !self.retiring.is_empty() && !self.trouble_told {
                    self.trouble_told = true;
                    self.sink.end_not_saved(&error.to_string());
                }
                // Without a state that can be written, a lease keeps others from the truth as well.
                self.retiring.clear();
                Err(error.to_string())
            }
        }
    }
}

/// The least time from one commit to the next while many wait for theirs. No upload is slower for it: whoever waits for its
/// last commit has left its turn to another.
const COMPANY: Duration = Duration::from_millis(2);
/// As many, now and the last time together, are not yet many.
const CROWD: usize = 3;
