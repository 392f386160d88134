//! [`World`]: what is under way between client and server, in the order of its time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Request, Response};

use crate::chunk::Chunk;
use crate::client::Fault;
use crate::header;
use crate::sim::site::{ALIAS, Arrival, Site};
use crate::sim::{Breach, Random};

/// What the client hears of a request.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    /// An answer.
    Answer(Response<()>),
    /// No answer.
    Fault(Fault),
}

/// What becomes of a body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    Whole,
    /// `after` bytes come; the server sees the break `noticed` later.
    Cut {
        after: u64,
        noticed: Duration,
    },
}

/// What becomes of the answer.
#[derive(Debug, Clone)]
pub(super) enum Answering {
    Sent,
    Lost,
    /// By a proxy that lost it itself.
    Replaced(Response<()>),
    /// With an `Upload-Offset` that makes no sense.
    Garbled(u64),
    /// By a replica that has not heard of the last bytes.
    Stale(u64),
}

/// A request on its way to the server.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    /// Whom the answer is for.
    pub(super) exchange: u64,
    /// Its own number: a doubled request is two connections.
    pub(super) connection: u64,
    pub(super) head: Request<()>,
    pub(super) chunk: Option<Chunk>,
    pub(super) body: Body,
    pub(super) answering: Answering,
    /// How long the body takes.
    pub(super) spread: Duration,
    /// What follows the body.
    pub(super) trailers: Option<HeaderMap>,
    /// A byte of the body is flipped on the way.
    pub(super) damaged: bool,
}

#[derive(Debug)]
pub(super) enum Happening {
    Arrives(Box<Delivery>),
    Bytes {
        connection: u64,
        chunk: Chunk,
    },
    Ends(u64),
    Breaks(u64),
    Heard {
        exchange: u64,
        heard: Heard,
    },
    /// The server falls for so long.
    Falls(Duration),
    Rises,
}

/// Time, link and server.
#[derive(Debug)]
pub(super) struct World {
    /// Virtual time since the beginning.
    pub(super) time: Duration,
    pub(super) site: Site,
    /// Until when the server can be reached by its second name.
    pub(super) alias_until: Duration,
    pub(super) trace: Option<Vec<String>>,
    base: SystemTime,
    source: Arc<[u8]>,
    random: Random,
    queue: BTreeMap<(Duration, u64), Happening>,
    numbers: u64,
    /// Requests whose body is coming in.
    open: Vec<Delivery>,
}

impl World {
    pub(super) fn new(site: Site, source: Arc<[u8]>, base: SystemTime, random: Random) -> Self {
        Self {
            time: Duration::ZERO,
            site,
            alias_until: Duration::ZERO,
            trace: None,
            base,
            source,
            random,
            queue: BTreeMap::new(),
            numbers: 0,
            open: Vec::new(),
        }
    }

    /// The server's wall clock.
    pub(super) fn wall(&self) -> SystemTime {
        self.base + self.time
    }

    /// Bytes of the source.
    pub(super) fn bytes(&self, chunk: Chunk) -> &[u8] {
        &self.source[chunk.start as usize..chunk.end() as usize]
    }

