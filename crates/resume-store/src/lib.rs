//! What is kept to find an upload again after a crash, and the right to go on with it.
//!
//! # Two locks
//!
//! An upload needs an owner for hours; the database is needed for milliseconds, and rarely, because
//! the server holds the true offset. So there are two locks of different kinds. A [`Lease`] belongs
//! to one [`Fingerprint`] and is held while a process drives that upload; the operating system
//! frees it when the process dies. The *gate* belongs to the whole store and is held while sled is
//! open, since sled tolerates one process at a time: its holder closes sled within 50 ms once
//! somebody else waits. Order: lease, then gate; the gate is never held across anything else.
//!
//! A [`Record`] is a hint where to ask, never the truth about an upload: losing one costs an upload
//! begun anew, so a loss must be noticed ([`StoreNotice`]) but need not stop anything.
//!
//! Everything here blocks, on purpose: call it from a thread of its own. Modes, owners and inode
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
mod lease;
mod ledger;
mod memory;
mod open;
mod prune;
mod record;
mod salvage;
mod sled;
mod store;
mod trail;
mod version;

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
