//! JSON lines. Names and fields are a contract: they are added to, never changed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use stream_ingest::{JobError, MEDIA_ID, Stage, Uploaded, media_id};
use tus_engine::{Event, Report, UploadId};

use super::Tally;
use super::track::{Track, time, word};
use crate::cli::console::Console;
use crate::cli::exit::{Code, kind_of};

/// Progress is told at most so often for one source.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

pub(super) struct Json {
    console: Console,
    told: Mutex<HashMap<UploadId, Instant>>,
}

impl Json {
    pub(super) fn new(console: Console) -> Self {
        Self {
            console,
            told: Mutex::default(),
        }
    }

    pub(super) fn event(&self, upload: UploadId, track: &Track, event: &Event) {
        let source = track.label.as_str();
        match event {
            Event::Started { length, .. } => {
                self.line("started", Some(source), json!({ "length": length }));
            }
            Event::Resumed { offset } => {
                self.line("resumed", Some(source), json!({ "offset": offset }));
            }
            Event::Created { tags } => {
                let fields = tags
                    .get(MEDIA_ID.as_str())
                    .map_or_else(|| json!({}), |id| json!({ "media_id": id }));
                self.line("created", Some(source), fields);
            }
            Event::Sent { .. } | Event::Acked { .. } => self.progress(upload, track),
            Event::Retry {
                reason,
                detail,
                wait,
                attempt,
            } => {
                let detail = detail
                    .as_ref()
                    .map(|detail| format!(": {detail}"))
                    .unwrap_or_default();
                let fields = json!({
                    "reason": format!("{reason}{detail}"),
                    "wait_ms": millis(*wait),
                    "attempt": attempt,
                });
                self.line("retry", Some(source), fields);
            }
            Event::Rewound { from, to } => {
                self.line("rewound", Some(source), json!({ "from": from, "to": to }));
            }
            Event::Waiting { reason, .. } => {
                self.line("waiting", Some(source), json!({ "reason": word(*reason) }));
            }
            Event::PossibleOrphan => self.line("possible-orphan", Some(source), json!({})),
            Event::Restarted { reason, lost } => {
                let mut fields = json!({ "reason": super::human::restart_words(*reason) });
                if let (Some(id), Value::Object(map)) = (lost.get(MEDIA_ID.as_str()), &mut fields) {
                    map.insert("media_id".into(), id.as_str().into());
                }
                self.line("restarted", Some(source), fields);
            }
            Event::ReadFailed { error } => {
                self.line("read-failed", Some(source), json!({ "error": error }));
            }
            Event::Expires { at } => {
                self.line("expires", Some(source), json!({ "at": time(*at) }));
            }
            Event::PartsNotOffered => self.line("parts-not-offered", Some(source), json!({})),
            Event::StateNotSaved { error } => {
                self.line("state-not-saved", Some(source), json!({ "error": error }));
            }
            Event::Failed | Event::Finished { .. } => {
                self.told
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&upload);
            }
            _ => {}
        }
    }

    pub(super) fn comparing(&self, source: &str, bytes: u64) {
        self.line("comparing", Some(source), json!({ "bytes": bytes }));
    }

    fn progress(&self, upload: UploadId, track: &Track) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told
            .get(&upload)
            .is_some_and(|last| now - *last < PROGRESS_EVERY)
        {
            return;
        }
        told.insert(upload, now);
        drop(told);
        let fields = json!({
            "offset": track.offset,
            "sent": track.sent,
            "length": track.length,
            "bytes_per_second": track.rate(),
        });
        self.line("progress", Some(&track.label), fields);
    }

    pub(super) fn finished(&self, source: &str, report: &Report) {
        let fields = json!({
            "length": report.length,
            "media_id": media_id(report),
            "bytes_sent": report.bytes_sent,
            "requests": report.requests,
            "elapsed_ms": millis(report.elapsed),
        });
        self.line("finished", Some(source), fields);
    }

    pub(super) fn skipped(&self, source: &str, reason: &str, uploaded: Option<&Uploaded>) {
        let mut fields = json!({ "reason": reason });
        if let (Some(uploaded), Value::Object(map)) = (uploaded, &mut fields) {
            let report = &uploaded.report;
            map.insert("media_id".into(), media_id(report).into());
            map.insert("settings_differ".into(), report.settings_differ.into());
            if let Some(applied) = &uploaded.applied {
                map.insert("settings_applied".into(), applied.changed.clone().into());
                map.insert("settings_kept".into(), applied.kept.clone().into());
            }
        }
        self.line("skipped", Some(source), fields);
    }

    /// A video that is waited for.
    pub(super) fn encoding(&self, source: &str, stage: &Stage) {
        let fields = json!({
            "reason": "encoding",
            "state": stage.state,
            "percent": stage.percent,
        });
        self.line("waiting", Some(source), fields);
    }

    pub(super) fn ready(&self, source: &str, report: &Report, after: Duration) {
        let fields = json!({ "media_id": media_id(report), "elapsed_ms": millis(after) });
        self.line("ready", Some(source), fields);
    }

    /// `message` is what people are told; `error` is there if a job was begun.
    pub(super) fn failed(&self, source: &str, message: &str, code: Code, error: Option<&JobError>) {
        let mut fields = json!({
            "error": message,
            "kind": kind_of(code),
            "resumable": error.is_some_and(JobError::is_resumable),
            "exit_code": code as u8,
        });
        if let (Some(error), Value::Object(map)) = (error, &mut fields) {
            map.extend(about_video(error));
        }
        self.line("failed", Some(source), fields);
    }

    /// A source behind a URL that could not be opened: nothing was begun.
    pub(super) fn not_opened(&self, source: &str, message: &str, code: Code) {
        let fields = json!({
            "error": message,
            "kind": kind_of(code),
            "resumable": code == Code::Network,
            "exit_code": code as u8,
        });
        self.line("failed", Some(source), fields);
    }

    pub(super) fn summary(&self, tally: &Tally, elapsed: Duration) {
        let fields = json!({
            "finished": tally.finished,
            "skipped": tally.skipped,
            "failed": tally.failed,
            "bytes_sent": tally.bytes_sent,
            "requests": tally.requests,
            "elapsed_ms": millis(elapsed),
        });
        self.line("summary", None, fields);
    }

    fn line(&self, event: &str, source: Option<&str>, fields: Value) {
        let mut line = Map::new();
        if let Some(source) = source {
            line.insert("source".into(), source.into());
        }
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        self.console.json(event, Value::Object(line));
    }
}

/// Which video it is that cannot be played, and Stream's reason.
fn about_video(error: &JobError) -> Map<String, Value> {
    let fields = match error {
        JobError::NotAsked { uid, .. } => json!({ "media_id": uid }),
        JobError::NotReady { uid, stage, .. } => {
            let state = stage.as_ref().map(|stage| &stage.state);
            json!({ "media_id": uid, "state": state })
        }
        JobError::Unplayable { uid, code, text } => {
            json!({ "media_id": uid, "stream_code": code, "stream_text": text })
        }
        _ => Value::Null,
    };
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
