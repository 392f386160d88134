//! How fast to send, and when: `--bwlimit`.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::Zoned;
use tokio::sync::Notify;
use tus_engine::Uploader;

use super::exit::{CliError, Code};
use super::render::Renderer;

/// A week of rates in local time. Bytes per second; `None` is without a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timetable {
    /// From which minute of the week on, counted from Monday, ascending; never empty.
    slots: Vec<(u16, Option<NonZeroU64>)>,
}

const MINUTES_OF_DAY: u16 = 24 * 60;
const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
/// What is wanted, for whoever gave something else.
const WANTED: &str = "a rate such as 2MB, off, or a timetable such as '08:00,2MB 19:00,off' or 'Mon-08:00,512KiB Fri-19:00,off' is wanted";

impl Timetable {
    /// Reads one rate, or entries `[DAY-]HH:MM,RATE` between blanks. In a file, `#` begins a remark.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(|line| match line.split_once('#') {
            Some((before, _)) => before,
            None => line,
        });
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        if let [only] = words[..]
            && !only.contains(',')
        {
            let slots = vec![(0, rate(only)?)];
            return Ok(Self { slots });
        }
        let mut slots = Vec::new();
        for word in words {
            let (time, limit) = word
                .split_once(',')
                .ok_or_else(|| format!("{word}: {WANTED}"))?;
            let limit = rate(limit)?;
            let (days, minute) = time_of(time).ok_or_else(|| format!("{word}: {WANTED}"))?;
            slots.extend(days.map(|day| (day * MINUTES_OF_DAY + minute, limit)));
        }
        if slots.is_empty() {
            return Err(WANTED.into());
        }
        slots.sort_by_key(|(from, _)| *from);
        if slots.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("the timetable names one time twice".into());
        }
        Ok(Self { slots })
    }

    /// What holds in this minute of the week. Before the first entry of the week the last one holds.
    fn at(&self, minute: u16) -> Option<NonZeroU64> {
        let begun = self.slots.iter().rev().find(|(from, _)| *from <= minute);
        begun.or(self.slots.last()).and_then(|(_, limit)| *limit)
    }

    fn now(&self) -> Option<NonZeroU64> {
        let now = Zoned::now();
        let day = u16::from(now.weekday().to_monday_zero_offset().unsigned_abs());
        let hour = u16::from(now.hour().unsigned_abs());
        self.at(day * MINUTES_OF_DAY + hour * 60 + u16::from(now.minute().unsigned_abs()))
    }

    fn changes(&self) -> bool {
        self.slots.len() > 1
    }
}

/// Days, and the minute of the day.
fn time_of(text: &str) -> Option<(std::ops::Range<u16>, u16)> {
    let (days, time) = match text.split_once('-') {
        Some((day, time)) => {
            let day = day.to_ascii_lowercase();
            let known = DAYS
                .iter()
                .position(|name| day == *name || day == name[..3]);
            let index = u16::try_from(known?).ok()?;
            (index..index + 1, time)
        }
        None => (0..7, text),
    };
    let (hour, minute) = time.split_once(':')?;
    let number = |text: &str, below: u16| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let value = text.parse::<u16>().ok().filter(|_| is_number)?;
        (value < below).then_some(value)
    };
    (minute.len() == 2).then_some(())?;
    Some((days, number(hour, 24)? * 60 + number(minute, 60)?))
}

/// `off`, or bytes per second.
fn rate(text: &str) -> Result<Option<NonZeroU64>, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let size = text.strip_suffix("/s").unwrap_or(text);
    let bytes = size
        .parse::<ByteSize>()
        .map_err(|_| format!("{text}: {WANTED}"))?;
    match NonZeroU64::new(bytes.as_u64()) {
        Some(rate) => Ok(Some(rate)),
        None => Err(format!(
            "{text}: nothing would ever leave; say off for any rate"
        )),
    }
}

/// What `--bwlimit` says, and the file that says it.
#[derive(Debug, Clone)]
pub(crate) struct BandwidthPlan {
    timetable: Timetable,
    file: Option<PathBuf>,
}

impl BandwidthPlan {
    pub(crate) fn new(given: &str) -> Result<Self, CliError> {
        match given.strip_prefix('@').map(PathBuf::from) {
            Some(file) => {
                let timetable = read(&file).map_err(|why| {
                    CliError::new(Code::Usage, format!("--bwlimit @{}: {why}", file.display()))
                })?;
                let file = Some(file);
                Ok(Self { timetable, file })
            }
            None => {
                let timetable = Timetable::parse(given)
                    .map_err(|why| CliError::usage(format!("--bwlimit: {why}")))?;
                let file = None;
                Ok(Self { timetable, file })
            }
        }
    }