    /// A number that was not used before.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn after(&mut self, wait: Duration, happening: Happening) {
        let number = self.number();
        self.queue.insert((self.time + wait, number), happening);
    }

    pub(super) fn hears(&mut self, wait: Duration, exchange: u64, heard: Heard) {
        self.after(wait, Happening::Heard { exchange, heard });
    }

    /// Notes a line of the trace, if one is kept.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10.3} {}", self.time.as_secs_f64(), line()));
        }
    }

    /// Lets time pass until `limit`, or until the client hears of `exchange`.
    pub(super) fn pass(
        &mut self,
        limit: Duration,
        exchange: Option<u64>,
    ) -> Result<Option<Heard>, Breach> {
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > limit {
                break;
            }
            let happening = entry.remove();
            self.time = self.time.max(at);
            if let Happening::Heard {
                exchange: of,
                heard,
            } = happening
            {
                if exchange == Some(of) {
                    return Ok(Some(heard));
                }
                continue;
            }
            self.happen(happening)?;
            self.site.check()?;
        }
        self.time = self.time.max(limit);
        Ok(None)
    }

    /// Whether nothing is under way any more.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Breach> {
        match happening {
            Happening::Arrives(delivery) => return self.arrives(*delivery),
            Happening::Bytes { connection, chunk } => {
                let mut open = self.open.iter();
                let damaged = open.any(|known| known.connection == connection && known.damaged);
                let mut bytes = self.bytes(chunk).to_vec();
                if let (Some(byte), true) = (bytes.first_mut(), damaged) {
                    *byte ^= 1;
                }
                return self.site.bytes(connection, &bytes);
            }
            Happening::Ends(connection) => {
                if let Some(delivery) = self.closed(connection)
                    && let Some(answer) = self.site.end(connection, delivery.trailers.as_ref())?
                {
                    self.answer(&delivery, answer);
                }
            }
            Happening::Breaks(connection) => {
                self.note(|| format!("server   sees connection {connection} broken"));
                self.site.end_broken(connection)?;
                if let Some(delivery) = self.closed(connection)
                    && let Answering::Replaced(answer) = &delivery.answering
                {
                    self.answer(&delivery, answer.clone());
                }
            }
            Happening::Falls(downtime) => {
                self.note(|| format!("server   falls for {downtime:?}"));
                self.site.fall();
                for delivery in std::mem::take(&mut self.open) {
                    self.breaks(&delivery);
                }
                self.after(downtime, Happening::Rises);
            }
            Happening::Rises => self.site.up = true,
            Happening::Heard { .. } => {}
        }
        Ok(())
    }

    fn arrives(&mut self, delivery: Delivery) -> Result<(), Breach> {
        let by_alias = delivery.head.uri().host() == Some(ALIAS);
        if !self.site.up || (by_alias && self.time > self.alias_until) {
            let unreachable = Heard::Fault(Fault::NotSent);
            self.hears(Duration::from_millis(1), delivery.exchange, unreachable);
            return Ok(());
        }
        let wall = self.wall();
        let connection = delivery.connection;
        let arrival = self
            .site
            .arrive(&delivery.head, delivery.chunk, connection, wall)?;
        for stolen in std::mem::take(&mut self.site.stolen) {
            self.note(|| format!("server   ends connection {stolen} for {connection}"));
            if let Some(delivery) = self.closed(stolen) {
                self.breaks(&delivery);
            }
        }
        match (arrival, delivery.chunk) {
            (Arrival::Answer(answer), _) => self.answer(&delivery, answer),
            (Arrival::Body, Some(chunk)) => {
                self.note(|| format!("server   takes the body of connection {connection}"));
                self.schedule(&delivery, chunk);
                self.open.push(delivery);
            }
            (Arrival::Body, None) => {
                return Err(Breach::new("server", "waits for a body that nobody sends"));
            }
        }
        Ok(())
    }

    /// A body comes in a few pieces, and perhaps not to its end.
    fn schedule(&mut self, delivery: &Delivery, chunk: Chunk) {
        let connection = delivery.connection;
        let (bytes, lasts, end) = match delivery.body {
            Body::Whole => (chunk.len, delivery.spread, Happening::Ends(connection)),
            Body::Cut { after, noticed } => {
                // What lay in buffers may trickle in while the server has not seen the break.
                let trickles = self.random.chance(500);
                let lasts = if trickles { noticed } else { delivery.spread };
                (after, lasts, Happening::Breaks(connection))
            }
        };
        let pieces = self.random.within(1, 3).min(bytes);
        let mut sent = 0;
        for piece in 1..=pieces {
            let to = bytes * piece / pieces;
            let part = Chunk {
                start: chunk.start + sent,
                len: to - sent,
            };
            sent = to;
            let at = lasts.mul_f64(piece as f64 / pieces as f64);
            self.after(
                at,
                Happening::Bytes {
                    connection,
                    chunk: part,
                },
            );
        }
        let noticed = match delivery.body {
            Body::Whole => Duration::ZERO,
            Body::Cut { noticed, .. } => noticed,
        };
        self.after(delivery.spread + noticed, end);
    }

    fn closed(&mut self, connection: u64) -> Option<Delivery> {
        let position = self
            .open
            .iter()
            .position(|delivery| delivery.connection == connection)?;
        Some(self.open.swap_remove(position))
    }

    fn breaks(&mut self, delivery: &Delivery) {
        let wait = self.random.millis(1, 200);
        self.hears(wait, delivery.exchange, Heard::Fault(Fault::MaybeSent));
    }

    fn answer(&mut self, delivery: &Delivery, answer: Response<()>) {
        self.note(|| {
            let (number, status) = (delivery.connection, answer.status().as_u16());
            let offset = answer.headers().get(header::UPLOAD_OFFSET).cloned();
            let fate = match &delivery.answering {
                Answering::Sent => "",
                Answering::Lost => ", which is lost",
                Answering::Replaced(_) => ", which a proxy replaces",
                Answering::Garbled(_) => ", which is garbled",
                Answering::Stale(_) => ", which is stale",
            };
            format!("server   answers {number} with {status} {offset:?}{fate}")
        });
        let heard = match &delivery.answering {
            Answering::Lost => return,
            Answering::Sent => answer,
            Answering::Replaced(instead) => instead.clone(),
            Answering::Garbled(seed) => garbled(answer, delivery.chunk, *seed),
            Answering::Stale(seed) => stale(answer, *seed),
        };
        let wait = self.random.millis(2, 300);
        self.hears(wait, delivery.exchange, Heard::Answer(heard));
    }
}

/// An answer whose offset was true once.
fn stale(mut answer: Response<()>, seed: u64) -> Response<()> {
    if let Ok(Some(offset)) = header::upload_offset(answer.headers())
        && let Some(earlier) = seed.checked_rem(offset)
    {
        let earlier = header::from_integer(earlier);
        answer.headers_mut().insert(header::UPLOAD_OFFSET, earlier);
    }
    answer
}

/// An answer whose offset is missing, doubled, unreadable, or outside of the chunk.
fn garbled(mut answer: Response<()>, chunk: Option<Chunk>, seed: u64) -> Response<()> {
    let (Some(chunk), true) = (chunk, answer.status().is_success()) else {
        return answer;
    };
    let headers = answer.headers_mut();
    let beyond = chunk.end().saturating_add(1 + seed % 1000);
    match seed % 6 {
        0 => {
            headers.remove(header::UPLOAD_OFFSET);
        }
        1 => {
            headers.append(header::UPLOAD_OFFSET, header::from_integer(beyond));
        }
        2 => {
            headers.insert(header::UPLOAD_OFFSET, HeaderValue::from_static("1e3"));
        }
        3 => {
            headers.insert(header::UPLOAD_OFFSET, HeaderValue::from_static("-1"));
        }
        4 if chunk.start > 0 => {
            let below = header::from_integer(seed % chunk.start);
            headers.insert(header::UPLOAD_OFFSET, below);
        }
        _ => {
            headers.insert(header::UPLOAD_OFFSET, header::from_integer(beyond));
        }
    }
    answer
}
