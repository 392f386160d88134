//! Lines and bars for people, on stderr; ids on stdout.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use stream_ingest::MEDIA_ID;
use tus_engine::{Event, RestartReason, UploadId};

use super::Tally;
use super::track::{Track, time};
use crate::cli::console::{Console, harmless};

/// Where nobody watches, a line of progress is printed so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A line while bytes move.
const MOVING: &str =
    "{prefix:30!} {bar:24} {bytes:>11} of {total_bytes:11} {bytes_per_sec:>13} {eta:>4} left";
/// A line while nothing moves: why, and until when, instead of a rate and a time that would be lies.
const WAITING: &str = "{prefix:30!} {bytes:>11} of {total_bytes:11} {wide_msg}";

pub(super) struct Human {
    console: Console,
    files: usize,
    bars: Option<Bars>,
    told: Mutex<Instant>,
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    files: Mutex<HashMap<UploadId, ProgressBar>>,
}

impl Human {
    pub(super) fn new(console: Console, files: usize, bytes: u64) -> Self {
        let bars = console.is_watched().then(|| Bars::new(bytes));
        Self {
            console,
            files,
            bars,
            told: Mutex::new(Instant::now()),
        }
    }

    /// A line on stderr, above the bars.
    pub(super) fn line(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| self.console.note(line)),
            None => self.console.note(line),
        }
    }

    /// A line on stdout.
    pub(super) fn result(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| self.console.out(line)),
            None => self.console.out(line),
        }
    }

    pub(super) fn event(&self, upload: UploadId, track: &Track, event: &Event) {
        if let Some(bars) = &self.bars {
            bars.event(upload, track, event);
        } else if matches!(event, Event::Sent { .. } | Event::Acked { .. }) {
            self.tell_progress(track);
        }
        if matches!(event, Event::Sent { .. } | Event::Acked { .. }) {
            // Thousands a second, and no line of their own.
            return;
        }
        let label = harmless(&track.label);
        match event {
            Event::Resumed { offset } => {
                let (at, of) = (HumanBytes(*offset), Total(track.length));
                self.line(&format!("{label}: resumed at {at} of {of}"));
            }
            Event::Restarted { reason, lost } => {
                let lost = lost
                    .get(MEDIA_ID.as_str())
                    .map(|id| format!(" (it was {id})"))
                    .unwrap_or_default();
                self.line(&format!("{label}: begun anew, {}{lost}", restart_words(*reason)));
            }
            Event::Rewound { from, to } => self.line(&format!(
                "{label}: the server lost bytes that it had confirmed, going back from {from} to {to}"
            )),
            Event::PossibleOrphan => self.line(&format!(
                "{label}: an unfinished upload may have been left behind on the server"
            )),
            Event::Expires { at } => self.line(&format!(
                "{label}: the server removes the upload at {} if it is unfinished then",
                time(*at)
            )),
            Event::PartsNotOffered => self.line(&format!(
                "{label}: the server does not join partial uploads, so it is sent over one connection"
            )),
            Event::StateNotSaved { error } => self.line(&format!(
                "{label}: the resume state cannot be saved ({error}); the upload goes on, but a crash would begin it anew"
            )),
            Event::ReadFailed { error } => {
                self.line(&format!("{label}: could not be read ({error}), tried once more"));
            }
            Event::ChunkShrunk { to_bytes } => {
                self.line(&format!("{label}: the server takes smaller chunks, now {}", HumanBytes(*to_bytes)));
            }
            Event::Retry { .. } | Event::Waiting { .. } if self.bars.is_none() => {
                self.line(&format!("{label}: {}", track.waiting.as_deref().unwrap_or("waiting")));
            }
            _ => {}
        }
    }

    pub(super) fn comparing(&self, label: &str, bytes: u64) {
        self.line(&format!(
            "{}: looks different since the last run; its first {} are compared with what was sent",
            harmless(label),
            HumanBytes(bytes)
        ));
    }

    fn tell_progress(&self, track: &Track) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() < LINE_EVERY {
            return;
        }
        *told = Instant::now();
        drop(told);
        let rate = track.rate();
        let left = track
            .length
            .unwrap_or(0)
            .saturating_sub(track.position)
            .checked_div(rate)
            .unwrap_or(0);
        self.line(&format!(
            "{}: {} of {} confirmed, {}/s, {} left",
            harmless(&track.label),
            HumanBytes(track.offset),
            Total(track.length),
            HumanBytes(rate),
            HumanDuration(Duration::from_secs(left)),
        ));
    }

    pub(super) fn end(&self, tally: &Tally, elapsed: Duration) {
        if let Some(bars) = &self.bars {
            bars.total.finish_and_clear();
            let _ = bars.all.clear();
        }
        if self.files < 2 && tally.failed == 0 {
            return;
        }
        let Tally {
            finished,
            skipped,
            failed,
            bytes_sent,
            resumable,
            ..
        } = tally;
        let resumable = if *resumable > 0 {
            format!(" ({resumable} resumable)")
        } else {
            String::new()
        };
        self.line(&format!(
            "{finished} finished, {skipped} skipped, {failed} failed{resumable}; {} sent in {}",
            HumanBytes(*bytes_sent),
            HumanDuration(elapsed),
        ));
    }
}

