//! One source as several partial uploads at once, and one final upload that joins them (CC-01 … CC-18).
//!
//! Each part is an upload like any other, with a record of its own: a crash costs none of them. The whole is created by the
//! final upload; until then its record only tells how the source was divided.

mod portion;
mod run;
mod source;
mod together;

use std::sync::Arc;
use std::time::Duration;

use resume_store::{Fingerprint, Record, Resemblance, State};
use tokio_util::sync::CancellationToken;
use tus_core::client::{Failure, Start};
use tus_core::{Extension, UploadConcat, UploadUrl};

use crate::control::Wishes;
use crate::drive::Driver;
use crate::error::UploadError;
use crate::event::Event;
use crate::measured::{CONNECTIONS, Measured, TELLING_BYTES, WORTH_DIVIDING_BYTES};
use crate::new_upload::Report;
use crate::options::Parts;
use crate::pace::{Lane, Lanes, Place};
use crate::prove;
use crate::resume::Outset;
use crate::source::Source;
use crate::task::{Done, Setup, Task};

pub(crate) use portion::Portion;
use run::run_parts;
use source::PartSource;
use together::{FinalSink, PartSink, Together};

/// No part is smaller: below it, a part costs more than it brings. 1 MiB.
const MIN_PART_BYTES: u64 = 1024 * 1024;
/// Where there are more parts than connections, they are no smaller on the average. 4 MiB.
const MIN_SPARE_BYTES: u64 = 4 * 1024 * 1024;
/// Parts for each connection: between two requests they wait for the best of all connections, and there are to be some that
/// wait. More of them would only cost more requests.
const PARTS_PER_CONNECTION: u64 = 3;
/// The creation that joins names every part in one header, and servers take only so long ones.
const MAX_PARTS: u64 = 64;
/// No record that is in order names more.
const MOST_KNOWN_PARTS: u64 = 1024;
/// What one connection brings is measured for so many round trips: it begins slowly.
const MEASURED_ROUND_TRIPS: u32 = 10;
/// And for no less time: what the system's buffers take at first must not count for much.
const MEASURED_AT_LEAST: Duration = Duration::from_secs(1);

/// The tag of the whole's record that says into how many parts the source was divided, by [`cut`].
const PARTS_TAG: &str = "tapered-parts";

/// How a source is sent in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Division {
    parts: u64,
    /// Parts at once.
    connections: usize,
    /// Begin with one, and have more of them only if it does not bring all there is, measured for so long.
    measure_for: Option<Duration>,
}

impl Division {
    /// How many parts are under way from the beginning.
    fn at_once(&self) -> usize {
        match self.measure_for {
            Some(_) => 1,
            None => self.connections,
        }
    }
}

/// Into how many parts the source of a remembered whole was divided.
pub(crate) fn count_of(whole: &Record) -> Option<u64> {
    whole.tags.get(PARTS_TAG)?.parse().ok()
}

/// Into how many parts `length` bytes go for so many connections; less than two are none.
fn parts_for(length: u64, connections: usize) -> u64 {
    if connections < 2 {
        return 1;
    }
    let connections = connections as u64;
    let spare = (connections * PARTS_PER_CONNECTION).min(MAX_PARTS);
    let least = connections.min(length / MIN_PART_BYTES);
    spare.min(length / MIN_SPARE_BYTES).max(least)
}

/// Where the part of that index begins, and the one before it ends. Parts become shorter, from seven quarters of the average to
/// one: the last ones are soon sent, also over a connection that is slower than the others.
fn cut(length: u64, index: u64, count: u64) -> u64 {
    let [length, index, count] = [length, index, count].map(u128::from);
    let cut = length * index * (7 * count - 3 * index) / (4 * count * count).max(1);
    u64::try_from(cut).unwrap_or(u64::MAX)
}

