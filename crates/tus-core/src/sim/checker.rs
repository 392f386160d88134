//! [`Checker`]: the invariants, held against every step of the client. It believes nothing that the client says of itself.

use std::time::Duration;

use http::{Response, StatusCode};

use crate::chunk::ChunkRule;
use crate::client::{ChecksumWish, Event, Exchange, Fault, Reconciled};
use crate::header;
use crate::length::UploadLength;
use crate::rejection::Phase;
use crate::retry::{RetryPolicy, retry_after};
use crate::sim::options::{Options, Wishes};
use crate::sim::report::Breach;
use crate::sim::world::Heard;

/// What came back since the last confirmed byte: the reasons that a failure may have.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) began: Duration,
    /// Requests since patience ended.
    overdue: u32,
    pub(super) conflicts: u32,
    pub(super) damaged: u32,
    pub(super) foreign: u32,
    pub(super) refusals: u32,
}

/// What the client may do next, as far as the answers that it got allow.
#[derive(Debug)]
pub(super) struct Checker {
    length: u64,
    rule: ChunkRule,
    policy: RetryPolicy,
    wishes: Wishes,
    /// How far the source was read, where its length is not known before.
    pub(super) read_to: u64,
    /// The offset that the last answer told, if nothing happened since.
    fresh: Option<u64>,
    /// What the answer that is being fed told.
    told: Option<u64>,
    /// The service said that all bytes are there.
    all_there: bool,
    answered_creation: bool,
    /// A creation may have been carried out, and no doubt was reported since.
    pub(super) owes: bool,
    pub(super) doubts: u32,
    pub(super) recreated: bool,
    /// The first byte that the source can still read.
    pub(super) available_from: u64,
    cap: u64,
    realigned: bool,
    /// The server asked for no request before that.
    not_before: Duration,
    pub(super) wish: Option<Duration>,
    pub(super) last_status: Option<u16>,
    pub(super) unknown: u32,
    pub(super) redirects: u32,
    pub(super) all_sent: bool,
    pub(super) untrusted: bool,
    pub(super) since: Since,
    /// Requests since the last wait or confirmed byte.
    hasty: u32,
}