impl Bars {
    fn new(bytes: u64) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(bytes));
        total.set_style(style(MOVING));
        total.set_prefix("total");
        Self {
            all,
            total,
            files: Mutex::default(),
        }
    }

    fn event(&self, upload: UploadId, track: &Track, event: &Event) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { .. } => {
                let bar = track
                    .length
                    .map_or_else(ProgressBar::new_spinner, ProgressBar::new);
                let bar = self.all.insert_before(&self.total, bar);
                bar.set_style(style(MOVING));
                bar.set_prefix(tail(&harmless(&track.label), 30));
                files.insert(upload, bar);
            }
            Event::Failed | Event::Finished { .. } => {
                if let Some(bar) = files.remove(&upload) {
                    bar.finish_and_clear();
                }
            }
            _ => {
                let Some(bar) = files.get(&upload) else {
                    return;
                };
                let before = bar.position();
                bar.set_position(track.position);
                let waited = !bar.message().is_empty();
                if waited != track.waiting.is_some() {
                    bar.set_style(style(if waited { MOVING } else { WAITING }));
                }
                bar.set_message(track.waiting.clone().unwrap_or_default());
                if track.position >= before {
                    self.total.inc(track.position - before);
                } else {
                    self.total.dec(before - track.position);
                }
                if matches!(event, Event::Resumed { .. }) {
                    // What an earlier run sent must not count for this run's speed.
                    bar.reset_eta();
                    self.total.reset_eta();
                }
            }
        }
    }
}

/// A length, or that nobody knows it.
struct Total(Option<u64>);

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => HumanBytes(bytes).fmt(f),
            None => f.write_str("an unknown total"),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// The last `chars` characters: the end of a path says more than its beginning.
fn tail(text: &str, chars: usize) -> String {
    let skip = text.chars().count().saturating_sub(chars);
    if skip == 0 {
        text.to_owned()
    } else {
        format!("…{}", text.chars().skip(skip + 1).collect::<String>())
    }
}

/// Why an upload is begun anew, as a half sentence.
pub(super) fn restart_words(reason: RestartReason) -> &'static str {
    match reason {
        RestartReason::Asked => "as asked",
        RestartReason::Gone => "the server does not know the earlier upload any more",
        RestartReason::SettingsChanged => "its settings changed",
        RestartReason::SourceChanged => "the file changed",
        _ => "for another reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_shown_by_its_end() {
        assert_eq!(tail("short.mp4", 30), "short.mp4");
        let long = tail("/very/long/folder/name/of/the/shoot/day1/a.mp4", 12);
        assert_eq!((long.as_str(), long.chars().count()), ("…/day1/a.mp4", 12));
    }
}
