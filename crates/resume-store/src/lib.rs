//! What is kept to find an upload again after a crash, and the right to go on with it.
//!
//! # Two locks
//!
//! An upload needs an owner for hours; the database is needed for milliseconds, and rarely, because
//! the server holds the true offset. So there are two locks of different kinds. A [`Lease`] belongs
//! to one [`Fingerprint`] and is held while a process drives that upload; the operating system
//! frees it when the process dies. The *gate* belongs to the whole store and is held while sled is
//! open, since sled tolerates one process at a time: its holder closes sled within 50 ms once
//! somebody else waits. Order: lease, then gate; the gate is held across nothing that waits.
//!
//! A [`Record`] is a hint where to ask, never the truth about an upload: losing one costs an upload
//! begun anew, so a loss must be noticed ([`StoreNotice`]) but need not stop anything. A [`Trail`]
//! is less than that: it only proves that a file which was touched is still the same, and without
//! it the file is begun anew.
//!
//! # A log before the database
//!
//! A durable commit in sled costs many syncs and writes whole pages for each record. So a commit is
//! appended to a log, with one sync, and what is in the log goes into sled when the log has become
//! long. Whoever passes the gate reads the log first, from where this process left it: it holds the
//! newest of what it speaks of. Only where each frame lies is kept in memory. Both are checked against one count and digest of all records, of which the log and the ledger
//! each keep their own.
//!
//! # The folder
//!
//! ```text
//! DIR/ (0700, files 0600)      who may touch it
//!   VERSION                    written by whoever passed the gate, when new or migrated
//!   gate.lock                  locked while sled is open
//!   queue.lock                 locked shared by those who wait for the gate
//!   guard.lock                 a byte of it locked with the gate, and one with each lease; all that
//!                              there can be by whoever has sled open, if nobody else has any
//!   records.sled/              sled's; only behind the gate
//!   records.sled.new/, .old/   a rewrite under way; finished or undone by the next one behind the gate
//!   records.sled.damaged-MS/   set aside at that time; read by nobody, removed by `prune`
//!   records.wal                what was committed since it last went into records.sled; only
//!                              behind the gate
//!   records.ledger             what there should be in both; only behind the gate
//!   leases/guard.lock          the same byte of it locked with each lease, as removing either file
//!                              lets nobody else in
//!   leases/PID-RANDOM.names    who holds which lease; locked and removed by that process, and once
//!                              it is dead by whoever locks it
//!   leases/FINGERPRINT.lock    left by older versions, and a lease itself where bytes cannot be
//!                              locked; removed by `prune`, while holding it
//!   trails/FINGERPRINT         digests of the source's blocks; only while holding the lease
//! ```
//!
//! Other files are left alone: other crates keep theirs here too. A person may remove the whole
//! folder while nothing runs, and any `records.sled.damaged-*` at any time. Removing lock files
//! harms nobody; removing `records.*` costs the records, and is noticed.
//!
//! # Formats
//!
//! `VERSION` holds one number. A folder of an older format is brought up to date by the first who
//! passes the gate: the records are written anew beside the old ones, swapped in, and the number
//! is written last, so that a crash anywhere has it done again. A newer or unknown format is
//! refused by name and nothing is touched.
//!
//! # Threads
//!
//! Everything here blocks, on purpose: call it from a thread that may wait. A [`SledStore`] may be
//! shared; commits that wait together are made together. Modes, owners and inode
//! numbers are those of Unix; the locks are std's.

#[cfg(feature = "testing")]
pub mod behaviour;
mod codec;
mod database;
mod error;
mod evidence;
mod files;
mod fingerprint;
mod gate;
mod guard;
mod house;
mod keeper;
mod known;
mod lease;
mod ledger;
mod mark;
mod memory;
mod open;
mod prune;
mod recent;
mod record;
#[cfg(feature = "testing")]
pub mod rest;
mod salvage;
mod sled;
mod store;
mod trail;
mod verdict;
mod version;
mod wal;

pub use self::sled::SledStore;
pub use error::{Holder, StoreError, StoreNotice};
pub use evidence::{Evidence, Resemblance};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use lease::Lease;
pub use memory::MemoryStore;
pub use prune::{PruneOptions, PruneReport};
pub use record::{Change, Record, State};
pub use store::{Filter, ResumeStore};
pub use trail::{BLOCK_BYTES, BlockDigest, TRAIL_MIN_BYTES, Trail};
