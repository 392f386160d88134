//! What an answer says of the API's rate limit.
//!
//! <https://developers.cloudflare.com/fundamentals/api/reference/limits/>

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The name of the header that says how much is left.
pub const RATELIMIT: &str = "ratelimit";
/// The name of the header that says what is allowed.
pub const RATELIMIT_POLICY: &str = "ratelimit-policy";

/// How much of a limit is left, and what the limit is. Of several, the one that has the least left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// The limit's name, such as `default`.
    pub name: String,
    /// Requests left until it is reset.
    pub remaining: u64,
    /// Until it is reset; zero if the answer did not say.
    pub reset: Duration,
    /// Requests allowed in one window, if the answer said so.
    pub quota: Option<u64>,
    /// How long a window is, if the answer said so.
    pub window: Option<Duration>,
}

impl RateLimit {
    /// Reads `Ratelimit` and `Ratelimit-Policy`; what cannot be read says nothing.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut limit = items(headers, RATELIMIT)
            .filter_map(|item| {
                Some(Self {
                    remaining: item.parameter("r")?,
                    reset: Duration::from_secs(item.parameter("t").unwrap_or(0)),
                    name: item.name.to_owned(),
                    ..Self::default()
                })
            })
            .min_by_key(|limit| limit.remaining)?;
        let mut policies: Vec<_> = items(headers, RATELIMIT_POLICY).collect();
        let same = policies.iter().position(|item| item.name == limit.name);
        // Answers were seen that name the two differently.
        if same.is_some() || policies.len() == 1 {
            let policy = policies.swap_remove(same.unwrap_or(0));
            limit.quota = policy.parameter("q");
            limit.window = policy.parameter("w").map(Duration::from_secs);
        }
        Some(limit)
    }
}

/// `Retry-After` in seconds. A date is not read: Cloudflare sends seconds.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

struct Item<'a> {
    name: &'a str,
    parameters: &'a str,
}

impl Item<'_> {
    fn parameter(&self, name: &str) -> Option<u64> {
        self.parameters.split(';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            (key.trim() == name).then(|| value.trim().parse().ok())?
        })
    }
}

/// The items of a list such as `"default";r=50;t=30, "burst";r=9;t=1`.
fn items<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Item<'a>> {
    let texts = headers.get_all(name).into_iter();
    let texts = texts.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|item| {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        Item {
            name: name.trim().trim_matches('"'),
            parameters,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(limit: &str, policy: Option<&str>) -> Option<RateLimit> {
        let mut headers = HeaderMap::new();
        headers.insert(RATELIMIT, limit.parse().unwrap());
        if let Some(policy) = policy {
            headers.insert(RATELIMIT_POLICY, policy.parse().unwrap());
        }
        RateLimit::of(&headers)
    }

    #[test]
    fn cloudflares_own_examples_are_read() {
        let limit = of(r#""default";r=50;t=30"#, Some(r#""burst";q=100;w=60"#)).unwrap();
        assert_eq!((limit.name.as_str(), limit.remaining), ("default", 50));
        assert_eq!(limit.reset, Duration::from_secs(30));
        assert_eq!(limit.quota, Some(100));
        assert_eq!(limit.window, Some(Duration::from_secs(60)));
    }

    #[test]
    fn of_several_limits_the_tightest_counts() {
        let both = r#""burst";r=9;t=1, "default"; r=3; t=200"#;
        let policies = r#""burst";q=200;w=1, "default";q=1200;w=300"#;
        let limit = of(both, Some(policies)).unwrap();
        assert_eq!((limit.remaining, limit.quota), (3, Some(1200)));
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for text in [
            "",
            "r",
            ";;;",
            r#""default""#,
            r#""default";r=many"#,
            r#""default";r=-1"#,
        ] {
            assert_eq!(of(text, Some(";w=;q")), None, "{text:?}");
        }
    }
}
