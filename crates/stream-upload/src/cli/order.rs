//! Which source goes first.

use std::collections::HashMap;
use std::time::SystemTime;

use resume_store::{Filter, ResumeStore, State};
use stream_ingest::Job;

/// A file that is larger than this share of what every connection has to do would still be under way when all others are done.
const TAIL: u64 = 4;

/// Unfinished uploads that the server will remove go first, the most urgent one before all. Then come files that are so large
/// that one connection would be left alone with them at the end, each with one of the others beside it, for small files leave
/// a link idle that a large one fills. All others stay as they were named.
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

    /// The same jobs, with their sizes, as they are to begin when `at_once` of them run at once.
    pub(crate) fn sort(
        &self,
        jobs: impl IntoIterator<Item = (u64, Job)>,
        at_once: usize,
    ) -> impl Iterator<Item = Job> {
        let jobs = jobs.into_iter();
        let mut urgent = Vec::new();
        let mut others = Vec::with_capacity(jobs.size_hint().0);
        for (bytes, job) in jobs {
            let known = (!self.expiries.is_empty()).then(|| job.source_key());
            match known.and_then(|key| self.expiries.get(&key)) {
                Some(expiry) => urgent.push((*expiry, job)),
                None => others.push((bytes, job)),
            }
        }
        urgent.sort_by_key(|(expiry, _)| *expiry);
        let urgent = urgent.into_iter().map(|(_, job)| job);
        urgent.chain(without_tail(others, at_once))
    }
}

/// The same, in an order that leaves no connection alone with a large one at the end.
fn without_tail<T>(mut sized: Vec<(u64, T)>, at_once: usize) -> impl Iterator<Item = T> {
    let total: u64 = sized.iter().map(|(bytes, _)| bytes).sum();
    let share = total / (TAIL * at_once.max(1) as u64);
    let is_large = |bytes: u64| at_once > 1 && bytes > share;
    // Of most folders none are, and the list is long.
    let large = sized.extract_if(.., |(bytes, _)| is_large(*bytes));
    let mut large: Vec<_> = large.collect();
    large.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let (mut large, mut small) = (large.into_iter(), sized.into_iter());
    let mut turn = false;
    std::iter::from_fn(move || {
        turn = !turn;
        let next = if turn {
            large.next().or_else(|| small.next())
        } else {
            small.next().or_else(|| large.next())
        };
        next.map(|(_, what)| what)
    })
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
        let jobs = ["/a", "/b", "/c", "/d"].map(|path| (100, Job::new(path)));
        let order = Order::of(&store);
        let sorted = order.sort(jobs, 4);
        let paths: Vec<_> = sorted.map(|job| job.path.display().to_string()).collect();
        assert_eq!(paths, ["/d", "/b", "/a", "/c"]);
    }

    fn ordered(sizes: &[u64], at_once: usize) -> Vec<u64> {
        let sized = sizes.iter().map(|size| (*size, *size)).collect();
        without_tail(sized, at_once).collect()
    }

    #[test]
    fn files_of_one_size_and_files_one_after_the_other_stay_as_they_were_named() {
        let names = vec![(7, "b"), (7, "a"), (7, "c")];
        let order: Vec<_> = without_tail(names, 4).collect();
        assert_eq!(order, ["b", "a", "c"]);
        assert_eq!(ordered(&[1, 100, 2, 50], 1), [1, 100, 2, 50]);
    }

    #[test]
    fn large_files_begin_first_and_small_ones_beside_them() {
        let mut sizes = vec![1; 20];
        sizes.extend([500, 900, 700]);
        let order = ordered(&sizes, 4);
        assert_eq!(order[..7], [900, 1, 700, 1, 500, 1, 1]);
        assert_eq!(order.len(), 23);
    }

    #[test]
    fn a_size_that_makes_no_tail_is_no_reason_to_leave_the_order() {
        let sizes: Vec<u64> = (0..100).map(|index| 100 + index % 7).collect();
        assert_eq!(ordered(&sizes, 4), sizes);
    }
}