impl Task {
    /// How the source is sent in parts; `None` for one upload. What an earlier run began is gone on with.
    pub(crate) async fn division(&self, outset: &Outset) -> Option<Division> {
        if outset.record.upload_url.is_some() || self.new.entry.creation().is_none() {
            return None;
        }
        let divisible = self.source.window_bytes().is_none();
        let length = self.source.length().known().filter(|_| divisible)?;
        let possible = (length / MIN_PART_BYTES).min(MOST_KNOWN_PARTS);
        let begun = count_of(&outset.record).filter(|count| *count <= possible);
        let fixed = match self.shared.options.parts {
            Parts::Fixed(connections) => Some(connections),
            // Not worth a question, or not a server to be asked.
            _ if begun.is_none()
                && (length < WORTH_DIVIDING_BYTES || !self.shared.service.answers_options()) =>
            {
                return None;
            }
            _ => None,
        };
        let wanted = fixed.map_or(2, |connections| parts_for(length, connections));
        if begun.unwrap_or(wanted) < 2 {
            return None;
        }
        let url = self.new.entry.url();
        let offered = self.shared.capabilities(url).await;
        if !offered.is_some_and(|offered| offered.extensions.has(Extension::Concatenation)) {
            if fixed.is_some() || begun.is_some() {
                self.shared.sink.event(self.id, &Event::PartsNotOffered);
            }
            return None;
        }
        let connections = match (fixed, begun) {
            (Some(connections), _) => connections,
            (None, Some(_)) => CONNECTIONS,
            (None, None) => self.worthwhile(url, length).await,
        };
        let parts = begun.unwrap_or_else(|| parts_for(length, connections));
        let measured = self.shared.measurements.of(url);
        let unknown = fixed.is_none() && measured.misses_one();
        let round_trip = measured.round_trip().filter(|_| unknown);
        (parts > 1).then_some(Division {
            parts,
            connections,
            measure_for: round_trip.map(|it| (it * MEASURED_ROUND_TRIPS).max(MEASURED_AT_LEAST)),
        })
    }

    /// How many connections are worth a try where nobody named a number.
    async fn worthwhile(&self, url: &UploadUrl, length: u64) -> usize {
        let measured = self.shared.measurements.of(url);
        if measured.round_trip().is_none() {
            // The first answer also waited for its connection; this one does not.
            self.shared.ask(url).await;
        }
        measured.connections(length)
    }

    /// Sends the parts, then joins them.
    pub(crate) async fn send_parts(
        self,
        mut outset: Outset,
        division: Division,
        wishes: Wishes,
        place: Place,
    ) -> Result<(Report, Record), UploadError> {
        let count = division.parts;
        let begun_before = count_of(&outset.record) == Some(count);
        let length = self.source.length().known().unwrap_or_default();
        if outset.record.state != State::Creating || !outset.record.tags.contains_key(PARTS_TAG) {
            outset.record.state = State::Active;
            outset
                .record
                .tags
                .insert(PARTS_TAG.into(), count.to_string());
            if let Some(keeper) = &outset.keeper {
                // Not told here when it fails: the parts' own records have the same trouble and tell it.
                let _ = keeper
                    .journal
                    .commit(keeper.fingerprint, Some(outset.record.clone()))
                    .await;
            }
        }
        let mut offsets = vec![0; usize::try_from(count).unwrap_or_default()];
        if begun_before {
            let known = self.known_parts(count, &outset).await;
            offsets = known.iter().map(|part| part.offset).collect();
        }
        let events = Arc::clone(&self.shared.sink);
        let (pace, turn) = (self.pace(), place.into_turn());
        let lanes = Lanes::new(Arc::clone(&pace), turn, division.at_once());
        if division.measure_for.is_none() {
            pace.make_room(division.connections);
        }
        let at_once = division.at_once().min(1 + pace.spare());
        let sink = Arc::new(Together::new(events, self.id, length, offsets, at_once));
        let was_alone = pace.uploads() <= 1;
        let part = |index, ahead| {
            let portion = Portion(Arc::clone(&sink));
            let [start, end] = [index, index + 1].map(|index| cut(length, index, count));
            let lane = lanes.lane(ahead, end - start);
            self.part(index, count, length, portion, wishes.clone(), lane)
        };
        let (mut sent, ended) =
            run_parts(division, &sink, &self.measured(), &lanes, &pace, part).await;
        let place = Place::Own(lanes.own());
        // Whoever removes the parts may have their connections.
        drop(lanes);
        sent.sort_by_key(|part| part.index);
        if let Err(error) = ended {
            if matches!(error, UploadError::Terminated) {
                self.remove_parts(count, outset, place).await;
            }
            return Err(error);
        }
        let bytes = sink.sent();
        let unlimited = self.shared.permits.bandwidth.rate().is_none();
        let alone = was_alone && pace.uploads() <= 1 && pace.is_calm();
        if division.connections > 1 && alone && unlimited && bytes >= TELLING_BYTES {
            self.measured().many_brought(sink.rate());
        }
        self.join(outset, sent, sink.as_ref(), wishes, place).await
    }

