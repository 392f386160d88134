//! What the service says of doubtful creations.

use std::time::Duration;

use crate::client::{Fault, Reconciled};
use crate::sim::options::Oracle;
use crate::sim::{Breach, Pair};

impl Pair {
    /// Asks, which takes its time and may fail, and tells the client.
    pub(super) fn reconcile(&mut self) -> Result<(), Breach> {
        self.report.reconciles += 1;
        let takes = self.random.millis(1, 5_000);
        self.world.pass(self.world.time + takes, None)?;
        let now = self.now();
        if !self.time_is_up() && self.random.chance(50) {
            self.client.on_fault(Fault::MaybeSent, now);
            return self.drain();
        }
        let found = self.ask();
        self.world.note(|| format!("oracle   says {found:?}"));
        self.checker.reconciles(found);
        self.client.on_reconciled(found, now);
        self.drain()
    }

    /// What the service says of this client's uploads; what is doubtful is removed by asking.
    pub(super) fn ask(&mut self) -> Reconciled {
        let lag = match self.options.oracle {
            Oracle::Blind => return Reconciled::Unknown,
            Oracle::Truth => Duration::ZERO,
            Oracle::Lags(_) if self.time_is_up() => Duration::ZERO,
            Oracle::Lags(lag) => {
                if self.random.chance(400) {
                    return Reconciled::Pending;
                }
                lag
            }
        };
        let wall = self.world.wall();
        let mut found = Reconciled::Absent;
        let mut overlooked = 0;
        for upload in &mut self.world.site.uploads {
            let visible = upload.made + lag <= wall;
            if upload.removed {
                continue;
            }
            if !visible {
                overlooked += 1;
                continue;
            }
            if upload.info.is_complete() {
                upload.durable = upload.bytes.len();
                found = Reconciled::Complete;
            } else {
                upload.removed = true;
            }
        }
        if found == Reconciled::Absent {
            self.report.overlooked += overlooked;
        }
        found
    }
}
