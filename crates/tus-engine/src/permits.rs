//! The limits that uploads share: how many run at once, how much memory they use, and when an origin wants to be left alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::bandwidth::Bandwidth;
use crate::buffer::BufferPool;
use crate::options::UploaderOptions;
use crate::pace::Paces;

/// All limits of one uploader.
#[derive(Debug)]
pub(crate) struct Permits {
    pub(crate) paces: Paces,
    pub(crate) buffers: Arc<BufferPool>,
    pub(crate) bandwidth: Arc<Bandwidth>,
    pub(crate) brake: Brake,
}

impl Permits {
    pub(crate) fn new(options: &UploaderOptions) -> Self {
        Self {
            paces: Paces::new(options.parallel, options.most_parallel, options.parts),
            buffers: BufferPool::new(options.buffer_bytes),
            bandwidth: Bandwidth::new(options.bandwidth),
            brake: Brake::default(),
        }
    }
}

/// What a brake holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    /// Every request to the origin.
    All,
    /// Creations only: the service has no room for more, and what it has may go on.
    Creations,
}

/// Holds back every upload that talks to an origin that asked for fewer requests.
#[derive(Debug, Default)]
pub(crate) struct Brake {
    until: Mutex<HashMap<(String, Held), Instant>>,
}

impl Brake {
    /// Holds `origin` for `wait` from now on; a longer hold stays.
    pub(crate) fn hold(&self, origin: &str, held: Held, wait: Duration) {
        let until = Instant::now() + wait;
        let mut map = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = map.entry((origin.to_owned(), held)).or_insert(until);
        *slot = until.max(*slot);
    }

    /// When the next request to `origin` may be sent; `None`: now.
    pub(crate) fn free_at(&self, origin: &str, creation: bool) -> Option<Instant> {
        let map = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if map.is_empty() {
            return None;
        }
        let of = |held| map.get(&(origin.to_owned(), held)).copied();
        let creations = if creation { of(Held::Creations) } else { None };
        of(Held::All)
            .max(creations)
            .filter(|until| *until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_held_origin_is_left_alone_by_everybody_until_the_time_is_over() {
        let brake = Brake::default();
        brake.hold("https://a", Held::All, Duration::from_secs(5));
        brake.hold("https://a", Held::All, Duration::from_secs(2));
        let until = brake.free_at("https://a", false).unwrap();
        assert_eq!(until - Instant::now(), Duration::from_secs(5));
        assert_eq!(brake.free_at("https://b", false), None);
        tokio::time::sleep_until(until).await;
        assert_eq!(brake.free_at("https://a", false), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_holds_creations_and_no_patch() {
        let brake = Brake::default();
        brake.hold("https://a", Held::Creations, Duration::from_secs(5));
        assert!(brake.free_at("https://a", true).is_some());
        assert_eq!(brake.free_at("https://a", false), None);
    }
}
