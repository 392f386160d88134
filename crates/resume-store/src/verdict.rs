//! Whether what was found in database and log is what there should be.

use std::collections::{BTreeMap, HashSet};

use crate::codec::Frame;
use crate::database::{Database, Trouble};
use crate::known;
use crate::ledger::{self, Figures, Ledger};
use crate::recent::Recent;
use crate::salvage::{self, Found};
use crate::wal::Content;

/// What is to be thought of the records.
pub(crate) enum Verdict {
    Sound(Sound),
    /// Records are missing or spoiled.
    Damaged(String),
}

/// Records that are all there, as far as that can be known.
pub(crate) struct Sound {
    /// Of the records in the database.
    pub(crate) settled: Figures,
    /// Of all records.
    pub(crate) figures: Figures,
    /// The log has nothing that the database does not have, or is new.
    pub(crate) is_log_spent: bool,
    /// Mostly dead space.
    pub(crate) is_bloated: bool,
    /// In itself consistent, and the ledger is of no help.
    pub(crate) is_unconfirmed: bool,
}

/// What was counted.
pub(crate) struct Tally {
    /// The records in the database.
    settled: Figures,
    /// All, those in the log included.
    all: Figures,
    bytes: u64,
    removed: u64,
    /// All of them in short, or too many to be kept in memory.
    pub(crate) listed: HashSet<u64>,
}

/// Judges without counting, where a database and its log were sound before and are as they were
/// left.
pub(crate) fn glance(stored: Figures, ledger: &Ledger, content: &Content) -> Option<Sound> {
    let mark = content.mark()?;
    let is_known = ledger.knows(&stored) && !is_behind(ledger, content);
    let is_log_spent = stored.sequence > mark.figures.sequence;
    is_known.then_some(Sound {
        settled: stored,
        figures: if is_log_spent { stored } else { mark.figures },
        is_log_spent,
        is_bloated: false,
        is_unconfirmed: false,
    })
}

/// Judges by what was counted. `stored` are the figures in the database itself, `data_bytes` what it
/// takes on the disk.
pub(crate) fn judge(
    found: &Tally,
    stored: Option<Figures>,
    ledger: &Ledger,
    content: &Content,
    data_bytes: u64,
) -> Verdict {
    if is_behind(ledger, content) {
        return Verdict::Damaged("its log is damaged, outdated or gone".to_owned());
    }
    let is_bloated = data_bytes > BLOATED.max(found.bytes.saturating_mul(16))
        || found.removed > MARKS.max(found.settled.count);
    let sound = |settled, figures, is_log_spent, is_unconfirmed| {
        Verdict::Sound(Sound {
            settled,
            figures,
            is_log_spent,
            is_bloated,
            is_unconfirmed,
        })
    };
    let missing = || Verdict::Damaged("records are missing".to_owned());
    let stored = stored.filter(|stored| stored.same_records(&found.settled));
    let confirmed = ledger.confirm(&found.settled);
    match (content.mark(), confirmed) {
        // The database was rewritten, and a crash kept the log from being begun anew.
        (Some(mark), Some(slot)) if slot.sequence > mark.figures.sequence => {
            sound(slot, slot, true, false)
        }
        (Some(mark), _) if found.all.same_records(&mark.figures) => {
            let settled = confirmed.or(stored).unwrap_or(found.settled);
            sound(settled, mark.figures, false, ledger.newest().is_none())
        }
        (Some(_), _) => missing(),
        // Without a log: a store that is new, or was written by an older version.
        (None, Some(slot)) => sound(slot, slot, true, false),
        (None, None) => match stored {
            // One slot is spoiled, and the database is newer than the other and whole in itself.
            Some(stored) if ledger.may_have_known(&stored) => sound(stored, stored, true, true),
            None if ledger.newest().is_none() && found.settled.count == 0 => {
                sound(found.settled, found.settled, true, true)
            }
            _ => missing(),
        },
    }
}

fn is_behind(ledger: &Ledger, content: &Content) -> bool {
    let is_behind = |note| content.mark().is_none_or(|mark| mark.is_behind(&note));
    ledger.note().is_some_and(is_behind)
}

/// The newest figures that ledger and log speak of.
pub(crate) fn newest(ledger: &Ledger, content: &Content) -> Option<Figures> {
    let all = ledger.newest().into_iter().chain(content.figures());
    all.max_by_key(|figures| figures.sequence)
}

/// Counts what is in the database, and what there is with `recent` over it.
pub(crate) fn count(database: &Database, recent: &Recent) -> Result<Tally, Trouble> {
    let mut tally = Tally {
        settled: Figures::default(),
        all: Figures::default(),
        bytes: 0,
        removed: 0,
        listed: HashSet::new(),
    };
    let mut spoiled = None;
    database.each(|value| match value {
        Ok(value) if value.has_record() => {
            let digest = ledger::digest(value.bytes());
            tally.settled.add_digest(&digest);
            if !recent.contains(&value.fingerprint) {
                tally.all.add_digest(&digest);
            }
            tally.bytes += value.bytes().len() as u64;
            if tally.listed.len() <= known::MOST {
                tally.listed.insert(known::short(&value.fingerprint));
            }
        }
        Ok(_) => tally.removed += 1,
        Err(trouble) => spoiled = Some(trouble),
    })?;
    for (fingerprint, place) in recent.iter() {
        if let Some(digest) = &place.digest {
            tally.all.add_digest(digest);
            tally.listed.insert(known::short(fingerprint));
        }
    }
    spoiled.map_or(Ok(tally), Err)
}

/// Everything that can be read of the database, whatever else happens.
pub(crate) fn collect(database: &Database) -> Found {
    let mut found = Found::new();
    // Where reading ends, what was read remains.
    database
        .each(|value| {
            if let Some(frame) = value.ok().and_then(|value| value.open()) {
                salvage::keep(&mut found, frame);
            }
        })
        .ok();
    found
}

/// The figures of what was collected.
pub(crate) fn tally(found: &BTreeMap<crate::Fingerprint, Frame>) -> Figures {
    let mut figures = Figures::default();
    let records = found.values().filter(|frame| frame.record.is_some());
    records.for_each(|frame| figures.add(&frame.encode()));
    figures
}

/// A data file below this is never worth rewriting.
const BLOATED: u64 = 4 * 1024 * 1024;
/// Marks of removals below this do not matter.
const MARKS: u64 = 1000;
