//! [`Ledger`]: the account of a [`Budget`](crate::Budget), in a file that all processes of a user share under a lock.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::{Value, json};
use stream_api::{RateLimit, retry_after};

/// For how long nothing is sent after a refusal that does not say.
const BLOCKED: Duration = Duration::from_secs(60);

/// No answer stops all processes of the machine for longer.
const MOST_BLOCKED: Duration = Duration::from_secs(600);

/// What an answer says about further requests.
pub(crate) struct Told {
    left: Option<u64>,
    blocked_for: Option<Duration>,
    limit: Option<(f64, Duration)>,
}

impl Told {
    pub(crate) fn by(headers: &HeaderMap, refused: bool) -> Option<Self> {
        let limit = RateLimit::of(headers);
        let spent = limit.as_ref().filter(|limit| limit.remaining == 0);
        let blocked_for = if refused {
            let reset = limit.as_ref().map(|limit| limit.reset);
            Some(retry_after(headers).or(reset).unwrap_or(BLOCKED))
        } else {
            spent.map(|limit| limit.reset)
        };
        let blocked_for = blocked_for.map(|time| time.min(MOST_BLOCKED));
        let told = limit.as_ref().and_then(|limit| {
            let window = limit.window.filter(|window| !window.is_zero())?;
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let quota = limit.quota.filter(|quota| *quota > 0)? as f64;
            Some((quota, window))
        });
        let left = limit.map(|limit| limit.remaining);
        (left.is_some() || blocked_for.is_some()).then_some(Self {
            left,
            blocked_for,
            limit: told,
        })
    }
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// When so much time has passed, for the API has said so.
    Blocked(Duration),
    Now,
    /// When so much time has passed, for the share is used up.
    Spent(Duration),
}

/// How much may be spent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) share: f64,
    /// Requests in a time, where it is not for the answers to tell.
    pub(crate) known: Option<(f64, Duration)>,
}

/// What is left: a bucket that fills evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Account {
    left: f64,
    at_ms: u64,
    blocked_until_ms: u64,
    /// Requests in a time, as the answers told it.
    told: Option<(f64, Duration)>,
}

impl Account {
    fn full(rule: &Rule, now: u64) -> Self {
        let mut account = Self {
            left: 0.0,
            at_ms: now,
            blocked_until_ms: 0,
            told: None,
        };
        account.left = account.ceiling(rule).map_or(0.0, |(most, _)| most);
        account
    }

    /// The most that may be taken at once, and the time in which that is there again.
    fn ceiling(&self, rule: &Rule) -> Option<(f64, Duration)> {
        let (allowed, window) = rule.known.or(self.told)?;
        Some(((allowed * rule.share).max(1.0), window))
    }

    /// Takes one request, or tells how long to wait for it.
    pub(crate) fn take(&mut self, rule: &Rule, now: u64) -> Turn {
        if now < self.at_ms {
            // The clock was set back: what was counted since is not known.
            self.at_ms = now;
            self.blocked_until_ms = self.blocked_until_ms.min(now + millis(MOST_BLOCKED));
        }
        if now < self.blocked_until_ms {
            return Turn::Blocked(Duration::from_millis(self.blocked_until_ms - now));
        }
        let Some((most, window)) = self.ceiling(rule) else {
            return Turn::Now;
        };
        let per_ms = most / window.as_secs_f64() / 1_000.0;
        #[expect(clippy::cast_precision_loss, reason = "a few minutes in milliseconds")]
        let filled = (now - self.at_ms) as f64 * per_ms;
        self.left = (self.left + filled).min(most);
        self.at_ms = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Turn::Now;
        }
        let wait = (1.0 - self.left) / per_ms / 1_000.0;
        Turn::Spent(Duration::from_secs_f64(
            wait.clamp(0.001, window.as_secs_f64()),
        ))
    }

    pub(crate) fn heed(&mut self, told: &Told, rule: &Rule, now: u64) {
        if let Some(limit) = told.limit.filter(|_| rule.known.is_none())
            && self.told.replace(limit).is_none()
        {
            // Of what was sent before, only this one is known.
            self.left = self
                .ceiling(rule)
                .map_or(0.0, |(most, _)| (most - 1.0).max(0.0));
            self.at_ms = now;
        }
        if let Some(left) = told.left {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let left = left as f64;
            self.left = self.left.min(left);
        }
        if let Some(time) = told.blocked_for {
            self.blocked_until_ms = self.blocked_until_ms.max(now + millis(time));
        }
    }

    fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let left = value.get("left")?.as_f64()?;
        let allowed = value.get("allowed").and_then(Value::as_f64);
        let window = value.get("window_ms").and_then(Value::as_u64);
        let told = allowed.zip(window.map(Duration::from_millis));
        Some(Self {
            left: left.max(0.0),
            at_ms: value.get("at_ms")?.as_u64()?,
            blocked_until_ms: value.get("blocked_until_ms")?.as_u64()?,
            told: told.filter(|(allowed, window)| *allowed > 0.0 && !window.is_zero()),
        })
    }

    fn write(self) -> String {
        let (left, at_ms, blocked) = (self.left, self.at_ms, self.blocked_until_ms);
        let mut value = json!({"left": left, "at_ms": at_ms, "blocked_until_ms": blocked});
        if let Some((allowed, window)) = self.told {
            value["allowed"] = allowed.into();
            value["window_ms"] = millis(window).into();
        }
        value.to_string()
    }
}