    fn measured(&self) -> Arc<Measured> {
        self.shared.measurements.of(self.new.entry.url())
    }

    fn part(
        &self,
        index: u64,
        count: u64,
        length: u64,
        portion: Portion,
        wishes: Wishes,
        lane: Lane,
    ) -> impl Future<Output = Result<Part, UploadError>> + use<> {
        let [start, end] = [index, index + 1].map(|index| cut(length, index, count));
        let source: Arc<dyn Source> = Arc::new(PartSource {
            whole: Arc::clone(&self.source),
            start,
            length: end - start,
        });
        let kept = Arc::clone(&source);
        let mut new = self.new.clone();
        let key = part_key(&self.new.source_key, index, count);
        new.source_key.clone_from(&key);
        let task = Self {
            shared: Arc::clone(&self.shared),
            id: self.id,
            source,
            new,
            // Of the whole somebody may wait for this.
            landed: CancellationToken::new(),
        };
        async move {
            let sink = Arc::new(PartSink {
                together: Arc::clone(&portion.0),
                index,
            });
            let setup = Setup {
                concat: Some(UploadConcat::Partial),
                sink,
                place: Place::Part(lane),
                portion: Some(portion),
            };
            let Done { report, record, .. } = task.run_now(wishes, setup).await?;
            Ok(Part {
                index,
                key,
                source: kept,
                report,
                url: record.upload_url,
                content: record.content,
            })
        }
    }

    /// The source is what all parts were read from. Each part has compared its own bytes while it was sent; what was touched
    /// after one had finished is compared here.
    async fn compare(&self, parts: &[Part]) -> Result<(), UploadError> {
        let now = self.source.look().map_err(UploadError::Source)?;
        match self.source.opened_as().compare(&now) {
            Resemblance::Same => return Ok(()),
            Resemblance::Changed => return Err(UploadError::SourceChanged),
            Resemblance::Moved => {}
        }
        let pool = &self.shared.permits.buffers;
        for part in parts {
            let found = prove::content(part.source.as_ref(), part.report.length, pool).await;
            if part.content.is_some() && found.map_err(UploadError::Source)? != part.content {
                return Err(UploadError::SourceChanged);
            }
        }
        Ok(())
    }

    /// Creates the final upload, and removes what it was made of.
    async fn join(
        self,
        outset: Outset,
        parts: Vec<Part>,
        sink: &Together,
        wishes: Wishes,
        place: Place,
    ) -> Result<(Report, Record), UploadError> {
        self.compare(&parts).await?;
        let urls = parts.iter().filter_map(|part| part.url.as_ref());
        let concat = UploadConcat::Final(urls.map(|url| url.expose().to_owned()).collect());
        let setup = Setup {
            concat: Some(concat),
            sink: Arc::new(FinalSink(Arc::clone(&self.shared.sink), sink.created())),
            place,
            portion: None,
        };
        let mut driver = Driver::new(&self, outset, setup).await;
        let joined = driver.drive(wishes).await;
        let refused = matches!(
            &joined,
            Err(UploadError::GaveUp {
                failure: Failure::Refused { .. },
                ..
            })
        );
        if joined.is_ok() || refused {
            // Joined, or not to be joined: the server may have lost a part that was remembered here as finished. Either way
            // nothing of them is of use any more.
            driver.remove_parts(&self.remains(&parts)).await;
        }
        if refused {
            driver.forget().await;
        }
        let mut report = joined?;
        for part in &parts {
            report.bytes_sent += part.report.bytes_sent;
            report.requests += part.report.requests;
        }
        report.tags.remove(PARTS_TAG);
        Ok((report, driver.record))
    }

    /// All parts were to be terminated: those that had finished before, or not begun again, are removed, too.
    async fn remove_parts(self, count: u64, outset: Outset, place: Place) {
        let parts = self.known_parts(count, &outset).await;
        let setup = Setup {
            concat: None,
            sink: Arc::clone(&self.shared.sink),
            place,
            portion: None,
        };
        let mut driver = Driver::new(&self, outset, setup).await;
        driver.remove_parts(&named(parts)).await;
        driver.forget().await;
    }

