//! The client side: [`Upload`], a machine that says what to send and is told what came back.

mod alignment;
mod answers;
mod doubt;
mod event;
mod exchange;
mod failure;
mod plan;
mod probe;
mod sending;
mod step;
#[cfg(test)]
mod tests;
mod upload;
mod verdict;
mod waiting;

pub use event::{Event, Realignment, RetryReason};
pub use exchange::Exchange;
pub use failure::{Failure, Spent, Violation};
pub use plan::{ChecksumWish, Creation, Start, UploadPlan};
pub use probe::CHECKSUMMED_CHUNK_BYTES;
pub use step::{Fault, Now, Outcome, Reconciled, Step};
pub use upload::Upload;
pub use verdict::{Verdict, VerdictKind};
