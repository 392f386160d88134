//! The state behind the API: one file per group.
//!
//! Videos have a life of their own ([`Videos`]). Everything else that an account holds is a [`Group`]: values by
//! account and id, each in a JSON file of its own where there is a disk.

mod group;
pub(crate) mod keys;
mod videos;

use std::io;

pub(crate) use group::Group;
pub(crate) use videos::Videos;

use crate::disk::Disk;
use keys::Keys;

/// What accounts hold besides videos.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) keys: Keys,
}

impl Account {
    /// Reads what a data directory holds. Blocking.
    pub(crate) fn load(disk: Option<&Disk>) -> io::Result<Self> {
        Ok(Self {
            keys: Keys::load(disk)?,
        })
    }
}
