//! [`Checker`]: the invariants, held against every step of the client. It believes nothing that the client says of itself.

use std::time::Duration;

use crate::chunk::ChunkRule;
use crate::client::{ChecksumWish, Event, Exchange};
use crate::header;
use crate::rejection::Phase;
use crate::retry::RetryPolicy;
use crate::sim::options::{Beginning, Options, Wishes};
use crate::sim::report::Breach;

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
    pub(super) length: u64,
    pub(super) rule: ChunkRule,
    pub(super) policy: RetryPolicy,
    pub(super) wishes: Wishes,
    /// The usual wait for an answer.
    answer_timeout: Duration,
    /// How far the source was read, where its length is not known before.
    pub(super) read_to: u64,
    /// The offset that the last answer told, if nothing happened since.
    pub(super) fresh: Option<u64>,
    /// What the answer that is being fed told.
    pub(super) told: Option<u64>,
    /// The service said that all bytes are there.
    pub(super) all_there: bool,
    pub(super) answered_creation: bool,
    /// A creation may have been carried out, and no doubt was reported since.
    pub(super) owes: bool,
    pub(super) doubts: u32,
    pub(super) recreated: bool,
    /// The first byte that the source can still read.
    pub(super) available_from: u64,
    pub(super) cap: u64,
    pub(super) realigned: bool,
    /// A chunk was refused with 400.
    pub(super) misfit: bool,
    /// The server asked for no request before that.
    pub(super) not_before: Duration,
    pub(super) wish: Option<Duration>,
    pub(super) last_status: Option<u16>,
    pub(super) unknown: u32,
    pub(super) redirects: u32,
    pub(super) all_sent: bool,
    pub(super) untrusted: bool,
    /// Times that an answer told less than the client knew.
    pub(super) rewinds: u32,
    pub(super) since: Since,
    /// Requests since the last wait or confirmed byte.
    pub(super) hasty: u32,
}

impl Checker {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            length: options.length,
            rule: options.rule,
            policy: options.retry,
            wishes: options.wishes,
            answer_timeout: options.answer_timeout,
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
            misfit: false,
            not_before: Duration::ZERO,
            wish: None,
            last_status: None,
            unknown: 0,
            redirects: 0,
            all_sent: sent_before(options),
            rewinds: 0,
            untrusted: false,
            since: Since::default(),
            hasty: 0,
        }
    }

    /// The client's process begins anew: what it learned is forgotten, what it owes is not.
    pub(super) fn reborn(&mut self, options: &Options, time: Duration) {
        let (owes, doubts, all_sent) = (self.owes, self.doubts, self.all_sent);
        *self = Self::new(options);
        self.all_sent |= all_sent;
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
        let left = self.policy.patience.saturating_sub(time - self.since.began);
        let usual = self.answer_timeout;
        if usual.saturating_mul(exchange.answer_factor) > left.max(usual) {
            let factor = exchange.answer_factor;
            return Err(Breach::new(
                "no answer is awaited for longer than patience lasts",
                format!("{factor} times {usual:?}, left {left:?}"),
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
            Event::Rewound { from, to } => {
                if self.told != Some(*to) || to >= from {
                    return Err(Breach::new(
                        "an offset falls when the server says so",
                        format!("from {from} to {to}, told {:?}", self.told),
                    ));
                }
                self.rewinds += 1;
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

/// Whether the client knows from the beginning that its last byte may have been sent. Nothing to send is complete as soon as
/// it exists.
fn sent_before(options: &Options) -> bool {
    let reached = match options.beginning {
        Beginning::Resumed {
            recorded, reached, ..
        } => recorded.max(reached),
        _ => 0,
    };
    reached >= options.length
}

/// Requests without a wait between them that may follow the last wait of all: a question, redirects, chunks that shrink.
const MAX_OVERDUE: u32 = 40;
/// Requests in a row without a wait or a confirmed byte: PATCH, HEAD and a few redirects or questions between them.
const MAX_HASTY: u32 = 12;
