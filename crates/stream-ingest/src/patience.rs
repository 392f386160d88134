//! [`ApiPatience`]: requests to the API that failed are sent again, as uploads are; and whoever waits is told why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http_transport::BoxFuture;
use stream_api::{Attempts, Error, Op, Patience};
use tokio::time::Instant;
use tus_core::{Backoff, RetryPolicy};

/// Hears of waits. Called by whoever waits: it should return soon.
pub trait ApiSink: Send + Sync {
    /// The next request is sent after a while.
    fn waiting(&self, wait: &ApiWait);
}

/// A wait before the next request to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiWait {
    /// Why.
    pub reason: ApiReason,
    /// For how long.
    pub wait: Duration,
    /// Waits for the same request so far, this one included; 0 if the request was not sent yet.
    pub attempt: u32,
}

/// Why a request waits. Its text reads after "waiting 3s: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiReason {
    /// The API has told one of the processes of this machine to wait.
    #[error("the API takes no more requests of this user for now")]
    Blocked,
    /// The last attempt failed.
    #[error("{0}")]
    Failed(String),
    /// What this machine allows itself of the API's limit is used up, by all its processes together.
    #[error("this machine's share of the API's limit is used up for now")]
    Spent,
}

impl ApiReason {
    /// Whether it is about how many requests the API takes, and not about one that failed.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// Sends again until it is enough, for a [`StreamClient`](stream_api::StreamClient).
///
/// As with uploads, refusals (408, 5xx) count as attempts; a network that is gone and what the API asks to be waited for cost
/// time only, and a wait that would outlast the patience is not begun.
pub struct ApiPatience {
    policy: RetryPolicy,
    sink: Arc<dyn ApiSink>,
}

impl ApiPatience {
    /// As patient as `policy` for each request; `sink` hears of every wait.
    #[must_use]
    pub fn new(policy: RetryPolicy, sink: Arc<dyn ApiSink>) -> Self {
        Self { policy, sink }
    }
}

impl Patience for ApiPatience {
    fn begin(&self) -> Box<dyn Attempts> {
        // Waits are spread by what differs between processes and requests anyway: the time.
        let seed = std::time::SystemTime::now()
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .map_or(0, |since| u64::from(since.subsec_nanos()));
        Box::new(Waits {
            policy: self.policy,
            sink: Arc::clone(&self.sink),
            backoff: Backoff::new(seed ^ u64::from(std::process::id())),
            began: Instant::now(),
            refusals: 0,
        })
    }
}

impl fmt::Debug for ApiPatience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiPatience")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

struct Waits {
    policy: RetryPolicy,
    sink: Arc<dyn ApiSink>,
    backoff: Backoff,
    began: Instant,
    refusals: u32,
}

impl Attempts for Waits {
    fn again<'a>(&'a mut self, op: Op, error: &'a Error) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            if let Error::Api { status, .. } = error
                && status.as_u16() != 429
            {
                self.refusals += 1;
                if self.refusals > self.policy.max_refusals {
                    return false;
                }
            }
            let wait = self.backoff.next_wait(&self.policy).max(asked_for(error));
            if self.began.elapsed().saturating_add(wait) > self.policy.patience {
                return false;
            }
            tracing::debug!(operation = op.endpoint().id, %error, ?wait, "a request is sent again");
            self.sink.waiting(&ApiWait {
                reason: ApiReason::Failed(error.to_string()),
                wait,
                attempt: self.backoff.attempt(),
            });
            tokio::time::sleep(wait).await;
            true
        })
    }
}

/// How long the answer asked to wait: in so many words, or by a limit of which nothing is left.
fn asked_for(error: &Error) -> Duration {
    match error {
        Error::Api {
            retry_after, limit, ..
        } => {
            let spent = limit.as_ref().filter(|limit| limit.remaining == 0);
            retry_after
                .or(spent.map(|limit| limit.reset))
                .unwrap_or_default()
        }
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::StatusCode;
    use http_transport::{FaultKind, TransportError};

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<ApiWait>>);

    impl ApiSink for Heard {
        fn waiting(&self, wait: &ApiWait) {
            self.0.lock().unwrap().push(wait.clone());
        }
    }

    fn refusal(status: u16, after: Option<u64>) -> Error {
        Error::Api {
            status: StatusCode::from_u16(status).unwrap(),
            errors: Vec::new(),
            messages: Vec::new(),
            request_id: None,
            retry_after: after.map(Duration::from_secs),
            limit: None,
        }
    }

    /// How many times it is sent again, after how long, and what was heard.
    async fn outlast(policy: RetryPolicy, error: Error) -> (usize, Duration, Vec<ApiWait>) {
        let heard = Arc::new(Heard::default());
        let patience = ApiPatience::new(policy, Arc::clone(&heard) as Arc<dyn ApiSink>);
        let began = Instant::now();
        let mut attempts = patience.begin();
        let mut times = 0;
        while attempts.again(Op::VideosGet, &error).await {
            times += 1;
        }
        let waits = heard.0.lock().unwrap().clone();
        (times, began.elapsed(), waits)
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_counted_and_each_wait_is_told() {
        let policy = RetryPolicy::DEFAULT.with_max_refusals(3);
        let (times, took, heard) = outlast(policy, refusal(503, None)).await;
        assert_eq!((times, heard.len()), (3, 3));
        let told: Duration = heard.iter().map(|it| it.wait).sum();
        // The clock counts whole milliseconds.
        assert!(took >= told && took < told + Duration::from_millis(9));
        assert_eq!(heard[2].attempt, 3);
        assert!(heard[0].reason.to_string().contains("503"));
        assert!(!heard[0].reason.is_limit());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_answer_asks_for_is_waited_for_and_costs_no_attempt() {
        let policy = RetryPolicy::DEFAULT
            .with_max_refusals(0)
            .with_patience(Duration::from_secs(100));
        let (times, took, _) = outlast(policy, refusal(429, Some(40))).await;
        assert_eq!((times, took.as_secs()), (2, 80));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_would_outlast_the_patience_is_not_begun() {
        let policy = RetryPolicy::DEFAULT.with_patience(Duration::from_secs(10));
        let (times, took, heard) = outlast(policy, refusal(429, Some(300))).await;
        assert_eq!((times, took, heard.len()), (0, Duration::ZERO, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_is_gone_costs_time_only() {
        let policy = RetryPolicy::DEFAULT.with_max_refusals(1);
        let gone = TransportError::new(FaultKind::Connect, "refused").into();
        let (times, took, _) = outlast(policy, gone).await;
        assert!(times > 10, "{times}");
        assert!(
            took <= policy.patience && took > policy.patience / 2,
            "{took:?}"
        );
    }
}
