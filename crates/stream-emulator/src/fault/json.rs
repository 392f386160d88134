//! Reading a [`FaultPlan`] from JSON.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::fault::{Fault, FaultPlan, FaultRule, FaultTarget, RetryAfter};

impl FaultPlan {
    /// Reads a plan: a JSON list of rows. A row names a fault, what the fault takes, and which
    /// requests it is meant for:
    ///
    /// ```json
    /// [{"fault": "lose_answer", "method": "PATCH", "on": "upload", "nth": 2, "times": "always"},
    ///  {"fault": "status", "status": 503, "retry_after_s": 1, "probability": 0.1, "seed": 7}]
    /// ```
    ///
    /// | `fault` | takes | see |
    /// |---|---|---|
    /// | `cut_body`, `stall_body` | `after_bytes` (0) | [`Fault::CutBody`], [`Fault::StallBody`] |
    /// | `delay` | `time_ms` | [`Fault::Delay`] |
    /// | `drip` | `bytes_per_second` | [`Fault::Drip`] |
    /// | `expire` | | [`Fault::Expire`] |
    /// | `half_answer`, `half_body` | `after_bytes` (0) | [`Fault::HalfAnswer`], [`Fault::HalfBody`] |
    /// | `html` | `status` (200) | [`Fault::Html`] |
    /// | `lose_answer`, `stall_answer`, `reset` | | [`Fault::LoseAnswer`], [`Fault::StallAnswer`], [`Fault::Reset`] |
    /// | `recede` | `bytes` | [`Fault::Recede`] |
    /// | `replace_answer` | `status` | [`Fault::ReplaceAnswer`] |
    /// | `status` | `status`, and one of `retry_after_s` (seconds), `retry_after_date_s` (a date so many seconds ahead), `retry_after` (any text) | [`Fault::Status`] |
    /// | `wrong_offset` | `by` (may be negative) | [`Fault::WrongOffset`] |
    ///
    /// | for which requests | default | see |
    /// |---|---|---|
    /// | `method` | any | [`FaultRule::method`] |
    /// | `on`: `any`, `creation`, `upload`, `api` | `any` | [`FaultRule::on`] |
    /// | `path` | any | [`FaultRule::path`] |
    /// | `header` | any | [`FaultRule::header`] |
    /// | `nth` | any | [`FaultRule::nth`] |
    /// | `skip` | 0 | [`FaultRule::skip`] |
    /// | `times`: a number or `"always"` | 1 | [`FaultRule::times`] |
    /// | `probability`, with `seed` | 1, 0 | [`FaultRule::probability`] |
    ///
    /// # Errors
    /// [`FaultPlanError`] says which row and which key cannot be read. A key that a row does not
    /// take is an error: a fault that never happens proves nothing.
    pub fn from_json(text: &str) -> Result<Self, FaultPlanError> {
        let bad = |why: String| FaultPlanError { row: None, why };
        let plan: Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        let Value::Array(rows) = plan else {
            return Err(bad("it must be a list of rows".to_owned()));
        };
        let mut rules = Vec::new();
        for (index, row) in rows.into_iter().enumerate() {
            let rule = Row::rule(row).map_err(|why| FaultPlanError {
                row: Some(index + 1),
                why,
            })?;
            rules.push(rule);
        }
        Ok(Self { rules })
    }
}

/// A fault plan that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultPlanError {
    row: Option<usize>,
    why: String,
}

impl FaultPlanError {
    /// The row, counted from 1; `None` when the whole is no list.
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        self.row
    }
}

impl fmt::Display for FaultPlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fault plan cannot be read: ")?;
        if let Some(row) = self.row {
            write!(f, "row {row}: ")?;
        }
        f.write_str(&self.why)
    }
}

impl std::error::Error for FaultPlanError {}

/// The keys of one row that were not read yet.
struct Row(Map<String, Value>);

impl Row {
    /// # Errors
    /// A text that names the key.
    fn rule(row: Value) -> Result<FaultRule, String> {
        let Value::Object(keys) = row else {
            return Err("it must be an object".to_owned());
        };
        let mut row = Self(keys);
        let name: String = row.must("fault")?;
        let rule = FaultRule::new(row.fault(&name)?);
        let rule = row.selectors(rule)?;
        match row.0.keys().next() {
            Some(key) => Err(format!("the fault {name:?} takes no key {key:?}")),
            None => Ok(rule),
        }
    }

