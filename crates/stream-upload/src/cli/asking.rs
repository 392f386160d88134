//! [`Asking`]: how the API is asked, by every command alike: within one budget, with patience, and saying so while it waits.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_transport::{Origin, Transport};
use serde_json::json;
use stream_api::{Patience, StreamClient};
use stream_ingest::{ApiPatience, ApiReason, ApiSink, ApiWait, Budget, SHARE};
use tus_core::RetryPolicy;

use super::console::Console;
use super::place::{CLOUDFLARE_API_DOMAIN, Remote};
use super::plan::state_dir;

/// How long a single request is tried, where nobody says otherwise: longer than Cloudflare shuts anybody out.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How much of the API is used, how long it is tried, and who hears of waits.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) policy: RetryPolicy,
    /// Of what Cloudflare allows a user.
    pub(crate) share: f64,
    pub(crate) sink: Arc<dyn ApiSink>,
}

impl Asking {
    /// What was typed, over the defaults of a command that asks for little.
    pub(crate) fn new(
        patience: Option<Duration>,
        retries: Option<u32>,
        share: Option<f64>,
        sink: Arc<dyn ApiSink>,
    ) -> Self {
        let retries = retries.unwrap_or(RetryPolicy::DEFAULT.max_refusals);
        let policy = RetryPolicy::DEFAULT
            .with_patience(patience.unwrap_or(PATIENCE))
            .with_max_refusals(retries);
        Self {
            policy,
            share: share.unwrap_or(SHARE),
            sink,
        }
    }

    /// The way to the account's API, within the budget that all processes of this user share.
    pub(crate) fn within_budget(
        &self,
        transport: &Arc<dyn Transport>,
        remote: &Remote,
    ) -> Arc<dyn Transport> {
        let Some(api) = &remote.api else {
            return Arc::clone(transport);
        };
        let Ok(origin) = Origin::parse(&api.base) else {
            return Arc::clone(transport);
        };
        let name = api.base.split("://").nth(1).unwrap_or_default();
        let name = name.split('/').next().unwrap_or_default();
        let name = name.replace(|it: char| !it.is_ascii_alphanumeric(), "-");
        let is_cloudflare = is_cloudflare(&origin);
        let inner = Arc::clone(transport);
        let budget = Budget::new(inner, origin, &folder(), &name, self.share)
            .with_sink(Arc::clone(&self.sink));
        if is_cloudflare {
            Arc::new(budget)
        } else {
            Arc::new(budget.with_told_limit())
        }
    }

    /// The way of uploads, given the one to the API: where it is Cloudflare's own, what they send may count as well.
    pub(crate) fn for_uploads(
        transport: &Arc<dyn Transport>,
        within_budget: &Arc<dyn Transport>,
        remote: &Remote,
    ) -> Arc<dyn Transport> {
        let origin = remote.api.as_ref().map(|api| Origin::parse(&api.base));
        let counts = origin.is_some_and(|origin| origin.is_ok_and(|it| is_cloudflare(&it)));
        Arc::clone(if counts { within_budget } else { transport })
    }

    /// The same client, as patient as was asked for.
    pub(crate) fn patient(&self, client: StreamClient) -> StreamClient {
        let patience = ApiPatience::new(self.policy, Arc::clone(&self.sink));
        client.with_patience(Arc::new(patience) as Arc<dyn Patience>)
    }
}

fn is_cloudflare(origin: &Origin) -> bool {
    origin.host() == CLOUDFLARE_API_DOMAIN
}

/// Where the budget lies: one place for a user, whatever a command's own state folder is. Where there is none the budget is
/// the process's own.
fn folder() -> PathBuf {
    let given = std::env::var_os("STREAM_UPLOAD_STATE_DIR").map(PathBuf::from);
    state_dir(given).unwrap_or_default()
}

/// `0.5`: more than nothing, and no more than all.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    let share = share.filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "a part between 0 and 1 is wanted, such as 0.5".to_owned())
}

/// A listener that comes later. What is waited for before that is told nobody.
#[derive(Default)]
pub(crate) struct Later(OnceLock<Arc<dyn ApiSink>>);

impl Later {
    pub(crate) fn set(&self, sink: Arc<dyn ApiSink>) {
        // The first one stays.
        let _ = self.0.set(sink);
    }
}

impl ApiSink for Later {
    fn waiting(&self, wait: &ApiWait) {
        if let Some(sink) = self.0.get() {
            sink.waiting(wait);
        }
    }
}

/// Tells waits on stderr, or as events.
pub(crate) struct Teller {
    pub(crate) console: Console,
    /// Stdout is a stream of events.
    pub(crate) events: bool,
}

impl ApiSink for Teller {
    fn waiting(&self, wait: &ApiWait) {
        if self.events {
            let (event, fields) = event(wait);
            self.console.json(event, fields);
        } else {
            self.console.note(words(wait));
        }
    }
}

/// A wait for people.
pub(crate) fn words(wait: &ApiWait) -> String {
    let seconds =
        Duration::from_secs(wait.wait.as_secs() + u64::from(wait.wait.subsec_nanos() > 0));
    let time = humantime::format_duration(seconds);
    format!("waiting {time}: {}", wait.reason)
}

/// A wait for machines.
pub(crate) fn event(wait: &ApiWait) -> (&'static str, serde_json::Value) {
    let wait_ms = u64::try_from(wait.wait.as_millis()).unwrap_or(u64::MAX);
    match &wait.reason {
        ApiReason::Failed(reason) => {
            let fields = json!({"reason": reason, "wait_ms": wait_ms, "attempt": wait.attempt});
            ("retry", fields)
        }
        _ => {
            let fields = json!({"reason": "rate-limit", "wait_ms": wait_ms});
            ("waiting", fields)
        }
    }
}

/// That the API did not say how far a video is, for machines.
pub(crate) fn unanswered(error: &stream_api::Error) -> serde_json::Value {
    let is_limit = error.status().is_some_and(|it| it.as_u16() == 429);
    let reason = if is_limit { "rate-limit" } else { "unanswered" };
    json!({"reason": reason, "error": error.to_string()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_part_of_the_whole() {
        assert_eq!(share("0.25"), Ok(0.25));
        assert_eq!(share("1"), Ok(1.0));
        for text in ["0", "-1", "1.1", "NaN", "half"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