    /// Whether SIGHUP means: read it again.
    pub(crate) fn is_reread(&self) -> bool {
        self.file.is_some()
    }

    /// What holds now.
    pub(crate) fn now(&self) -> Option<NonZeroU64> {
        self.timetable.now()
    }

    /// Keeps `uploader` to the timetable, for as long as somebody polls. `reread` is notified when the file is to be read again.
    pub(crate) async fn keep(
        mut self,
        uploader: Uploader,
        reread: Arc<Notify>,
        renderer: Arc<Renderer>,
    ) {
        loop {
            uploader.set_bandwidth(self.timetable.now());
            tokio::select! {
                // The clock may be set, or the machine sleep: each minute is looked at by itself.
                () = tokio::time::sleep(until_next_minute()), if self.timetable.changes() => {}
                () = reread.notified() => self.reread(&renderer),
            }
        }
    }

    fn reread(&mut self, renderer: &Renderer) {
        let Some(file) = &self.file else { return };
        match read(file) {
            Ok(timetable) => {
                self.timetable = timetable;
                let now = match self.timetable.now() {
                    Some(rate) => format!("{}/s now", ByteSize::b(rate.get())),
                    None => "off now".into(),
                };
                renderer.note(&format!("--bwlimit read again: {now}"));
            }
            Err(why) => renderer.note(&format!(
                "--bwlimit @{}: {why}; the limit stays as it was",
                file.display()
            )),
        }
    }
}

fn read(file: &Path) -> Result<Timetable, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    Timetable::parse(&text)
}

fn until_next_minute() -> Duration {
    let second = u64::from(Zoned::now().second().unsigned_abs());
    Duration::from_secs(60_u64.saturating_sub(second).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(table: &str, day: u16, hour: u16, minute: u16) -> Option<u64> {
        let table = Timetable::parse(table).unwrap();
        let rate = table.at(day * MINUTES_OF_DAY + hour * 60 + minute);
        rate.map(NonZeroU64::get)
    }

    #[test]
    fn one_rate_holds_at_any_time() {
        assert_eq!(at("2MiB", 3, 4, 5), Some(2 * 1024 * 1024));
        assert_eq!(at("1000", 0, 0, 0), Some(1000));
        assert_eq!(at("2MB/s", 0, 0, 0), Some(2_000_000));
        assert_eq!(at("off", 0, 0, 0), None);
    }

    #[test]
    fn an_entry_holds_until_the_next_one_and_over_midnight() {
        let table = "08:00,2M 19:00,off";
        assert_eq!(at(table, 2, 7, 59), None);
        assert_eq!(at(table, 2, 8, 0), Some(2_000_000));
        assert_eq!(at(table, 2, 18, 59), Some(2_000_000));
        assert_eq!(at(table, 2, 19, 0), None);
        assert_eq!(at("08:00,1M 20:00,5M", 0, 1, 0), Some(5_000_000));
    }

    #[test]
    fn an_entry_with_a_day_holds_from_that_day_on() {
        let table = "Mon-08:00,512KiB friday-19:00,off";
        assert_eq!(at(table, 0, 7, 59), None, "the weekend goes on");
        assert_eq!(at(table, 0, 8, 0), Some(512 * 1024));
        assert_eq!(at(table, 3, 23, 0), Some(512 * 1024));
        assert_eq!(at(table, 4, 19, 0), None);
        assert_eq!(at(table, 6, 12, 0), None);
    }

    #[test]
    fn a_file_may_have_lines_and_remarks() {
        let table = "# office hours\n08:00,2M\n\n19:00,off # the night is ours\n";
        assert_eq!(at(table, 0, 12, 0), Some(2_000_000));
    }

    #[test]
    fn what_is_no_rate_and_no_time_is_refused() {
        for bad in [
            "",
            "fast",
            "8,2M",
            "25:00,2M",
            "08:60,2M",
            "08:0,2M",
            "+8:00,2M",
            "Foo-08:00,2M",
            "Monnnn-08:00,2M",
            "08:00,2M 08:00,3M",
            "08:00,2M Mon-08:00,3M",
            "0",
            "08:00",
            "2M 3M",
        ] {
            assert!(Timetable::parse(bad).is_err(), "{bad}");
        }
    }
}