impl Checker {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            length: options.length,
            rule: options.rule,
            policy: options.retry,
            wishes: options.wishes,
            read_to: if options.wishes.deferred {
                0
            } else {
                options.length
            },
            all_there: false,
            fresh: None,
            told: None,
            answered_creation: false,
            owes: false,
            doubts: 0,
            recreated: false,
            available_from: 0,
            cap: u64::MAX,
            realigned: false,
            not_before: Duration::ZERO,
            wish: None,
            last_status: None,
            unknown: 0,
            redirects: 0,
            // Nothing to send is complete as soon as it exists.
            all_sent: options.length == 0,
            untrusted: false,
            since: Since::default(),
            hasty: 0,
        }
    }

    /// The client's process begins anew: what it learned is forgotten, what it owes is not.
    pub(super) fn reborn(&mut self, options: &Options, time: Duration) {
        let (owes, doubts) = (self.owes, self.doubts);
        *self = Self::new(options);
        self.owes = owes;
        self.doubts = doubts;
        self.since.began = time;
    }

    /// The user has the upload removed: that waits for nobody.
    pub(super) fn removes(&mut self) {
        self.not_before = Duration::ZERO;
    }

    /// The client wants this request sent.
    pub(super) fn sends(&mut self, exchange: &Exchange, time: Duration) -> Result<(), Breach> {
        if time < self.not_before {
            let (wanted, now) = (self.not_before, time);
            return Err(Breach::new(
                "an announced wait is kept",
                format!("not before {wanted:?}, sent at {now:?}"),
            ));
        }
        self.hasty += 1;
        if self.hasty > MAX_HASTY {
            return Err(Breach::new(
                "requests without progress are separated by waits",
                format!("{} in a row", self.hasty),
            ));
        }
        self.since.overdue += u32::from(time > self.since.began + self.policy.patience);
        if self.since.overdue > MAX_OVERDUE {
            return Err(Breach::new(
                "patience ends",
                format!("nothing confirmed since {:?}", self.since.began),
            ));
        }
        let fresh = self.fresh.take();
        if exchange.phase == Phase::Create {
            if self.owes {
                return Err(Breach::new(
                    "no second creation without a reported doubt",
                    "an earlier POST may have been carried out",
                ));
            }
            self.owes = true;
        }
        let Some(chunk) = exchange.chunk else {
            return Ok(());
        };
        let head = exchange.head();
        let says = header::upload_offset(head.headers());
        if exchange.phase == Phase::Patch && (fresh != Some(chunk.start) || says != Ok(fresh)) {
            return Err(Breach::new(
                "no PATCH without a fresh offset",
                format!("{chunk:?} after {fresh:?}, the head says {says:?}"),
            ));
        }
        let empty = chunk.len == 0 && self.length > 0 && !self.wishes.deferred;
        if chunk.end() > self.read_to || empty {
            let length = self.length;
            return Err(Breach::new(
                "a chunk lies within the source",
                format!("{chunk:?} of {length}"),
            ));
        }
        if chunk.start < self.available_from {
            let from = self.available_from;
            return Err(Breach::new(
                "no byte is sent that the source has not any more",
                format!("{chunk:?}, the source begins at {from}"),
            ));
        }
        if let (ChecksumWish::Required(wanted), true) = (self.wishes.checksum, chunk.len > 0)
            && exchange.checksum != Some(wanted)
        {
            return Err(Breach::new(
                "no byte goes unprotected where protection is required",
                format!("{:?} of {chunk:?}", exchange.checksum),
            ));
        }
        let last = chunk.end() == self.length;
        let unit = self.rule.multiple_of_bytes.max(1);
        let cut_otherwise = self.realigned
            && !chunk.start.is_multiple_of(unit)
            && chunk.end().is_multiple_of(unit)
            && chunk.len <= self.rule.max_bytes;
        let kept = last || cut_otherwise || self.rule.check(chunk.len).is_ok();
        if !kept || chunk.len > self.cap {
            let cap = self.cap;
            return Err(Breach::new(
                "a chunk keeps the rule and what the server takes",
                format!("{chunk:?}, at most {cap}"),
            ));
        }
        self.all_sent |= last;
        Ok(())
    }

    /// This is about to be fed to the client.
    pub(super) fn hears(
        &mut self,
        exchange: &Exchange,
        heard: &Heard,
        now: (Duration, std::time::SystemTime),
    ) {
        self.told = None;
        self.answered_creation = false;
        self.wish = None;
        match heard {
            Heard::Fault(fault) => {
                self.last_status = None;
                self.untrusted |= *fault == Fault::Permanent;
                if exchange.phase == Phase::Create && *fault == Fault::NotSent {
                    self.owes = false;
                }
            }
            Heard::Answer(answer) => self.answered(exchange, answer, now),
        }
    }

    fn answered(
        &mut self,
        exchange: &Exchange,
        answer: &Response<()>,
        (time, wall): (Duration, std::time::SystemTime),
    ) {
        let status = answer.status();
        self.last_status = Some(status.as_u16());
        let offset = header::upload_offset(answer.headers()).ok().flatten();
        let offset = offset.filter(|_| !header::is_html(answer.headers()));
        if status.is_success() {
            if matches!(exchange.phase, Phase::Options | Phase::Terminate) {
                self.since.foreign += u32::from(header::is_html(answer.headers()));
                return;
            }
            let created = exchange.phase == Phase::Create && status == StatusCode::CREATED;
            let told = if exchange.phase == Phase::Create && exchange.chunk.is_none() {
                Some(0).filter(|_| created)
            } else if exchange.phase == Phase::Create {
                offset.filter(|_| created)
            } else if exchange.phase == Phase::Patch {
                let within = |offset: &u64| {
                    let chunk = exchange.chunk;
                    chunk.is_some_and(|chunk| (chunk.start..=chunk.end()).contains(offset))
                };
                offset.filter(within)
            } else {
                offset
            };
            if told.is_none() {
                self.since.foreign += 1;
            }
            let start = exchange.chunk.map(|chunk| chunk.start);
            if exchange.phase == Phase::Patch && (told.is_none() || told == start) {
                self.since.refusals += 1;
            }
            self.answered_creation = created;
            if created {
                let end = exchange.chunk.map_or(0, |chunk| chunk.end());
                self.all_sent = end == self.length;
            }
            if let (Phase::Head, Ok(Some(UploadLength::Known(length)))) =
                (exchange.phase, header::upload_length(answer.headers()))
            {
                self.read_to = length; // told by an earlier request or run: there is nothing to find out any more
            }
            if exchange.phase == Phase::Create && !created {
                self.owes = false; // a login page creates nothing
            }
            self.told = told;
            self.fresh = told;
            return;
        }
        if matches!(status.as_u16(), 307 | 308) {
            // Nothing was done: the same request goes elsewhere.
            self.redirects += 1;
            self.fresh = exchange.chunk.map(|chunk| chunk.start);
            self.owes &= exchange.phase != Phase::Create;
            return;
        }
        let refused_before_done =
            (status.is_client_error() && ![408, 425].contains(&status.as_u16())) || status == 501;
        if exchange.phase == Phase::Create && refused_before_done {
            self.owes = false;
        }
        self.wish = retry_after(answer.headers(), wall);
        match status.as_u16() {
            409 => self.since.conflicts += 1,
            423 | 429 => {}
            460 => self.since.damaged += 1,
            _ => self.since.refusals += u32::from(self.wish.is_none()),
        }
        if let (Some(wish), 423 | 429 | 500..) = (self.wish, status.as_u16()) {
            self.not_before = time.saturating_add(wish.min(self.policy.patience));
        }
    }

    /// The oracle's word is about to be fed.
    pub(super) fn reconciles(&mut self, found: Reconciled) {
        self.fresh = None;
        self.told = None;
        self.all_there = found == Reconciled::Complete;
        self.hasty += 1;
        match found {
            Reconciled::Absent => {
                self.owes = false;
                self.doubts += 1;
            }
            Reconciled::Unknown => self.unknown += 1,
            _ => {}
        }
    }

    /// The client told of this.
    pub(super) fn happened(&mut self, event: &Event, time: Duration) -> Result<(), Breach> {
        match event {
            Event::Acked { offset } => {
                if self.told != Some(*offset) && !self.all_there {
                    return Err(Breach::new(
                        "nothing is confirmed that the server did not say",
                        format!("{offset} confirmed, told {:?}", self.told),
                    ));
                }
                self.progressed(time);
            }
            Event::Created { .. } => {
                if !self.answered_creation {
                    return Err(Breach::new("an upload exists when a 201 says so", "no 201"));
                }
                self.progressed(time);
            }
            Event::PossibleOrphan => {
                self.owes = false;
                self.doubts += 1;
            }
            Event::Recreating { .. } => {
                if self.recreated {
                    return Err(Breach::new("an upload is made anew once", "a second time"));
                }
                self.owes = false;
                self.doubts += 1;
                self.recreated = true;
            }
            Event::ChunkShrunk { to_bytes } => {
                if *to_bytes >= self.cap {
                    return Err(Breach::new(
                        "chunks shrink",
                        format!("{to_bytes} after {}", self.cap),
                    ));
                }
                self.cap = *to_bytes;
                self.hasty = 0; // at most so often as a number can be halved
            }
            Event::ChunkRealigned { .. } => {
                self.realigned = true;
                self.hasty = 0; // there are two ways to cut otherwise
            }
            Event::Retry { wait, .. } => {
                let most = self.policy.max_wait.max(self.wish.unwrap_or_default());
                if *wait > most + self.policy.first_wait {
                    return Err(Breach::new(
                        "waits are bounded",
                        format!("{wait:?}, wished {:?}", self.wish),
                    ));
                }
                if !wait.is_zero() {
                    self.hasty = 0;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The client's own offset is the one that it was told last.
    pub(super) fn agrees(&self, offset: u64) -> Result<(), Breach> {
        match self.fresh {
            Some(fresh) if fresh != offset => Err(Breach::new(
                "the client's offset is the server's",
                format!("{offset}, the server says {fresh}"),
            )),
            _ => Ok(()),
        }
    }

    /// The last offset, or 0 when a new upload would begin.
    pub(super) fn told_or_anew(&self) -> Option<u64> {
        self.told.or(Some(0))
    }

    fn progressed(&mut self, time: Duration) {
        self.hasty = 0;
        self.since = Since {
            began: time,
            ..Since::default()
        };
    }
}

/// Requests without a wait between them that may follow the last wait of all: a question, redirects, chunks that shrink.
const MAX_OVERDUE: u32 = 40;
/// Requests in a row without a wait or a confirmed byte: PATCH, HEAD and a few redirects or questions between them.
const MAX_HASTY: u32 = 12;
