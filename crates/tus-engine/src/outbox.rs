//! [`Outbox`]: what uploads want written, until the store's thread comes for it.
//!
//! Whoever brings something puts it down and goes on; the thread is woken by the first of them, and by nobody else who would
//! have it come no sooner. So many small files cost few wakes, few commits and few syncs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use resume_store::{Change, Fingerprint, Lease, Record};
use tokio::sync::oneshot;

/// How soon something is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Haste {
    /// With the next batch, or within the commit interval.
    Note,
    /// Somebody waits for it, whose turn is another's already.
    Aside,
    /// Somebody waits for it, and others for them.
    InTurn,
    /// Now, whoever else might come.
    Now,
}

/// Hears what became of a commit.
pub(crate) type Reply = oneshot::Sender<Result<(), String>>;

#[derive(Default)]
pub(crate) struct Outbox(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The last of each upload; without a record it is removed.
    pending: HashMap<Fingerprint, Option<Record>>,
    waiting: Vec<Reply>,
    /// Leases of uploads that have ended, to be given back once that is written: until then, nobody else may find them
    /// unfinished.
    retiring: Vec<Lease>,
    /// What the thread is writing at this moment.
    under_way: Option<Arc<[Change]>>,
    /// How many uploads there are that may want something more written.
    visitors: usize,
    /// What the thread was woken for.
    called: Option<Haste>,
    /// When there was a crowd the last time.
    crowded_at: Option<Instant>,
    /// There is no thread any more.
    closed: bool,
}

/// What the thread takes with it.
pub(crate) struct Load {
    pub(crate) changes: Arc<[Change]>,
    pub(crate) waiting: Vec<Reply>,
    pub(crate) retiring: Vec<Lease>,
}

impl Outbox {
    /// Puts a record down; without one, what is there is to be removed. Says how soon the thread has to be woken for it, if it
    /// has.
    pub(crate) fn put(
        &self,
        fingerprint: Fingerprint,
        record: Option<Record>,
        reply: Option<Reply>,
        mut haste: Haste,
    ) -> Option<Haste> {
        let mut inner = self.lock();
        inner.pending.insert(fingerprint, record);
        inner.wait(reply);
        if haste == Haste::Aside && inner.visitors == 0 {
            // There is nobody else to wait for.
            haste = Haste::Now;
        }
        inner.call(haste).then_some(haste)
    }

    /// Somebody is there who may want something written.
    pub(crate) fn visit(self: &Arc<Self>) -> Visit {
        self.lock().visitors += 1;
        Visit {
            outbox: Arc::clone(self),
            has_left: AtomicBool::new(false),
        }
    }

    /// Puts the last record of an upload down, with its lease. `true` if the thread has to be woken for it.
    pub(crate) fn retire(&self, record: Record, lease: Lease) -> bool {
        let mut inner = self.lock();
        inner.pending.insert(*lease.fingerprint(), Some(record));
        if !inner.closed {
            inner.retiring.push(lease);
        }
        inner.call(Haste::Note)
    }

    /// Asks to hear when all is written that is there now. `true` if the thread has to be woken for it.
    pub(crate) fn flush(&self, reply: Reply) -> bool {
        let mut inner = self.lock();
        inner.wait(Some(reply));
        inner.call(Haste::Now)
    }

    /// Asks for a visit, as if there were something. `true` if the thread has to be woken for it.
    pub(crate) fn call(&self, haste: Haste) -> bool {
        self.lock().call(haste)
    }

    /// Whether the store does not have the last of an upload yet.
    pub(crate) fn has(&self, fingerprint: &Fingerprint) -> bool {
        let inner = self.lock();
        let under_way = inner.under_way.iter().flat_map(|changes| changes.iter());
        inner.pending.contains_key(fingerprint)
            || under_way
                .map(Change::fingerprint)
                .any(|it| it == fingerprint)
    }

    /// What is to be written of an upload, if anything is: the outer `None` says that it is nothing.
    pub(crate) fn last(&self, fingerprint: &Fingerprint) -> Option<Option<Record>> {
        self.lock().pending.get(fingerprint).cloned()
    }

    /// Whether an upload has ended, and its lease is not given back yet.
    pub(crate) fn is_retiring(&self, fingerprint: &Fingerprint) -> bool {
        let inner = self.lock();
        let mut retiring = inner.retiring.iter();
        retiring.any(|lease| lease.fingerprint() == fingerprint)
    }

    /// Whether so many commits are asked for that each is written with many others.
    pub(crate) fn is_crowded(&self) -> bool {
        let crowded_at = self.lock().crowded_at;
        crowded_at.is_some_and(|at| at.elapsed() < CROWDS_LAST)
    }

    /// How many wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Takes all that is there. Say how it [ended](Self::wrote).
    pub(crate) fn take(&self) -> Load {
        let mut inner = self.lock();
        inner.called = None;
        if inner.waiting.len() > CROWD {
            inner.crowded_at = Some(Instant::now());
        }
        let change = |(fingerprint, record)| match record {
            Some(record) => Change::Put(fingerprint, record),
            None => Change::Remove(fingerprint),
        };
        let changes: Arc<[Change]> = inner.pending.drain().map(change).collect();
        inner.under_way = Some(Arc::clone(&changes));
        Load {
            changes,
            waiting: std::mem::take(&mut inner.waiting),
            retiring: std::mem::take(&mut inner.retiring),
        }
    }

    /// What was taken is in the store; or is not, and stays to be written, unless something newer came meanwhile.
    pub(crate) fn wrote(&self, is_done: bool) {
        let mut inner = self.lock();
        let back = inner.under_way.take().filter(|_| !is_done);
        for change in back.iter().flat_map(|changes| changes.iter()) {
            if let Entry::Vacant(entry) = inner.pending.entry(*change.fingerprint()) {
                entry.insert(match change {
                    Change::Put(_, record) => Some(record.clone()),
                    Change::Remove(_) => None,
                });
            }
        }
    }

    /// Nobody comes any more. Whoever waits hears of it.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.waiting.clear();
        inner.retiring.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is made whole or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload that may want something written, until this is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    outbox: Arc<Outbox>,
    has_left: AtomicBool,
}

impl Visit {
    /// What comes next is the last.
    pub(crate) fn leave(&self) {
        if !self.has_left.swap(true, Ordering::Relaxed) {
            self.outbox.lock().visitors -= 1;
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

impl Inner {
    fn wait(&mut self, reply: Option<Reply>) {
        // Dropped, it says that there is nobody.
        self.waiting.extend(reply.filter(|_| !self.closed));
    }

    fn call(&mut self, haste: Haste) -> bool {
        let is_news = self.called < Some(haste);
        if is_news {
            self.called = Some(haste);
        }
        is_news
    }
}

/// As many who wait are not yet many.
pub(crate) const CROWD: usize = 3;
/// So long after many waited there may be many again.
const CROWDS_LAST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_written_at_once_only_where_nobody_else_is_under_way() {
        let outbox = Arc::new(Outbox::default());
        let upload = Fingerprint::new("https://tus.example/files", "a");
        let end = || outbox.put(upload, None, None, Haste::Aside);
        let (ending, other) = (outbox.visit(), outbox.visit());
        ending.leave();
        assert_eq!(end(), Some(Haste::Aside));
        assert_eq!(end(), None, "the thread is on its way");
        drop(other);
        assert_eq!(end(), Some(Haste::Now));
        // Whoever has left is not counted a second time when it is gone.
        let next = outbox.visit();
        drop(ending);
        outbox.take();
        assert_eq!(end(), Some(Haste::Aside));
        drop(next);
    }
}
