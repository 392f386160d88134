//! What is known of an upload that is under way, for whoever shows it.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tus_engine::{Event, WaitReason};

/// One upload that is under way.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) label: String,
    pub(crate) length: Option<u64>,
    /// Confirmed by the server.
    pub(crate) offset: u64,
    /// Where the bytes that left reach to.
    pub(crate) position: u64,
    /// Body bytes put on the wire by this run.
    pub(crate) sent: u64,
    /// What it waits for, if it does.
    pub(crate) waiting: Option<String>,
    rate: Rate,
    warned_of_expiry: bool,
}

/// An upload that the server removes within this time is worth a warning.
const SOON: Duration = Duration::from_secs(60 * 60);

impl Track {
    pub(crate) fn new(label: String, length: Option<u64>) -> Self {
        let rate = Rate::new(Instant::now());
        Self {
            label,
            length,
            offset: 0,
            position: 0,
            sent: 0,
            waiting: None,
            rate,
            warned_of_expiry: false,
        }
    }

    /// Takes what an event tells about the state.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Sent { bytes, position } => {
                self.sent += bytes;
                self.position = *position;
                self.waiting = None;
                self.rate.add(*bytes, Instant::now());
            }
            Event::Acked { offset } | Event::Resumed { offset } => {
                self.offset = *offset;
                self.position = *offset;
                self.waiting = None;
            }
            Event::Rewound { to, .. } => {
                self.offset = *to;
                self.position = *to;
            }
            Event::Retry {
                reason,
                detail,
                wait,
                ..
            } => {
                let detail = detail
                    .as_ref()
                    .map(|detail| format!(": {detail}"))
                    .unwrap_or_default();
                self.waiting = Some(if wait.is_zero() {
                    format!("asking where to go on, {reason}{detail}")
                } else {
                    format!(
                        "trying again in {} s, {reason}{detail}",
                        wait.as_secs().max(1)
                    )
                });
            }
            Event::Waiting { reason, wait } => {
                let seconds = wait
                    .map(|wait| format!(" for {} s", wait.as_secs()))
                    .unwrap_or_default();
                self.waiting = Some(format!("waiting{seconds}: {}", word(*reason)));
            }
            _ => {}
        }
    }

    /// Whether people should hear that the server removes the upload at that time; told once.
    pub(crate) fn must_warn_of(&mut self, expiry: SystemTime) -> bool {
        let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
        left < SOON && !std::mem::replace(&mut self.warned_of_expiry, true)
    }

    /// Bytes per second over the last seconds.
    pub(crate) fn rate(&self) -> u64 {
        self.rate.per_second(Instant::now())
    }
}

/// A moment, as the contract of `--json` has it; empty for one that no calendar has.
pub(crate) fn time(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| String::new(), |at| at.to_string())
}

/// A wait in one word, as the contract of `--json` has it.
pub(crate) fn word(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Bandwidth => "bandwidth",
        WaitReason::EncodeSlots => "encode-slots",
        _ => "rate-limit",
    }
}

/// Bytes per second, smoothed over some seconds so that a person can read it.
#[derive(Debug)]
struct Rate {
    since: Instant,
    bytes: u64,
    smoothed: Option<f64>,
}

/// How much time is taken together.
const SLICE: Duration = Duration::from_millis(500);
/// How much of the older value stays after one slice.
const INERTIA: f64 = 0.7;

impl Rate {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            bytes: 0,
            smoothed: None,
        }
    }

    fn add(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        let elapsed = now - self.since;
        if elapsed >= SLICE {
            let fresh = self.bytes as f64 / elapsed.as_secs_f64();
            self.smoothed = Some(
                self.smoothed
                    .map_or(fresh, |old| old * INERTIA + fresh * (1.0 - INERTIA)),
            );
            (self.since, self.bytes) = (now, 0);
        }
    }

    fn per_second(&self, now: Instant) -> u64 {
        let elapsed = (now - self.since).as_secs_f64();
        match self.smoothed {
            // Nothing left for a while: the old value would be a lie.
            Some(_) if elapsed > 5.0 => (self.bytes as f64 / elapsed) as u64,
            Some(rate) => rate as u64,
            None if elapsed > 0.0 => (self.bytes as f64 / elapsed) as u64,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_bytes_and_falls_when_they_stop() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for slice in 1..=20 {
            rate.add(500, start + SLICE * slice);
        }
        let end = start + SLICE * 20;
        assert_eq!(rate.per_second(end), 1_000);
        assert_eq!(rate.per_second(end + Duration::from_secs(6)), 0);
    }

    #[test]
    fn an_upload_that_is_removed_soon_is_warned_of_once() {
        let mut track = Track::new("a.mp4".into(), Some(100));
        let now = SystemTime::now();
        assert!(!track.must_warn_of(now + Duration::from_secs(24 * 60 * 60)));
        assert!(track.must_warn_of(now + Duration::from_secs(10)));
        assert!(!track.must_warn_of(now + Duration::from_secs(5)));
    }

    #[test]
    fn a_retry_is_shown_until_bytes_move_again() {
        let mut track = Track::new("a.mp4".into(), Some(100));
        track.note(&Event::Waiting {
            reason: WaitReason::RateLimit,
            wait: Some(Duration::from_secs(5)),
        });
        assert_eq!(
            track.waiting.as_deref(),
            Some("waiting for 5 s: rate-limit")
        );
        track.note(&Event::Sent {
            bytes: 10,
            position: 10,
        });
        assert_eq!(track.waiting, None);
    }
}
