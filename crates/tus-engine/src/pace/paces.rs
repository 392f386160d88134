//! [`Paces`]: with how many connections each origin begins, and how many it comes to at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::measured::CONNECTIONS;
use crate::options::{Parallel, Parts};

use super::finder::AT_FIRST;
use super::{Pace, lock};

/// The pace towards every origin.
#[derive(Debug)]
pub(crate) struct Paces {
    pub(super) parallel: Parallel,
    pub(super) first: usize,
    /// Uploads at once, where their number is found, and connections.
    pub(super) most_uploads: usize,
    pub(super) most: usize,
    /// The turns of a fixed number of uploads: one for all origins.
    pub(super) fixed: Option<Arc<Semaphore>>,
    by_origin: Mutex<HashMap<String, Arc<Pace>>>,
}

impl Paces {
    /// At most `most` uploads at once to one origin where the number is found.
    pub(crate) fn new(parallel: Parallel, most: usize, parts: Parts) -> Self {
        let most = most.max(1);
        let (first, most_connections) = match (parallel, parts) {
            (Parallel::Auto, Parts::Auto) => (AT_FIRST.min(most), most.max(CONNECTIONS)),
            (Parallel::Auto, Parts::Fixed(parts)) => {
                (AT_FIRST.min(most).max(parts), most.max(parts))
            }
            (Parallel::Fixed(uploads), Parts::Auto) => {
                let connections = uploads.max(CONNECTIONS);
                (connections, connections)
            }
            (Parallel::Fixed(uploads), Parts::Fixed(parts)) => {
                let connections = uploads.max(1).saturating_mul(parts.max(1));
                (connections, connections)
            }
        };
        let fixed = match parallel {
            Parallel::Auto => None,
            Parallel::Fixed(uploads) => Some(Arc::new(Semaphore::new(uploads.max(1)))),
        };
        Self {
            parallel,
            first,
            most_uploads: most,
            most: most_connections,
            fixed,
            by_origin: Mutex::default(),
        }
    }

    /// The pace towards `origin`.
    pub(crate) fn of(&self, origin: &str) -> Arc<Pace> {
        let mut paces = lock(&self.by_origin);
        if let Some(pace) = paces.get(origin) {
            return Arc::clone(pace);
        }
        let pace = Arc::new(Pace::new(self));
        paces.insert(origin.to_owned(), Arc::clone(&pace));
        pace
    }
}
