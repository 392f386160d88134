//! [`Measured`]: what was measured of the way to a server, for the uploads that go there later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_transport::AnsweredAfter;
use tus_core::UploadUrl;

/// A way that is at least so long is worth more than one connection: below it, no usual window is full.
pub(crate) const FAR: Duration = Duration::from_millis(20);
/// Only sources of this size are divided unasked: 32 MiB. Several connections have gathered speed with it when one would still
/// be at it.
pub(crate) const WORTH_DIVIDING_BYTES: u64 = 32 * 1024 * 1024;
/// Of so many bytes the beginning, when connections are slow, is no large share: 64 MiB.
pub(crate) const TELLING_BYTES: u64 = 64 * 1024 * 1024;
/// Connections of an upload that is divided unasked, at most: it has those that no other upload takes.
pub(crate) const CONNECTIONS: usize = 12;
/// What is under way on a connection that nothing holds back but the link, in bytes. The largest window that systems grant
/// by themselves is 4 to 6 MiB.
const UNBOUND_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// How much several connections have to bring more than one. Joining costs the server a copy.
const GAIN: f64 = 1.1;
/// How much a newer rate counts.
const FRESH: f64 = 0.5;

/// What is known of the ways to all servers, by origin.
#[derive(Debug, Default)]
pub(crate) struct Measurements(Mutex<HashMap<String, Arc<Measured>>>);

impl Measurements {
    pub(crate) fn of(&self, url: &UploadUrl) -> Arc<Measured> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(url.origin()) {
            Some(measured) => Arc::clone(measured),
            None => Arc::clone(known.entry(url.origin().to_owned()).or_default()),
        }
    }
}

/// What is known of the way to one server.
#[derive(Debug, Default)]
pub(crate) struct Measured(Mutex<Figures>);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Figures {
    /// The shortest answer to a request without a body, and how many there were.
    round_trip: Option<Duration>,
    answers: u32,
    /// One of them had to wait for its connection, and that was as far away.
    connected: bool,
    /// Bytes per second over one connection, and over several for one upload.
    one: Option<f64>,
    many: Option<f64>,
    /// The chunk size that has turned out well.
    chunk_bytes: Option<u64>,
}

impl Measured {
    /// A request without a body was answered, `after` it was to leave. If it had to wait for a connection first, the transport may
    /// know how long.
    pub(crate) fn answered(&self, answer: &http::Extensions, after: Duration) {
        let mut figures = self.figures();
        let known = answer.get::<AnsweredAfter>().map(|known| known.0);
        // A server that has just woken up is slow to answer, and not to connect.
        figures.connected |= known.is_some_and(|known| after.saturating_sub(known) >= FAR);
        let after = known.unwrap_or(after);
        let shortest = figures.round_trip.map_or(after, |known| known.min(after));
        figures.round_trip = Some(shortest);
        figures.answers = figures.answers.saturating_add(1);
    }

