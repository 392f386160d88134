//! [`FaultPlan`]: what goes wrong, with which request, how often.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request is carried out, and the connection closes instead of the answer: the lost ack.
    LoseAnswer,
    /// The request is refused with this status; nothing is carried out.
    Status {
        /// The status.
        status: StatusCode,
        /// Goes into `Retry-After`, in whole seconds.
        retry_after: Option<Duration>,
    },
    /// So many bytes of the body arrive, then the connection breaks.
    CutBody {
        /// Bytes that arrive.
        after_bytes: u64,
    },
    /// So many bytes of the body are read, then none any more, while the connection stays open.
    StallBody {
        /// Bytes that are read.
        after_bytes: u64,
    },
    /// The request is carried out and never answered; the connection stays open.
    StallAnswer,
    /// The connection is reset as soon as the head was read; nothing is carried out.
    Reset,
}

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

/// One row of a plan. Of several rows that fit a request, the first applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    fault: Fault,
    target: FaultTarget,
    method: Option<Method>,
    skip: u64,
    times: u64,
}

impl FaultRule {
    /// `fault` happens once, to the first request of all.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            target: FaultTarget::Any,
            method: None,
            skip: 0,
            times: 1,
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

    /// Lets so many fitting requests pass first. Default 0.
    #[must_use]
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Happens to so many requests in a row; `u64::MAX` for all. Default 1.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    fn fits(&self, method: &Method, target: FaultTarget) -> bool {
        self.times > 0
            && (self.target == FaultTarget::Any || self.target == target)
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
    }
}

/// Rows of faults, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultPlan {
    rules: Vec<FaultRule>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row at the end.
    #[must_use]
    pub fn with(mut self, rule: FaultRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Reads a plan: a JSON list of rows such as
    /// `{"fault":"status","status":503,"retry_after_s":1,"method":"PATCH","on":"upload","skip":2,"times":3}`.
    /// The other faults are `lose_answer`, `cut_body` and `stall_body` (with `after_bytes`),
    /// `stall_answer` and `reset`.
    ///
    /// # Errors
    /// [`FaultPlanError`] says what cannot be read.
    pub fn from_json(text: &str) -> Result<Self, FaultPlanError> {
        let rows: Vec<Row> =
            serde_json::from_str(text).map_err(|error| FaultPlanError(error.to_string()))?;
        let rules = rows
            .into_iter()
            .map(Row::into_rule)
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }
}

/// A fault plan that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultPlanError(String);

impl std::fmt::Display for FaultPlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the fault plan cannot be read: {}", self.0)
    }
}

impl std::error::Error for FaultPlanError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    fault: String,
    status: Option<u16>,
    retry_after_s: Option<u64>,
    #[serde(default)]
    after_bytes: u64,
    method: Option<String>,
    #[serde(default)]
    on: FaultTarget,
    #[serde(default)]
    skip: u64,
    #[serde(default = "once")]
    times: u64,
}

fn once() -> u64 {
    1
}

impl Row {
    fn into_rule(self) -> Result<FaultRule, FaultPlanError> {
        let after_bytes = self.after_bytes;
        let fault = match self.fault.as_str() {
            "lose_answer" => Fault::LoseAnswer,
            "status" => Fault::Status {
                status: self
                    .status
                    .and_then(|status| StatusCode::from_u16(status).ok())
                    .ok_or_else(|| FaultPlanError("a row needs a valid \"status\"".into()))?,
                retry_after: self.retry_after_s.map(Duration::from_secs),
            },
            "cut_body" => Fault::CutBody { after_bytes },
            "stall_body" => Fault::StallBody { after_bytes },
            "stall_answer" => Fault::StallAnswer,
            "reset" => Fault::Reset,
            other => return Err(FaultPlanError(format!("there is no fault {other:?}"))),
        };
        let method = match self.method {
            None => None,
            Some(name) => {
                let method = name.to_ascii_uppercase().parse();
                Some(method.map_err(|_| FaultPlanError(format!("no method {name:?}")))?)
            }
        };
        Ok(FaultRule {
            fault,
            target: self.on,
            method,
            skip: self.skip,
            times: self.times,
        })
    }
}

/// The plan of a running server; rows can be added at any time.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<FaultRule>>,
}

impl Faults {
    pub(crate) fn new(plan: FaultPlan) -> Self {
        Self {
            rules: Mutex::new(plan.rules),
        }
    }

    /// Adds a row at the end. It counts requests from now on.
    pub fn add(&self, rule: FaultRule) {
        self.rules().push(rule);
    }

    /// Removes all rows.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Whether all rows have happened as often as they should.
    pub fn is_spent(&self) -> bool {
        self.rules().is_empty()
    }

    /// The fault of this request, if any; counts it.
    pub(crate) fn take(&self, method: &Method, target: FaultTarget) -> Option<Fault> {
        let mut rules = self.rules();
        let mut found = None;
        for rule in rules.iter_mut().filter(|rule| rule.fits(method, target)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if found.is_none() {
                rule.times = if rule.times == u64::MAX {
                    u64::MAX
                } else {
                    rule.times - 1
                };
                found = Some(rule.fault.clone());
            }
        }
        rules.retain(|rule| rule.times > 0);
        found
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<FaultRule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_skips_then_happens_then_is_spent() {
        let rule = FaultRule::new(Fault::LoseAnswer)
            .method(Method::PATCH)
            .on(FaultTarget::Upload)
            .skip(1)
            .times(2);
        let faults = Faults::new(FaultPlan::new().with(rule));
        let take = || faults.take(&Method::PATCH, FaultTarget::Upload).is_some();
        assert_eq!(faults.take(&Method::HEAD, FaultTarget::Upload), None);
        assert_eq!(faults.take(&Method::PATCH, FaultTarget::Api), None);
        assert_eq!([take(), take(), take(), take()], [false, true, true, false]);
        assert!(faults.is_spent());
    }

    #[test]
    fn a_plan_is_read_from_json() {
        let plan = FaultPlan::from_json(
            r#"[{"fault":"status","status":503,"retry_after_s":1,"method":"patch","on":"upload"},
                {"fault":"cut_body","after_bytes":10,"times":3}]"#,
        )
        .unwrap();
        let wanted = FaultPlan::new()
            .with(
                FaultRule::new(Fault::Status {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    retry_after: Some(Duration::from_secs(1)),
                })
                .method(Method::PATCH)
                .on(FaultTarget::Upload),
            )
            .with(FaultRule::new(Fault::CutBody { after_bytes: 10 }).times(3));
        assert_eq!(plan, wanted);
        assert!(FaultPlan::from_json(r#"[{"fault":"fire"}]"#).is_err());
    }
}
