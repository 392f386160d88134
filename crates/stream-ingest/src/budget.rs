//! [`Budget`]: how many requests the API is sent, by all processes of this machine together.
//!
//! Cloudflare allows a user 1,200 requests in five minutes, whatever they are for; beyond that it refuses all of
//! them for the next five. The rest of the user's tools need some, too: half is taken.
//! <https://developers.cloudflare.com/fundamentals/api/reference/limits/>

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Request, Response, StatusCode};
use http_transport::{Body, BoxFuture, Origin, Transport, TransportError};
use serde_json::{Value, json};
use stream_api::{RateLimit, retry_after};

/// Requests that Cloudflare allows a user in [`WINDOW`].
pub const ALLOWED: u32 = 1_200;

/// The window of Cloudflare's limit.
pub const WINDOW: Duration = Duration::from_secs(300);

/// For how long nothing is sent after a refusal that does not say.
const BLOCKED: Duration = Duration::from_secs(60);

/// A transport that spends a budget. Requests to other origins than the API's pass freely.
///
/// # Cancellation
///
/// Dropping a future that waits for its turn spends nothing.
pub struct Budget {
    inner: Arc<dyn Transport>,
    api: Origin,
    ledger: Arc<Ledger>,
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
        let most = (f64::from(ALLOWED) * share.clamp(0.0, 1.0)).max(1.0);
        Self {
            inner,
            api,
            ledger: Arc::new(Ledger {
                path: folder.join(format!("api-budget-{name}.json")),
                most,
                own: Mutex::new(None),
            }),
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
            let wait = self.ledger.on_disk(Account::take).await;
            if wait.is_zero() {
                return;
            }
            tracing::debug!(?wait, "the API's budget is spent");
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
                self.ledger
                    .on_disk(move |account, _, now| account.heed(&told, now))
                    .await;
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

/// What an answer says about further requests.
struct Told {
    left: Option<u64>,
    blocked_for: Option<Duration>,
}

impl Told {
    fn by(headers: &HeaderMap, refused: bool) -> Option<Self> {
        let limit = RateLimit::of(headers);
        let spent = limit.as_ref().filter(|limit| limit.remaining == 0);
        let blocked_for = if refused {
            let reset = limit.as_ref().map(|limit| limit.reset);
            Some(retry_after(headers).or(reset).unwrap_or(BLOCKED))
        } else {
            spent.map(|limit| limit.reset)
        };
        let left = limit.map(|limit| limit.remaining);
        (left.is_some() || blocked_for.is_some()).then_some(Self { left, blocked_for })
    }
}

/// What is left: a bucket that fills evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Account {
    left: f64,
    at_ms: u64,
    blocked_until_ms: u64,
}

impl Account {
    /// Takes one request, or tells how long to wait for it.
    fn take(&mut self, most: f64, now: u64) -> Duration {
        if now < self.at_ms {
            // The clock was set back: what was counted since is not known.
            self.at_ms = now;
            self.blocked_until_ms = self.blocked_until_ms.min(now + millis(WINDOW));
        }
        if now < self.blocked_until_ms {
            return Duration::from_millis(self.blocked_until_ms - now);
        }
        let per_ms = most / WINDOW.as_secs_f64() / 1_000.0;
        #[expect(clippy::cast_precision_loss, reason = "a few minutes in milliseconds")]
        let filled = (now - self.at_ms) as f64 * per_ms;
        self.left = (self.left + filled).min(most);
        self.at_ms = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Duration::ZERO;
        }
        Duration::from_secs_f64(((1.0 - self.left) / per_ms / 1_000.0).max(0.001))
    }

    fn heed(&mut self, told: &Told, now: u64) -> Duration {
        if let Some(left) = told.left {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let left = left as f64;
            self.left = self.left.min(left);
        }
        if let Some(time) = told.blocked_for {
            self.blocked_until_ms = self.blocked_until_ms.max(now + millis(time));
        }
        Duration::ZERO
    }

    fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let left = value.get("left")?.as_f64()?;
        Some(Self {
            left: left.max(0.0),
            at_ms: value.get("at_ms")?.as_u64()?,
            blocked_until_ms: value.get("blocked_until_ms")?.as_u64()?,
        })
    }

    fn write(self) -> String {
        let (left, at_ms, blocked) = (self.left, self.at_ms, self.blocked_until_ms);
        json!({"left": left, "at_ms": at_ms, "blocked_until_ms": blocked}).to_string()
    }
}

