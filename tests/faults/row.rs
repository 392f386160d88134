//! One row of the catalogue: what is injected, and the test that survives it.

use std::panic::Location;
use std::pin::Pin;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::report::{Outcome, Report};

/// What a row's test has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Times that the fault happened.
    pub(crate) times: u64,
    /// Body bytes sent beyond what was needed, one entry per break.
    pub(crate) resent: Vec<u64>,
    /// From the fault to the moment that it was noticed.
    pub(crate) noticed: Vec<Duration>,
    /// What else a reader should know.
    pub(crate) remark: Option<String>,
}

impl Seen {
    /// The fault happened so often, and there is nothing to measure.
    pub(crate) fn times(times: u64) -> Self {
        Self {
            times,
            ..Self::default()
        }
    }

    /// Bytes that were sent again after one break.
    pub(crate) fn resent(mut self, bytes: u64) -> Self {
        self.resent.push(bytes);
        self
    }

    /// How long it took until the fault was noticed.
    pub(crate) fn noticed(mut self, after: Duration) -> Self {
        self.noticed.push(after);
        self
    }

    /// Something for the reader.
    pub(crate) fn remark(mut self, text: impl Into<String>) -> Self {
        self.remark = Some(text.into());
        self
    }
}

/// How a row's test ends: with what it saw, or with the reason why it cannot run on this machine.
pub(crate) type Ended = Result<Seen, String>;

type Test = fn() -> Pin<Box<dyn Future<Output = Ended>>>;

/// One row.
pub(crate) struct Row {
    /// Such as `F03`.
    id: &'static str,
    /// What has to hold, as a sentence.
    name: &'static str,
    /// How the fault is brought about.
    injected: &'static str,
    /// Longer than it ever takes.
    bound: Duration,
    test: Test,
    at: &'static Location<'static>,
}

impl Row {
    /// A row whose test takes two minutes at most.
    #[track_caller]
    pub(crate) fn new(
        id: &'static str,
        name: &'static str,
        injected: &'static str,
        test: Test,
    ) -> Self {
        Self {
            id,
            name,
            injected,
            bound: Duration::from_secs(120),
            test,
            at: Location::caller(),
        }
    }

    /// Another bound.
    pub(crate) fn within(self, bound: Duration) -> Self {
        Self { bound, ..self }
    }

    /// The test of it, which leaves its outcome in `report`.
    pub(crate) fn trial(self, report: &Report) -> Trial {
        let report = report.clone();
        let name = format!("{}_{}", self.id.to_lowercase(), self.name.replace(' ', "_"));
        Trial::test(name, move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            let ended = runtime.block_on(async {
                tokio::time::timeout(self.bound, (self.test)())
                    .await
                    .map_err(|_| {
                        Failed::from(format!("not over within {:?} ({})", self.bound, self.at))
                    })
            });
            runtime.shutdown_background();
            report.add(self.id, self.injected, Outcome::of(ended?));
            Ok(())
        })
    }
}

/// Boxes a test for [`Row::new`].
macro_rules! row {
    ($id:literal, $name:literal, $injected:literal, $test:path) => {
        $crate::row::Row::new($id, $name, $injected, || Box::pin($test()))
    };
}
pub(crate) use row;
