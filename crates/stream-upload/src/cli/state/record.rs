//! [`Remembered`]: one record as it is shown. The upload URL is a secret and stays out of everything.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use indicatif::{HumanBytes, HumanDuration};
use jiff::Timestamp;
use resume_store::{Evidence, Fingerprint, Holder, Record, Resemblance, State};
use serde_json::{Value, json};
use stream_ingest::MEDIA_ID;

use crate::cli::console::harmless;

/// A record, and what can be told of it now.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) fingerprint: Fingerprint,
    pub(super) record: Record,
    /// Bytes that the server confirmed, those of its parts included.
    offset: u64,
    /// Who works on it.
    holder: Option<Holder>,
    stale: Option<Stale>,
}

/// Why an unfinished upload cannot simply be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stale {
    /// The server has dropped it.
    Expired,
    /// The file has another length now.
    SourceChanged,
    /// There is no such file any more.
    SourceGone,
}

impl Stale {
    fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::SourceChanged => "source-changed",
            Self::SourceGone => "source-gone",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Expired => "the server dropped it",
            Self::SourceChanged => "the source changed",
            Self::SourceGone => "the source is gone",
        }
    }
}

impl Remembered {
    pub(super) fn new(fingerprint: Fingerprint, record: Record, holder: Option<Holder>) -> Self {
        let stale = stale(&record);
        Self {
            fingerprint,
            offset: record.offset,
            record,
            holder,
            stale,
        }
    }

    /// Where it stands in a list.
    pub(super) fn order(&self) -> (u8, &str, &str) {
        let rank = match self.record.state {
            State::Creating | State::Active => 0,
            State::Failed => 1,
            _ => 2,
        };
        (rank, &self.record.source_key, &self.record.destination)
    }

    /// Whether it, or the whole that it is a part of, was made of this source.
    pub(super) fn is_of(&self, source: &str) -> bool {
        whole(&self.record.source_key).0 == source
    }

    pub(super) fn source(&self) -> String {
        match whole(&self.record.source_key) {
            (source, Some(part)) => format!("{} ({})", harmless(source), harmless(part)),
            (source, None) => harmless(source),
        }
    }

    pub(super) fn destination(&self) -> String {
        harmless(&self.record.destination)
    }

