//! Which source goes first.

use std::collections::HashMap;
use std::time::SystemTime;

use resume_store::{Filter, ResumeStore, State};
use stream_ingest::Job;

/// Unfinished uploads that the server will remove go first, the most urgent one before all; the others stay as they were named.
#[derive(Debug)]
pub(crate) struct Order {
    /// When the server removes an upload, by its source.
    expiries: HashMap<String, SystemTime>,
}

impl Order {
    /// As the store knows it. What it cannot tell is not worth a stop: without it nothing is lost but time.
    pub(crate) fn of(store: &impl ResumeStore) -> Self {
        let filter = Filter::all().with_state(State::Active);
        let mut expiries = HashMap::new();
        for (_, record) in store.list(filter).unwrap_or_default() {
            let Some(at) = record.expires_at else {
                continue;
            };
            // A part is as urgent as its whole.
            let key = record.source_key.split('\0').next().unwrap_or_default();
            let known = expiries.entry(key.to_owned()).or_insert(at);
            *known = at.min(*known);
        }
        Self { expiries }
    }

    /// The same jobs, the urgent ones first.
    pub(crate) fn sort(&self, jobs: impl IntoIterator<Item = Job>) -> Vec<Job> {
        let mut jobs: Vec<_> = jobs.into_iter().collect();
        if !self.expiries.is_empty() {
            jobs.sort_by_cached_key(|job| {
                let expiry = self.expiries.get(&job.source_key());
                (expiry.is_none(), expiry.copied())
            });
        }
        jobs
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use resume_store::{Change, Fingerprint, MemoryStore, Record};

    use super::*;

    #[test]
    fn what_the_server_removes_soonest_goes_first_and_the_rest_stays_in_its_order() {
        let store = MemoryStore::new();
        for (key, seconds) in [
            ("/b", Some(20)),
            ("/d\0part 1 of 2", Some(10)),
            ("/c", None),
        ] {
            let mut record = Record::intended(key, "somewhere");
            record.state = State::Active;
            record.expires_at =
                seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let fingerprint = Fingerprint::new("somewhere", key);
            store.commit(&[Change::Put(fingerprint, record)]).unwrap();
        }
        let jobs = ["/a", "/b", "/c", "/d"].map(Job::new);
        let sorted = Order::of(&store).sort(jobs);
        let paths: Vec<_> = sorted
            .iter()
            .map(|job| job.path.to_str().unwrap())
            .collect();
        assert_eq!(paths, ["/d", "/b", "/a", "/c"]);
    }
}
