//! What people and machines see of a run.

mod human;
mod json;
mod track;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use resume_store::StoreNotice;
use stream_api::Video;
use stream_ingest::{
    ApiSink, ApiWait, Applied, Found, JobError, JobResult, SourceError, Stage, Uploaded, WaitSink,
    media_id,
};
use tus_engine::{Event, EventSink, UploadError, UploadId};

use super::asking;
use super::console::{Console, harmless};
use super::exit::{Code, code_of, hint_for};
use super::signals::Signals;
use human::Human;
use json::Json;
use track::Track;

/// Shows a run: to people on stderr with ids on stdout, or to machines as JSON lines on stdout.
pub(crate) struct Renderer {
    console: Console,
    view: View,
    state: Mutex<State>,
}

enum View {
    Human(Human),
    Json(Json),
}

struct State {
    started: Instant,
    tracks: HashMap<UploadId, Track>,
    hinted: HashSet<&'static str>,
    /// That the resume state cannot be saved.
    trouble_told: bool,
    /// How far the videos are that are waited for, as people were told.
    stages: HashMap<String, String>,
    tally: Tally,
}

/// What the last line tells.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    finished: usize,
    skipped: usize,
    failed: usize,
    bytes_sent: u64,
    requests: u64,
    resumable: usize,
}

impl Renderer {
    pub(crate) fn new(console: Console, json: bool, found: &Found) -> Self {
        let view = if json {
            View::Json(Json::new(console.clone()))
        } else {
            let bytes = found.files.iter().map(|file| file.bytes).sum();
            View::Human(Human::new(console.clone(), found.files.len(), bytes))
        };
        let state = State {
            started: Instant::now(),
            tracks: HashMap::new(),
            hinted: HashSet::new(),
            trouble_told: false,
            stages: HashMap::new(),
            tally: Tally::default(),
        };
        let renderer = Self {
            console,
            view,
            state: Mutex::new(state),
        };
        for (reason, count) in &found.left_out {
            renderer.note(&format!("{count} left out: {reason}"));
        }
        renderer
    }

    /// A line for people, whoever reads stdout.
    pub(crate) fn note(&self, line: &str) {
        match &self.view {
            View::Human(human) => human.line(line),
            View::Json(_) => self.console.note(line),
        }
    }

    /// The first signal came.
    pub(crate) fn stopping(&self) {
        self.note("stopping; state is being saved, a second signal stops at once");
    }

    /// A source that could not even be looked at.
    pub(crate) fn unreadable(&self, path: &Path, error: &std::io::Error) {
        let source = path.to_string_lossy();
        self.lock().tally.failed += 1;
        let message = error.to_string();
        self.show_failure(
            &source,
            &message,
            Some("check the path and that you may read it"),
            Code::Local,
            None,
        );
    }

    /// A source behind a URL that could not be opened. Returns what it counts as.
    pub(crate) fn not_opened(&self, source: &str, error: &SourceError) -> Code {
        self.lock().tally.failed += 1;
        let message = error.to_string();
        let (code, hint) = match error {
            SourceError::Fault { .. } => (
                Code::Network,
                "check the network and the URL, then run the same command again",
            ),
            SourceError::NoRanges { .. } => (
                Code::Refused,
                "what cannot be read by ranges cannot be resumed: download it and `put` the file",
            ),
            _ => (Code::Refused, "check the URL, and that it has not expired"),
        };
        match &self.view {
            View::Json(json) => json.not_opened(source, &message, code),
            View::Human(_) => self.show_failure(source, &message, Some(hint), code, None),
        }
        code
    }

    /// One job is over. Returns what it counts as.
    pub(crate) fn result(&self, result: &JobResult) -> Code {
        let source = result.path.to_string_lossy();
        match &result.outcome {
            Ok(report) => {
                self.succeeded(&source, report);
                Code::Done
            }
            Err(JobError::Upload(error @ UploadError::Busy(_))) => {
                self.lock().tally.skipped += 1;
                match &self.view {
                    View::Human(human) => {
                        human.line(&format!("skipped {}: {error}", harmless(&source)));
                    }
                    View::Json(json) => json.skipped(&source, "busy", None),
                }
                Code::Busy
            }
            Err(error) => {
                let code = code_of(error);
                let mut state = self.lock();
                state.tally.failed += 1;
                state.tally.resumable += usize::from(error.is_resumable());
                drop(state);
                if code != Code::Interrupted {
                    let hint = hint_for(error);
                    self.show_failure(&source, &error.to_string(), hint, code, Some(error));
                } else if let View::Json(json) = &self.view {
                    json.failed(&source, "interrupted", code, Some(error));
                }
                code
            }
        }
    }

    fn succeeded(&self, source: &str, uploaded: &Uploaded) {
        let mut state = self.lock();
        if uploaded.report.already_uploaded {
            state.tally.skipped += 1;
        } else {
            state.tally.finished += 1;
        }
        drop(state);
        match (uploaded.ready_after, &self.view) {
            (None, _) => self.show_uploaded(source, uploaded),
            // That it is uploaded was shown when the waiting began.
            (Some(_), View::Human(human)) => {
                human.line(&format!("{}: can be played", harmless(source)));
            }
            (Some(after), View::Json(json)) => json.ready(source, &uploaded.report, after),
        }
    }