    /// Removes the parts of an upload that is given up, unless the new one is divided alike: then each is begun anew by itself.
    pub(crate) async fn leave_parts(
        &self,
        count: u64,
        division: Option<&Division>,
        outset: &mut Outset,
    ) {
        if division.is_some_and(|division| division.parts == count) {
            return;
        }
        let parts = self.known_parts(count, outset).await;
        let setup = Setup {
            concat: None,
            sink: Arc::clone(&self.shared.sink),
            place: Place::Aside,
            portion: None,
        };
        let lent = Outset {
            start: Start::Doubt,
            record: outset.record.clone(),
            is_known: false,
            fresh: outset.fresh.clone(),
            restarted: None,
            abandoned: None,
            abandoned_parts: None,
            keeper: outset.keeper.take(),
            tracer: None,
            proven_to: None,
        };
        let mut driver = Driver::new(self, lent, setup).await;
        // It asks nothing: whoever comes next may.
        driver.asking = None;
        driver.remove_parts(&named(parts)).await;
        outset.keeper = driver.keeper.take();
    }

    /// What is remembered of the parts.
    async fn known_parts(&self, count: u64, outset: &Outset) -> Vec<KnownPart> {
        let mut parts = Vec::new();
        for index in 0..count.min(MOST_KNOWN_PARTS) {
            let key = part_key(&self.new.source_key, index, count);
            let fingerprint = Fingerprint::new(&outset.record.destination, &key);
            let record = match &outset.keeper {
                // Somebody who drives one of them is not to be disturbed.
                Some(keeper) => keeper.journal.recall(fingerprint).await,
                None => None,
            };
            let record = record.and_then(Result::ok);
            let record = record.and_then(|(_lease, record)| record);
            let url = record.as_ref().and_then(|it| it.upload_url.as_ref());
            parts.push(KnownPart {
                key,
                url: url.map(|url| self.new.current(url)),
                offset: record.map_or(0, |record| record.offset),
            });
        }
        parts
    }

    fn remains(&self, parts: &[Part]) -> Vec<(String, Option<UploadUrl>)> {
        parts
            .iter()
            .map(|part| (part.key.clone(), part.url.clone()))
            .collect()
    }
}

/// What a part of a source is known as.
fn part_key(source_key: &str, index: u64, count: u64) -> String {
    // NUL stands in no path, so no file is ever taken for a part.
    format!("{source_key}\0part {} of {count}", index + 1)
}

/// What is remembered of a part.
struct KnownPart {
    key: String,
    url: Option<UploadUrl>,
    offset: u64,
}

/// Parts as those who remove them want them. Of what is not remembered nothing is to be removed.
fn named(parts: Vec<KnownPart>) -> Vec<(String, Option<UploadUrl>)> {
    let known = parts.into_iter().filter(|part| part.url.is_some());
    known.map(|part| (part.key, part.url)).collect()
}

/// A part whose bytes are all confirmed.
struct Part {
    index: u64,
    /// What it is known as.
    key: String,
    source: Arc<dyn Source>,
    report: Report,
    url: Option<UploadUrl>,
    /// The digest of what was sent.
    content: Option<[u8; 16]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn there_are_more_parts_than_connections_where_they_are_large_enough() {
        assert_eq!(parts_for(1024 * MIB, 4), 12);
        assert_eq!(parts_for(64 * MIB, 4), 12);
        assert_eq!(parts_for(40 * MIB, 4), 10);
        assert_eq!(parts_for(6 * MIB, 4), 4, "small ones, but one for each");
        assert_eq!(parts_for(2 * MIB, 4), 2);
        assert_eq!(parts_for(MIB, 4), 1);
        assert_eq!(
            parts_for(100_000 * MIB, 32),
            64,
            "one header names them all"
        );
        assert_eq!(parts_for(100_000 * MIB, 100), 100);
        assert_eq!(parts_for(1024 * MIB, 1), 1, "one connection is no division");
    }

    #[test]
    fn parts_become_shorter_and_leave_nothing_out() {
        for (length, count) in [
            (1024 * MIB, 32),
            (1000 * MIB + 7, 13),
            (u64::MAX, 1024),
            (5, 2),
        ] {
            let cuts: Vec<_> = (0..=count).map(|index| cut(length, index, count)).collect();
            assert_eq!((cuts[0], cuts[cuts.len() - 1]), (0, length));
            let lengths: Vec<_> = cuts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            // Rounded down, a part may be a byte longer than the one before.
            assert!(lengths.windows(2).all(|pair| pair[1] <= pair[0] + 1));
            assert!(lengths[0] / 8 <= lengths[lengths.len() - 1]);
        }
    }
}
