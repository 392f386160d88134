//! [`Limits`]: what an account may use, and who is turned away.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use stream_api::code;

use crate::answer::{self, Answer};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What an account may use. All accounts share one allowance here.
/// <https://developers.cloudflare.com/stream/faq/>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests from one address in a window; one more is answered with 429 until the window is over, and no longer.
    /// Default: no limit. Cloudflare's is [`RequestRate::CLOUDFLARE_BURST`].
    pub burst: Option<RequestRate>,
    /// Requests to the API and to Stream's upload URLs at once; one more is answered with 429.
    /// Default: no limit.
    pub concurrent_requests: Option<usize>,
    /// Videos that are `queued` or `inprogress`; while there are so many, a creation is answered
    /// with 429. Default 120; 0 for a queue that is always full.
    pub encode_slots: usize,
    /// Requests in a window; one more is answered with 429, and so is every other one until a window
    /// later. Default: no limit. Cloudflare's is [`RequestRate::CLOUDFLARE`].
    pub request_rate: Option<RequestRate>,
    /// Bytes of all videos, those of unfinished uploads counted at their full length; a creation
    /// that goes beyond is answered with 413. Default: no limit. Stream counts minutes; this is for
    /// those who have videos without a duration.
    pub storage_bytes: Option<u64>,
    /// Minutes of all videos, in unfinished uploads those that `maxDurationSeconds` reserves; a
    /// creation that goes beyond is answered with 413. Default: no limit.
    pub storage_minutes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            burst: None,
            concurrent_requests: None,
            encode_slots: 120,
            request_rate: None,
            storage_bytes: None,
            storage_minutes: None,
        }
    }
}

/// So many requests in so long. Exhaustive: a rate has no third part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    /// Requests.
    pub requests: u32,
    /// In this time.
    pub window: Duration,
}

impl RequestRate {
    /// 1,200 in five minutes, whatever the product.
    /// <https://developers.cloudflare.com/fundamentals/api/reference/limits/>
    pub const CLOUDFLARE: Self = Self {
        requests: 1200,
        window: Duration::from_secs(300),
    };

    /// 200 in a second from one address, whoever sends them.
    /// <https://developers.cloudflare.com/fundamentals/api/reference/limits/>
    pub const CLOUDFLARE_BURST: Self = Self {
        requests: 200,
        window: Duration::from_secs(1),
    };

    /// What answers say of it, in its name.
    fn told(self, name: &str, remaining: u32, seconds: u64) -> HeaderMap {
        let (requests, window) = (self.requests, self.window.as_secs());
        let lines = [
            (RATELIMIT, format!("\"{name}\";r={remaining};t={seconds}")),
            (
                RATELIMIT_POLICY,
                format!("\"{name}\";q={requests};w={window}"),
            ),
        ];
        let lines = lines.into_iter();
        lines
            .filter_map(|(name, text)| Some((name, HeaderValue::from_str(&text).ok()?)))
            .collect()
    }
}

/// What the videos of all accounts use at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) encoding: usize,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

impl Limits {
    /// What Cloudflare allows: 120 videos in the queue, [`RequestRate::CLOUDFLARE`] and [`RequestRate::CLOUDFLARE_BURST`],
    /// and the 1,000 minutes that are the least one can buy. <https://developers.cloudflare.com/stream/pricing/>
    #[must_use]
    pub fn cloudflare() -> Self {
        Self {
            burst: Some(RequestRate::CLOUDFLARE_BURST),
            request_rate: Some(RequestRate::CLOUDFLARE),
            storage_minutes: Some(1000),
            ..Self::default()
        }
    }

    /// All of it `times` smaller, but never nothing: the rate stays what it is, in a window and with a number of
    /// requests that are smaller. A burst has fewer requests in the same window, and ten at least. 0 is taken for 1.
    #[must_use]
    pub fn scaled(self, times: u32) -> Self {
        let times = times.max(1);
        let smaller = |number: u64| (number / u64::from(times)).max(u64::from(number > 0));
        let smaller_count = |count: usize| {
            let times = usize::try_from(times).unwrap_or(usize::MAX);
            (count / times).max(usize::from(count > 0))
        };
        Self {
            burst: self.burst.map(|burst| RequestRate {
                requests: (burst.requests / times).max(burst.requests.min(10)),
                ..burst
            }),
            concurrent_requests: self.concurrent_requests.map(smaller_count),
            encode_slots: smaller_count(self.encode_slots),
            request_rate: self.request_rate.map(|rate| RequestRate {
                requests: (rate.requests / times).max(1),
                window: (rate.window / times).max(Duration::from_secs(1)),
            }),
            storage_bytes: self.storage_bytes.map(smaller),
            storage_minutes: self.storage_minutes.map(smaller),
        }
    }