    fn fault(&mut self, name: &str) -> Result<Fault, String> {
        Ok(match name {
            "cut_body" => Fault::CutBody {
                after_bytes: self.or("after_bytes", 0)?,
            },
            "delay" => Fault::Delay {
                time: Duration::from_millis(self.must("time_ms")?),
            },
            "drip" => Fault::Drip {
                bytes_per_second: self.must("bytes_per_second")?,
            },
            "expire" => Fault::Expire,
            "half_answer" => Fault::HalfAnswer {
                after_bytes: self.or("after_bytes", 0)?,
            },
            "half_body" => Fault::HalfBody {
                after_bytes: self.or("after_bytes", 0)?,
            },
            "html" => Fault::Html {
                status: if self.0.contains_key("status") {
                    self.status()?
                } else {
                    StatusCode::OK
                },
            },
            "lose_answer" => Fault::LoseAnswer,
            "recede" => Fault::Recede {
                bytes: self.must("bytes")?,
            },
            "replace_answer" => Fault::ReplaceAnswer {
                status: self.status()?,
            },
            "reset" => Fault::Reset,
            "stall_answer" => Fault::StallAnswer,
            "stall_body" => Fault::StallBody {
                after_bytes: self.or("after_bytes", 0)?,
            },
            "status" => Fault::Status {
                status: self.status()?,
                retry_after: self.retry_after()?,
            },
            "wrong_offset" => Fault::WrongOffset {
                by: self.must("by")?,
            },
            other => return Err(format!("there is no fault {other:?}")),
        })
    }

    fn status(&mut self) -> Result<StatusCode, String> {
        let status: u16 = self.must("status")?;
        // 1xx is no answer to a request.
        StatusCode::from_u16(status)
            .ok()
            .filter(|status| !status.is_informational())
            .ok_or_else(|| format!("\"status\": {status} is none"))
    }

    fn retry_after(&mut self) -> Result<Option<RetryAfter>, String> {
        let seconds = self.take("retry_after_s")?.map(RetryAfter::Seconds);
        let date = self.take("retry_after_date_s")?;
        let date = date.map(|ahead| RetryAfter::DateIn(Duration::from_secs(ahead)));
        let text: Option<String> = self.take("retry_after")?;
        if let Some(text) = &text
            && http::HeaderValue::from_str(text).is_err()
        {
            return Err(format!("\"retry_after\": {text:?} fits no header"));
        }
        let mut given = [seconds, date, text.map(RetryAfter::Text)]
            .into_iter()
            .flatten();
        match (given.next(), given.next()) {
            (_, Some(_)) => Err("there is more than one \"retry_after\"".to_owned()),
            (given, None) => Ok(given),
        }
    }

    fn selectors(&mut self, mut rule: FaultRule) -> Result<FaultRule, String> {
        rule = rule.on(self.or("on", FaultTarget::Any)?);
        if let Some(name) = self.take::<String>("method")? {
            let method: Result<Method, _> = name.to_ascii_uppercase().parse();
            rule = rule.method(method.map_err(|_| format!("\"method\": {name:?} is none"))?);
        }
        if let Some(part) = self.take::<String>("path")? {
            rule = rule.path(part);
        }
        if let Some(name) = self.take::<String>("header")? {
            let header: Result<HeaderName, _> = name.parse();
            rule = rule.header(header.map_err(|_| format!("\"header\": {name:?} is no name"))?);
        }
        if let Some(nth) = self.take("nth")? {
            if nth == 0 {
                return Err("\"nth\": it is counted from 1".to_owned());
            }
            rule = rule.nth(nth);
        }
        rule = rule.skip(self.or("skip", 0)?);
        let times = self.or("times", Value::from(1))?;
        rule = rule.times(match (times.as_u64(), times.as_str()) {
            (Some(times), _) => times,
            (None, Some("always")) => u64::MAX,
            _ => return Err("\"times\": it must be a number or \"always\"".to_owned()),
        });
        let seed = self.take("seed")?;
        match (self.take::<f64>("probability")?, seed) {
            (Some(it), seed) if (0.0..=1.0).contains(&it) => {
                Ok(rule.probability(it, seed.unwrap_or(0)))
            }
            (Some(it), _) => Err(format!("\"probability\": {it} is not 0 to 1")),
            (None, Some(_)) => Err("\"seed\": it needs a \"probability\"".to_owned()),
            (None, None) => Ok(rule),
        }
    }

    fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, String> {
        let Some(value) = self.0.remove(key) else {
            return Ok(None);
        };
        let read = serde_json::from_value(value);
        read.map(Some).map_err(|error| format!("{key:?}: {error}"))
    }

    fn or<T: DeserializeOwned>(&mut self, key: &str, default: T) -> Result<T, String> {
        Ok(self.take(key)?.unwrap_or(default))
    }

