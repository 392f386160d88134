//! The thread that has the database open.
//!
//! sled is used from a thread of its own for four reasons. It must be closed for waiters although
//! nobody calls the store meanwhile. It hangs for good when the disk fills up under it, and that
//! must not hang the caller. All callers who want to commit at the same time can share one durable
//! commit. And should it panic over damage, the thread's name says whose panic that was.

use std::iter;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::database::Trouble;
use crate::house::{House, Opened};
use crate::open::Open;
use crate::{Change, StoreError, StoreNotice};

/// A thread that has the database open, or is about to.
pub(crate) struct Keeper {
    jobs: Jobs,
    opened: Receiver<Result<Option<StoreNotice>, StoreError>>,
    ended: Ended,
}

/// The way to that thread.
#[derive(Clone)]
pub(crate) struct Jobs {
    jobs: Sender<Job>,
    house: Arc<House>,
}

enum Job {
    Commit(Arc<[Change]>, Sender<Result<(), Trouble>>),
    /// Does something with the open database; says whether it may stay open.
    Other(Box<dyn FnOnce(&mut Open) -> bool + Send>),
}

/// Hangs up when the thread has let go of the database and of the gate.
pub(crate) struct Ended(Receiver<()>);

impl Ended {
    /// Whether the thread ended within `patience`.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        matches!(
            self.0.recv_timeout(patience),
            Err(RecvTimeoutError::Disconnected)
        )
    }
}

/// Why a job has no result.
pub(crate) enum Missed {
    /// The thread closed the database before it did the job: start another one.
    Closed,
    /// No answer in time.
    Stuck,
}

impl Keeper {
    /// Starts a thread that opens the database; see [`House::open`].
    pub(crate) fn start(house: &Arc<House>) -> std::io::Result<Self> {
        let (jobs, inbox) = channel();
        let jobs = Jobs {
            jobs,
            house: Arc::clone(house),
        };
        let house = Arc::clone(house);
        let (say, opened) = channel();
        let (end, ended) = channel();
        thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                let end: Sender<()> = end;
                match house.open() {
                    Ok(Opened { mut open, notice }) => {
                        // Before the database is closed and others may write, however that comes.
                        let known = AsLongAsOpen::begin(&house);
                        say.send(Ok(notice)).ok();
                        let is_sound = serve(&house, &mut open, &inbox);
                        known.end(&open);
                        if is_sound {
                            house.close(open);
                        }
                    }
                    Err(error) => {
                        say.send(Err(error)).ok();
                    }
                }
                // Not before the database is closed and the gate free, and nothing is held from here.
                drop(house);
                drop(end);
            })?;
        Ok(Self {
            jobs,
            opened,
            ended: Ended(ended),
        })
    }

    /// Waits until the database is open.
    pub(crate) fn opened(&self) -> Result<Result<Option<StoreNotice>, StoreError>, Missed> {
        self.opened.recv_timeout(OPENING).map_err(missed)
    }

    pub(crate) fn jobs(&self) -> Jobs {
        self.jobs.clone()
    }

    /// Lets the thread close the database once it has done what it was given.
    pub(crate) fn stop(self) -> Ended {
        self.ended
    }
}

impl Jobs {
    /// Has the thread make the changes and waits for what it says.
    pub(crate) fn commit(self, changes: Arc<[Change]>) -> Result<Result<(), Trouble>, Missed> {
        let (say, said) = channel();
        self.give(Job::Commit(changes, say))?;
        said.recv_timeout(WORKING).map_err(missed)
    }

    /// Has the thread run `op` and waits for what it says.
    pub(crate) fn run<T: Send + 'static>(
        self,
        op: impl FnOnce(&mut Open) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<Result<T, Trouble>, Missed> {
        let (say, said) = channel();
        let house = Arc::clone(&self.house);
        self.give(Job::Other(Box::new(move |open| {
            tell(&house, op(open), &say)
        })))?;
        said.recv_timeout(WORKING).map_err(missed)
    }