    /// Whether any of them needs to know what is used.
    pub(crate) fn need_usage(&self, encodes_at_once: bool) -> bool {
        !encodes_at_once
            || self.encode_slots == 0
            || self.storage_bytes.is_some()
            || self.storage_minutes.is_some()
    }

    /// Whether one more video fits: `bytes` long, for which `seconds` are reserved.
    pub(crate) fn admit(&self, used: Usage, bytes: u64, seconds: f64) -> Result<(), Box<Answer>> {
        if used.encoding >= self.encode_slots {
            let text = format!(
                "The queue is full: {} videos are queued or encoding. Wait until some are ready",
                used.encoding
            );
            return Err(refusal(
                StatusCode::TOO_MANY_REQUESTS,
                code::BAD_REQUEST,
                text,
            ));
        }
        let full = |text: String| {
            let text = format!("Storage capacity exceeded: {text}");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(refusal(status, code::STORAGE_FULL, text))
        };
        if let Some(most) = self.storage_minutes {
            #[expect(clippy::cast_precision_loss, reason = "minutes stay far below 2^53")]
            let left = most as f64 * 60.0 - used.seconds;
            if left <= 0.0 || left < seconds {
                let minutes = used.seconds / 60.0;
                return full(format!("{minutes:.0} of {most} allocated minutes are used"));
            }
        }
        if let Some(most) = self.storage_bytes {
            let left = most.saturating_sub(used.bytes);
            if left == 0 || left < bytes {
                return full(format!("{} of {most} allocated bytes are used", used.bytes));
            }
        }
        Ok(())
    }
}

fn refusal(status: StatusCode, code: u64, text: impl Into<String>) -> Box<Answer> {
    Box::new(answer::failure(status, code, text))
}

/// The refusal by one of the rates, and when to come back.
fn too_many(rate: RequestRate, seconds: u64, told: HeaderMap) -> Box<Answer> {
    let text = format!(
        "More than {} requests per {} seconds reached",
        rate.requests,
        rate.window.as_secs()
    );
    let mut answer = refusal(StatusCode::TOO_MANY_REQUESTS, code::BAD_REQUEST, text);
    answer.headers_mut().extend(told);
    answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    answer
}

/// Counts requests.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    bursts: Mutex<HashMap<IpAddr, Window>>,
    window: Mutex<Option<Window>>,
    under_way: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    until: SystemTime,
    requests: u32,
    blocked: bool,
}

/// A request that was let in. It counts as under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Passed<'a>(&'a Gate);

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gate {
    /// Lets a request in, unless too many are under way.
    pub(crate) fn pass(&self, limits: &Limits) -> Result<Passed<'_>, Box<Answer>> {
        let before = self.under_way.fetch_add(1, Ordering::AcqRel);
        let passed = Passed(self);
        match limits.concurrent_requests {
            Some(most) if before >= most => {
                let text = format!("More than {most} requests at once");
                let status = StatusCode::TOO_MANY_REQUESTS;
                Err(refusal(status, code::BAD_REQUEST, text))
            }
            _ => Ok(passed),
        }
    }

    /// Counts a request of `address` against the rate and the burst, and returns what every answer says of the rate.
    /// Whether answers tell of the other one is not documented: only those that it refuses do.
    ///
    /// # Errors
    /// The refusal of a request too many. One that the burst refuses does not count against the rate.
    pub(crate) fn count(
        &self,
        limits: &Limits,
        address: IpAddr,
        now: SystemTime,
    ) -> Result<HeaderMap, Box<Answer>> {
        if let Some(burst) = limits.burst
            && let Some(seconds) = self.count_burst(burst, address, now)
        {
            return Err(too_many(burst, seconds, burst.told("burst", 0, seconds)));
        }
        let Some(rate) = limits.request_rate else {
            return Ok(HeaderMap::new());
        };
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now.checked_add(rate.window).unwrap_or(now);
        let window = window.get_or_insert(Window::new(until));
        if window.until <= now {
            *window = Window::new(until);
        }
        window.requests = window.requests.saturating_add(1);
        if window.requests > rate.requests && !window.blocked {
            // As documented: blocked for one whole window more, not only for the rest of this one.
            window.blocked = true;
            window.until = until;
        }
        let seconds = window.seconds_left(now);
        let remaining = rate.requests.saturating_sub(window.requests);
        let told = rate.told("default", remaining, seconds);
        if window.blocked {
            return Err(too_many(rate, seconds, told));
        }
        Ok(told)
    }

    /// For how many seconds there are no more requests of this address; none where it may ask.
    fn count_burst(&self, burst: RequestRate, address: IpAddr, now: SystemTime) -> Option<u64> {
        let mut bursts = self.bursts.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever asked a second ago is nobody to remember.
        bursts.retain(|_, window| window.until > now);
        let until = now.checked_add(burst.window).unwrap_or(now);
        let window = bursts.entry(address).or_insert(Window::new(until));
        window.requests = window.requests.saturating_add(1);
        (window.requests > burst.requests).then(|| window.seconds_left(now))
    }
}