    fn must<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, String> {
        self.take(key)?
            .ok_or_else(|| format!("the key {key:?} is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(row: &str) -> FaultRule {
        let plan = FaultPlan::from_json(&format!("[{row}]")).unwrap();
        plan.rules[0].clone()
    }

    #[test]
    fn each_fault_is_read_with_what_it_takes() {
        let at = |status| StatusCode::from_u16(status).unwrap();
        for (row, fault) in [
            (
                r#""fault":"cut_body","after_bytes":10"#,
                Fault::CutBody { after_bytes: 10 },
            ),
            (
                r#""fault":"delay","time_ms":500"#,
                Fault::Delay {
                    time: Duration::from_millis(500),
                },
            ),
            (
                r#""fault":"drip","bytes_per_second":9"#,
                Fault::Drip {
                    bytes_per_second: 9,
                },
            ),
            (r#""fault":"expire""#, Fault::Expire),
            (
                r#""fault":"half_answer","after_bytes":20"#,
                Fault::HalfAnswer { after_bytes: 20 },
            ),
            (r#""fault":"half_body""#, Fault::HalfBody { after_bytes: 0 }),
            (r#""fault":"html""#, Fault::Html { status: at(200) }),
            (r#""fault":"lose_answer""#, Fault::LoseAnswer),
            (r#""fault":"recede","bytes":7"#, Fault::Recede { bytes: 7 }),
            (
                r#""fault":"replace_answer","status":502"#,
                Fault::ReplaceAnswer { status: at(502) },
            ),
            (r#""fault":"reset""#, Fault::Reset),
            (r#""fault":"stall_answer""#, Fault::StallAnswer),
            (
                r#""fault":"stall_body","after_bytes":1"#,
                Fault::StallBody { after_bytes: 1 },
            ),
            (
                r#""fault":"wrong_offset","by":-3"#,
                Fault::WrongOffset { by: -3 },
            ),
        ] {
            assert_eq!(one(&format!("{{{row}}}")), FaultRule::new(fault), "{row}");
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back_in_any_way() {
        for (row, retry_after) in [
            ("", None),
            (r#","retry_after_s":1"#, Some(RetryAfter::Seconds(1))),
            (
                r#","retry_after_date_s":60"#,
                Some(RetryAfter::DateIn(Duration::from_secs(60))),
            ),
            (
                r#","retry_after":"-1""#,
                Some(RetryAfter::Text("-1".into())),
            ),
        ] {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let fault = Fault::Status {
                status,
                retry_after,
            };
            let row = format!(r#"{{"fault":"status","status":429{row}}}"#);
            assert_eq!(one(&row), FaultRule::new(fault), "{row}");
        }
    }

    #[test]
    fn each_selector_is_read() {
        let row = r#"{"fault":"reset","method":"patch","on":"upload","path":"a","header":"X-B",
            "nth":2,"skip":3,"times":"always","probability":0.5,"seed":7}"#;
        let wanted = FaultRule::new(Fault::Reset)
            .method(Method::PATCH)
            .on(FaultTarget::Upload)
            .path("a")
            .header(HeaderName::from_static("x-b"))
            .nth(2)
            .skip(3)
            .times(u64::MAX)
            .probability(0.5, 7);
        assert_eq!(one(row), wanted);
    }

    #[test]
    fn what_cannot_be_read_is_named_by_row_and_key() {
        for (plan, words) in [
            (
                r#"[{"fault":"reset"},{"fault":"fire"}]"#,
                "row 2: there is no fault \"fire\"",
            ),
            (
                r#"[{"fault":"reset","after_bytes":1}]"#,
                "row 1: the fault \"reset\" takes no key \"after_bytes\"",
            ),
            (
                r#"[{"method":"PATCH"}]"#,
                "row 1: the key \"fault\" is missing",
            ),
            (
                r#"[{"fault":"status"}]"#,
                "row 1: the key \"status\" is missing",
            ),
            (
                r#"[{"fault":"status","status":99}]"#,
                "row 1: \"status\": 99",
            ),
            (r#"[{"fault":"reset","skip":"one"}]"#, "row 1: \"skip\": "),
            (r#"[{"fault":"reset","times":-1}]"#, "row 1: \"times\": "),
            (r#"[{"fault":"reset","nth":0}]"#, "row 1: \"nth\": "),
            (
                r#"[{"fault":"reset","probability":2}]"#,
                "row 1: \"probability\": 2",
            ),
            (r#"[{"fault":"reset","seed":2}]"#, "row 1: \"seed\": "),
            (r#"[{"fault":"reset","on":"mars"}]"#, "row 1: \"on\": "),
            (
                r#"[{"fault":"status","status":429,"retry_after":"1","retry_after_s":1}]"#,
                "row 1: there is more than one",
            ),
            (r#"[7]"#, "row 1: it must be an object"),
            (r#"{"fault":"reset"}"#, "it must be a list"),
            ("[{", "line 1"),
        ] {
            let error = FaultPlan::from_json(plan).unwrap_err().to_string();
            assert!(error.contains(words), "{plan}: {error}");
        }
    }
}
