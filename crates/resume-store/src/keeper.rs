//! The thread that has the database open.
//!
//! sled is used from a thread of its own for three reasons. It must be closed for waiters although
//! nobody calls the store meanwhile. It hangs for good when the disk fills up under it, and that
//! must not hang the caller. And should it panic over damage, the thread's name says whose panic
//! that was.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::database::Trouble;
use crate::house::House;
use crate::open::Open;
use crate::{StoreError, StoreNotice};

/// Does something with the open database; says whether it may stay open.
type Job = Box<dyn FnOnce(&mut Open) -> bool + Send>;

/// The way to a thread that has the database open, or is about to.
pub(crate) struct Keeper {
    jobs: Sender<Job>,
    opened: Receiver<Result<Option<StoreNotice>, StoreError>>,
    ended: Ended,
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
    /// The thread closed the database before it saw the job: start another one.
    Closed,
    /// No answer in time.
    Stuck,
}

impl Keeper {
    /// Starts a thread that opens the database; see [`House::open`].
    pub(crate) fn start(
        house: &Arc<House>,
        thorough: bool,
        suspect: bool,
    ) -> std::io::Result<Self> {
        let house = Arc::clone(house);
        let (jobs, inbox) = channel::<Job>();
        let (say, opened) = channel();
        let (end, ended) = channel();
        thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                let end: Sender<()> = end;
                match house.open(thorough, suspect) {
                    Ok(found) => {
                        say.send(Ok(found.notice)).ok();
                        serve(found.open, &inbox);
                    }
                    Err(error) => {
                        say.send(Err(error)).ok();
                    }
                }
                // Not before the database is closed and the gate free.
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

    /// Has the thread run `op` and waits for what it says.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        op: impl FnOnce(&mut Open) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<Result<T, Trouble>, Missed> {
        let (say, said) = channel();
        let job: Job = Box::new(move |open| {
            let done = op(open);
            // After an error sled's view of itself may be off: begin with a fresh one.
            let keep = done.is_ok();
            say.send(done).ok();
            keep
        });
        self.jobs.send(job).map_err(|_| Missed::Closed)?;
        said.recv_timeout(WORKING).map_err(missed)
    }

    /// Lets the thread close the database once it has done what it was given.
    pub(crate) fn stop(self) -> Ended {
        self.ended
    }
}

fn serve(mut open: Open, inbox: &Receiver<Job>) {
    let mut used = Instant::now();
    loop {
        match inbox.recv_timeout(LOOK) {
            Ok(job) => {
                if !job(&mut open) {
                    return;
                }
                used = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) if used.elapsed() < IDLE => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
        if open.is_wanted() {
            return;
        }
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