    /// Shows a source that is on the server whole, and counts what it took.
    fn show_uploaded(&self, source: &str, uploaded: &Uploaded) {
        let report = &uploaded.report;
        let id = media_id(report);
        let mut state = self.lock();
        state.tally.bytes_sent += report.bytes_sent;
        state.tally.requests += report.requests;
        drop(state);
        match &self.view {
            View::Human(human) => {
                if report.settings_differ {
                    human.line(&format!(
                        "{}: uploaded earlier with other settings, which were left as they are",
                        harmless(source)
                    ));
                }
                if let Some(applied) = &uploaded.applied {
                    human.line(&format!("{}: {}", harmless(source), settings_line(applied)));
                }
                human.result(&format!("{id}\t{}", harmless(source)));
            }
            View::Json(json) if report.already_uploaded => {
                json.skipped(source, "already-uploaded", Some(uploaded));
            }
            View::Json(json) => json.finished(source, report),
        }
    }

    fn show_failure(
        &self,
        source: &str,
        message: &str,
        hint: Option<&'static str>,
        code: Code,
        error: Option<&JobError>,
    ) {
        match &self.view {
            View::Human(human) => {
                human.line(&format!("error: {}: {message}", harmless(source)));
                // Fifty files with one trouble need one remedy.
                if let Some(hint) = hint.filter(|hint| self.lock().hinted.insert(hint)) {
                    human.line(&format!("  hint: {hint}"));
                }
            }
            View::Json(json) => json.failed(source, message, code, error),
        }
    }

    /// The run is over.
    pub(crate) fn end(&self, signals: &Signals) {
        let state = self.lock();
        let (tally, elapsed) = (state.tally, state.started.elapsed());
        drop(state);
        match &self.view {
            View::Human(human) => human.end(&tally, elapsed),
            View::Json(json) => json.summary(&tally, elapsed),
        }
        if signals.code().is_some() {
            self.console
                .note("interrupted: run the same command again to go on where the server stands");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of settings that changed after the upload.
fn settings_line(applied: &Applied) -> String {
    let changed = match applied.changed.as_slice() {
        [] => "uploaded earlier, settings unchanged".into(),
        changed => format!("uploaded earlier, now changed: {}", changed.join(", ")),
    };
    match applied.kept.as_slice() {
        [] => changed,
        kept => format!(
            "{changed}; not asked for and kept all the same: {}",
            kept.join(", ")
        ),
    }
}

impl WaitSink for Renderer {
    fn uploaded(&self, path: &Path, uploaded: &Uploaded) {
        self.show_uploaded(&path.to_string_lossy(), uploaded);
    }

    fn waiting(&self, path: &Path, video: &Video) {
        let source = path.to_string_lossy();
        let stage = Stage::of(video);
        match &self.view {
            View::Human(human) => {
                let text = stage.to_string();
                let told = (self.lock().stages).insert(source.to_string(), text.clone());
                if told.as_ref() != Some(&text) {
                    human.line(&format!("{}: waiting: {text}", harmless(&source)));
                }
            }
            View::Json(json) => json.encoding(&source, &stage),
        }
    }

    fn unanswered(&self, path: &Path, error: &stream_api::Error) {
        let source = path.to_string_lossy();
        match &self.view {
            View::Human(human) => {
                human.line(&format!("{}: waiting: {error}", harmless(&source)));
            }
            View::Json(_) => {
                let mut fields = asking::unanswered(error);
                fields["source"] = source.into();
                self.console.json("waiting", fields);
            }
        }
    }
}

impl ApiSink for Renderer {
    fn waiting(&self, wait: &ApiWait) {
        match &self.view {
            View::Human(human) => human.line(&asking::words(wait)),
            View::Json(_) => {
                let (event, fields) = asking::event(wait);
                self.console.json(event, fields);
            }
        }
    }
}

impl EventSink for Renderer {
    fn event(&self, upload: UploadId, event: &Event) {
        if let Event::Comparing { label, bytes } = event {
            // It comes before the upload has begun, if it ever does.
            return match &self.view {
                View::Human(human) => human.comparing(label, *bytes),
                View::Json(json) => json.comparing(label, *bytes),
            };
        }
        let mut state = self.lock();
        if matches!(event, Event::StateNotSaved { .. })
            && std::mem::replace(&mut state.trouble_told, true)
            && matches!(self.view, View::Human(_))
        {
            // One disk is full for all uploads: people hear of it once.
            return;
        }
        if let Event::Started { label, length } = event {
            state
                .tracks
                .insert(upload, Track::new(label.clone(), *length));
        }
        let Some(track) = state.tracks.get_mut(&upload) else {
            return;
        };
        track.note(event);
        if let Event::Expires { at } = event
            && !track.must_warn_of(*at)
        {
            return;
        }
        match &self.view {
            View::Human(human) => human.event(upload, track, event),
            View::Json(json) => json.event(upload, track, event),
        }
        if matches!(event, Event::Failed | Event::Finished { .. }) {
            state.tracks.remove(&upload);
        }
    }

    fn store_notice(&self, notice: &StoreNotice) {
        self.note(&format!("resume state: {notice}"));
    }

    fn end_not_saved(&self, error: &str) {
        if !std::mem::replace(&mut self.lock().trouble_told, true) {
            self.note(&format!(
                "resume state: it cannot be saved that an upload is finished ({error}); the next run asks the server"
            ));
        }
    }
}