    pub(super) fn state(&self) -> &'static str {
        match self.record.state {
            State::Creating => "creating",
            State::Active => "unfinished",
            State::Finished => "finished",
            _ => "failed",
        }
    }

    /// Bytes that the server confirmed, of how many.
    pub(super) fn confirmed(&self) -> String {
        let offset = HumanBytes(self.offset);
        match (self.record.length, self.percent()) {
            (Some(length), Some(percent)) if self.offset < length => {
                format!("{offset} of {} ({percent} %)", HumanBytes(length))
            }
            (Some(_), _) => offset.to_string(),
            (None, _) => format!("{offset} of ?"),
        }
    }

    pub(super) fn since(&self) -> String {
        ago(self.record.created_at)
    }

    pub(super) fn expires(&self) -> String {
        self.record.expires_at.map(ago).unwrap_or_default()
    }

    /// Who works on it, or else why it cannot be gone on with.
    pub(super) fn note(&self) -> String {
        match (&self.holder, self.stale) {
            (Some(holder), _) => harmless(&holder.to_string()),
            (None, Some(stale)) => stale.text().to_owned(),
            (None, None) => String::new(),
        }
    }

    fn percent(&self) -> Option<u64> {
        let (offset, length) = (u128::from(self.offset), self.record.length?);
        let percent = (offset * 100).checked_div(u128::from(length))?;
        u64::try_from(percent).ok()
    }

    fn media_id(&self) -> Option<&str> {
        self.record.tags.get(MEDIA_ID.as_str()).map(String::as_str)
    }

    /// What a list tells machines.
    pub(super) fn fields(&self) -> Value {
        let record = &self.record;
        let (source, part) = whole(&record.source_key);
        let holder = self.holder.as_ref().map(|holder| {
            json!({
                "pid": holder.pid,
                "host": holder.host,
                "since": holder.since_ms.and_then(|since| Timestamp::from_millisecond(since).ok()).map(|since| since.to_string()),
            })
        });
        json!({
            "fingerprint": self.fingerprint.to_string(),
            "source": source,
            "part": part,
            "destination": record.destination,
            "state": self.state(),
            "offset": self.offset,
            "length": record.length,
            "percent": self.percent(),
            "media_id": self.media_id(),
            "created_at": rfc3339(record.created_at),
            "updated_at": rfc3339(record.updated_at),
            "expires_at": record.expires_at.map(rfc3339),
            "holder": holder,
            "stale": self.stale.map(Stale::word),
        })
    }

    /// What `show` tells machines.
    pub(super) fn all_fields(&self) -> Value {
        let mut all = self.fields();
        if let Value::Object(fields) = &mut all {
            let record = &self.record;
            fields.insert("reached".into(), record.reached.into());
            fields.insert(
                "upload_url_known".into(),
                record.upload_url.is_some().into(),
            );
            fields.insert(
                "idempotency_key".into(),
                record.idempotency_key.as_str().into(),
            );
            fields.insert("settings".into(), hex(&record.settings).into());
            fields.insert(
                "content".into(),
                record.content.map(|digest| hex(&digest)).into(),
            );
            fields.insert(
                "source_now".into(),
                self.source_now().map(|now| now.0).into(),
            );
        }
        all
    }

    /// What `show` tells people: names and texts.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let record = &self.record;
        let mut lines = vec![
            ("source", self.source()),
            ("destination", self.destination()),
            ("fingerprint", self.fingerprint.to_string()),
            ("state", self.state().to_owned()),
            ("confirmed", self.confirmed()),
            ("handed over", HumanBytes(record.reached).to_string()),
        ];
        lines.extend(self.media_id().map(|id| ("media id", harmless(id))));
        let url = match &record.upload_url {
            Some(_) => "known; it is a secret and not shown",
            None => "not known",
        };
        lines.push(("upload URL", url.to_owned()));
        lines.push(("begun", moment(record.created_at)));
        lines.push(("last change", moment(record.updated_at)));
        lines.extend(record.expires_at.map(|at| ("expires", moment(at))));
        lines.extend(
            self.holder
                .as_ref()
                .map(|holder| ("in use by", harmless(&holder.to_string()))),
        );
        lines.extend(self.stale.map(|stale| ("stale", stale.text().to_owned())));
        lines.extend(
            self.source_now()
                .map(|now| ("source now", now.1.to_owned())),
        );
        lines.extend(
            record
                .content
                .map(|digest| ("content digest", hex(&digest))),
        );
        lines.push(("settings digest", hex(&record.settings)));
        lines.push(("idempotency key", harmless(&record.idempotency_key)));
        lines
    }

    /// How the source compares with what was uploaded: a word and a text. Reads samples of it.
    fn source_now(&self) -> Option<(&'static str, &'static str)> {
        let then = self.record.evidence.as_ref()?;
        let path = Path::new(whole(&self.record.source_key).0);
        let now = path
            .is_absolute()
            .then(|| File::open(path).and_then(|file| Evidence::of(&file)))?;
        Some(match now.map(|now| then.compare(&now)) {
            Ok(Resemblance::Same) => ("same", "the same"),
            Ok(Resemblance::Moved) => (
                "touched",
                "touched or copied; its bytes are compared before it is gone on with",
            ),
            Ok(Resemblance::Changed) => ("changed", "other bytes; it would be begun anew"),
            Err(_) => ("unreadable", "it cannot be read"),
        })
    }
}

/// Adds what the parts of a source have to their whole, whose own upload only begins when they are all there.
pub(super) fn add_parts(all: &mut [Remembered]) {
    let mut confirmed: HashMap<(String, String), u64> = HashMap::new();
    let key = |one: &Remembered| {
        let (source, part) = whole(&one.record.source_key);
        (
            (source.to_owned(), one.record.destination.clone()),
            part.is_some(),
        )
    };
    for one in all.iter() {
        if let (whole, true) = key(one) {
            *confirmed.entry(whole).or_default() += one.record.offset;
        }
    }
    for one in all.iter_mut().filter(|one| one.record.offset == 0) {
        if let (whole, false) = key(one) {
            one.offset = confirmed.get(&whole).copied().unwrap_or(0);
        }
    }
}