    /// How long the way is; `None` where that is not known well enough: the first answer may have waited for its connection, or
    /// for a server that slept.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        let figures = self.figures();
        figures
            .round_trip
            .filter(|round_trip| figures.connected || figures.answers > 1 || *round_trip < FAR)
    }

    /// One connection brought so many bytes per second.
    pub(crate) fn one_brought(&self, bytes_per_second: f64) {
        let mut figures = self.figures();
        figures.one = Some(mixed(figures.one, bytes_per_second));
    }

    /// Several connections for one upload brought so many bytes per second.
    pub(crate) fn many_brought(&self, bytes_per_second: f64) {
        let mut figures = self.figures();
        figures.many = Some(mixed(figures.many, bytes_per_second));
    }

    /// Whether it is known what several connections bring, and what one does is all that is missing to compare.
    pub(crate) fn misses_one(&self) -> bool {
        let figures = self.figures();
        figures.many.is_some() && figures.one.is_none()
    }

    /// The chunk size to begin with.
    pub(crate) fn chunk_bytes(&self) -> Option<u64> {
        self.figures().chunk_bytes
    }

    /// A chunk size has turned out well.
    pub(crate) fn keep_chunk_bytes(&self, bytes: u64) {
        self.figures().chunk_bytes = Some(bytes);
    }

    /// How many connections are worth a try for a source of so many bytes; 1 where more would only cost. The uploads that run
    /// at the same time do not count: the last of them goes on alone, and cannot be divided any more.
    pub(crate) fn connections(&self, length: u64) -> usize {
        let far = self.round_trip().is_some_and(|it| it >= FAR);
        if length < WORTH_DIVIDING_BYTES || !far || self.one_is_enough() {
            1
        } else {
            CONNECTIONS
        }
    }

    /// Whether one connection brings all there is to be had.
    pub(crate) fn one_is_enough(&self) -> bool {
        let figures = *self.figures();
        let Some(one) = figures.one else {
            return false;
        };
        let under_way = figures.round_trip.map_or(0.0, |it| it.as_secs_f64() * one);
        under_way >= UNBOUND_BYTES || figures.many.is_some_and(|many| many < one * GAIN)
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mixed(known: Option<f64>, fresh: f64) -> f64 {
    known.map_or(fresh, |known| known * (1.0 - FRESH) + fresh * FRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn at(millis: u64) -> Measured {
        let measured = Measured::default();
        measured.answered(&http::Extensions::new(), Duration::from_millis(3 * millis));
        measured.answered(&http::Extensions::new(), Duration::from_millis(millis));
        measured
    }

    #[test]
    fn a_large_source_over_a_long_way_gets_all_connections() {
        assert_eq!(at(100).connections(32 * MIB), CONNECTIONS);
        assert_eq!(at(100).connections(32 * MIB - 1), 1, "too small");
        assert_eq!(at(1).connections(1024 * MIB), 1, "the server is near");
        assert_eq!(Measured::default().connections(1024 * MIB), 1);
    }

    #[test]
    fn the_first_answer_is_not_believed_for_it_waited_for_its_connection() {
        let measured = Measured::default();
        measured.answered(&http::Extensions::new(), Duration::from_millis(30));
        assert_eq!(measured.round_trip(), None);
        measured.answered(&http::Extensions::new(), Duration::from_millis(15));
        assert_eq!(measured.round_trip(), Some(Duration::from_millis(15)));
        let near = Measured::default();
        near.answered(&http::Extensions::new(), Duration::from_millis(3));
        assert_eq!(near.round_trip(), Some(Duration::from_millis(3)));
    }

    #[test]
    fn the_first_answer_is_believed_if_its_connection_took_as_long() {
        let answered = |after, of| {
            let measured = Measured::default();
            let mut answer = http::Extensions::new();
            answer.insert(AnsweredAfter(Duration::from_millis(after)));
            measured.answered(&answer, Duration::from_millis(of));
            measured.round_trip()
        };
        assert_eq!(answered(30, 60), Some(Duration::from_millis(30)));
        assert_eq!(answered(30, 31), None, "near, but slow to wake up");
    }

    #[test]
    fn a_connection_that_no_window_holds_back_is_enough() {
        let measured = at(100);
        measured.one_brought(42e6); // 400 Mbit/s less the headers: 4 MB under way
        assert_eq!(measured.connections(64 * MIB), CONNECTIONS);
        let measured = at(100);
        measured.one_brought(200e6);
        assert_eq!(measured.connections(64 * MIB), 1);
    }

    #[test]
    fn what_one_connection_brings_is_asked_for_once_it_is_known_what_several_do() {
        let measured = at(100);
        assert!(
            !measured.misses_one(),
            "the first one goes over all of them at once"
        );
        measured.many_brought(40e6);
        assert!(measured.misses_one());
        measured.one_brought(10e6);
        assert!(!measured.misses_one());
    }

    #[test]
    fn parts_that_brought_nothing_are_not_made_again() {
        let measured = at(30);
        measured.one_brought(10e6);
        measured.many_brought(10.2e6);
        assert_eq!(measured.connections(64 * MIB), 1);
        measured.many_brought(40e6);
        assert_eq!(measured.connections(64 * MIB), CONNECTIONS);
    }
}
