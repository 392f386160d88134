//! [`FaultRule`]: which requests a fault is meant for.

use std::collections::HashMap;

use http::{HeaderName, Method};
use serde::Deserialize;

use crate::fault::{Fault, Subject};

/// Which requests a fault is meant for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultTarget {
    /// All but those below `/_emulator`.
    #[default]
    Any,
    /// Creations: `POST /files/` and `POST …/stream`.
    Creation,
    /// Upload URLs, generic and Stream's.
    Upload,
    /// The API, creations excepted.
    Api,
}

/// One row of a plan: a fault, the requests that it is meant for, and how often it happens.
///
/// A request that fits is counted first by [`nth`](Self::nth), then by [`skip`](Self::skip); of what
/// is left, [`probability`](Self::probability) decides.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRule {
    pub(super) fault: Fault,
    target: FaultTarget,
    method: Option<Method>,
    part: Option<String>,
    header: Option<HeaderName>,
    nth: Option<u64>,
    skip: u64,
    times: u64,
    probability: f64,
    dice: Dice,
    /// Fitting requests so far, by upload. Filled only where `nth` asks.
    seen: HashMap<String, u64>,
}

impl FaultRule {
    /// `fault` happens once, to the first request of all.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            target: FaultTarget::Any,
            method: None,
            part: None,
            header: None,
            nth: None,
            skip: 0,
            times: 1,
            probability: 1.0,
            dice: Dice(0),
            seen: HashMap::new(),
        }
    }

    /// Only to requests of this kind. Default: any.
    #[must_use]
    pub fn on(mut self, target: FaultTarget) -> Self {
        self.target = target;
        self
    }

    /// Only to requests with this method. Default: any.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only to requests with this in their path, their query or the id of their upload: the media id
    /// of a video, however its URL looks. Default: any.
    #[must_use]
    pub fn path(mut self, part: impl Into<String>) -> Self {
        self.part = Some(part.into());
        self
    }

    /// Only to requests that carry this header. Default: any.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = Some(name);
        self
    }

    /// Only to the nth fitting request of each upload, counted from 1; where a request is for no
    /// upload, of each path. [`times`](Self::times) says for how many of them. Default: any.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    /// Lets so many fitting requests pass first. Default 0.
    #[must_use]
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Happens to so many requests; `u64::MAX` for all. Default 1.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Happens to a fitting request with this probability, 0 to 1, as dice of this seed fall: the
    /// same seed and the same requests, the same faults. Default 1.
    #[must_use]
    pub fn probability(mut self, probability: f64, seed: u64) -> Self {
        self.probability = probability;
        self.dice = Dice(seed);
        self
    }

    pub(super) fn is_spent(&self) -> bool {
        self.times == 0
    }

    /// Whether it is this request's turn, but for the dice.
    pub(super) fn counts(&mut self, subject: &Subject<'_>) -> bool {
        if !self.fits(subject) {
            return false;
        }
        if let Some(nth) = self.nth {
            let key = subject.upload.unwrap_or(subject.path);
            let seen = self.seen.entry(key.to_owned()).or_default();
            *seen += 1;
            if *seen != nth {
                return false;
            }
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        true
    }

    /// Whether it happens now; counts that it did.
    pub(super) fn happens(&mut self) -> bool {
        if self.probability < 1.0 && self.dice.throw() >= self.probability {
            return false;
        }
        if self.times != u64::MAX {
            self.times -= 1;
        }
        true
    }

    fn fits(&self, subject: &Subject<'_>) -> bool {
        let names = |part: &String| {
            subject.path.contains(part.as_str())
                || subject.upload.is_some_and(|id| id.contains(part.as_str()))
        };
        self.times > 0
            && (self.target == FaultTarget::Any || self.target == subject.target)
            && self.method.as_ref().is_none_or(|it| it == subject.method)
            && self.part.as_ref().is_none_or(names)
            && self
                .header
                .as_ref()
                .is_none_or(|name| subject.headers.contains_key(name))
    }
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): six lines that are the same everywhere and
/// forever, as a seed in a bug report has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dice(u64);

impl Dice {
    /// 0 to 1, 1 excluded.
    fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^= it >> 31;
        f64::from((it >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::changes::Teller;
    use crate::fault::{FaultPlan, Faults};

    fn patch<'a>(upload: &'a str, headers: &'a HeaderMap) -> Subject<'a> {
        Subject {
            method: &Method::PATCH,
            target: FaultTarget::Upload,
            path: "/tus/secret",
            upload: Some(upload),
            headers,
        }
    }

    fn taken(rule: FaultRule, subjects: &[&Subject<'_>]) -> Vec<bool> {
        let faults = Faults::new(FaultPlan::new().with(rule), Teller::default());
        let happened = |subject: &&Subject<'_>| faults.take(subject).is_some();
        subjects.iter().map(happened).collect()
    }

    #[test]
    fn a_row_skips_then_happens_then_is_spent() {
        let rule = FaultRule::new(Fault::LoseAnswer)
            .method(Method::PATCH)
            .on(FaultTarget::Upload)
            .skip(1)
            .times(2);
        let faults = Faults::new(FaultPlan::new().with(rule), Teller::default());
        let headers = HeaderMap::new();
        let it = patch("a", &headers);
        let head = Subject {
            method: &Method::HEAD,
            ..patch("a", &headers)
        };
        let api = Subject {
            target: FaultTarget::Api,
            ..patch("a", &headers)
        };
        assert_eq!(faults.take(&head), None);
        assert_eq!(faults.take(&api), None);
        let take = || faults.take(&it).is_some();
        assert_eq!([take(), take(), take(), take()], [false, true, true, false]);
        assert!(faults.is_spent());
    }

    #[test]
    fn the_nth_request_is_counted_for_each_upload() {
        let headers = HeaderMap::new();
        let (a, b) = (patch("a", &headers), patch("b", &headers));
        let rule = FaultRule::new(Fault::LoseAnswer).nth(2).times(u64::MAX);
        let happened = taken(rule, &[&a, &b, &a, &a, &b]);
        assert_eq!(happened, [false, false, true, false, true]);
    }

    #[test]
    fn a_row_can_ask_for_a_part_of_the_path_or_the_media_id() {
        let headers = HeaderMap::new();
        let subject = patch("media1", &headers);
        for (part, wanted) in [("tus/sec", true), ("media1", true), ("files", false)] {
            let rule = FaultRule::new(Fault::Reset).path(part);
            assert_eq!(taken(rule, &[&subject]), [wanted], "{part}");
        }
    }

    #[test]
    fn a_row_can_ask_for_a_header() {
        let mut headers = HeaderMap::new();
        let rule = FaultRule::new(Fault::Reset).header(HeaderName::from_static("upload-checksum"));
        assert_eq!(taken(rule.clone(), &[&patch("a", &headers)]), [false]);
        headers.insert("upload-checksum", http::HeaderValue::from_static("x"));
        assert_eq!(taken(rule, &[&patch("a", &headers)]), [true]);
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let headers = HeaderMap::new();
        let subject = patch("a", &headers);
        let run = |seed| {
            let rule = FaultRule::new(Fault::Reset).times(u64::MAX);
            taken(rule.probability(0.3, seed), &[&subject; 1000])
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let happened = run(7).into_iter().filter(|it| *it).count();
        assert!((250..350).contains(&happened), "{happened}");
    }
}