    /// Takes `self`, so that nobody who waits keeps the thread from ending.
    fn give(self, job: Job) -> Result<(), Missed> {
        self.jobs.send(job).map_err(|_| Missed::Closed)
    }
}

/// Does what it is asked until the database is to be closed. Says whether nothing went wrong.
fn serve(house: &House, open: &mut Open, inbox: &Receiver<Job>) -> bool {
    let mut used = Instant::now();
    loop {
        match inbox.recv_timeout(LOOK) {
            Ok(job) => {
                let jobs = iter::once(job).chain(inbox.try_iter());
                if !work(house, open, jobs) {
                    return false;
                }
                used = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) if used.elapsed() < IDLE => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return true,
        }
        if open.is_wanted() {
            return true;
        }
    }
}

/// Does all that is asked at this moment; says whether the database may stay open. No caller asks
/// for two things at once, so commits may go first, all as one.
fn work(house: &House, open: &mut Open, jobs: impl Iterator<Item = Job>) -> bool {
    let (mut changes, mut waiting, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for job in jobs {
        match job {
            Job::Commit(more, say) => {
                changes.push(more);
                waiting.push(say);
            }
            Job::Other(op) => others.push(op),
        }
    }
    if let Some((first, rest)) = waiting.split_first() {
        let all = || changes.iter().flat_map(|changes| changes.iter());
        let new = house.known().add_all(all().map(Change::fingerprint));
        let done = open.commit(all(), &new);
        // Of a failure one caller hears. The others' jobs are dropped with it: they ask again.
        if !tell(house, done, first) {
            return false;
        }
        for say in rest {
            say.send(Ok(())).ok();
        }
    }
    others.into_iter().all(|op| op(open)) && relieve(house, open)
}

/// What was committed is durable, so nobody has to hear of this.
fn relieve(house: &House, open: &mut Open) -> bool {
    let done = open.relieve();
    mistrust(house, &done);
    done.is_ok()
}

/// Answers, and says whether the database may stay open: after an error sled's view of itself may
/// be off, and a fresh one is better.
fn tell<T>(house: &House, done: Result<T, Trouble>, say: &Sender<Result<T, Trouble>>) -> bool {
    mistrust(house, &done);
    let keep = done.is_ok();
    say.send(done).ok();
    keep
}

/// Remembers a failure, before anybody can open the database again.
fn mistrust<T>(house: &House, done: &Result<T, Trouble>) {
    match done {
        Ok(_) => {}
        Err(Trouble::Damaged(_)) => house.suspect(),
        Err(Trouble::Error(_)) => house.unsure(),
    }
}

/// What holds as long as others cannot write: a panic leaves nothing of it.
struct AsLongAsOpen<'a>(&'a House);

impl<'a> AsLongAsOpen<'a> {
    fn begin(house: &'a House) -> Self {
        house.leases().widen();
        Self(house)
    }

    fn end(self, open: &Open) {
        self.0.known().close(open.figures);
    }
}

impl Drop for AsLongAsOpen<'_> {
    fn drop(&mut self) {
        self.0.known().is_closed();
        self.0.leases().narrow();
    }
}

fn missed(error: RecvTimeoutError) -> Missed {
    match error {
        RecvTimeoutError::Disconnected => Missed::Closed,
        RecvTimeoutError::Timeout => Missed::Stuck,
    }
}

/// What the thread is called.
const THREAD: &str = "resume-store";
/// A waiter gets the gate within this and the time of a close: 50 ms in all.
const LOOK: Duration = Duration::from_millis(20);
/// Nobody needs a database open that nobody uses.
const IDLE: Duration = Duration::from_secs(10);
/// For the gate, for counting the records and for a repair.
const OPENING: Duration = Duration::from_secs(60);
/// For one load, list or commit.
const WORKING: Duration = Duration::from_secs(30);