/// The account in its file, under a lock.
pub(crate) struct Ledger {
    pub(crate) path: PathBuf,
    pub(crate) rule: Rule,
    /// Where the file cannot be used.
    pub(crate) own: Mutex<Option<Account>>,
}

impl Ledger {
    /// Changes the account, on a thread that may block.
    pub(crate) async fn on_disk(
        self: &Arc<Self>,
        change: impl Fn(&mut Account, &Rule, u64) -> Turn + Send + 'static,
    ) -> Turn {
        let ledger = Arc::clone(self);
        let changed = tokio::task::spawn_blocking(move || ledger.change(change)).await;
        changed.unwrap_or(Turn::Now)
    }

    fn change(&self, change: impl Fn(&mut Account, &Rule, u64) -> Turn) -> Turn {
        // The time is read under the lock: accounts never run backwards because of who was first.
        let opened = self.open().and_then(|opened| match opened {
            Some(opened) => Ok(Ok(opened)),
            None => {
                let mut account = Account::full(&self.rule, now_ms());
                let before = account;
                let turn = change(&mut account, &self.rule, now_ms());
                if account == before {
                    return Ok(Err(turn));
                }
                self.make().and_then(locked).map(Ok)
            }
        });
        let (mut file, text) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(turn)) => return turn,
            Err(error) => {
                tracing::debug!(%error, "the API's budget is this process's own");
                let now = now_ms();
                let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
                let account = own.get_or_insert_with(|| Account::full(&self.rule, now));
                return change(account, &self.rule, now);
            }
        };
        let now = now_ms();
        let before = Account::read(&text).unwrap_or_else(|| Account::full(&self.rule, now));
        let mut account = before;
        let turn = change(&mut account, &self.rule, now);
        if (account != before || text.is_empty())
            && let Err(error) = overwrite(&mut file, &account.write())
        {
            tracing::debug!(%error, "the API's budget cannot be kept");
        }
        turn
    }

    /// The file, locked until it is dropped, and its text. None where there is none, and nothing to keep in it yet.
    fn open(&self) -> io::Result<Option<(File, String)>> {
        if self.rule.known.is_some() {
            return self.make().and_then(locked).map(Some);
        }
        match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => locked(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file, which is its owner's alone, made if need be.
    fn make(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }
}

fn locked(mut file: File) -> io::Result<(File, String)> {
    file.lock()?;
    let mut text = String::new();
    // What is no text is no account.
    let _ = file.read_to_string(&mut text);
    Ok((file, text))
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
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::budget::WINDOW;

    const RULE: Rule = Rule {
        share: 0.5,
        known: Some((1_200.0, WINDOW)),
    };
    const TOLD: Rule = Rule {
        share: 0.5,
        known: None,
    };

    fn ledger(folder: &Path, most: f64) -> Ledger {
        Ledger {
            path: folder.join("b.json"),
            rule: Rule {
                share: 1.0,
                known: Some((most, WINDOW)),
            },
            own: Mutex::new(None),
        }
    }

    fn account(left: f64) -> Account {
        Account {
            left,
            at_ms: 0,
            blocked_until_ms: 0,
            told: None,
        }
    }

    fn waits(turn: Turn) -> Duration {
        match turn {
            Turn::Now => Duration::ZERO,
            Turn::Blocked(wait) | Turn::Spent(wait) => wait,
        }
    }

    #[test]
    fn two_processes_spend_one_budget() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (ledger(folder.path(), 4.0), ledger(folder.path(), 4.0));
        for _ in 0..2 {
            assert_eq!(one.change(Account::take), Turn::Now);
            assert_eq!(other.change(Account::take), Turn::Now);
        }
        assert!(waits(one.change(Account::take)) > Duration::from_secs(1));
        assert!(waits(other.change(Account::take)) > Duration::from_secs(1));
    }

    #[test]
    fn a_budget_fills_evenly_and_no_higher_than_its_most() {
        let mut account = account(0.0);
        // 600 in 300 s: one in half a second.
        let half = Duration::from_millis(500);
        assert_eq!(account.take(&RULE, 0), Turn::Spent(half));
        assert_eq!(account.take(&RULE, 500), Turn::Now);
        assert_eq!(account.take(&RULE, 10_000_000), Turn::Now);
        assert!((account.left - 599.0).abs() < 0.01);
    }

    #[test]
    fn what_answers_say_is_heeded_by_all() {
        let mut account = account(500.0);
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", r#""default";r=3;t=30"#.parse().unwrap());
        account.heed(&Told::by(&headers, false).unwrap(), &RULE, 0);
        assert_eq!(account.left, 3.0);
        headers.insert("retry-after", "7".parse().unwrap());
        account.heed(&Told::by(&headers, true).unwrap(), &RULE, 0);
        let six = Duration::from_secs(6);
        assert_eq!(account.take(&RULE, 1_000), Turn::Blocked(six));
        assert_eq!(account.take(&RULE, 7_000), Turn::Now);
        assert!(Told::by(&HeaderMap::new(), false).is_none());
    }

    #[test]
    fn a_limit_that_is_not_known_is_taken_from_the_answers() {
        let mut account = Account::full(&TOLD, 0);
        assert_eq!(account.take(&TOLD, 0), Turn::Now);
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", r#""default";r=3;t=2"#.parse().unwrap());
        headers.insert("ratelimit-policy", r#""default";q=4;w=2"#.parse().unwrap());
        account.heed(&Told::by(&headers, false).unwrap(), &TOLD, 0);
        // Two of the four in two seconds; one was taken before anything was known.
        assert_eq!(account.take(&TOLD, 0), Turn::Now);
        let second = Duration::from_secs(1);
        assert_eq!(account.take(&TOLD, 0), Turn::Spent(second));
        assert_eq!(account.take(&TOLD, 1_000), Turn::Now);
        assert_eq!(Account::read(&account.write()), Some(account));
    }

    #[test]
    fn nothing_is_kept_of_an_api_that_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut silent = ledger(folder.path(), 1.0);
        silent.rule = TOLD;
        for _ in 0..9 {
            assert_eq!(silent.change(Account::take), Turn::Now);
        }
        assert!(!silent.path.exists());
    }

    #[test]
    fn no_answer_stops_the_machine_for_days() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "99999999".parse().unwrap());
        let told = Told::by(&headers, true).unwrap();
        assert_eq!(told.blocked_for, Some(MOST_BLOCKED));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_and_the_folder_that_it_makes_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let own = ledger(&folder.path().join("new"), 2.0);
        own.change(Account::take);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&own.path), 0o600);
        assert_eq!(mode(own.path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_file_that_cannot_be_read_begins_anew_and_one_that_cannot_be_opened_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let broken = ledger(folder.path(), 2.0);
        fs::write(&broken.path, "{\"left\":").unwrap();
        assert_eq!(broken.change(Account::take), Turn::Now);
        let nowhere = ledger(&broken.path, 1.0);
        assert_eq!(nowhere.change(Account::take), Turn::Now);
        assert!(waits(nowhere.change(Account::take)) > Duration::ZERO);
    }

    #[test]
    fn a_clock_that_was_set_back_blocks_no_longer_than_an_answer_may() {
        let mut account = account(1.0);
        account.at_ms = 9_000_000;
        account.blocked_until_ms = 9_500_000;
        assert!(waits(account.take(&RULE, 1_000)) <= MOST_BLOCKED);
    }
}
