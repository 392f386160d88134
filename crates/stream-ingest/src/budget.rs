//! [`Budget`]: how many requests the API is sent, by all processes of this machine together.
//!
//! Cloudflare allows a user 1,200 requests in five minutes, whatever they are for; beyond that it refuses all of
//! them for the next five. The rest of the user's tools need some, too: half is taken.
//! <https://developers.cloudflare.com/fundamentals/api/reference/limits/>
//!
//! What another API allows is not known before its answers tell it.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_transport::{Body, BoxFuture, Origin, Transport, TransportError};

use crate::ledger::{Account, Ledger, Rule, Told, Turn};
use crate::patience::{ApiReason, ApiSink, ApiWait};

/// Requests that Cloudflare allows a user in [`WINDOW`].
pub const ALLOWED: u32 = 1_200;

/// The window of Cloudflare's limit.
pub const WINDOW: Duration = Duration::from_secs(300);

/// A shorter wait is no news.
const NEWS: Duration = Duration::from_secs(1);

/// A transport that spends a budget. Requests to other origins than the API's pass freely.
///
/// # Cancellation
///
/// Dropping a future that waits for its turn spends nothing.
pub struct Budget {
    inner: Arc<dyn Transport>,
    api: Origin,
    ledger: Arc<Ledger>,
    sink: Option<Arc<dyn ApiSink>>,
}

impl Budget {
    /// Spends the budget that is kept in `folder` under `name`: one name for one user of the API, and no
    /// secret. Where nothing can be kept, the budget is this process's own.
    ///
    /// `share` is the part of Cloudflare's limit that is taken, 0 to 1; [`SHARE`] by default.
    pub fn new(
        inner: Arc<dyn Transport>,
        api: Origin,
        folder: &Path,
        name: &str,
        share: f64,
    ) -> Self {
        let plain = |it: char| it.is_ascii_alphanumeric() || it == '-';
        let name: String = name.chars().filter(|it| plain(*it)).collect();
        Self {
            inner,
            api,
            ledger: Arc::new(Ledger {
                path: folder.join(format!("api-budget-{name}.json")),
                rule: Rule {
                    share: share.clamp(0.0, 1.0),
                    known: Some((f64::from(ALLOWED), WINDOW)),
                },
                own: Mutex::new(None),
            }),
            sink: None,
        }
    }

    /// Takes nothing for known: the limit is what answers tell (`Ratelimit-Policy`), and before they do there is none. For an
    /// API that is not Cloudflare's. Nothing is kept as long as nothing was told.
    #[must_use]
    pub fn with_told_limit(mut self) -> Self {
        if let Some(ledger) = Arc::get_mut(&mut self.ledger) {
            ledger.rule.known = None;
        }
        self
    }

    /// `sink` hears of every wait of a second or more.
    #[must_use]
    pub fn with_sink(self, sink: Arc<dyn ApiSink>) -> Self {
        Self {
            sink: Some(sink),
            ..self
        }
    }

    /// Whether a request is one that Cloudflare counts.
    fn counts(&self, request: &Request<Body>) -> bool {
        Origin::try_from(request.uri()).is_ok_and(|origin| {
            // An upload that was made with the own token goes to a gateway below the API's host.
            let below = format!(".{}", self.api.host());
            origin == self.api || (origin.is_https() && origin.host().ends_with(&below))
        })
    }

    async fn turn(&self) {
        loop {
            let (wait, reason) = match self.ledger.on_disk(Account::take).await {
                Turn::Now => return,
                Turn::Blocked(wait) => (wait, ApiReason::Blocked),
                Turn::Spent(wait) => (wait, ApiReason::Spent),
            };
            tracing::debug!(?wait, %reason, "the API is asked later");
            if let Some(sink) = self.sink.as_ref().filter(|_| wait >= NEWS) {
                let attempt = 0;
                sink.waiting(&ApiWait {
                    reason,
                    wait,
                    attempt,
                });
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// The part of Cloudflare's limit that is taken by default: half.
pub const SHARE: f64 = 0.5;

impl Transport for Budget {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            if !self.counts(&request) {
                return self.inner.send(request).await;
            }
            self.turn().await;
            let answer = self.inner.send(request).await?;
            let refused = answer.status() == StatusCode::TOO_MANY_REQUESTS;
            if let Some(told) = Told::by(answer.headers(), refused) {
                let heed = move |account: &mut Account, rule: &Rule, now| {
                    account.heed(&told, rule, now);
                    Turn::Now
                };
                self.ledger.on_disk(heed).await;
            }
            Ok(answer)
        })
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}