/// Looks at the source's metadata only, since there may be thousands.
fn stale(record: &Record) -> Option<Stale> {
    if !matches!(record.state, State::Creating | State::Active) {
        return None;
    }
    if record.expires_at.is_some_and(|at| at <= SystemTime::now()) {
        return Some(Stale::Expired);
    }
    let (source, part) = whole(&record.source_key);
    let path = Path::new(source);
    // A key that is no path may stand for anything.
    if !path.is_absolute() {
        return None;
    }
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Stale::SourceGone),
        Ok(now) if part.is_none() && record.length.is_some_and(|then| then != now.len()) => {
            Some(Stale::SourceChanged)
        }
        _ => None,
    }
}

/// The source, and which part of it: the engine sets them apart by a NUL, which stands in no path.
fn whole(source_key: &str) -> (&str, Option<&str>) {
    match source_key.split_once('\0') {
        Some((source, part)) => (source, Some(part)),
        None => (source_key, None),
    }
}

fn rfc3339(time: SystemTime) -> Option<String> {
    Timestamp::try_from(time).ok().map(|time| time.to_string())
}

fn moment(time: SystemTime) -> String {
    format!("{} ({})", rfc3339(time).unwrap_or_default(), ago(time))
}

/// A time as people say it now.
fn ago(time: SystemTime) -> String {
    let rounded = |span: Duration| HumanDuration(Duration::from_secs(span.as_secs()));
    match time.elapsed() {
        Ok(past) => format!("{} ago", rounded(past)),
        Err(future) => format!("in {}", rounded(future.duration())),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(change: impl FnOnce(&mut Record)) -> Remembered {
        let mut record = Record::intended("/no/such/a.mp4", "https://tus.example/files");
        change(&mut record);
        let fingerprint = Fingerprint::new(&record.destination, &record.source_key);
        Remembered::new(fingerprint, record, None)
    }

    #[test]
    fn what_is_confirmed_is_told_with_its_share() {
        let half = remembered(|record| {
            record.offset = 1024;
            record.length = Some(2048);
        });
        assert_eq!(half.confirmed(), "1.00 KiB of 2.00 KiB (50 %)");
        let unknown = remembered(|record| record.offset = 1024);
        assert_eq!(unknown.confirmed(), "1.00 KiB of ?");
        let empty = remembered(|record| record.length = Some(0));
        assert_eq!(empty.confirmed(), "0 B");
    }

    #[test]
    fn an_unfinished_upload_of_a_file_that_is_gone_is_stale_and_a_finished_one_is_not() {
        let stale = |state| remembered(|record| record.state = state).stale;
        assert_eq!(stale(State::Active), Some(Stale::SourceGone));
        assert_eq!(stale(State::Finished), None);
    }

    #[test]
    fn an_upload_past_its_end_has_expired() {
        let past = SystemTime::now() - Duration::from_secs(1);
        let stale = remembered(|record| record.expires_at = Some(past)).stale;
        assert_eq!(stale, Some(Stale::Expired));
    }

    #[test]
    fn a_part_is_known_by_its_whole() {
        let part = remembered(|record| record.source_key = "/a.mp4\0part 1 of 4".into());
        assert!(part.is_of("/a.mp4"));
        assert_eq!(part.source(), "/a.mp4 (part 1 of 4)");
    }

    #[test]
    fn a_whole_has_what_its_parts_have() {
        let of = |key: &str, offset| {
            remembered(|record| {
                record.source_key = key.into();
                record.offset = offset;
                record.length = Some(100);
            })
        };
        let mut all = [
            of("/a.mp4", 0),
            of("/a.mp4\0part 1 of 2", 30),
            of("/a.mp4\0part 2 of 2", 20),
            of("/b.mp4", 0),
        ];
        add_parts(&mut all);
        assert_eq!(all.map(|one| one.offset), [50, 30, 20, 0]);
    }

    #[test]
    fn a_key_that_is_no_path_is_never_gone() {
        let keyed = remembered(|record| record.source_key = "episode-12".into());
        assert_eq!(keyed.stale, None);
    }
}