/// The account in its file, under a lock.
struct Ledger {
    path: PathBuf,
    most: f64,
    /// Where the file cannot be used.
    own: Mutex<Option<Account>>,
}

impl Ledger {
    /// Changes the account, on a thread that may block.
    async fn on_disk(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Account, f64, u64) -> Duration + Send + 'static,
    ) -> Duration {
        let ledger = Arc::clone(self);
        let changed = tokio::task::spawn_blocking(move || ledger.change(change)).await;
        changed.unwrap_or_default()
    }

    fn change(&self, change: impl FnOnce(&mut Account, f64, u64) -> Duration) -> Duration {
        let now = now_ms();
        let mut file = match self.open() {
            Ok(file) => file,
            Err(error) => {
                tracing::debug!(%error, "the API's budget is not shared with other processes");
                let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
                let account = own.get_or_insert_with(|| self.full(now));
                return change(account, self.most, now);
            }
        };
        let mut text = String::new();
        let read = file.read_to_string(&mut text).ok();
        let kept = read.and_then(|_| Account::read(&text));
        let mut account = kept.unwrap_or_else(|| self.full(now));
        let wait = change(&mut account, self.most, now);
        if let Err(error) = overwrite(&mut file, &account.write()) {
            tracing::debug!(%error, "the API's budget cannot be kept");
        }
        wait
    }

    /// Locked until the file is dropped.
    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.path)?;
        file.lock()?;
        Ok(file)
    }

    fn full(&self, now: u64) -> Account {
        Account {
            left: self.most,
            at_ms: now,
            blocked_until_ms: 0,
        }
    }
}

fn overwrite(file: &mut File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, millis)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(folder: &Path, most: f64) -> Ledger {
        Ledger {
            path: folder.join("b.json"),
            most,
            own: Mutex::new(None),
        }
    }

    #[test]
    fn two_processes_spend_one_budget() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (ledger(folder.path(), 4.0), ledger(folder.path(), 4.0));
        for _ in 0..2 {
            assert_eq!(one.change(Account::take), Duration::ZERO);
            assert_eq!(other.change(Account::take), Duration::ZERO);
        }
        assert!(one.change(Account::take) > Duration::from_secs(1));
        assert!(other.change(Account::take) > Duration::from_secs(1));
    }

    #[test]
    fn a_budget_fills_evenly_and_no_higher_than_its_most() {
        let mut account = Account {
            left: 0.0,
            at_ms: 0,
            blocked_until_ms: 0,
        };
        // 600 in 300 s: one in half a second.
        assert_eq!(account.take(600.0, 0), Duration::from_millis(500));
        assert_eq!(account.take(600.0, 500), Duration::ZERO);
        assert_eq!(account.take(600.0, 10_000_000), Duration::ZERO);
        assert!((account.left - 599.0).abs() < 0.01);
    }

    #[test]
    fn what_answers_say_is_heeded_by_all() {
        let mut account = Account {
            left: 500.0,
            at_ms: 0,
            blocked_until_ms: 0,
        };
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", r#""default";r=3;t=30"#.parse().unwrap());
        account.heed(&Told::by(&headers, false).unwrap(), 0);
        assert_eq!(account.left, 3.0);
        headers.insert("retry-after", "7".parse().unwrap());
        account.heed(&Told::by(&headers, true).unwrap(), 0);
        assert_eq!(account.take(600.0, 1_000), Duration::from_secs(6));
        assert_eq!(account.take(600.0, 7_000), Duration::ZERO);
        assert!(Told::by(&HeaderMap::new(), false).is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_begins_anew_and_one_that_cannot_be_opened_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let broken = ledger(folder.path(), 2.0);
        fs::write(&broken.path, "{\"left\":").unwrap();
        assert_eq!(broken.change(Account::take), Duration::ZERO);
        let nowhere = ledger(&broken.path, 1.0);
        assert_eq!(nowhere.change(Account::take), Duration::ZERO);
        assert!(nowhere.change(Account::take) > Duration::ZERO);
    }

    #[test]
    fn a_clock_that_was_set_back_blocks_no_longer_than_a_window() {
        let mut account = Account {
            left: 1.0,
            at_ms: 9_000_000,
            blocked_until_ms: 9_500_000,
        };
        assert!(account.take(600.0, 1_000) <= WINDOW);
    }
}