impl Window {
    fn new(until: SystemTime) -> Self {
        Self {
            until,
            requests: 0,
            blocked: false,
        }
    }

    /// Rounded up, as `Retry-After` is.
    fn seconds_left(&self, now: SystemTime) -> u64 {
        let left = self.until.duration_since(now).unwrap_or_default();
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn scaled_limits_are_smaller_and_never_nothing() {
        let scaled = Limits::cloudflare().scaled(20);
        let rate = scaled.request_rate.unwrap();
        assert_eq!((rate.requests, rate.window.as_secs()), (60, 15));
        let burst = scaled.burst.unwrap();
        assert_eq!((burst.requests, burst.window.as_secs()), (10, 1));
        assert_eq!((scaled.encode_slots, scaled.storage_minutes), (6, Some(50)));
        let scaled = Limits::cloudflare().scaled(u32::MAX);
        let rate = scaled.request_rate.unwrap();
        assert_eq!((rate.requests, rate.window.as_secs()), (1, 1));
        assert_eq!((scaled.encode_slots, scaled.storage_minutes), (1, Some(1)));
        assert_eq!(Limits::cloudflare().scaled(0), Limits::cloudflare());
    }

    #[test]
    fn a_rate_that_is_exceeded_blocks_for_a_whole_window() {
        let limits = Limits {
            request_rate: Some(RequestRate {
                requests: 2,
                window: Duration::from_secs(300),
            }),
            ..Limits::default()
        };
        let gate = Gate::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let headers = gate.count(&limits, HERE, at(0)).unwrap();
        assert_eq!(headers[RATELIMIT], "\"default\";r=1;t=300");
        assert_eq!(headers[RATELIMIT_POLICY], "\"default\";q=2;w=300");
        assert!(gate.count(&limits, HERE, at(1)).is_ok());
        let refusal = gate.count(&limits, HERE, at(100)).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refusal.headers()[RETRY_AFTER], "300");
        assert!(gate.count(&limits, HERE, at(399)).is_err());
        assert!(gate.count(&limits, HERE, at(400)).is_ok());
    }

    #[test]
    fn a_burst_of_one_address_waits_for_its_second_and_holds_nobody_else_up() {
        let limits = Limits {
            burst: Some(RequestRate {
                requests: 2,
                window: Duration::from_secs(1),
            }),
            request_rate: Some(RequestRate::CLOUDFLARE),
            ..Limits::default()
        };
        let gate = Gate::default();
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        for _ in 0..2 {
            let told = gate.count(&limits, HERE, at(0)).unwrap();
            assert!(told[RATELIMIT].to_str().unwrap().starts_with("\"default\""));
        }
        let refusal = gate.count(&limits, HERE, at(300)).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
        let told = |name| refusal.headers()[name].to_str().unwrap();
        assert_eq!(told(RATELIMIT), "\"burst\";r=0;t=1");
        assert_eq!(told(RATELIMIT_POLICY), "\"burst\";q=2;w=1");
        assert_eq!(told(RETRY_AFTER), "1");
        let other = IpAddr::from([192, 0, 2, 1]);
        assert!(gate.count(&limits, other, at(300)).is_ok());
        assert!(gate.count(&limits, HERE, at(999)).is_err());
        // The refused ones were not counted against the rate.
        let told = gate.count(&limits, HERE, at(1000)).unwrap();
        assert_eq!(told[RATELIMIT], "\"default\";r=1196;t=299");
    }

    #[test]
    fn whoever_is_under_way_keeps_others_out() {
        let gate = Gate::default();
        let limits = Limits {
            concurrent_requests: Some(1),
            ..Limits::default()
        };
        let first = gate.pass(&limits).unwrap();
        assert!(gate.pass(&limits).is_err());
        drop(first);
        assert!(gate.pass(&limits).is_ok());
    }
}
